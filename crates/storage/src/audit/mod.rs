//! The audit trail's tables: appending to a chain, and reading one back. What a record says, and what makes a chain
//! valid, is for the crate `audit`; the hash itself is made by the function `audit_append_sized`, under the head's lock.

mod chains;
mod checkpoints;
mod footprint;
mod search;

use chrono::{DateTime, NaiveDate, Utc};
use stagedoor_domain::{CallId, UserId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

pub use chains::{ChainStanding, chains};
pub use checkpoints::{
    CheckpointHead, StoredCheckpoint, add_checkpoint, checkpoint_head, checkpoint_span, checkpoints_after,
    checkpoints_archived, checkpoints_of_day,
};
pub use footprint::{Footprint, footprint, partition_days};
pub use search::{FoundRecord, SearchWindow, days_of, search};

/// The sealed payloads of some records of one person, or of none.
#[derive(Debug, Clone)]
pub struct AuditBundle {
    /// Its id; appending the same id again does nothing.
    pub id: Uuid,
    /// The person whose key seals it; `None` for the tenant's.
    pub user: Option<UserId>,
    /// How many records it holds.
    pub records: u32,
    /// The envelope; empty once it was erased.
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
    /// The chain's day.
    pub day: NaiveDate,
    /// Its sequence number; 0 for a chain without records.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
    /// What the chain's records take, in bytes, about.
    pub bytes: i64,
    /// The last record that a checkpoint covers; 0 if none does.
    pub sealed_seq: i64,
}

/// How far a chain reaches after an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainSize {
    /// Its records.
    pub length: i64,
    /// What these take, in bytes, about.
    pub bytes: i64,
}

/// Appends `records`, in this order, to the tenant's chain of `day` (UTC), with the bundles they point into. All or
/// nothing, and only once per first bundle. Answers how far the chain reaches then.
pub async fn append(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
    bundles: &[AuditBundle],
    records: &[NewAuditRecord],
) -> Result<ChainSize, StoreError> {
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
    let size = sqlx::query_as!(
        ChainSize,
        r#"SELECT chain_length AS "length!", chain_bytes AS "bytes!"
        FROM audit_append_sized($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
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
    Ok(size)
}

/// The head of the tenant's chain of `day`.
pub async fn head(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
) -> Result<Option<ChainHead>, StoreError> {
    let head = sqlx::query_as!(
        ChainHead,
        "SELECT day, seq, hash, bytes, sealed_seq FROM audit_chain_heads WHERE tenant_id = $1 AND day = $2",
        transaction.tenant_id().0,
        day
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(head)
}

/// The heads of the tenant's chains of the days from `first` to `last`, in their order.
pub async fn heads(
    transaction: &mut TenantTransaction,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Vec<ChainHead>, StoreError> {
    let heads = sqlx::query_as!(
        ChainHead,
        "SELECT day, seq, hash, bytes, sealed_seq FROM audit_chain_heads
        WHERE tenant_id = $1 AND day BETWEEN $2 AND $3 ORDER BY day",
        transaction.tenant_id().0,
        first,
        last
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(heads)
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

struct Row {
    bundle_id: Uuid,
    user_id: Option<Uuid>,
    records: i32,
    sealed: Vec<u8>,
}

/// Those of the bundles `ids` that are there; erased ones are, and empty.
pub async fn bundles(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
    ids: &[Uuid],
) -> Result<Vec<AuditBundle>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT bundle_id, user_id, records, sealed FROM audit_payloads
        WHERE tenant_id = $1 AND day = $2 AND bundle_id = ANY($3)",
        transaction.tenant_id().0,
        day,
        ids
    )
    .fetch_all(transaction.connection())
    .await?;
    let bundle = |Row { bundle_id, user_id, records, sealed }| AuditBundle {
        id: bundle_id,
        user: user_id.map(Into::into),
        records: records.cast_unsigned(),
        sealed,
    };
    Ok(rows.into_iter().map(bundle).collect())
}

/// An insert into a partitioned table that has no partition for the row is a check violation (SQLSTATE 23514)
/// without a constraint's name.
fn no_partition(error: sqlx::Error) -> StoreError {
    let missing = error
        .as_database_error()
        .is_some_and(|cause| cause.code().as_deref() == Some("23514") && cause.constraint().is_none());
    if missing { StoreError::NoAuditPartition } else { error.into() }
}
