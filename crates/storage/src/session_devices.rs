//! The devices that use an account, as keyed hashes. Whether a device may is `tools`' to say.

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_domain::LinkedAccountId;

use crate::error::StoreError;
use crate::linked_accounts::lock;
use crate::transaction::TenantTransaction;

/// Devices of one account that are remembered; more only push out those not seen for longest.
const REMEMBERED: i64 = 1_000;
/// How long a device that does not come back is remembered.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::days(90);

/// A device about to use an account.
#[derive(Debug, Clone, Copy)]
pub struct SightOf<'a> {
    /// Its keyed hash.
    pub fingerprint: &'a [u8; 32],
    /// Who calls, as the audit trail names it.
    pub principal: &'a str,
    /// When.
    pub at: DateTime<Utc>,
    /// How long a device counts as using the account.
    pub window: TimeDelta,
    /// Whether a device that was not seen before is remembered. The first one of an account always is.
    pub record_new: bool,
    /// Devices at a time; one more is not noted, so that it does not keep the others out. `None` for any number.
    pub at_most: Option<u32>,
}

/// What is known of a device and those beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Whether it was seen before.
    pub known: bool,
    /// Whether the account had any device before.
    pub any: bool,
    /// Devices that used the account within the window, this one included.
    pub concurrent: u32,
    /// Whether the use was noted.
    pub noted: bool,
}

/// Looks a device up, counts those beside it, and notes its use as `sight` says. Uses of one account take turns.
pub async fn sight(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
    sight: &SightOf<'_>,
) -> Result<Sighting, StoreError> {
    if !lock(transaction, account).await? {
        return Err(StoreError::Missing("linked account"));
    }
    let row = sqlx::query!(
        r#"SELECT COALESCE(bool_or(fingerprint = $3), false) AS "known!", count(*) > 0 AS "any!",
            count(*) FILTER (WHERE last_seen > $4 AND fingerprint <> $3) AS "others!"
        FROM session_devices WHERE tenant_id = $1 AND account_id = $2"#,
        transaction.tenant_id().0,
        account.0,
        &sight.fingerprint[..],
        sight.at - sight.window
    )
    .fetch_one(transaction.connection())
    .await?;
    let concurrent = u32::try_from(row.others).unwrap_or(u32::MAX).saturating_add(1);
    let fits = sight.at_most.is_none_or(|most| concurrent <= most);
    let noted = fits && (row.known || sight.record_new || !row.any);
    if noted {
        admit(transaction, account, sight.fingerprint, sight.principal, sight.at).await?;
    }
    Ok(Sighting { known: row.known, any: row.any, concurrent, noted })
}

/// Remembers a device, whatever the policy says: linking an account admits the device that asked.
pub async fn admit(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
    fingerprint: &[u8; 32],
    principal: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let is_new = sqlx::query_scalar!(
        r#"INSERT INTO session_devices (tenant_id, account_id, fingerprint, principal, first_seen, last_seen)
        VALUES ($1, $2, $3, $4, $5, $5)
        ON CONFLICT (tenant_id, account_id, fingerprint) DO UPDATE
            SET principal = excluded.principal, last_seen = GREATEST(session_devices.last_seen, excluded.last_seen)
        RETURNING (xmax = 0) AS "new!""#,
        transaction.tenant_id().0,
        account.0,
        &fingerprint[..],
        principal,
        now
    )
    .fetch_one(transaction.connection())
    .await?;
    if is_new { forget_old(transaction, account, now).await } else { Ok(()) }
}

async fn forget_old(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM session_devices WHERE tenant_id = $1 AND account_id = $2 AND (last_seen < $3
            OR fingerprint IN (SELECT fingerprint FROM session_devices WHERE tenant_id = $1 AND account_id = $2
                ORDER BY last_seen DESC, first_seen DESC OFFSET $4))",
        transaction.tenant_id().0,
        account.0,
        now - FORGOTTEN_AFTER,
        REMEMBERED
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
