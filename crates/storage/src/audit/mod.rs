//! The audit trail's tables: appending to a chain, and reading one back. What a record says, and what makes a chain
//! valid, is for the crate `audit`; the hash itself is made by the function `audit_append`, under the head's lock.

use chrono::{DateTime, NaiveDate, Utc};
use stagedoor_domain::{CallId, UserId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// The sealed payloads of some records of one person, or of none.
#[derive(Debug, Clone)]
pub struct AuditBundle {
    /// Its id; appending the same id again does nothing.
    pub id: Uuid,
    /// The person whose key seals it; `None` for the tenant's.
    pub user: Option<UserId>,
    /// How many records it holds.
    pub records: u32,
    /// The envelope.
    pub sealed: Vec<u8>,
}

/// A record to append.
#[derive(Debug, Clone)]
pub struct NewAuditRecord {
    /// 1 opened, 2 closed, 3 whole call, 4 refusal.
    pub kind: i16,
    /// When, in whole microseconds.
    pub at: DateTime<Utc>,
    /// SHA-256(salt ‖ payload).
    pub commitment: [u8; 32],
    /// The call.
    pub call: CallId,
    /// The bundle that holds the payload.
    pub bundle: Uuid,
    /// Where in the bundle, from 0.
    pub position: u32,
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns, which the migration describes")]
pub struct StoredAuditRecord {
    pub seq: i64,
    pub kind: i16,
    pub occurred_at: DateTime<Utc>,
    pub previous_hash: Vec<u8>,
    pub hash: Vec<u8>,
    pub commitment: Vec<u8>,
    pub call_id: Uuid,
    pub bundle_id: Uuid,
    pub bundle_position: i32,
}

/// The last link of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// Its sequence number; 0 for a chain without records.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// Appends `records`, in this order, to the tenant's chain of `day` (UTC), with the bundles they point into. All or
/// nothing, and only once per first bundle. Answers the chain's length.
pub async fn append(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
    bundles: &[AuditBundle],
    records: &[NewAuditRecord],
) -> Result<i64, StoreError> {
    let bundle_ids: Vec<Uuid> = bundles.iter().map(|bundle| bundle.id).collect();
    let bundle_users: Vec<Option<Uuid>> =
        bundles.iter().map(|bundle| bundle.user.map(|user| user.0)).collect();
    let bundle_records: Vec<i32> = bundles.iter().map(|bundle| bundle.records.cast_signed()).collect();
    let bundle_sealed: Vec<&[u8]> = bundles.iter().map(|bundle| &bundle.sealed[..]).collect();
    let kinds: Vec<i16> = records.iter().map(|record| record.kind).collect();
    let times: Vec<DateTime<Utc>> = records.iter().map(|record| record.at).collect();
    let commitments: Vec<&[u8]> = records.iter().map(|record| &record.commitment[..]).collect();
    let calls: Vec<Uuid> = records.iter().map(|record| record.call.0).collect();
    let record_bundles: Vec<Uuid> = records.iter().map(|record| record.bundle).collect();
    let positions: Vec<i32> = records.iter().map(|record| record.position.cast_signed()).collect();
    let length = sqlx::query_scalar!(
        r#"SELECT audit_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS "length!""#,
        day,
        &bundle_ids,
        &bundle_users as &[Option<Uuid>],
        &bundle_records,
        &bundle_sealed as &[&[u8]],
        &kinds,
        &times,
        &commitments as &[&[u8]],
        &calls,
        &record_bundles,
        &positions
    )
    .fetch_one(transaction.connection())
    .await
    .map_err(no_partition)?;
    Ok(length)
}

/// The head of the tenant's chain of `day`.
pub async fn head(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
) -> Result<Option<ChainHead>, StoreError> {
    let head = sqlx::query_as!(
        ChainHead,
        "SELECT seq, hash FROM audit_chain_heads WHERE tenant_id = $1 AND day = $2",
        transaction.tenant_id().0,
        day
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(head)
}

/// At most `limit` records of the tenant's chain of `day`, those after `after`.
pub async fn records(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
    after: i64,
    limit: i64,
) -> Result<Vec<StoredAuditRecord>, StoreError> {
    let records = sqlx::query_as!(
        StoredAuditRecord,
        "SELECT seq, type AS kind, occurred_at, previous_hash, hash, commitment, call_id, bundle_id, bundle_position
        FROM audit_records WHERE tenant_id = $1 AND day = $2 AND seq > $3 ORDER BY seq LIMIT $4",
        transaction.tenant_id().0,
        day,
        after,
        limit
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(records)
}

/// A bundle; `None` if it was erased.
pub async fn bundle(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
    id: Uuid,
) -> Result<Option<AuditBundle>, StoreError> {
    let row = sqlx::query!(
        "SELECT user_id, records, sealed FROM audit_payloads WHERE tenant_id = $1 AND day = $2 AND bundle_id = $3",
        transaction.tenant_id().0,
        day,
        id
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| AuditBundle {
        id,
        user: row.user_id.map(Into::into),
        records: row.records.cast_unsigned(),
        sealed: row.sealed,
    }))
}

/// An insert into a partitioned table that has no partition for the row is a check violation (SQLSTATE 23514)
/// without a constraint's name.
fn no_partition(error: sqlx::Error) -> StoreError {
    let missing = error
        .as_database_error()
        .is_some_and(|cause| cause.code().as_deref() == Some("23514") && cause.constraint().is_none());
    if missing { StoreError::NoAuditPartition } else { error.into() }
}
