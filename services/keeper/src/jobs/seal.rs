//! `seal`: a signed checkpoint of each chain of the audit trail that grew since its last one, and the archive brought up to
//! date. Gateways do this every minute; the keeper makes up for what none of them did.

use async_trait::async_trait;
use chrono::{Days, NaiveDate};
use clap::Args;
use stagedoor_assembly::checkpoint_archive;
use stagedoor_audit::{Checkpointer, SealError};
use stagedoor_domain::{TenantContext, TenantId};
use uuid::Uuid;

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

const PAGE: i32 = 500;
/// Chains that are older than this were sealed or dropped long ago.
const DAYS_BACK: u64 = 3_660;

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct Seal {
    /// Only this tenant: its name in URLs, or its id.
    #[arg(long)]
    pub tenant: Option<String>,
}

#[async_trait(?Send)]
impl Job for Seal {
    fn name(&self) -> &'static str {
        "seal"
    }

    fn recorded_as(&self) -> &'static str {
        if self.tenant.is_some() { "seal-part" } else { self.name() }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        if run.dry_run() {
            return unsealed(keeper, run, self.tenant.as_deref()).await;
        }
        let archive = checkpoint_archive(&keeper.config).map_err(|error| JobError::misconfigured(&error))?;
        let interval = keeper.config.audit.checkpoint_interval();
        let checkpointer = Checkpointer::new(keeper.vault.clone(), archive, interval);
        let seal = async |context: &TenantContext| match checkpointer.seal_all(context).await {
            Ok(made) => {
                run.count("checkpoints_made", made);
                Ok(())
            }
            Err(SealError::Store(error)) => Err(error.into()),
            Err(error) => Err(anyhow::Error::from(error).into()),
        };
        keeper.each_tenant(self.name(), run, self.tenant.as_deref(), seal).await
    }
}

async fn unsealed(keeper: &Keeper, run: &Run, only: Option<&str>) -> Result<(), JobError> {
    let only = match only {
        Some(named) => Some(keeper.tenant(named).await?.id),
        None => None,
    };
    let today = keeper.clock.now().date_naive();
    let first = today.checked_sub_days(Days::new(DAYS_BACK)).unwrap_or(NaiveDate::MIN);
    let mut after = (first, TenantId(Uuid::nil()));
    loop {
        run.go_on()?;
        let chains = keeper.store.unsealed_audit_chains(after, PAGE).await?;
        let Some(last) = chains.last().copied() else { return Ok(()) };
        let of_it = chains.iter().filter(|(_, tenant)| only.is_none_or(|only| only == *tenant));
        run.count("checkpoints_made", of_it.count() as u64);
        after = last;
    }
}
