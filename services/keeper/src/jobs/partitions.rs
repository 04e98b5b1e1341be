//! `partitions`: the partitions of today and the coming days, of the audit trail and of usage, and those of this year and
//! the next of what people listened to. Who needs one that is missing makes it; made ahead, no call waits for that, and a
//! gateway that could not is no outage.

use async_trait::async_trait;
use chrono::Datelike as _;
use clap::Args;
use stagedoor_storage::audit::partition_days;
use stagedoor_storage::listening;
use stagedoor_storage::usage::{self, UsageTable};

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

/// Its arguments.
#[derive(Debug, Clone, Args)]
pub struct Partitions {
    /// Days ahead, today among them.
    #[arg(long, default_value_t = Self::DAYS, value_parser = clap::value_parser!(u8).range(1..=31))]
    pub days: u8,
}

impl Partitions {
    /// Days ahead that are always there.
    pub const DAYS: u8 = 8;
}

impl Default for Partitions {
    fn default() -> Self {
        Self { days: Self::DAYS }
    }
}

#[async_trait(?Send)]
impl Job for Partitions {
    fn name(&self) -> &'static str {
        "partitions"
    }

    fn recorded_as(&self) -> &'static str {
        if self.days < Self::DAYS { "partitions-part" } else { self.name() }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let today = keeper.clock.now().date_naive();
        let there = partition_days(&keeper.store).await?;
        let wanted = today.iter_days().take(self.days.into());
        let missing = wanted.filter(|day| !there.contains(day)).count();
        if missing > 0 && !run.dry_run() {
            keeper.store.ensure_audit_partitions(today, self.days).await?;
        }
        run.count("days_made", missing as u64);
        let there = usage::partition_days(&keeper.store, UsageTable::Minutes).await?;
        let missing = today.iter_days().take(self.days.into()).filter(|day| !there.contains(day)).count();
        if missing > 0 && !run.dry_run() {
            usage::ensure_partitions(&keeper.store, today, self.days).await?;
        }
        run.count("usage_days_made", missing as u64);
        let years = [today.year(), today.year() + 1];
        let there = listening::partition_years(&keeper.store).await?;
        let missing = years.iter().filter(|year| !there.contains(year)).count();
        if missing > 0 && !run.dry_run() {
            listening::ensure_partitions(&keeper.store, years.into()).await?;
        }
        run.count("listening_years_made", missing as u64);
        Ok(())
    }
}
