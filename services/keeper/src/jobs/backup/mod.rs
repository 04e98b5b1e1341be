//! `backup`: makes the backups that are due (SECURITY §8), one for each tenant and class, reads each of them back, and
//! removes those whose time is over. Killed anywhere, the next run clears what is half written away and goes on with the
//! tenants that have none of today yet.

mod checking;
mod clearing;
mod making;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream;
use stagedoor_archive::BackupStore;
use stagedoor_assembly::{backup_store, database_url, open_store};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{BackupClass, Tenant, TenantContext, TenantStatus};
use stagedoor_storage::backups::{self, BackupState, CatalogueEntry};
use stagedoor_storage::{Purpose, Store, TenantTransaction};

pub use checking::VerifyBackups;

use super::{Job, JobError};
use crate::exit;
use crate::keeper::Keeper;
use crate::run::Run;

const NAME: &str = "backup";
/// Tenants at a time. Each has a chunk in memory, plain, compressed and sealed.
const TENANTS_AT_ONCE: usize = 4;
/// How far clocks of keepers may differ.
const CLOCKS_APART: TimeDelta = TimeDelta::hours(1);

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct Backup {
    /// Only this tenant: its name in URLs, or its id.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this class: sessions, preferences or audit. Can be given more than once.
    #[arg(long = "class", value_name = "CLASS")]
    pub classes: Vec<BackupClass>,
    /// Make them even where the last ones are of today.
    #[arg(long)]
    pub force: bool,
}

#[async_trait(?Send)]
impl Job for Backup {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recorded_as(&self) -> &'static str {
        if self.tenant.is_some() || !self.classes.is_empty() { "backup-part" } else { NAME }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let work = Work::open(keeper, run).await?;
        let only = self.tenant.as_deref();
        if only.is_none() {
            work.part("deleted tenants", work.remove_deleted().await)?;
        }
        work.each_tenant(only, async |context| self.of_tenant(&work, context).await).await?;
        work.reading.close().await;
        Ok(())
    }
}

impl Backup {
    /// Each part by itself: what fails for one class keeps neither the others from being made nor what is over from
    /// going.
    async fn of_tenant(&self, work: &Work<'_>, context: &TenantContext) -> Result<(), JobError> {
        let slug = &context.tenant().slug;
        let noticed = work.store.deleted(context.tenant_id()).await.map_err(anyhow::Error::from)?;
        if let Some(at) = noticed {
            let told = format!("it was deleted, as was noticed at {at}, and is back: it is not backed up");
            work.run.failed(format_args!("tenant {slug}"), told);
            return Ok(());
        }
        let part = |what: &str, done| work.part(format_args!("tenant {slug}, {what}"), done);
        part("tombstones", work.keep_tombstones(context).await)?;
        part("what is half written", work.reconcile(context).await)?;
        part("what is over", work.expire(context).await)?;
        let kept = work.kept(context).await?;
        for class in in_order(work.keeper, &kept) {
            let wanted = self.classes.is_empty() || self.classes.contains(&class);
            if !wanted || !(self.force || is_due(work.keeper, class, &kept)) {
                continue;
            }
            work.run.count("backups_due", 1);
            if !work.run.dry_run() {
                work.run.go_on()?;
                part(class.as_str(), work.make(context, class, &kept).await)?;
            }
        }
        Ok(())
    }
}

/// Removes every backup whose time is over.
pub async fn expire(keeper: &Keeper, run: &Run) -> Result<(), JobError> {
    let work = Work::open(keeper, run).await?;
    work.each_tenant(None, async |context| work.expire(context).await).await?;
    work.reading.close().await;
    Ok(())
}

/// What all parts of the job work with.
struct Work<'a> {
    keeper: &'a Keeper,
    run: &'a Run,
    store: BackupStore,
    /// The database as the role that sees all there is to back up, and writes nothing.
    reading: Store,
}

impl<'a> Work<'a> {
    async fn open(keeper: &'a Keeper, run: &'a Run) -> Result<Self, JobError> {
        let misconfigured = |error: anyhow::Error| JobError::misconfigured(&error);
        let store = backup_store(&keeper.config).map_err(misconfigured)?;
        database_url(&keeper.config.storage, Purpose::Backup).map_err(misconfigured)?;
        let reading = open_store(&keeper.config, Purpose::Backup).await.map_err(|error| {
            // A database that is away comes back; a wrong role does not.
            if exit::of(&error) == exit::USAGE { misconfigured(error) } else { error.into() }
        })?;
        Ok(Self { keeper, run, store, reading })
    }

