//! What agents' calls came to. A day's partitions hold all tenants: minutes go after two days, if hours have them; hours
//! and days once no tenant keeps them, and before that those of a tenant that keeps less.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Retained, RetentionSettings, TenantContext};
use stagedoor_storage::StoreError;
use stagedoor_storage::usage::{self, UsageTable};

use super::days;
use super::rows::{in_batches, opening};
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

const BATCH: i64 = 1_000;
/// Days of minutes besides today's: what hours are made of, and what a replica that was cut off may still bring.
const MINUTES: u32 = 2;
/// Days that are dropped in one transaction, which holds the table's lock.
const AT_ONCE: i32 = 1;

/// What is over of a tenant that keeps less than others.
pub(super) async fn of_tenant(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    const NAME: &str = "usage_deleted";
    let before = midnight(first_kept(keeper, days(keeper, context, Retained::Metrics)));
    let count = async |tx: &mut _| usage::count_old(tx, before).await;
    let old = keeper.store.with_tenant::<_, StoreError>(context, count).await?;
    if old == 0 || run.dry_run() {
        run.count(NAME, old);
        return Ok(());
    }
    let delete = in_batches(run, NAME, async || {
        let delete = async |tx: &mut _| usage::delete_old(tx, before, BATCH).await;
        keeper.store.with_tenant::<_, StoreError>(context, delete).await
    });
    keeper.audited(context, opening(UsageTable::Rollups.name()), delete).await
}

/// What is over of all.
pub(super) async fn drop_days(keeper: &Keeper, run: &Run) -> Result<(), JobError> {
    let longest = first_kept(keeper, longest(keeper).await?);
    for (table, name, before) in [
        (UsageTable::Minutes, "usage_minute_days_dropped", first_kept(keeper, MINUTES)),
        (UsageTable::Rollups, "usage_days_dropped", longest),
    ] {
        if run.dry_run() {
            let there = usage::partition_days(&keeper.store, table).await?;
            run.count(name, there.into_iter().filter(|day| *day < before).count() as u64);
            continue;
        }
        let drop = async || usage::drop_days(&keeper.store, table, before, AT_ONCE).await;
        match in_batches(run, name, drop).await {
            // Someone reads it: the next run drops the days.
            Err(JobError::Store(error)) if error.is_transient() => {
                run.failed(format_args!("{} before {before}", table.name()), Chain(&error));
            }
            dropped => dropped?,
        }
    }
    Ok(())
}

/// The most days that any tenant keeps its figures.
async fn longest(keeper: &Keeper) -> Result<u32, StoreError> {
    let installation = keeper.config.retention.settings();
    let tenants = keeper.tenants().await?;
    let kept = tenants.iter().map(|tenant| tenant.settings.retention.days(Retained::Metrics, &installation));
    Ok(kept.max().unwrap_or_else(|| RetentionSettings::default().days(Retained::Metrics, &installation)))
}

fn first_kept(keeper: &Keeper, days: u32) -> NaiveDate {
    let today = keeper.clock.now().date_naive();
    today.checked_sub_days(Days::new(days.into())).unwrap_or(today)
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
