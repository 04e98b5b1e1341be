//! What is over and goes: counting it, and removing it in batches. How long what is kept is `domain::retention`'s, and
//! when it is looked for is the keeper's. Each statement looks at the age again, so that what came back to life stays.

use chrono::{DateTime, NaiveDate, Utc};
use stagedoor_domain::{LinkedAccountId, UserId};

use crate::admin_creates::REMEMBERED;
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// A session that nobody has used for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleSession {
    /// Its account.
    pub account: LinkedAccountId,
    /// The account's person.
    pub user: UserId,
}

/// What goes row by row, each by a time of its own. Answers and work live by the database's clock, which counts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Refused calls, by the minute in which they were.
    LimitViolations,
    /// Link attempts, by when they were over.
    LinkAttempts,
    /// Sessions that were set aside, by when.
    Quarantine,
    /// Answers to repeated calls, by until when they are kept.
    IdempotencyKeys,
    /// Long-running work, by until when it is kept.
    Jobs,
    /// Queues that people share, by when they were last changed.
    SharedQueues,
    /// Shared queues that were brought elsewhere, by until when that is kept.
    SharedQueueCommits,
    /// What the admin API was asked to make, by [`REMEMBERED`] after it was.
    AdminCreates,
}

impl Rows {
    /// The stable text form: the table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::LimitViolations => "limit_violations",
            Self::LinkAttempts => "link_attempts",
            Self::Quarantine => "session_quarantine",
            Self::IdempotencyKeys => "idempotency_keys",
            Self::Jobs => "jobs",
            Self::SharedQueues => "shared_queues",
            Self::SharedQueueCommits => "shared_queue_commits",
            Self::AdminCreates => "admin_creates",
        }
    }
}

/// At most `most` sessions that were last used before `before`, those after the account `after`.
pub async fn idle_sessions(
    transaction: &mut TenantTransaction,
    before: DateTime<Utc>,
    after: LinkedAccountId,
    most: i64,
) -> Result<Vec<IdleSession>, StoreError> {
    let rows = sqlx::query!(
        "SELECT s.account_id, a.user_id FROM provider_sessions s
        JOIN linked_accounts a USING (tenant_id, account_id)
        WHERE s.tenant_id = $1 AND s.last_accessed < $2 AND s.account_id > $3 ORDER BY s.account_id LIMIT $4",
        transaction.tenant_id().0,
        before,
        after.0,
        most
    )
    .fetch_all(transaction.connection())
    .await?;
    let idle =
        |account: uuid::Uuid, user: uuid::Uuid| IdleSession { account: account.into(), user: user.into() };
    Ok(rows.into_iter().map(|row| idle(row.account_id, row.user_id)).collect())
}

/// Deletes the account's session if it was still last used before `before`; the account must be linked again then.
pub async fn purge_session(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
    before: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let purged = sqlx::query!(
        "WITH gone AS (
            DELETE FROM provider_sessions WHERE tenant_id = $1 AND account_id = $2 AND last_accessed < $3
            RETURNING account_id
        )
        UPDATE linked_accounts a SET status = 'relink_needed', updated_at = clock_timestamp()
        FROM gone WHERE a.tenant_id = $1 AND a.account_id = gone.account_id",
        transaction.tenant_id().0,
        account.0,
        before
    )
    .execute(transaction.connection())
    .await?;
    Ok(purged.rows_affected() == 1)
}

