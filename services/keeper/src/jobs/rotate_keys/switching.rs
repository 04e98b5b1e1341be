//! The first round: in one tenant, keys are replaced, what is under old ones is wrapped and sealed anew.

use std::collections::BTreeSet;

use stagedoor_audit::{AuditAction, AuditClient, AuditOpening};
use stagedoor_domain::TenantContext;
use stagedoor_storage::rotation::{
    self, DataLayer, Layer, Rotation, RotationCounts, RotationState, SigningSwitch,
};
use uuid::Uuid;

use super::Rotator;
use super::plan::Plan;
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

/// Begins the rotation of the key-encryption key in every tenant, or goes on with it; the keys that are to be replaced.
pub(super) async fn begin_key_encryption(
    keeper: &Keeper,
    run: &Run,
    plan: &Plan,
) -> Result<BTreeSet<Uuid>, JobError> {
    let mut replaced = BTreeSet::new();
    for tenant in keeper.tenants().await? {
        run.go_on()?;
        let context = keeper.context(tenant, "rotate-keys");
        let layer = Layer::KeyEncryption;
        let begun =
            rotation::begin(&keeper.vault, &context, layer, plan.made_before, plan.compromised).await?;
        replaced.extend(begun.replaces);
    }
    Ok(replaced)
}

/// What is wrong if a key is stored under a newer pepper than the keeper's newest.
pub(super) async fn ahead_of(keeper: &Keeper, run: &Run, newest: u16) -> Result<Option<String>, JobError> {
    for tenant in keeper.tenants().await? {
        run.go_on()?;
        let slug = tenant.slug.clone();
        let context = keeper.context(tenant, "rotate-keys");
        let uses = rotation::pepper_uses(&keeper.vault, &context, keeper.clock.now()).await?;
        if let Some(newer) = uses.iter().find(|used| used.version > newest) {
            let version = newer.version;
            return Ok(Some(format!(
                "keys of tenant {slug} are under version {version} of the pepper, and the keeper's newest is {newest}"
            )));
        }
    }
    Ok(None)
}

