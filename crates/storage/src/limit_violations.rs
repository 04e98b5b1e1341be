//! Refused calls, counted for each principal, limit and minute. What is refused, and when it is written, is not
//! decided here.

use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::UserId;
use uuid::Uuid;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// The refused calls of one principal over one limit within one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitViolation {
    /// Who called, as the audit trail names it.
    pub principal: String,
    /// The limit as headers name it: `search-60`, `tenant-search-60`, `penalty`.
    pub limit: String,
    /// The start of the minute.
    pub minute: DateTime<Utc>,
    /// The person that the principal is bound to.
    pub user: Option<UserId>,
    /// Refused calls.
    pub attempted_calls: u64,
    /// The longest penalty that one of these calls met or earned.
    pub penalty: Option<Duration>,
    /// When the first of them was refused.
    pub first_at: DateTime<Utc>,
    /// When the last of them was refused.
    pub last_at: DateTime<Utc>,
}

struct Row {
    principal: String,
    limit_name: String,
    minute: DateTime<Utc>,
    user_id: Option<Uuid>,
    attempted_calls: i64,
    penalty_seconds: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

/// Adds to what is counted already, in one statement. Of people who are gone nothing is kept. No two of `violations`
/// may share principal, limit and minute.
pub async fn add(
    transaction: &mut TenantTransaction,
    violations: &[LimitViolation],
) -> Result<(), StoreError> {
    let column = |value: fn(&LimitViolation) -> i64| violations.iter().map(value).collect::<Vec<_>>();
    let text = |value: fn(&LimitViolation) -> &str| -> Vec<String> {
        violations.iter().map(|one| value(one).to_owned()).collect()
    };
    let time = |value: fn(&LimitViolation) -> DateTime<Utc>| violations.iter().map(value).collect::<Vec<_>>();
    let users: Vec<Option<Uuid>> = violations.iter().map(|one| one.user.map(|user| user.0)).collect();
    // In one order, so that two replicas that add to the same rows do not wait for each other in a circle.
    sqlx::query!(
        r#"INSERT INTO limit_violations AS v (tenant_id, principal, limit_name, minute, user_id, attempted_calls,
            penalty_seconds, first_at, last_at)
        SELECT $1, n.principal, n.limit_name, n.minute, n.user_id, n.attempted_calls, n.penalty_seconds,
            n.first_at, n.last_at
        FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::uuid[], $6::bigint[], $7::bigint[],
                $8::timestamptz[], $9::timestamptz[])
            AS n (principal, limit_name, minute, user_id, attempted_calls, penalty_seconds, first_at, last_at)
        WHERE n.user_id IS NULL
            OR EXISTS (SELECT FROM users u WHERE u.tenant_id = $1 AND u.user_id = n.user_id)
        ORDER BY n.principal, n.limit_name, n.minute
        ON CONFLICT (tenant_id, principal, limit_name, minute) DO UPDATE
            SET attempted_calls = v.attempted_calls + excluded.attempted_calls,
                penalty_seconds = GREATEST(v.penalty_seconds, excluded.penalty_seconds),
                first_at = LEAST(v.first_at, excluded.first_at),
                last_at = GREATEST(v.last_at, excluded.last_at)"#,
        transaction.tenant_id().0,
        &text(|one| &one.principal),
        &text(|one| &one.limit),
        &time(|one| one.minute),
        &users as &[Option<Uuid>],
        &column(|one| i64::try_from(one.attempted_calls).unwrap_or(i64::MAX)),
        &column(|one| {
            one.penalty.map_or(0, |penalty| i64::try_from(penalty.as_secs()).unwrap_or(i64::MAX))
        }),
        &time(|one| one.first_at),
        &time(|one| one.last_at)
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// What one principal's calls violated in minutes that began at `since` or later, the newest first, at most `most`.
pub async fn of_principal(
    transaction: &mut TenantTransaction,
    principal: &str,
    since: DateTime<Utc>,
    most: u16,
) -> Result<Vec<LimitViolation>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT principal, limit_name, minute, user_id, attempted_calls, penalty_seconds, first_at, last_at
        FROM limit_violations WHERE tenant_id = $1 AND principal = $2 AND minute >= $3
        ORDER BY last_at DESC, limit_name LIMIT $4",
        transaction.tenant_id().0,
        principal,
        since,
        i64::from(most)
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Row::into_violation).collect()
}

/// What all principals of the tenant violated in minutes that began at `since` or later, the newest first, at most
/// `most`.
pub async fn of_tenant(
    transaction: &mut TenantTransaction,
    since: DateTime<Utc>,
    most: u16,
) -> Result<Vec<LimitViolation>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT principal, limit_name, minute, user_id, attempted_calls, penalty_seconds, first_at, last_at
        FROM limit_violations WHERE tenant_id = $1 AND minute >= $2
        ORDER BY last_at DESC, principal, limit_name LIMIT $3",
        transaction.tenant_id().0,
        since,
        i64::from(most)
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Row::into_violation).collect()
}

impl Row {
    fn into_violation(self) -> Result<LimitViolation, StoreError> {
        let count = |value: i64, what| {
            u64::try_from(value).map_err(|_| StoreError::not_understood(what, value.to_string()))
        };
        let penalty = count(self.penalty_seconds, "limit_violations.penalty_seconds")?;
        Ok(LimitViolation {
            attempted_calls: count(self.attempted_calls, "limit_violations.attempted_calls")?,
            principal: self.principal,
            limit: self.limit_name,
            minute: self.minute,
            user: self.user_id.map(Into::into),
            penalty: (penalty > 0).then(|| Duration::from_secs(penalty)),
            first_at: self.first_at,
            last_at: self.last_at,
        })
    }
}