/// How many rows are from before `before`.
pub async fn count_rows(
    transaction: &mut TenantTransaction,
    rows: Rows,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let tenant = transaction.tenant_id().0;
    let connection = transaction.connection();
    let count = match rows {
        Rows::LimitViolations => sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM limit_violations WHERE tenant_id = $1 AND minute < $2"#,
            tenant,
            before
        )
        .fetch_one(connection)
        .await?,
        Rows::LinkAttempts => sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM link_attempts
            WHERE tenant_id = $1 AND COALESCE(finished_at, expires_at) < $2"#,
            tenant,
            before
        )
        .fetch_one(connection)
        .await?,
        Rows::Quarantine => sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM session_quarantine WHERE tenant_id = $1 AND quarantined_at < $2"#,
            tenant,
            before
        )
        .fetch_one(connection)
        .await?,
        Rows::IdempotencyKeys => sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM idempotency_keys
            WHERE tenant_id = $1 AND expires_at < LEAST($2, clock_timestamp())"#,
            tenant,
            before
        )
        .fetch_one(connection)
        .await?,
        Rows::Jobs => sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM jobs
            WHERE tenant_id = $1 AND expires_at < LEAST($2, clock_timestamp())"#,
            tenant,
            before
        )
        .fetch_one(connection)
        .await?,
        Rows::SharedQueues => sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM shared_queues
            WHERE tenant_id = $1 AND changed_at < LEAST($2, clock_timestamp())"#,
            tenant,
            before
        )
        .fetch_one(connection)
        .await?,
        Rows::SharedQueueCommits => sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM shared_queue_commits
            WHERE tenant_id = $1 AND expires_at < LEAST($2, clock_timestamp())"#,
            tenant,
            before
        )
        .fetch_one(connection)
        .await?,
        Rows::AdminCreates => sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM admin_creates
            WHERE tenant_id = $1 AND created_at < LEAST($2, clock_timestamp()) - make_interval(secs => $3)"#,
            tenant,
            before,
            REMEMBERED.as_secs_f64()
        )
        .fetch_one(connection)
        .await?,
    };
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Deletes at most `most` rows from before `before`, and answers how many.
pub async fn delete_rows(
    transaction: &mut TenantTransaction,
    rows: Rows,
    before: DateTime<Utc>,
    most: i64,
) -> Result<u64, StoreError> {
    let tenant = transaction.tenant_id().0;
    let connection = transaction.connection();
    let deleted = match rows {
        Rows::LimitViolations => sqlx::query!(
            "DELETE FROM limit_violations WHERE tenant_id = $1 AND (principal, limit_name, minute) IN (
                SELECT principal, limit_name, minute FROM limit_violations
                WHERE tenant_id = $1 AND minute < $2 ORDER BY minute LIMIT $3)",
            tenant,
            before,
            most
        )
        .execute(connection)
        .await?,
        Rows::LinkAttempts => sqlx::query!(
            "DELETE FROM link_attempts WHERE tenant_id = $1 AND attempt_id IN (
                SELECT attempt_id FROM link_attempts
                WHERE tenant_id = $1 AND COALESCE(finished_at, expires_at) < $2 LIMIT $3)",
            tenant,
            before,
            most
        )
        .execute(connection)
        .await?,
        Rows::Quarantine => sqlx::query!(
            "DELETE FROM session_quarantine WHERE tenant_id = $1 AND quarantine_id IN (
                SELECT quarantine_id FROM session_quarantine WHERE tenant_id = $1 AND quarantined_at < $2 LIMIT $3)",
            tenant,
            before,
            most
        )
        .execute(connection)
        .await?,
        Rows::IdempotencyKeys => sqlx::query!(
            "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND record_id IN (
                SELECT record_id FROM idempotency_keys
            WHERE tenant_id = $1 AND expires_at < LEAST($2, clock_timestamp())
                ORDER BY expires_at LIMIT $3)",
            tenant,
            before,
            most
        )
        .execute(connection)
        .await?,
        Rows::Jobs => sqlx::query!(
            "DELETE FROM jobs WHERE tenant_id = $1 AND job_id IN (
                SELECT job_id FROM jobs
            WHERE tenant_id = $1 AND expires_at < LEAST($2, clock_timestamp()) ORDER BY expires_at LIMIT $3)",
            tenant,
            before,
            most
        )
        .execute(connection)
        .await?,
        Rows::SharedQueues => sqlx::query!(
            "DELETE FROM shared_queues WHERE tenant_id = $1 AND queue_id IN (
                SELECT queue_id FROM shared_queues
                WHERE tenant_id = $1 AND changed_at < LEAST($2, clock_timestamp()) ORDER BY changed_at LIMIT $3)
                AND changed_at < LEAST($2, clock_timestamp())",
            tenant,
            before,
            most
        )
        .execute(connection)
        .await?,
        Rows::SharedQueueCommits => sqlx::query!(
            "DELETE FROM shared_queue_commits WHERE tenant_id = $1 AND commit_id IN (
                SELECT commit_id FROM shared_queue_commits
                WHERE tenant_id = $1 AND expires_at < LEAST($2, clock_timestamp()) ORDER BY expires_at LIMIT $3)",
            tenant,
            before,
            most
        )
        .execute(connection)
        .await?,
        Rows::AdminCreates => sqlx::query!(
            "DELETE FROM admin_creates WHERE tenant_id = $1 AND request_digest IN (
                SELECT request_digest FROM admin_creates
                WHERE tenant_id = $1 AND created_at < LEAST($2, clock_timestamp()) - make_interval(secs => $4)
                ORDER BY created_at LIMIT $3)",
            tenant,
            before,
            most,
            REMEMBERED.as_secs_f64()
        )
        .execute(connection)
        .await?,
    };
    Ok(deleted.rows_affected())
}

