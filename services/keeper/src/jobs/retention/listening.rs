//! What people listened to so long ago that nobody keeps it: whole years, of all tenants.

use chrono::{Datelike as _, Days};
use stagedoor_domain::Retained;
use stagedoor_domain::error::Chain;
use stagedoor_storage::listening;

use super::rows::in_batches;
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

const NAME: &str = "listening_years_dropped";
/// Years that are dropped in one transaction, which holds the table's lock.
const AT_ONCE: i32 = 1;

pub(super) async fn drop_years(keeper: &Keeper, run: &Run) -> Result<(), JobError> {
    let today = keeper.clock.now().date_naive();
    let kept = Days::new(Retained::Listening.rule().days.into());
    let before = today.checked_sub_days(kept).unwrap_or(today).year();
    if run.dry_run() {
        let there = listening::partition_years(&keeper.store).await?;
        run.count(NAME, there.into_iter().filter(|year| *year < before).count() as u64);
        return Ok(());
    }
    let drop = async || listening::drop_years(&keeper.store, before, AT_ONCE).await;
    match in_batches(run, NAME, drop).await {
        // Someone reads it: the next run drops the years.
        Err(JobError::Store(error)) if error.is_transient() => {
            run.failed(format_args!("listening_history before {before}"), Chain(&error));
            Ok(())
        }
        dropped => dropped,
    }
}
