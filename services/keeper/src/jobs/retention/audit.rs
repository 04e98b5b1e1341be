//! The audit trail. A day's partitions hold all tenants, so it is dropped once no tenant keeps it; who keeps less has its
//! payloads of it emptied, as an erasure does, and the chain stays. Of a dropped day the last checkpoint stays.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening, AuditResource};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Retained, RetentionSettings, TenantContext};
use stagedoor_storage::StoreError;
use stagedoor_storage::audit::partition_days;
use stagedoor_storage::retention;

use super::days;
use super::rows::{in_batches, opening};
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

const BATCH: i32 = 500;
/// Days that are dropped in one transaction, which holds the trail's locks.
const DAYS: i32 = 1;
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Drops the days that no tenant keeps. On the record of each tenant by [`of_tenant`], which comes after it.
pub(super) async fn drop_days(keeper: &Keeper, run: &Run, before: NaiveDate) -> Result<(), JobError> {
    if run.dry_run() {
        let there = partition_days(&keeper.store).await?;
        run.count("audit_days_dropped", there.into_iter().filter(|day| *day < before).count() as u64);
        return Ok(());
    }
    let dropped = in_batches(run, "audit_days_dropped", async || drop_some(keeper, before).await).await;
    match dropped {
        // Someone reads the trail, such as a backup: the next run drops the days.
        Err(JobError::Store(error)) if error.is_transient() => {
            run.failed(format_args!("the days before {before}"), Chain(&error));
            Ok(())
        }
        dropped => dropped,
    }
}

/// Appends wait behind whoever waits for the trail's locks, so each try is short.
async fn drop_some(keeper: &Keeper, before: NaiveDate) -> Result<u64, StoreError> {
    for _ in 1..TRIES {
        match retention::drop_audit_days(&keeper.store, before, DAYS).await {
            Err(error) if error.is_transient() => tokio::time::sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
    retention::drop_audit_days(&keeper.store, before, DAYS).await
}

/// What is left to do in one tenant, once the days before `dropped` are; `any` if this run has dropped some.
pub(super) async fn of_tenant(
    keeper: &Keeper,
    run: &Run,
    context: &TenantContext,
    (dropped, any): (NaiveDate, bool),
) -> Result<(), JobError> {
    let thin = async |tx: &mut _| retention::count_thin_checkpoints(tx, dropped).await;
    let thin = keeper.store.with_tenant::<_, StoreError>(context, thin).await?;
    run.count("checkpoints_deleted", if run.dry_run() { thin } else { 0 });
    if !run.dry_run() && (thin > 0 || any) {
        let resource = AuditResource { kind: "audit_days", id: format!("before {dropped}").into() };
        let opening = AuditOpening {
            resource: Some(resource),
            ..AuditOpening::new(AuditAction::Retention, AuditClient::default())
        };
        let delete = in_batches(run, "checkpoints_deleted", async || {
            let delete = async |tx: &mut _| retention::thin_checkpoints(tx, dropped, BATCH).await;
            keeper.store.with_tenant::<_, StoreError>(context, delete).await
        });
        keeper.audited(context, opening, delete).await?;
    }
    empty(keeper, run, context, dropped).await
}

async fn empty(
    keeper: &Keeper,
    run: &Run,
    context: &TenantContext,
    dropped: NaiveDate,
) -> Result<(), JobError> {
    const NAME: &str = "audit_payloads_emptied";
    let before = first_kept(keeper, days(keeper, context, Retained::Audit));
    let unfinished = async |tx: &mut _| retention::audit_days_not_emptied(tx, (dropped, before)).await;
    let mut full = Vec::new();
    run.count(NAME, 0);
    for day in keeper.store.with_tenant::<_, StoreError>(context, unfinished).await? {
        run.go_on()?;
        let count = async |tx: &mut _| retention::count_audit_payloads(tx, day).await;
        let payloads = keeper.store.with_tenant::<_, StoreError>(context, count).await?;
        if run.dry_run() {
            run.count(NAME, payloads);
        } else if payloads > 0 {
            full.push(day);
        } else {
            empty_some(keeper, context, day).await?;
        }
    }
    if full.is_empty() {
        return Ok(());
    }
    let empty = async {
        for day in full {
            in_batches(run, NAME, async || empty_some(keeper, context, day).await).await?;
        }
        Ok(())
    };
    keeper.audited(context, opening("audit_payloads"), empty).await
}

/// Of a day of which nothing is left this notes that.
async fn empty_some(keeper: &Keeper, context: &TenantContext, day: NaiveDate) -> Result<u64, StoreError> {
    let empty = async |tx: &mut _| retention::empty_audit_payloads(tx, day, BATCH).await;
    keeper.store.with_tenant(context, empty).await
}

/// The first day that some tenant keeps: the most days that any of them wants.
pub(super) async fn first_kept_by_any(keeper: &Keeper) -> Result<NaiveDate, StoreError> {
    let installation = keeper.config.retention.settings();
    let tenants = keeper.tenants().await?;
    let kept = tenants.iter().map(|tenant| tenant.settings.retention.days(Retained::Audit, &installation));
    let longest =
        kept.max().unwrap_or_else(|| RetentionSettings::default().days(Retained::Audit, &installation));
    Ok(first_kept(keeper, longest))
}

fn first_kept(keeper: &Keeper, days: u32) -> NaiveDate {
    let today = keeper.clock.now().date_naive();
    today.checked_sub_days(Days::new(days.into())).unwrap_or(today)
}