/// The days of the trail from `first` on and from before `before` whose payloads were not all emptied, the oldest first.
pub async fn audit_days_not_emptied(
    transaction: &mut TenantTransaction,
    (first, before): (NaiveDate, NaiveDate),
) -> Result<Vec<NaiveDate>, StoreError> {
    let days = sqlx::query_scalar!(
        "SELECT day FROM audit_chain_heads
        WHERE tenant_id = $1 AND day >= $2 AND day < $3 AND NOT payloads_emptied ORDER BY day",
        transaction.tenant_id().0,
        first,
        before
    );
    Ok(days.fetch_all(transaction.connection()).await?)
}

/// How many payloads of that day have contents.
pub async fn count_audit_payloads(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM audit_payloads WHERE tenant_id = $1 AND day = $2 AND sealed <> ''"#,
        transaction.tenant_id().0,
        day
    );
    Ok(u64::try_from(count.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// Empties at most `most` of them, and answers how many: the chain stays as it is. Once fewer were left, the day is not
/// among [`audit_days_not_emptied`] any more.
pub async fn empty_audit_payloads(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
    most: i32,
) -> Result<u64, StoreError> {
    let emptied =
        sqlx::query_scalar!(r#"SELECT retention_empty_audit_payloads($1, $2) AS "emptied!""#, day, most);
    Ok(u64::try_from(emptied.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// Removes at most `most` checkpoints of days whose records are gone; the last one of each stays. Answers how many.
pub async fn thin_checkpoints(
    transaction: &mut TenantTransaction,
    before: NaiveDate,
    most: i32,
) -> Result<u64, StoreError> {
    let thinned =
        sqlx::query_scalar!(r#"SELECT retention_thin_checkpoints($1, $2) AS "thinned!""#, before, most);
    Ok(u64::try_from(thinned.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// How many of the checkpoints of days before `before` are not the last ones of their days.
pub async fn count_thin_checkpoints(
    transaction: &mut TenantTransaction,
    before: NaiveDate,
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) - count(DISTINCT day) AS "count!" FROM audit_checkpoints WHERE tenant_id = $1 AND day < $2"#,
        transaction.tenant_id().0,
        before
    );
    Ok(u64::try_from(count.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// How many answered requests from before `before` may go.
pub async fn count_requests(
    transaction: &mut TenantTransaction,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM privacy_requests r
        WHERE r.tenant_id = $1 AND r.completed_at < $2 AND r.kind <> 'tenant_erasure'
            AND (r.kind = 'export' OR r.state <> 'done')
            AND NOT EXISTS (SELECT FROM erasure_tombstones t
                WHERE t.tenant_id = $1 AND t.request_id = r.request_id)"#,
        transaction.tenant_id().0,
        before
    );
    Ok(u64::try_from(count.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// Removes at most `most` of them, and answers how many.
pub async fn forget_requests(
    transaction: &mut TenantTransaction,
    before: DateTime<Utc>,
    most: i32,
) -> Result<u64, StoreError> {
    let forgotten =
        sqlx::query_scalar!(r#"SELECT retention_forget_requests($1, $2) AS "forgotten!""#, before, most);
    Ok(u64::try_from(forgotten.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// Drops at most `most` days of the trail before `before`, of all tenants, and answers how many. The last 30 days by the
/// database's clock are refused.
pub async fn drop_audit_days(store: &Store, before: NaiveDate, most: i32) -> Result<u64, StoreError> {
    store
        .outside(async |connection| {
            let dropped = sqlx::query_scalar!(
                r#"SELECT retention_drop_audit_days($1, $2) AS "dropped!""#,
                before,
                most
            );
            Ok(u64::try_from(dropped.fetch_one(connection).await?).unwrap_or_default())
        })
        .await
}

/// Counts the runs of the keeper that ended before `before`, or with `delete` deletes them.
pub async fn old_runs(store: &Store, before: DateTime<Utc>, delete: bool) -> Result<u64, StoreError> {
    store
        .outside(async |connection| {
            if delete {
                let gone = sqlx::query!("DELETE FROM keeper_runs WHERE ended_at < $1", before);
                return Ok(gone.execute(connection).await?.rows_affected());
            }
            let count = sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM keeper_runs WHERE ended_at < $1"#,
                before
            );
            Ok(u64::try_from(count.fetch_one(connection).await?).unwrap_or_default())
        })
        .await
}
