//! Times of which plays of an account may be missing.

use chrono::{DateTime, Utc};
use stagedoor_domain::{LinkedAccountId, Provider, UserId};

use super::{Owner, provider};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// Why plays may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// More was played between two polls than the service lists.
    Missed,
    /// The person had not consented, or had taken it back.
    NoConsent,
}

/// A time of which plays may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Of which account.
    pub account: LinkedAccountId,
    /// Where it is.
    pub provider: Provider,
    /// The end of the last play before it.
    pub from: DateTime<Utc>,
    /// The end of the first play after it.
    pub to: DateTime<Utc>,
    /// Why.
    pub reason: GapReason,
    /// When a data download covered all of it; then nothing is missing.
    pub filled_at: Option<DateTime<Utc>>,
}

impl GapReason {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::NoConsent => "no_consent",
        }
    }
}

/// Notes a gap. One that begins there already is as long as the longer of the two.
pub async fn record_gap(
    transaction: &mut TenantTransaction,
    owner: &Owner,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    reason: GapReason,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO listening_gaps AS g (tenant_id, account_id, user_id, provider, from_at, to_at, reason, found_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant_id, account_id, from_at) DO UPDATE
            SET to_at = excluded.to_at, reason = excluded.reason, filled_at = NULL WHERE g.to_at < excluded.to_at",
        transaction.tenant_id().0,
        owner.account.0,
        owner.user.0,
        owner.provider.as_str(),
        from,
        to,
        reason.as_str(),
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// The gaps of a person's accounts, filled ones too, in the order of time.
pub async fn gaps(transaction: &mut TenantTransaction, user: UserId) -> Result<Vec<Gap>, StoreError> {
    let rows = sqlx::query!(
        "SELECT account_id, provider, from_at, to_at, reason, filled_at FROM listening_gaps
        WHERE tenant_id = $1 AND user_id = $2 ORDER BY from_at, account_id",
        transaction.tenant_id().0,
        user.0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Gap {
                account: row.account_id.into(),
                provider: provider(&row.provider, "listening_gaps.provider")?,
                from: row.from_at,
                to: row.to_at,
                reason: match row.reason.as_str() {
                    "missed" => GapReason::Missed,
                    "no_consent" => GapReason::NoConsent,
                    other => return Err(StoreError::not_understood("listening_gaps.reason", other)),
                },
                filled_at: row.filled_at,
            })
        })
        .collect()
}
