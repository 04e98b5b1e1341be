//! What goes row by row in small batches, and the figures of days that become sums of months.

use chrono::{DateTime, Days, TimeDelta, Utc};
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening, AuditResource};
use stagedoor_domain::{Retained, TenantContext};
use stagedoor_storage::retention::{self, Rows};
use stagedoor_storage::{StoreError, rollups};

use super::days;
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

const BATCH: i32 = 1_000;

/// What goes, how its age is known, and what it is counted as.
const ROWS: [(Rows, Retained, &str); 8] = [
    (Rows::LimitViolations, Retained::LimitViolations, "limit_violations_deleted"),
    (Rows::LinkAttempts, Retained::LinkAttempts, "link_attempts_deleted"),
    (Rows::Quarantine, Retained::Quarantine, "quarantined_sessions_deleted"),
    (Rows::IdempotencyKeys, Retained::Expired, "answers_deleted"),
    (Rows::Jobs, Retained::Expired, "jobs_deleted"),
    (Rows::SharedQueues, Retained::SharedQueues, "shared_queues_deleted"),
    (Rows::SharedQueueCommits, Retained::Expired, "shared_queue_commits_deleted"),
    (Rows::AdminCreates, Retained::Expired, "admin_requests_deleted"),
];

pub(super) async fn delete(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    for (rows, what, name) in ROWS {
        let before = before(keeper, context, what);
        let count = async |tx: &mut _| retention::count_rows(tx, rows, before).await;
        let old = keeper.store.with_tenant::<_, StoreError>(context, count).await?;
        if old == 0 || run.dry_run() {
            run.count(name, old);
            continue;
        }
        let delete = in_batches(run, name, async || {
            let delete = async |tx: &mut _| retention::delete_rows(tx, rows, before, BATCH.into()).await;
            keeper.store.with_tenant::<_, StoreError>(context, delete).await
        });
        keeper.audited(context, opening(rows.table()), delete).await?;
    }
    requests(keeper, run, context).await
}

/// Answered requests of people for their data, but not those that erased someone.
async fn requests(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    const NAME: &str = "privacy_requests_deleted";
    let before = before(keeper, context, Retained::PrivacyRequests);
    let count = async |tx: &mut _| retention::count_requests(tx, before).await;
    let old = keeper.store.with_tenant::<_, StoreError>(context, count).await?;
    if old == 0 || run.dry_run() {
        run.count(NAME, old);
        return Ok(());
    }
    let delete = in_batches(run, NAME, async || {
        let delete = async |tx: &mut _| retention::forget_requests(tx, before, BATCH).await;
        keeper.store.with_tenant::<_, StoreError>(context, delete).await
    });
    keeper.audited(context, opening("privacy_requests"), delete).await
}

/// Figures are about no person: what folds them is on the keeper's record only.
pub(super) async fn fold_figures(
    keeper: &Keeper,
    run: &Run,
    context: &TenantContext,
) -> Result<(), JobError> {
    let kept = Days::new(days(keeper, context, Retained::Metrics).into());
    let today = keeper.clock.now().date_naive();
    let before = today.checked_sub_days(kept).unwrap_or(today);
    let work = async |tx: &mut _| {
        if run.dry_run() { rollups::count_old(tx, before).await } else { rollups::fold(tx, before).await }
    };
    let folded = keeper.store.with_tenant::<_, StoreError>(context, work).await?;
    run.count("figures_folded", folded);
    Ok(())
}

pub(super) async fn forget_runs(keeper: &Keeper, run: &Run) -> Result<(), JobError> {
    let before = keeper.clock.now() - TimeDelta::days(Retained::KeeperRuns.rule().days.into());
    let old = retention::old_runs(&keeper.store, before, !run.dry_run()).await?;
    run.count("runs_deleted", old);
    Ok(())
}

/// Calls `work`, which answers how many it did, until there is nothing left.
pub(super) async fn in_batches(
    run: &Run,
    name: &'static str,
    work: impl AsyncFn() -> Result<u64, StoreError>,
) -> Result<(), JobError> {
    run.count(name, 0);
    loop {
        run.go_on()?;
        match work().await? {
            0 => return Ok(()),
            done => run.count(name, done),
        }
    }
}

pub(super) fn opening(table: &str) -> AuditOpening {
    AuditOpening {
        resource: Some(AuditResource { kind: "table", id: table.into() }),
        ..AuditOpening::new(AuditAction::Retention, AuditClient::default())
    }
}

fn before(keeper: &Keeper, context: &TenantContext, what: Retained) -> DateTime<Utc> {
    keeper.clock.now() - TimeDelta::days(days(keeper, context, what).into())
}
