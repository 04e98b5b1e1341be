//! The end of grants whose tokens someone may know: sealing them anew would keep them in use, and so do a refresh that
//! keeps the refresh token and the daily seal. So they end by when they were given, whatever they are sealed under. What
//! can be ended at the provider is for whoever calls; here the tokens go, and the account says that it must be linked again.

use chrono::{DateTime, Utc};
use stagedoor_domain::{LinkedAccountId, TenantContext};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::linked_accounts::{AccountStatus, lock, set_status};
use crate::transaction::TenantTransaction;

/// Accounts whose grant was given at `until` or before, or is stored under one of `keys`, at most 50: with when it was.
pub async fn known_grants(
    vault: &KeyVault,
    context: &TenantContext,
    keys: &[Uuid],
    until: DateTime<Utc>,
) -> Result<Vec<(LinkedAccountId, DateTime<Utc>)>, StoreError> {
    let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            "SELECT account_id, authorized_at FROM provider_sessions
            WHERE tenant_id = $1 AND (authorized_at <= $3
                OR substr(access_token, 3, 16) = ANY($2) OR substr(refresh_token, 3, 16) = ANY($2))
            ORDER BY account_id LIMIT 50",
            tx.tenant_id().0,
            &keys,
            until
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    Ok(rows.into_iter().map(|row| (row.account_id.into(), row.authorized_at)).collect())
}

/// Deletes the session of the grant that was given to an account at that time, and
/// marks the account; `false` if there is none such. One that was linked again since stays.
pub async fn end_grant(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    authorized_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        lock(tx, account).await?;
        let done = sqlx::query!(
            "DELETE FROM provider_sessions WHERE tenant_id = $1 AND account_id = $2 AND authorized_at = $3",
            tx.tenant_id().0,
            account.0,
            authorized_at
        );
        let ended = done.execute(tx.connection()).await?.rows_affected() == 1;
        if ended {
            set_status(tx, account, AccountStatus::RelinkNeeded).await?;
        }
        Ok::<_, StoreError>(ended)
    };
    vault.store().with_tenant(context, write).await
}

/// Deletes the copies that were set aside of grants that were given at `until` or before; how many.
pub async fn end_copies(
    vault: &KeyVault,
    context: &TenantContext,
    until: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let done = sqlx::query!(
            "DELETE FROM session_quarantine WHERE tenant_id = $1 AND authorized_at <= $2",
            tx.tenant_id().0,
            until
        );
        Ok::<_, StoreError>(done.execute(tx.connection()).await?.rows_affected())
    };
    vault.store().with_tenant(context, write).await
}
