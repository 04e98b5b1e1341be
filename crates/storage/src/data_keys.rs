//! Wrapped keys as they are stored. Unwrapping, caching and making them is `keys`' job.

use chrono::{DateTime, Utc};
use stagedoor_crypto::KeyOwner;
use stagedoor_domain::UserId;
use uuid::Uuid;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// A stored key that was not destroyed.
#[derive(Debug, Clone)]
pub struct WrappedKey {
    /// Its id.
    pub id: Uuid,
    /// Whose data it seals.
    pub owner: KeyOwner,
    /// The row's revision, which the wrap is bound to.
    pub revision: i64,
    /// The envelope.
    pub wrapped: Vec<u8>,
    /// The key that wraps it.
    pub wrapped_by: Uuid,
    /// What it has of the key before it, sealed under itself.
    pub indexes: Option<Vec<u8>>,
}

pub(crate) struct Row {
    pub(crate) key_id: Uuid,
    pub(crate) purpose: i16,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) revision: i64,
    pub(crate) wrapped_key: Option<Vec<u8>>,
    pub(crate) wrapped_by: Uuid,
    pub(crate) indexes: Option<Vec<u8>>,
}

/// The key that seals for `owner` now.
pub async fn find_active(
    transaction: &mut TenantTransaction,
    owner: KeyOwner,
) -> Result<Option<WrappedKey>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT key_id, purpose, user_id, revision, wrapped_key, wrapped_by, indexes FROM data_keys
        WHERE tenant_id = $1 AND purpose = $2 AND user_id IS NOT DISTINCT FROM $3 AND state = 'active'",
        transaction.tenant_id().0,
        i16::from(owner.purpose()),
        owner.subject().map(|user| user.0)
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Row::into_key).transpose()
}

/// The key of that id, unless it was destroyed.
pub async fn find(transaction: &mut TenantTransaction, id: Uuid) -> Result<Option<WrappedKey>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT key_id, purpose, user_id, revision, wrapped_key, wrapped_by, indexes FROM data_keys
        WHERE tenant_id = $1 AND key_id = $2 AND state <> 'destroyed'",
        transaction.tenant_id().0,
        id
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Row::into_key).transpose()
}

/// What is told of a key; never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: Uuid,
    /// The person whose data it seals; `None` for the tenant's own.
    pub user: Option<UserId>,
    /// `pending`, `active`, `decrypt_only` or `destroyed`.
    pub state: String,
    /// The key that wraps it, or did.
    pub wrapped_by: Uuid,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// At most `limit` keys of the tenant, the newest first, destroyed ones too: those before the key `before`, given by time
/// and id.
pub async fn list(
    transaction: &mut TenantTransaction,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<KeyRecord>, StoreError> {
    let (at, id) = before.unzip();
    let rows = sqlx::query!(
        "SELECT key_id, user_id, state, wrapped_by, created_at FROM data_keys
        WHERE tenant_id = $1 AND ($2::timestamptz IS NULL OR (created_at, key_id) < ($2, $3::uuid))
        ORDER BY created_at DESC, key_id DESC LIMIT $4",
        transaction.tenant_id().0,
        at,
        id,
        limit
    )
    .fetch_all(transaction.connection())
    .await?;
    let record = rows.into_iter().map(|row| KeyRecord {
        id: row.key_id,
        user: row.user_id.map(Into::into),
        state: row.state,
        wrapped_by: row.wrapped_by,
        created_at: row.created_at,
    });
    Ok(record.collect())
}

/// Whether there is or was a key of that id.
pub async fn is_known(transaction: &mut TenantTransaction, id: Uuid) -> Result<bool, StoreError> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM data_keys WHERE tenant_id = $1 AND key_id = $2) AS "known!""#,
        transaction.tenant_id().0,
        id
    );
    Ok(known.fetch_one(transaction.connection()).await?)
}

/// Stores a new active key, unless its owner has one by now: then the one that is there counts.
pub async fn insert_active(transaction: &mut TenantTransaction, key: &WrappedKey) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO data_keys (tenant_id, key_id, purpose, user_id, revision, wrapped_key, wrapped_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        transaction.tenant_id().0,
        key.id,
        i16::from(key.owner.purpose()),
        key.owner.subject().map(|user| user.0),
        key.revision,
        &key.wrapped[..],
        key.wrapped_by
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_missing("person"))?;
    Ok(())
}

impl Row {
    pub(crate) fn into_key(self) -> Result<WrappedKey, StoreError> {
        let owner = match (self.purpose, self.user_id) {
            (1, None) => KeyOwner::Tenant,
            (2, Some(user)) => KeyOwner::Subject(UserId(user)),
            (other, _) => return Err(StoreError::not_understood("data_keys.purpose", other.to_string())),
        };
        let wrapped = self.wrapped_key.ok_or(StoreError::Missing("wrapped key"))?;
        Ok(WrappedKey {
            id: self.key_id,
            owner,
            revision: self.revision,
            wrapped,
            wrapped_by: self.wrapped_by,
            indexes: self.indexes,
        })
    }
}
