//! Who works on a job: claims by the database's clock, with a number that rises so that a worker which was thought dead
//! writes nothing any more.

use std::time::Duration;

use stagedoor_domain::{JobId, TenantContext, TenantId, UserId};
use uuid::Uuid;

use super::{KEPT, State};
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// How long a claim lasts unless it is held on to, by the database's clock.
pub const CLAIMED: Duration = Duration::from_secs(30);

/// The right to work on a job, which one worker has at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job's tenant.
    pub tenant: TenantId,
    /// The job.
    pub job: JobId,
    /// The person whose accounts it works on.
    pub user: UserId,
    pub(super) fence: i64,
}

/// What a worker is told whenever it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The claim holds, or did until the worker gave it back with this very write.
    Ours {
        /// Whether the job was asked to end.
        cancel_requested: bool,
    },
    /// Another worker has the job, or it is gone: nothing was written, and nothing more may be done.
    Lost,
}

/// How a job ends whose document cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By an error, which only its state tells.
    Failed,
    /// As it was asked to.
    Cancelled,
}

/// Claims jobs of any active tenant that are due: queued ones whose time has come, running ones whose worker was not
/// heard of for [`CLAIMED`], and waiting ones that were asked to end. At most `most`, and no more of a tenant than make
/// `per_tenant` at work on all replicas together, or nearly so when replicas claim at the same moment. Tenants take
/// turns. Needs no tenant context.
pub async fn claim_due(store: &Store, most: u32, per_tenant: u32) -> Result<Vec<Claim>, StoreError> {
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX / 8).min(i32::MAX / 8);
    let query = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", job_id AS "job_id!", user_id AS "user_id!", fence AS "fence!"
        FROM claim_due_jobs($1, $2, $3)"#,
        count(most),
        count(per_tenant),
        CLAIMED.as_secs_f64()
    );
    let rows = store.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
    let claim = |tenant: Uuid, job: Uuid, user: Uuid, fence| Claim {
        tenant: tenant.into(),
        job: job.into(),
        user: user.into(),
        fence,
    };
    Ok(rows.into_iter().map(|row| claim(row.tenant_id, row.job_id, row.user_id, row.fence)).collect())
}

/// Claims one job if it is due, whatever else its tenant has at work.
pub async fn claim_one(
    store: &Store,
    context: &TenantContext,
    job: JobId,
) -> Result<Option<Claim>, StoreError> {
    let take = async |tx: &mut TenantTransaction| {
        let taken = sqlx::query!(
            "UPDATE jobs SET state = 'running', fence = fence + 1,
                due_at = clock_timestamp() + make_interval(secs => $3)
            WHERE tenant_id = $1 AND job_id = $2 AND due_at <= clock_timestamp() AND expires_at > clock_timestamp()
            RETURNING user_id, fence",
            tx.tenant_id().0,
            job.0,
            CLAIMED.as_secs_f64()
        );
        Ok::<_, StoreError>(taken.fetch_optional(tx.connection()).await?)
    };
    let taken = store.with_tenant(context, take).await?;
    let tenant = context.tenant_id();
    Ok(taken.map(|row| Claim { tenant, job, user: row.user_id.into(), fence: row.fence }))
}

/// Keeps the claim for another [`CLAIMED`].
pub async fn hold(store: &Store, context: &TenantContext, claim: &Claim) -> Result<Held, StoreError> {
    let keep = async |tx: &mut TenantTransaction| {
        let kept = sqlx::query_scalar!(
            "UPDATE jobs SET due_at = clock_timestamp() + make_interval(secs => $4)
            WHERE tenant_id = $1 AND job_id = $2 AND fence = $3 AND state = 'running' RETURNING cancel_requested",
            tx.tenant_id().0,
            claim.job.0,
            claim.fence,
            CLAIMED.as_secs_f64()
        );
        Ok::<_, StoreError>(kept.fetch_optional(tx.connection()).await?)
    };
    store.with_tenant(context, keep).await.map(Held::from_row)
}

