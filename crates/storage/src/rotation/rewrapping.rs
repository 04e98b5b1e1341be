//! Keys under the key that is above theirs now: tenants' under the key-encryption key that wraps, people's under the
//! tenant's active one. By comparison of the revision, which the wrap is bound to and which rises with it.

use stagedoor_crypto::KeyOwner;
use stagedoor_domain::TenantContext;
use uuid::Uuid;

use super::DataLayer;
use crate::data_keys::Row;
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// Keys at a time.
const BATCH: i64 = 50;

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Keys under the present key.
    pub rewrapped: u64,
    /// Keys that someone changed meanwhile: looked at again.
    pub written_meanwhile: u64,
    /// Keys that do not open, and stay as they are.
    pub unreadable: u64,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<Uuid>,
}

/// How many keys of a layer are under another key than `outer`.
pub async fn not_wrapped_by(
    vault: &KeyVault,
    context: &TenantContext,
    layer: DataLayer,
    outer: Uuid,
) -> Result<u64, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM data_keys
            WHERE tenant_id = $1 AND purpose = $2 AND state <> 'destroyed' AND wrapped_by <> $3"#,
            tx.tenant_id().0,
            layer.purpose(),
            outer
        );
        Ok::<_, StoreError>(count.fetch_one(tx.connection()).await?)
    };
    Ok(vault.store().with_tenant(context, read).await?.unsigned_abs())
}

/// Wraps the next keys of a layer that are under another key than the present one anew.
pub async fn rewrap(
    vault: &KeyVault,
    context: &TenantContext,
    layer: DataLayer,
    after: Option<Uuid>,
) -> Result<Rewrapped, StoreError> {
    let outer = match layer {
        DataLayer::Tenant => {
            vault.wraps_with().ok_or(StoreError::Missing("key-encryption key that wraps"))?
        }
        DataLayer::Subjects => vault.active_key(context, KeyOwner::Tenant).await?.id(),
    };
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query_as!(
            Row,
            "SELECT key_id, purpose, user_id, revision, wrapped_key, wrapped_by, indexes FROM data_keys
            WHERE tenant_id = $1 AND purpose = $2 AND state <> 'destroyed' AND wrapped_by <> $3 AND key_id > $4
            ORDER BY key_id LIMIT $5",
            tx.tenant_id().0,
            layer.purpose(),
            outer,
            after.unwrap_or_default(),
            BATCH
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == BATCH);
    let mut outcome =
        Rewrapped { next: rows.last().filter(|_| full).map(|row| row.key_id), ..Rewrapped::default() };
    for row in rows {
        let row = row.into_key()?;
        let key = match vault.unwrap_row(context, &row).await {
            Ok(key) => key,
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => {
                outcome.unreadable += 1;
                continue;
            }
        };
        let revision = row.revision + 1;
        let (wrapped, wrapped_by) = vault.wrap_anew(context, &key, revision).await?;
        let write = async |tx: &mut TenantTransaction| {
            let done = sqlx::query!(
                "UPDATE data_keys
                SET wrapped_key = $4, wrapped_by = $5, revision = $3 + 1, updated_at = clock_timestamp()
                WHERE tenant_id = $1 AND key_id = $2 AND revision = $3 AND state <> 'destroyed'",
                tx.tenant_id().0,
                row.id,
                row.revision,
                wrapped,
                wrapped_by
            );
            Ok::<_, StoreError>(done.execute(tx.connection()).await?.rows_affected())
        };
        match vault.store().with_tenant(context, write).await? {
            0 => outcome.written_meanwhile += 1,
            _ => outcome.rewrapped += 1,
        }
    }
    Ok(outcome)
}
