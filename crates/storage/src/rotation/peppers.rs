//! How many API keys are stored under which pepper. Only whoever presents a key can bring it under a newer one, so signing
//! in does that; here it is seen how far it is, and what is left is ended.

use chrono::{DateTime, Utc};
use stagedoor_domain::TenantContext;

use crate::api_keys::reasons;
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// How many keys of a tenant are stored under a pepper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PepperUse {
    /// The pepper's version.
    pub version: u16,
    /// Keys that were neither revoked nor are over.
    pub keys: u64,
}

/// The peppers in use, the oldest first.
pub async fn pepper_uses(
    vault: &KeyVault,
    context: &TenantContext,
    now: DateTime<Utc>,
) -> Result<Vec<PepperUse>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            r#"SELECT pepper_version, count(*) AS "keys!" FROM api_keys
            WHERE tenant_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
            GROUP BY pepper_version ORDER BY pepper_version"#,
            tx.tenant_id().0,
            now
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    rows.into_iter()
        .map(|row| {
            let version = u16::try_from(row.pepper_version).map_err(|_| {
                StoreError::not_understood("api_keys.pepper_version", row.pepper_version.to_string())
            })?;
            Ok(PepperUse { version, keys: row.keys.unsigned_abs() })
        })
        .collect()
}

/// Revokes the tenant's keys that are stored under an older pepper than `present`, and tells the replicas; how many.
pub async fn revoke_keys_under(
    vault: &KeyVault,
    context: &TenantContext,
    present: u16,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let present = i16::try_from(present)
        .map_err(|_| StoreError::not_understood("the pepper's version", present.to_string()))?;
    let write = async |tx: &mut TenantTransaction| {
        let done = sqlx::query!(
            "UPDATE api_keys SET revoked_at = $3, revoked_reason = $4
            WHERE tenant_id = $1 AND pepper_version < $2 AND revoked_at IS NULL",
            tx.tenant_id().0,
            present,
            now,
            reasons::PEPPER
        );
        let done = done.execute(tx.connection()).await?.rows_affected();
        if done > 0 {
            sqlx::query_scalar!(r#"SELECT restore_tell() IS NULL AS "told!""#)
                .fetch_one(tx.connection())
                .await?;
        }
        Ok::<_, StoreError>(done)
    };
    vault.store().with_tenant(context, write).await
}