/// Gives a claim back with the job as its last step left it: due for any worker at once.
pub async fn release(store: &Store, context: &TenantContext, claim: &Claim) -> Result<Held, StoreError> {
    let give_back = async |tx: &mut TenantTransaction| {
        let given = sqlx::query_scalar!(
            "UPDATE jobs SET state = 'queued', due_at = clock_timestamp()
            WHERE tenant_id = $1 AND job_id = $2 AND fence = $3 AND state = 'running' RETURNING cancel_requested",
            tx.tenant_id().0,
            claim.job.0,
            claim.fence
        );
        Ok::<_, StoreError>(given.fetch_optional(tx.connection()).await?)
    };
    store.with_tenant(context, give_back).await.map(Held::from_row)
}

/// Gives a claim back without a step: due for any worker after `wait`, or at once if the job was asked to end.
pub async fn postpone(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    wait: Duration,
) -> Result<Held, StoreError> {
    let give_back = async |tx: &mut TenantTransaction| {
        let given = sqlx::query_scalar!(
            "UPDATE jobs SET state = 'queued', due_at = CASE
                WHEN cancel_requested THEN clock_timestamp()
                ELSE clock_timestamp() + make_interval(secs => $4)
            END
            WHERE tenant_id = $1 AND job_id = $2 AND fence = $3 AND state = 'running' RETURNING cancel_requested",
            tx.tenant_id().0,
            claim.job.0,
            claim.fence,
            wait.as_secs_f64()
        );
        Ok::<_, StoreError>(given.fetch_optional(tx.connection()).await?)
    };
    store.with_tenant(context, give_back).await.map(Held::from_row)
}

/// Ends a job whose document cannot be written, because it does not open or is not understood: it stays as it is.
pub async fn end(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    ended: Ended,
) -> Result<Held, StoreError> {
    let state = match ended {
        Ended::Failed => State::Failed,
        Ended::Cancelled => State::Cancelled,
    };
    let write = async |tx: &mut TenantTransaction| {
        // The message is bound to the revision.
        let ended = sqlx::query_scalar!(
            "UPDATE jobs SET state = $4, due_at = NULL, revision = revision + 1, message = NULL,
                updated_at = statement_timestamp(), expires_at = statement_timestamp() + make_interval(secs => $5)
            WHERE tenant_id = $1 AND job_id = $2 AND fence = $3 AND state = 'running' RETURNING cancel_requested",
            tx.tenant_id().0,
            claim.job.0,
            claim.fence,
            state.as_str(),
            KEPT.as_secs_f64()
        );
        Ok::<_, StoreError>(ended.fetch_optional(tx.connection()).await?)
    };
    store.with_tenant(context, write).await.map(Held::from_row)
}

/// Asks a job to end: one that no worker is on becomes due at once. `false` if there is no such job of the context's
/// person, or if it is over.
pub async fn request_cancel(store: &Store, context: &TenantContext, job: JobId) -> Result<bool, StoreError> {
    let request = async |tx: &mut TenantTransaction| {
        let requested = sqlx::query!(
            "UPDATE jobs SET cancel_requested = true,
                due_at = CASE WHEN state = 'running' THEN due_at ELSE clock_timestamp() END
            WHERE tenant_id = $1 AND job_id = $2 AND ($3::uuid IS NULL OR user_id = $3)
                AND state IN ('queued', 'running', 'waiting') AND expires_at > clock_timestamp()",
            tx.tenant_id().0,
            job.0,
            context.user().map(|user| user.0)
        );
        Ok::<_, StoreError>(requested.execute(tx.connection()).await?.rows_affected() == 1)
    };
    store.with_tenant(context, request).await
}

impl Held {
    fn from_row(cancel_requested: Option<bool>) -> Self {
        cancel_requested.map_or(Self::Lost, |cancel_requested| Self::Ours { cancel_requested })
    }
}