impl Rotator<'_> {
    pub(super) async fn begin(&self, context: &TenantContext) -> Result<(), JobError> {
        let wanted = self.wanted(context).await?;
        for (layer, due) in &wanted {
            self.run.count(due_name(*layer), *due);
        }
        if self.run.dry_run() {
            return Ok(());
        }
        if !wanted.is_empty() {
            let opening = AuditOpening::new(AuditAction::KeyRotation, AuditClient::default());
            let switch = async {
                for (layer, _) in &wanted {
                    self.switch(context, *layer).await?;
                }
                Ok(())
            };
            self.keeper.audited(context, opening, switch).await?;
            self.note_change(context);
        }
        let left = rotation::last_switch(&self.keeper.vault, context).await?;
        if left.is_none() && wanted.is_empty() {
            return Ok(());
        }
        self.touched.borrow_mut().insert(context.tenant_id());
        self.reseal(context).await?;
        let settled = rotation::settled_in(&self.keeper.vault, context, self.plan.patience).await?;
        self.settled_at.set(self.settled_at.get().max(self.keeper.clock.elapsed() + settled));
        Ok(())
    }

    /// The layers in which something is to be replaced, with how much.
    async fn wanted(&self, context: &TenantContext) -> Result<Vec<(Layer, u64)>, JobError> {
        let vault = &self.keeper.vault;
        let under_way: Vec<Layer> = rotation::list(vault, context)
            .await?
            .into_iter()
            .filter(|rotation| rotation.state == RotationState::Resealing)
            .map(|rotation| rotation.layer)
            .collect();
        let made_before = self.plan.made_before.unwrap_or_else(|| self.keeper.clock.now());
        let mut wanted = Vec::new();
        for layer in Layer::ALL.into_iter().filter(|layer| self.plan.has(*layer)) {
            let due = match layer {
                Layer::KeyEncryption => match vault.wraps_with() {
                    Some(outer) => rotation::not_wrapped_by(vault, context, DataLayer::Tenant, outer).await?,
                    None => 0,
                },
                Layer::Tenant => rotation::due(vault, context, DataLayer::Tenant, made_before).await?,
                Layer::Subject => rotation::due(vault, context, DataLayer::Subjects, made_before).await?,
                Layer::Signing => rotation::signing_keys_due(vault, context, made_before).await?,
                Layer::Pepper => self.old_peppers(context).await?,
            };
            if due > 0 || under_way.contains(&layer) {
                wanted.push((layer, due));
            }
        }
        Ok(wanted)
    }

    async fn switch(&self, context: &TenantContext, layer: Layer) -> Result<(), JobError> {
        let (vault, plan) = (&self.keeper.vault, &self.plan);
        let begun = rotation::begin(vault, context, layer, plan.made_before, plan.compromised).await?;
        let mut counts = RotationCounts::new();
        let state = match layer {
            Layer::KeyEncryption => {
                self.rewrap(context, DataLayer::Tenant, &mut counts).await?;
                RotationState::Resealing
            }
            Layer::Tenant => {
                self.switch_keys(context, DataLayer::Tenant, &begun, &mut counts).await?;
                self.rewrap(context, DataLayer::Subjects, &mut counts).await?;
                RotationState::Resealing
            }
            Layer::Subject => {
                self.switch_keys(context, DataLayer::Subjects, &begun, &mut counts).await?;
                RotationState::Resealing
            }
            Layer::Signing => {
                let since = begun.started_at;
                let done = rotation::switch_signing_key(vault, context, begun.made_before, since).await?;
                if done == SigningSwitch::Switched {
                    self.add(&mut counts, "signing_keys_switched", 1);
                }
                RotationState::Resealing
            }
            Layer::Pepper => self.end_peppers(context, begun.compromised, &mut counts).await?,
        };
        rotation::note(vault, context, layer, Some(state), &counts).await?;
        Ok(())
    }

    async fn switch_keys(
        &self,
        context: &TenantContext,
        layer: DataLayer,
        begun: &Rotation,
        counts: &mut RotationCounts,
    ) -> Result<(), JobError> {
        let mut after = None;
        loop {
            self.run.go_on()?;
            let how = (begun.made_before, begun.compromised);
            let page = rotation::switch(&self.keeper.vault, context, layer, how, after).await?;
            self.add(counts, "keys_switched", page.switched);
            self.add(counts, "keys_unreadable", page.unreadable);
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Until no key of the layer is under another key than the present one but those that do not open.
    pub(super) async fn rewrap(
        &self,
        context: &TenantContext,
        layer: DataLayer,
        counts: &mut RotationCounts,
    ) -> Result<(), JobError> {
        loop {
            let (mut after, mut again, mut unreadable) = (None, 0, 0);
            loop {
                self.run.go_on()?;
                let page = rotation::rewrap(&self.keeper.vault, context, layer, after).await?;
                self.add(counts, "keys_rewrapped", page.rewrapped);
                again += page.written_meanwhile;
                unreadable += page.unreadable;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if again == 0 {
                self.add(counts, "keys_unreadable", unreadable);
                return Ok(());
            }
        }
    }

    async fn old_peppers(&self, context: &TenantContext) -> Result<u64, JobError> {
        let newest = self.keeper.peppers.newest_version();
        let uses = rotation::pepper_uses(&self.keeper.vault, context, self.keeper.clock.now()).await?;
        Ok(uses.iter().filter(|used| used.version < newest).map(|used| used.keys).sum())
    }

    /// What signing in has not brought under the newest pepper is waited for, or ended.
    async fn end_peppers(
        &self,
        context: &TenantContext,
        compromised: bool,
        counts: &mut RotationCounts,
    ) -> Result<RotationState, JobError> {
        if compromised {
            let (newest, now) = (self.keeper.peppers.newest_version(), self.keeper.clock.now());
            let revoked = rotation::revoke_keys_under(&self.keeper.vault, context, newest, now).await?;
            self.add(counts, "api_keys_revoked", revoked.agents);
            self.add(counts, "admin_keys_revoked", revoked.admins);
            if revoked.admins > 0 {
                self.run.remark(format_args!(
                    "tenant {}: {} keys of the admin API were revoked; `stagedoor admin-key create` makes others",
                    context.tenant().slug,
                    revoked.admins
                ));
            }
        }
        let left = self.old_peppers(context).await?;
        Ok(if left == 0 { RotationState::Done } else { RotationState::Settling })
    }

    /// Counts for the run and for the tenant.
    pub(super) fn add(&self, counts: &mut RotationCounts, name: &'static str, number: u64) {
        if number > 0 {
            self.run.count(name, number);
            *counts.entry(name.to_owned()).or_default() += number;
        }
    }
}

const fn due_name(layer: Layer) -> &'static str {
    match layer {
        Layer::KeyEncryption => "tenant_keys_under_old_key",
        Layer::Tenant => "tenant_keys_due",
        Layer::Subject => "subject_keys_due",
        Layer::Signing => "signing_keys_due",
        Layer::Pepper => "api_keys_under_old_pepper",
    }
}
