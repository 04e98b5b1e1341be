//! Checkpoints as rows, and what is left to do about them. What they sign is for the crate `audit`.

use chrono::{DateTime, NaiveDate, Utc};
use stagedoor_domain::TenantId;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// A checkpoint as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns, which the migration describes")]
pub struct StoredCheckpoint {
    pub day: NaiveDate,
    pub seq: i64,
    pub hash: Vec<u8>,
    pub number: i64,
    pub previous_digest: Vec<u8>,
    pub signed_at: DateTime<Utc>,
    pub key_id: Uuid,
    pub signature: Vec<u8>,
}

/// The end of a tenant's line of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointHead {
    /// The last one's number.
    pub number: i64,
    /// Its digest.
    pub digest: Vec<u8>,
    /// Up to which number the archive has them.
    pub archived: i64,
}

impl Store {
    /// At most `most` chains of all tenants that have records which no checkpoint covers: those after the chain
    /// `after`, in the order of day and tenant. Needs no tenant context.
    pub async fn unsealed_audit_chains(
        &self,
        after: (NaiveDate, TenantId),
        most: i32,
    ) -> Result<Vec<(NaiveDate, TenantId)>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!", day AS "day!" FROM audit_unsealed_chains($1, $2, $3)"#,
            after.0,
            after.1.0,
            most
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        Ok(rows.into_iter().map(|row| (row.day, row.tenant_id.into())).collect())
    }

    /// At most `most` tenants of whose checkpoints the archive does not have all, and how many it lacks: those after
    /// the tenant `after`, in the order of their ids. Needs no tenant context.
    pub async fn unarchived_checkpoints(
        &self,
        after: TenantId,
        most: i32,
    ) -> Result<Vec<(TenantId, i64)>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!", lacking AS "lacking!" FROM audit_unarchived_checkpoints($1, $2)"#,
            after.0,
            most
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        Ok(rows.into_iter().map(|row| (row.tenant_id.into(), row.lacking)).collect())
    }
}

/// The end of the tenant's line; `None` before the first checkpoint.
pub async fn checkpoint_head(
    transaction: &mut TenantTransaction,
) -> Result<Option<CheckpointHead>, StoreError> {
    let head = sqlx::query_as!(
        CheckpointHead,
        "SELECT number, digest, archived FROM audit_checkpoint_heads WHERE tenant_id = $1",
        transaction.tenant_id().0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(head)
}

/// Adds a checkpoint to the tenant's line. Answers `false`, and adds nothing, if it is not the next one: another
/// replica was faster. Refused if the chain has no such hash at that length.
pub async fn add_checkpoint(
    transaction: &mut TenantTransaction,
    checkpoint: &StoredCheckpoint,
) -> Result<bool, StoreError> {
    let added = sqlx::query_scalar!(
        r#"SELECT audit_checkpoint_append($1, $2, $3, $4, $5, $6, $7, $8) AS "added!""#,
        checkpoint.day,
        checkpoint.seq,
        &checkpoint.hash,
        checkpoint.number,
        &checkpoint.previous_digest,
        checkpoint.signed_at,
        checkpoint.key_id,
        &checkpoint.signature
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(added)
}

/// At most `limit` checkpoints of the tenant's line, those after `number`.
pub async fn checkpoints_after(
    transaction: &mut TenantTransaction,
    number: i64,
    limit: i64,
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let checkpoints = sqlx::query_as!(
        StoredCheckpoint,
        r#"SELECT day, seq, hash, number AS "number!", previous_digest AS "previous_digest!", signed_at,
            signing_key_id AS key_id, signature
        FROM audit_checkpoints WHERE tenant_id = $1 AND number > $2 ORDER BY number LIMIT $3"#,
        transaction.tenant_id().0,
        number,
        limit
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(checkpoints)
}

/// At most `limit` checkpoints of the tenant's chain of `day`, those that cover more than `after` records, in the
/// chain's order.
pub async fn checkpoints_of_day(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
    after: i64,
    limit: i64,
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let checkpoints = sqlx::query_as!(
        StoredCheckpoint,
        r#"SELECT day, seq, hash, number AS "number!", previous_digest AS "previous_digest!", signed_at,
            signing_key_id AS key_id, signature
        FROM audit_checkpoints
        WHERE tenant_id = $1 AND day = $2 AND seq > $3 AND number IS NOT NULL ORDER BY seq LIMIT $4"#,
        transaction.tenant_id().0,
        day,
        after,
        limit
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(checkpoints)
}

/// The first and the last number among the checkpoints of the days from `first` to `last`.
pub async fn checkpoint_span(
    transaction: &mut TenantTransaction,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Option<(i64, i64)>, StoreError> {
    let span = sqlx::query!(
        "SELECT min(number) AS first, max(number) AS last FROM audit_checkpoints
        WHERE tenant_id = $1 AND day BETWEEN $2 AND $3",
        transaction.tenant_id().0,
        first,
        last
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(span.first.zip(span.last))
}

/// Notes that the archive has the tenant's checkpoints up to `number`.
pub async fn checkpoints_archived(
    transaction: &mut TenantTransaction,
    number: i64,
) -> Result<(), StoreError> {
    sqlx::query!("SELECT audit_checkpoints_archived($1)", number).execute(transaction.connection()).await?;
    Ok(())
}
