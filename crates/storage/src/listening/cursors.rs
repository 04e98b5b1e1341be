//! Where polling of each account is, and when it goes on.

use chrono::{DateTime, Utc};
use stagedoor_domain::{LinkedAccountId, Provider};

use super::{Owner, lock_account};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// Where polling of an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The end of the newest play that was polled; `None` before the first poll that found one.
    pub polled_to: Option<DateTime<Utc>>,
    /// When it is polled next at the earliest.
    pub next_poll_at: DateTime<Utc>,
    /// When it was polled last.
    pub last_poll_at: Option<DateTime<Utc>>,
    /// When polls succeeded first and last: plays in between are known, or in a gap.
    pub succeeded: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// What the last one came to, in a word.
    pub last_outcome: Option<String>,
    /// Polls that failed since one succeeded.
    pub failures: u32,
}

/// How a poll ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollEnd {
    /// The end of the newest play that is known now; a cursor never goes back.
    pub polled_to: Option<DateTime<Utc>>,
    /// When to poll next.
    pub next_poll_at: DateTime<Utc>,
    /// What it came to: lower case and underscores.
    pub outcome: &'static str,
    /// Whether it failed.
    pub failed: bool,
}

/// Where polling of an account is; `None` if it was never polled.
pub async fn cursor(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
) -> Result<Option<Cursor>, StoreError> {
    let row = sqlx::query!(
        "SELECT polled_to, next_poll_at, last_poll_at, first_success_at, last_success_at, last_outcome, failures
        FROM listening_cursors WHERE tenant_id = $1 AND account_id = $2 AND last_poll_at IS NOT NULL",
        transaction.tenant_id().0,
        account.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| Cursor {
        polled_to: row.polled_to,
        next_poll_at: row.next_poll_at,
        last_poll_at: row.last_poll_at,
        succeeded: row.first_success_at.zip(row.last_success_at),
        last_outcome: row.last_outcome,
        failures: row.failures.unsigned_abs(),
    }))
}

/// An account whose time to be polled has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The account and its person.
    pub owner: Owner,
    /// Since when the person has consented without a break, as far as rows tell: what they sign says it for sure.
    pub consented_at: DateTime<Utc>,
}

/// Accounts at `of` that can be used, whose person has consented to `analytics` under that version of the policy, and
/// whose time to be polled has come: the longest overdue first, at most `most`.
pub async fn due(
    transaction: &mut TenantTransaction,
    of: Provider,
    policy_version: &str,
    now: DateTime<Utc>,
    most: i64,
) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT a.account_id, a.user_id, d.since AS "since!" FROM linked_accounts a
        JOIN users u ON u.tenant_id = a.tenant_id AND u.user_id = a.user_id AND u.erasing_at IS NULL
        LEFT JOIN listening_cursors c ON c.tenant_id = a.tenant_id AND c.account_id = a.account_id
        JOIN LATERAL (
            SELECT min(g.decided_at) AS since FROM consents g
            WHERE g.tenant_id = a.tenant_id AND g.user_id = a.user_id AND g.purpose = 'analytics'
                AND g.number > COALESCE((
                    SELECT max(o.number) FROM consents o
                    WHERE o.tenant_id = a.tenant_id AND o.user_id = a.user_id AND o.purpose = 'analytics'
                        AND (o.decision <> 'granted' OR o.policy_version <> $3)), 0)
        ) d ON d.since IS NOT NULL
        WHERE a.tenant_id = $1 AND a.provider = $2 AND a.status = 'active'
            AND COALESCE(c.next_poll_at, '-infinity') <= $4
        ORDER BY COALESCE(c.next_poll_at, '-infinity'), a.account_id LIMIT $5"#,
        transaction.tenant_id().0,
        of.as_str(),
        policy_version,
        now,
        most
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due {
            owner: Owner { user: row.user_id.into(), account: row.account_id.into(), provider: of },
            consented_at: row.since,
        })
        .collect())
}

/// Notes how a poll ended. [`StoreError::Missing`] if the account is not linked any more.
pub async fn end_poll(
    transaction: &mut TenantTransaction,
    owner: &Owner,
    end: &PollEnd,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    lock_account(transaction, owner).await?;
    sqlx::query!(
        "UPDATE listening_cursors SET polled_to = GREATEST(polled_to, $3), next_poll_at = $4, last_poll_at = $5,
            first_success_at = COALESCE(first_success_at, CASE WHEN NOT $7 THEN $5::timestamptz END),
            last_success_at = CASE WHEN $7 THEN last_success_at ELSE $5 END,
            last_outcome = $6, failures = CASE WHEN $7 THEN failures + 1 ELSE 0 END
        WHERE tenant_id = $1 AND account_id = $2",
        transaction.tenant_id().0,
        owner.account.0,
        end.polled_to,
        end.next_poll_at,
        now,
        end.outcome,
        end.failed
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