    /// Calls `work` for every tenant that is not deleted or being deleted, a few at a time. What fails for one tenant is
    /// said, and the others go on.
    async fn each_tenant(
        &self,
        only: Option<&str>,
        work: impl AsyncFn(&TenantContext) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let mut tenants = match only {
            Some(named) => vec![self.keeper.tenant(named).await?],
            None => self.keeper.tenants().await?,
        };
        tenants.retain(|tenant| matches!(tenant.status, TenantStatus::Active | TenantStatus::Suspended));
        let total = tenants.len() as u64;
        let one = async |tenant: Arc<Tenant>| {
            self.run.go_on()?;
            let slug = tenant.slug.clone();
            match work(&self.keeper.context(tenant, NAME)).await {
                Err(JobError::Interrupted) => return Err(JobError::Interrupted),
                Err(error) => self.run.failed(format_args!("tenant {slug}"), Chain(&error)),
                Ok(()) => {}
            }
            Ok(())
        };
        let mut ends = stream::iter(tenants).map(one).buffer_unordered(TENANTS_AT_ONCE);
        let (mut done, mut interrupted) = (0, false);
        // Those under way end by themselves: each looks whether to stop before its next batch.
        while let Some(end) = ends.next().await {
            interrupted |= end.is_err();
            done += 1;
            self.run.progress(done, Some(total), "tenants");
        }
        if interrupted { Err(JobError::Interrupted) } else { Ok(()) }
    }

    /// Says that a part failed, and lets the others go on; only being told to stop ends them all.
    fn part(&self, what: impl std::fmt::Display, done: Result<(), JobError>) -> Result<(), JobError> {
        match done {
            Err(JobError::Interrupted) => Err(JobError::Interrupted),
            Err(error) => {
                self.run.failed(what, Chain(&error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn kept(&self, context: &TenantContext) -> Result<Vec<CatalogueEntry>, JobError> {
        Ok(self.keeper.store.with_tenant(context, backups::kept).await?)
    }

    async fn note(
        &self,
        context: &TenantContext,
        write: impl AsyncFnOnce(&mut TenantTransaction) -> Result<(), stagedoor_storage::StoreError>,
    ) -> Result<(), JobError> {
        Ok(self.keeper.store.with_tenant(context, write).await?)
    }
}

/// In which order classes are made: sessions last, because they hold the keys, those too that the others' rows were just
/// sealed under. Where they are overdue the trail comes last, lest one that never finishes in time keeps them away.
fn in_order(keeper: &Keeper, kept: &[CatalogueEntry]) -> [BackupClass; 3] {
    let class = BackupClass::Sessions;
    let late = newest_sound(keeper, class, kept)
        .is_none_or(|newest| age(keeper, newest) >= class.interval() / 2 * 3);
    if late {
        [BackupClass::Preferences, BackupClass::Sessions, BackupClass::Audit]
    } else {
        [BackupClass::Audit, BackupClass::Preferences, BackupClass::Sessions]
    }
}

/// Whether the newest sound backup of the class is about as old as it may be: a run that begins a little earlier than
/// that of yesterday makes one, and one that goes on where another was killed does not.
fn is_due(keeper: &Keeper, class: BackupClass, kept: &[CatalogueEntry]) -> bool {
    let newest = newest_sound(keeper, class, kept);
    newest.is_none_or(|newest| age(keeper, newest) >= class.interval() / 8 * 7)
}

fn age(keeper: &Keeper, entry: &CatalogueEntry) -> Duration {
    (keeper.clock.now() - entry.taken_at).to_std().unwrap_or_default()
}

/// One from the future, which a clock that was wrong left behind, is none: it would keep others from being made.
fn newest_sound<'a>(
    keeper: &Keeper,
    class: BackupClass,
    kept: &'a [CatalogueEntry],
) -> Option<&'a CatalogueEntry> {
    let latest = keeper.clock.now() + CLOCKS_APART;
    kept.iter().rfind(|entry| {
        entry.class == class && entry.state == BackupState::Verified && entry.taken_at <= latest
    })
}
