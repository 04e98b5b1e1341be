//! New keys in place of those that were made before a given time: made as `pending`, then switched with the old one in one
//! transaction, so that an owner has one active key at every moment.

use chrono::{DateTime, Utc};
use stagedoor_crypto::DataKey;
use stagedoor_domain::TenantContext;
use stagedoor_domain::ids::uuid_v7;
use uuid::Uuid;

use super::DataLayer;
use crate::data_keys::{Row, WrappedKey};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// Keys at a time.
const BATCH: i64 = 50;

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switched {
    /// Owners with a new key.
    pub switched: u64,
    /// Owners whose present key does not open, and stays: what it sealed would be given up.
    pub unreadable: u64,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<Uuid>,
}

/// How many active keys of a layer were made before `made_before`.
pub async fn due(
    vault: &KeyVault,
    context: &TenantContext,
    layer: DataLayer,
    made_before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM data_keys
            WHERE tenant_id = $1 AND purpose = $2 AND state = 'active' AND COALESCE(activated_at, created_at) < $3"#,
            tx.tenant_id().0,
            layer.purpose(),
            made_before
        );
        Ok::<_, StoreError>(count.fetch_one(tx.connection()).await?)
    };
    Ok(vault.store().with_tenant(context, read).await?.unsigned_abs())
}

/// Gives the next owners whose keys were made before `made_before` new ones. With `compromised`, blind indexes are not
/// handed on: codes that were stored are not found any more.
pub async fn switch(
    vault: &KeyVault,
    context: &TenantContext,
    layer: DataLayer,
    (made_before, compromised): (DateTime<Utc>, bool),
    after: Option<Uuid>,
) -> Result<Switched, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query_as!(
            Row,
            "SELECT key_id, purpose, user_id, revision, wrapped_key, wrapped_by, indexes FROM data_keys
            WHERE tenant_id = $1 AND purpose = $2 AND state = 'active' AND COALESCE(activated_at, created_at) < $3
                AND key_id > $4
            ORDER BY key_id LIMIT $5",
            tx.tenant_id().0,
            layer.purpose(),
            made_before,
            after.unwrap_or_default(),
            BATCH
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == BATCH);
    let mut outcome =
        Switched { next: rows.last().filter(|_| full).map(|row| row.key_id), ..Switched::default() };
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for row in rows {
        let row = row.into_key()?;
        match successor(vault, context, layer, &row, compromised).await {
            Ok(key) => {
                old.push(row.id);
                new.push(key);
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => outcome.unreadable += 1,
        }
    }
    if new.is_empty() {
        return Ok(outcome);
    }
    let insert = async |tx: &mut TenantTransaction| {
        for (old, key) in old.iter().zip(&new) {
            insert_pending(tx, *old, key, compromised).await?;
        }
        Ok::<_, StoreError>(())
    };
    vault.store().with_tenant(context, insert).await?;
    let switched = vault.store().with_tenant(context, async |tx| activate(tx, &old).await).await?;
    outcome.switched = switched;
    for key in &new {
        vault.forget_owner(context, key.owner);
    }
    Ok(outcome)
}

async fn successor(
    vault: &KeyVault,
    context: &TenantContext,
    layer: DataLayer,
    row: &WrappedKey,
    compromised: bool,
) -> Result<WrappedKey, StoreError> {
    let old = vault.unwrap_row(context, row).await?;
    let columns = if compromised { &[] } else { layer.indexes() };
    let id = uuid_v7(vault.clock(), vault.entropy());
    let key: DataKey = old.successor(id, columns, vault.entropy());
    let revision = 1;
    let (wrapped, wrapped_by) = vault.wrap_anew(context, &key, revision).await?;
    let indexes = key.sealed_indexes(context.tenant_id(), vault.entropy());
    Ok(WrappedKey { id, owner: row.owner, revision, wrapped, wrapped_by, indexes })
}

/// Stores the key that is to take the place of `old`, if that is still active. A pending key that is there already counts,
/// not the one that was made here, unless it may be known.
async fn insert_pending(
    transaction: &mut TenantTransaction,
    old: Uuid,
    key: &WrappedKey,
    compromised: bool,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant_id().0;
    let held = sqlx::query_scalar!(
        "SELECT key_id FROM data_keys WHERE tenant_id = $1 AND key_id = $2 AND state = 'active' FOR NO KEY UPDATE",
        tenant,
        old
    );
    if held.fetch_optional(transaction.connection()).await?.is_none() {
        return Ok(());
    }
    let (purpose, user) = (i16::from(key.owner.purpose()), key.owner.subject().map(|user| user.0));
    if compromised {
        sqlx::query!(
            "UPDATE data_keys SET state = 'destroyed', wrapped_key = NULL, indexes = NULL, updated_at = clock_timestamp()
            WHERE tenant_id = $1 AND purpose = $2 AND user_id IS NOT DISTINCT FROM $3 AND state = 'pending'",
            tenant,
            purpose,
            user
        )
        .execute(transaction.connection())
        .await?;
    }
    sqlx::query!(
        "INSERT INTO data_keys
            (tenant_id, key_id, purpose, user_id, state, revision, wrapped_key, wrapped_by, indexes)
        VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        tenant,
        key.id,
        purpose,
        user,
        key.revision,
        &key.wrapped[..],
        key.wrapped_by,
        key.indexes.as_deref()
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_missing("person"))?;
    Ok(())
}

/// Switches each owner whose active key is still among `old` and who has a pending one.
async fn activate(transaction: &mut TenantTransaction, old: &[Uuid]) -> Result<u64, StoreError> {
    let tenant = transaction.tenant_id().0;
    let retired = sqlx::query!(
        r#"UPDATE data_keys o
        SET state = 'decrypt_only', retired_at = clock_timestamp(), unreferenced_at = NULL, updated_at = clock_timestamp()
        WHERE o.tenant_id = $1 AND o.key_id = ANY($2) AND o.state = 'active' AND EXISTS (
            SELECT FROM data_keys p WHERE p.tenant_id = $1 AND p.state = 'pending' AND p.purpose = o.purpose
                AND p.user_id IS NOT DISTINCT FROM o.user_id)
        RETURNING o.purpose, o.user_id"#,
        tenant,
        old
    )
    .fetch_all(transaction.connection())
    .await?;
    let (mut purposes, mut users) = (Vec::new(), Vec::new());
    for row in retired {
        purposes.push(row.purpose);
        users.push(row.user_id);
    }
    let done = sqlx::query!(
        "UPDATE data_keys p
        SET state = 'active', activated_at = clock_timestamp(), updated_at = clock_timestamp()
        FROM unnest($2::smallint[], $3::uuid[]) AS r (purpose, user_id)
        WHERE p.tenant_id = $1 AND p.state = 'pending' AND p.purpose = r.purpose
            AND p.user_id IS NOT DISTINCT FROM r.user_id",
        tenant,
        &purposes,
        &users as &[Option<Uuid>]
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected())
}
