//! What goes: what a killed run left half written, backups whose time is over, and those of deleted tenants.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use stagedoor_archive::Found;
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening, AuditResource};
use stagedoor_domain::{BackupClass, Retained, TenantContext, TenantStatus};
use stagedoor_storage::backups::{self, BackupState, CatalogueEntry};

use super::{NAME, Work, newest_sound};
use crate::jobs::JobError;

const DAY: Duration = Duration::from_hours(24);

impl Work<'_> {
    /// Brings store and catalogue together after whatever happened: half a backup is cleared away; a whole one that was
    /// not read back, or that the catalogue does not know, is read back now.
    pub(super) async fn reconcile(&self, context: &TenantContext) -> Result<(), JobError> {
        let listing = self.store.list(Some(context.tenant_id())).await.map_err(anyhow::Error::from)?;
        let kept = self.kept(context).await?;
        let states: BTreeMap<_, _> = kept.iter().map(|entry| (entry.id, entry.state)).collect();
        let now = self.keeper.clock.now();
        // Without a manifest is also a backup of which somebody is only just bringing the files back.
        let is_half = |found: &Found| {
            let age = (now - found.taken_at).to_std().unwrap_or_default();
            match states.get(&found.id.0) {
                Some(BackupState::Writing) => true,
                Some(_) => age >= self.life(context, found.class),
                None => age >= DAY,
            }
        };
        let mut half: Vec<_> =
            listing.unfinished.into_iter().map(|unfinished| unfinished.0).filter(is_half).collect();
        for entry in kept.iter().filter(|entry| entry.state == BackupState::Writing) {
            let is = |found: &Found| found.id.0 == entry.id;
            if !listing.found.iter().any(is) && !half.iter().any(is) {
                let id = stagedoor_archive::BackupId(entry.id);
                half.push(Found::new(context.tenant_id(), entry.class, entry.taken_at, id));
            }
        }
        for found in half {
            self.run.go_on()?;
            self.run.count("unfinished_cleared", 1);
            if !self.run.dry_run() {
                let cleared = self.clear(context, &found).await;
                self.part(format_args!("half a backup in {found}"), cleared)?;
            }
        }
        self.settle_missing(context, &kept, &listing.found).await?;
        for found in &listing.found {
            let settled = matches!(
                states.get(&found.id.0),
                Some(BackupState::Verified | BackupState::Damaged | BackupState::Expired)
            );
            if !settled && !self.run.dry_run() {
                self.run.go_on()?;
                let checked = self.check(context, found).await;
                self.part(format_args!("reading {found} back"), checked)?;
            }
        }
        Ok(())
    }

    /// What the catalogue has and the store has not: over, if its time was, because whoever removed it was killed before
    /// that was noted; else lost, which is said once.
    async fn settle_missing(
        &self,
        context: &TenantContext,
        kept: &[CatalogueEntry],
        there: &[Found],
    ) -> Result<(), JobError> {
        let now = self.keeper.clock.now();
        for entry in kept.iter().filter(|entry| entry.state != BackupState::Writing) {
            if there.iter().any(|found| found.id.0 == entry.id) {
                continue;
            }
            let age = (now - entry.taken_at).to_std().unwrap_or_default();
            if age >= self.life(context, entry.class) {
                if !self.run.dry_run() {
                    self.note(context, async |tx| backups::ended(tx, entry.id, now).await).await?;
                }
            } else if entry.state != BackupState::Damaged {
                self.miss(context, entry).await?;
            }
        }
        Ok(())
    }

    /// Removes what there is of a backup, and notes it.
    pub(super) async fn clear(&self, context: &TenantContext, found: &Found) -> Result<(), JobError> {
        self.store.remove(found).await.map_err(anyhow::Error::from)?;
        let now = self.keeper.clock.now();
        self.note(context, async |tx| backups::ended(tx, found.id.0, now).await).await
    }

    /// Removes the tenant's backups whose time is over, but never the newest sound one of a class: where backups fail for
    /// long, the last good one is all there is.
    pub(super) async fn expire(&self, context: &TenantContext) -> Result<(), JobError> {
        let mut kept = self.kept(context).await?;
        let listing = self.store.list(Some(context.tenant_id())).await.map_err(anyhow::Error::from)?;
        kept.retain(|entry| listing.found.iter().any(|found| found.id.0 == entry.id));
        let newest =
            BackupClass::ALL.map(|class| newest_sound(self.keeper, class, &kept).map(|entry| entry.id));
        let now = self.keeper.clock.now();
        for found in listing.found {
            let age = (now - found.taken_at).to_std().unwrap_or_default();
            if age < self.life(context, found.class) || newest.contains(&Some(found.id.0)) {
                continue;
            }
            self.run.count("backups_expired", 1);
            if self.run.dry_run() {
                continue;
            }
            self.run.go_on()?;
            let opening = AuditOpening {
                resource: Some(AuditResource {
                    kind: "backup",
                    id: format!("{}/{}", found.class, found.id).into(),
                }),
                ..AuditOpening::new(AuditAction::BackupRemove, AuditClient::default())
            };
            self.keeper.audited(context, opening, self.clear(context, &found)).await?;
        }
        Ok(())
    }

    /// How long a backup is kept. One of the audit trail holds days that no later one has, and stays as long as the
    /// tenant's trail does, which is cut once a week.
    fn life(&self, context: &TenantContext, class: BackupClass) -> Duration {
        let configured = self.keeper.config.backup.kept(class);
        match class {
            BackupClass::Sessions | BackupClass::Preferences => configured,
            BackupClass::Audit => configured.max(DAY * (self.trail_days(context) + 8)),
        }
    }

    /// The first day of the trail that the tenant still keeps.
    pub(super) fn first_kept(&self, context: &TenantContext) -> NaiveDate {
        let today = self.keeper.clock.now().date_naive();
        today.checked_sub_days(Days::new(self.trail_days(context).into())).unwrap_or(today)
    }

    fn trail_days(&self, context: &TenantContext) -> u32 {
        let installation = self.keeper.config.retention.settings();
        context.tenant().settings.retention.days(Retained::Audit, &installation)
    }

    /// Removes every backup of tenants that were deleted, and leaves a note that they were. There is no trail of theirs
    /// to put that on record: the run's own has it.
    pub(super) async fn remove_deleted(&self) -> Result<(), JobError> {
        for tenant in self.store.tenants().await.map_err(anyhow::Error::from)? {
            self.run.go_on()?;
            let known = self.keeper.store.tenant_by_id(tenant).await?;
            let Some(known) = known else {
                self.run.remark(format_args!(
                    "there are backups of {tenant}, a tenant that this database does not know"
                ));
                continue;
            };
            if known.status != TenantStatus::Deleted {
                continue;
            }
            let listing = self.store.list(Some(tenant)).await.map_err(anyhow::Error::from)?;
            let left = listing.unfinished.into_iter().map(|unfinished| unfinished.0).chain(listing.found);
            let left: Vec<_> = left.collect();
            self.run.count("backups_of_deleted_tenants", left.len() as u64);
            if self.run.dry_run() {
                continue;
            }
            let now = self.keeper.clock.now();
            self.store.put_deleted(tenant, now).await.map_err(anyhow::Error::from)?;
            let context = self.keeper.context(known.into(), NAME);
            for found in left {
                self.clear(&context, &found).await?;
            }
        }
        Ok(())
    }
}
