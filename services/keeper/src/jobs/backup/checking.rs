//! Reading backups back: after each is made, and all of them by `verify-backups`, which finds as well what the catalogue
//! has and the store has not.

use std::collections::BTreeSet;

use async_trait::async_trait;
use clap::Args;
use stagedoor_archive::{Found, Manifest, ReadError, Trust, Trusted, VerifyReport, verify_while};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{BackupClass, TenantContext};
use stagedoor_storage::backups::{self, BackupState, CatalogueEntry};
use stagedoor_storage::signing_keys;

use super::Work;
use super::making::written;
use crate::jobs::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

/// Damages of one backup that are said one by one.
const TOLD: usize = 20;

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct VerifyBackups {
    /// Only this tenant: its name in URLs, or its id.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this class: sessions, preferences or audit. Can be given more than once.
    #[arg(long = "class", value_name = "CLASS")]
    pub classes: Vec<BackupClass>,
}

#[async_trait(?Send)]
impl Job for VerifyBackups {
    fn name(&self) -> &'static str {
        "verify-backups"
    }

    fn recorded_as(&self) -> &'static str {
        if self.tenant.is_some() || !self.classes.is_empty() { "verify-backups-part" } else { self.name() }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let work = Work::open(keeper, run).await?;
        let check = async |context: &TenantContext| self.of_tenant(&work, context).await;
        work.each_tenant(self.tenant.as_deref(), check).await?;
        work.reading.close().await;
        Ok(())
    }
}

impl VerifyBackups {
    async fn of_tenant(&self, work: &Work<'_>, context: &TenantContext) -> Result<(), JobError> {
        let wanted = |class: BackupClass| self.classes.is_empty() || self.classes.contains(&class);
        let listing = work.store.list(Some(context.tenant_id())).await.map_err(anyhow::Error::from)?;
        let there: BTreeSet<_> = listing.found.iter().map(|found| found.id.0).collect();
        for found in listing.found.iter().filter(|found| wanted(found.class)) {
            work.run.go_on()?;
            work.check(context, found).await?;
        }
        let kept = work.kept(context).await?;
        let gone = kept.iter().filter(|entry| {
            wanted(entry.class) && entry.state != BackupState::Writing && !there.contains(&entry.id)
        });
        for entry in gone {
            work.miss(context, entry).await?;
        }
        Ok(())
    }
}

impl Work<'_> {
    /// Says that a backup of the catalogue is not in the store, and notes it.
    pub(super) async fn miss(&self, context: &TenantContext, entry: &CatalogueEntry) -> Result<(), JobError> {
        let slug = &context.tenant().slug;
        let told = "it is in the catalogue, and its manifest is not in the store";
        self.run.failed(format_args!("tenant {slug}, {} of {}", entry.class, entry.taken_at), told);
        self.run.count("backups_damaged", 1);
        if self.run.dry_run() {
            return Ok(());
        }
        let (id, now) = (entry.id, self.keeper.clock.now());
        self.note(context, async |tx| backups::verified(tx, id, now, Some(told)).await).await
    }

    /// Reads a whole backup back and notes what that came to; damage is said and makes the run one that succeeded partly.
    pub(super) async fn check(&self, context: &TenantContext, found: &Found) -> Result<(), JobError> {
        let store = &self.keeper.store;
        let public = store.with_tenant(context, signing_keys::public_keys).await?;
        let verifying: Vec<_> = public.into_iter().map(|key| key.key).collect();
        let trusted = Trusted { keys: &*self.keeper.keys, verifying: &verifying };
        let go_on = || !self.run.must_stop();
        let report = match Box::pin(verify_while(&self.store, found, trusted, go_on)).await {
            Ok(report) => report,
            // Not noted: the next run reads it back.
            Err(ReadError::Stopped) => return Err(JobError::Interrupted),
            // The store or the keys are out of reach: that says nothing about the backup.
            Err(error) => {
                self.run.failed(format_args!("{found} could not be read back"), Chain(&error));
                return Ok(());
            }
        };
        let complaint = self.tell(&report);
        if self.run.dry_run() {
            return Ok(());
        }
        let now = self.keeper.clock.now();
        if let Some(manifest) = &report.manifest {
            self.adopt(context, found, manifest).await?;
        }
        self.note(context, async |tx| {
            match backups::verified(tx, found.id.0, now, complaint.as_deref()).await {
                // Damaged and unknown to the catalogue, or removed meanwhile: there is nothing to note it at.
                Err(stagedoor_storage::StoreError::Missing(_)) => Ok(()),
                noted => noted,
            }
        })
        .await
    }

    async fn adopt(
        &self,
        context: &TenantContext,
        found: &Found,
        manifest: &Manifest,
    ) -> Result<(), JobError> {
        let (written, wrapped_by) = (written(manifest), manifest.key.wrapped_by);
        let which = (found.id.0, found.class, found.taken_at);
        self.note(context, async |tx| backups::adopt(tx, which, wrapped_by, written).await).await
    }

    /// What is wrong, if anything is.
    fn tell(&self, report: &VerifyReport) -> Option<String> {
        self.run.count("chunks_read_back", report.chunks.into());
        if let Some(Trust::Sealed(key)) = report.trust {
            self.run.remark(format_args!(
                "{}: signed by key {key}, which the database does not know",
                report.found
            ));
        }
        if report.is_sound() {
            self.run.count("backups_verified", 1);
            return None;
        }
        self.run.count("backups_damaged", 1);
        let told: Vec<_> = report.damages.iter().take(TOLD).map(ToString::to_string).collect();
        for damage in &told {
            self.run.failed("damaged backup", damage);
        }
        Some(told.join("\n"))
    }
}
