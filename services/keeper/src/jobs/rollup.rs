//! `rollup`: each tenant's figures of the days that are over, counted once from what is stored; and what agents' calls
//! came to, from minutes to hours and from hours to days. What a keeper missed is made up for, as far back as the trail
//! reaches, and whatever came late is added when it is there.

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use clap::Args;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Retained, TenantContext};
use stagedoor_storage::usage::{self, Period, Rolled};
use stagedoor_storage::{StoreError, rollups};

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

/// Its arguments: none.
#[derive(Debug, Clone, Default, Args)]
pub struct Rollup {}

#[async_trait(?Send)]
impl Job for Rollup {
    fn name(&self) -> &'static str {
        "rollup"
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let work = async |context: &TenantContext| of_tenant(keeper, run, context).await;
        keeper.each_tenant(self.name(), run, None, work).await
    }
}

/// What fails of the one keeps nothing of the other from being done.
async fn of_tenant(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    let counted = count_days(keeper, run, context).await;
    if matches!(counted, Err(JobError::Interrupted)) {
        return counted;
    }
    roll_usage(keeper, run, context).await?;
    counted
}

/// Days in their order: the last one that was counted says where the next run begins.
async fn count_days(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    let today = keeper.clock.now().date_naive();
    let kept =
        context.tenant().settings.retention.days(Retained::Metrics, &keeper.config.retention.settings());
    // A tenant without a trail has figures all the same: of yesterday to begin with.
    let yesterday = today.pred_opt().unwrap_or(today);
    let mut day = first_missing(keeper, context).await?.unwrap_or(yesterday);
    run.count("days_counted", 0);
    // What is older than figures are kept is not made up for.
    day = day.max(today.checked_sub_days(Days::new(kept.into())).unwrap_or(day));
    while day < today {
        run.go_on()?;
        if !run.dry_run() {
            let count = async |tx: &mut _| rollups::count_day(tx, day).await;
            keeper.store.with_tenant::<_, StoreError>(context, count).await?;
        }
        run.count("days_counted", 1);
        let Some(next) = day.succ_opt() else { break };
        day = next;
    }
    Ok(())
}

/// Each hour and each day in a transaction of its own: one that cannot be rolled up is named, and the others are. Only
/// what is over: a replica reports a minute later.
async fn roll_usage(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    let now = keeper.clock.now();
    let hours = async |tx: &mut _| usage::hours_to_roll(tx, now).await;
    let hours = keeper.store.with_tenant::<_, StoreError>(context, hours).await?;
    for name in ["usage_hours_rolled", "usage_days_rolled", "usage_minutes_read", "usage_periods_failed"] {
        run.count(name, 0);
    }
    for hour in hours {
        run.go_on()?;
        if !run.dry_run() {
            let roll = async |tx: &mut _| usage::roll_hour(tx, hour).await;
            let rolled: Result<Rolled, StoreError> = keeper.store.with_tenant(context, roll).await;
            let Some(rolled) = goes_on(run, context, (Period::Hour, hour), rolled)? else { continue };
            run.count("usage_minutes_read", rolled.from);
        }
        run.count("usage_hours_rolled", 1);
    }
    let days = async |tx: &mut _| usage::days_to_roll(tx, now).await;
    for day in keeper.store.with_tenant::<_, StoreError>(context, days).await? {
        run.go_on()?;
        if !run.dry_run() {
            let roll = async |tx: &mut _| usage::roll_day(tx, day).await;
            let rolled: Result<Rolled, StoreError> = keeper.store.with_tenant(context, roll).await;
            if goes_on(run, context, (Period::Day, day), rolled)?.is_none() {
                continue;
            }
        }
        run.count("usage_days_rolled", 1);
    }
    Ok(())
}

/// What was rolled up, or nothing if it is said that it could not be. Where the database is away, nothing can.
fn goes_on(
    run: &Run,
    context: &TenantContext,
    (period, starts_at): (Period, DateTime<Utc>),
    rolled: Result<Rolled, StoreError>,
) -> Result<Option<Rolled>, JobError> {
    match rolled {
        Ok(rolled) => Ok(Some(rolled)),
        Err(error @ StoreError::Unavailable(_)) => Err(error.into()),
        Err(error) => {
            run.count("usage_periods_failed", 1);
            let (slug, period) = (&context.tenant().slug, period.as_str());
            let at = starts_at.to_rfc3339_opts(SecondsFormat::Secs, true);
            run.failed(format_args!("tenant {slug}: usage of the {period} from {at}"), Chain(&error));
            Ok(None)
        }
    }
}

async fn first_missing(keeper: &Keeper, context: &TenantContext) -> Result<Option<NaiveDate>, StoreError> {
    let read = async |tx: &mut _| match rollups::last_day(tx).await? {
        Some(last) => Ok(last.succ_opt()),
        None => rollups::first_day_of_trail(tx).await,
    };
    keeper.store.with_tenant(context, read).await
}
