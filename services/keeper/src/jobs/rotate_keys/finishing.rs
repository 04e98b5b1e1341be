//! The second and the third round: what was sealed under old keys meanwhile, the end of these keys, and the proof.

use stagedoor_domain::TenantContext;
use stagedoor_storage::replicas::LIVE_WITHIN;
use stagedoor_storage::rotation::{self, Layer, PLACES, Proved, Retired, RotationCounts, RotationState};

use super::Rotator;
use crate::jobs::JobError;

impl Rotator<'_> {
    /// Once no replica seals under an old key any more: what they did is resealed, and keys that nothing refers to are
    /// marked.
    pub(super) async fn settle(&self, context: &TenantContext) -> Result<(), JobError> {
        if !self.touched.borrow().contains(&context.tenant_id()) {
            return Ok(());
        }
        self.reseal(context).await?;
        if self.someone_is_silent().await? {
            return Ok(());
        }
        let patience = self.patience(self.known(context).await?);
        let retired = rotation::retire(&self.keeper.vault, context, patience).await?;
        self.run.count("keys_destroyed", retired.destroyed);
        if retired.destroyed > 0 {
            self.note_change(context);
        }
        if retired.unreferenced > 0 {
            self.look_again.set(true);
        }
        Ok(())
    }

    /// Once nobody can hold a value under an old key any more: these keys are destroyed, and everything is opened.
    pub(super) async fn finish(&self, context: &TenantContext) -> Result<(), JobError> {
        if !self.touched.borrow().contains(&context.tenant_id()) {
            return Ok(());
        }
        let vault = &self.keeper.vault;
        let mut counts = RotationCounts::new();
        let known = self.known(context).await?;
        let silent = self.someone_is_silent().await?;
        let retired = if silent {
            Retired::default()
        } else {
            rotation::retire(vault, context, self.patience(known)).await?
        };
        self.add(&mut counts, "keys_destroyed", retired.destroyed);
        self.tell(context, &retired);
        let (destroyed, left) = rotation::destroy_signing_keys(vault, context, known.signing).await?;
        self.add(&mut counts, "signing_keys_destroyed", destroyed);
        if destroyed + retired.destroyed > 0 || self.changed.borrow().contains(&context.tenant_id()) {
            self.prove(context, &mut counts).await?;
        }
        let left_over = retired.young + retired.in_backups + retired.unreferenced + retired.held.len() as u64;
        let data_done = !silent && left_over == 0;
        for layer in [Layer::Tenant, Layer::Subject] {
            self.close(context, layer, data_done, &counts).await?;
        }
        if !self.known_key_wraps(context).await? {
            self.close(context, Layer::KeyEncryption, true, &RotationCounts::new()).await?;
        }
        self.close(context, Layer::Signing, left == 0, &RotationCounts::new()).await
    }

    /// Whether the key-encryption key that this tenant's rotation is to replace, because it is known, wraps all the same.
    async fn known_key_wraps(&self, context: &TenantContext) -> Result<bool, JobError> {
        let vault = &self.keeper.vault;
        let rotations = rotation::list(vault, context).await?;
        let known = rotations.iter().any(|rotation| {
            rotation.layer == Layer::KeyEncryption
                && rotation.state != RotationState::Done
                && rotation.compromised
                && rotation.replaces.is_some()
                && rotation.replaces == vault.wraps_with()
        });
        if known {
            self.run.failed(
                format_args!("tenant {}", context.tenant().slug),
                "the key-encryption key that is known still wraps: name the place where the next version can be made \
                 (--kubernetes-secret, --key-directory), or put it there",
            );
        }
        Ok(known)
    }

    /// Whether a replica may still hold what it sealed under an old key; said once.
    async fn someone_is_silent(&self) -> Result<bool, JobError> {
        let silent = rotation::silent_replicas(&self.keeper.store, LIVE_WITHIN).await?;
        if !silent.is_empty() && !self.told_of_silence.replace(true) {
            let hosts = silent.join(", ");
            self.run.remark(format!(
                "no key is destroyed: replicas have ended without a word, or are cut off: {hosts}; the next run looks again"
            ));
        }
        Ok(!silent.is_empty())
    }

    /// Notes that a layer's rotation is done, or what it waits for, if it had one.
    async fn close(
        &self,
        context: &TenantContext,
        layer: Layer,
        done: bool,
        counts: &RotationCounts,
    ) -> Result<(), JobError> {
        let state = if done { RotationState::Done } else { RotationState::Settling };
        let rotations = rotation::list(&self.keeper.vault, context).await?;
        let open =
            |rotation: &rotation::Rotation| rotation.layer == layer && rotation.state != RotationState::Done;
        if rotations.iter().any(open) {
            rotation::note(&self.keeper.vault, context, layer, Some(state), counts).await?;
        }
        Ok(())
    }

    fn tell(&self, context: &TenantContext, retired: &Retired) {
        let run = self.run;
        run.count("keys_young", retired.young + retired.unreferenced);
        run.count("keys_in_backups", retired.in_backups);
        run.count("keys_held", retired.held.len() as u64);
        let values: u64 = retired.held.iter().map(|(_, values)| values).sum();
        if values > 0 {
            run.count("values_under_old_keys", values);
            tracing::info!(
                target: "keeper", tenant = %context.tenant_id(), keys = retired.held.len(), values,
                "old keys are kept for what is still under them"
            );
        }
    }

    /// Opens everything.
    async fn prove(&self, context: &TenantContext, counts: &mut RotationCounts) -> Result<(), JobError> {
        let vault = &self.keeper.vault;
        let slug = &context.tenant().slug;
        let keys = rotation::prove_keys(vault, context).await?;
        self.judge(counts, format_args!("tenant {slug}: keys"), &keys, true);
        for place in PLACES {
            let mut after = None;
            let mut all = Proved::default();
            loop {
                self.run.go_on()?;
                let page = rotation::prove_page(vault, context, place, after.as_ref()).await?;
                all.opened += page.opened;
                all.unreadable += page.unreadable;
                all.without_key += page.without_key;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            // Sessions that do not open are known of: they were set aside, or will be when they are used.
            let strict = !matches!(place.table, "provider_sessions" | "session_quarantine" | "link_attempts");
            self.judge(counts, format_args!("tenant {slug}: {}", place.name()), &all, strict);
        }
        Ok(())
    }

    fn judge(
        &self,
        counts: &mut RotationCounts,
        what: std::fmt::Arguments<'_>,
        proved: &Proved,
        strict: bool,
    ) {
        self.add(counts, "values_proved", proved.opened);
        self.add(counts, "values_unreadable", proved.unreadable);
        self.add(counts, "values_without_key", proved.without_key);
        if proved.without_key > 0 {
            self.run.failed(what, format_args!("{} refer to a key that is not there", proved.without_key));
        } else if proved.unreadable > 0 && strict {
            self.run
                .failed(what, format_args!("{} do not open under the key that they name", proved.unreadable));
        } else if proved.unreadable > 0 {
            self.run.remark(format!("{what}: {} do not open, and stay as they are", proved.unreadable));
        }
    }
}
