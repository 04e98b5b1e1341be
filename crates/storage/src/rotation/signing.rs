//! New signing keys. The public half of an old one stays for good; its private half goes once a checkpoint was signed with
//! the one after it.

use chrono::{DateTime, Utc};
use stagedoor_domain::TenantContext;

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::signing_keys;
use crate::transaction::TenantTransaction;

/// What became of a tenant's signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningSwitch {
    /// It has none: it never signed anything.
    None,
    /// It was made after the given time, or someone else has replaced it.
    Kept,
    /// A new one signs.
    Switched,
}

/// 1 if the tenant's signing key was made before `made_before`.
pub async fn signing_keys_due(
    vault: &KeyVault,
    context: &TenantContext,
    made_before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM signing_keys
            WHERE tenant_id = $1 AND state = 'active' AND created_at < $2"#,
            tx.tenant_id().0,
            made_before
        );
        Ok::<_, StoreError>(count.fetch_one(tx.connection()).await?)
    };
    Ok(vault.store().with_tenant(context, read).await?.unsigned_abs())
}

/// Replaces the tenant's signing key if it was made before `made_before`, and not since `since`, by the database's clock.
pub async fn switch_signing_key(
    vault: &KeyVault,
    context: &TenantContext,
    made_before: DateTime<Utc>,
    since: DateTime<Utc>,
) -> Result<SigningSwitch, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let row = sqlx::query!(
            r#"SELECT key_id, created_at < $2 AND NOT EXISTS (
                SELECT FROM signing_keys r WHERE r.tenant_id = $1 AND r.retired_at >= $3) AS "due!"
            FROM signing_keys WHERE tenant_id = $1 AND state = 'active'"#,
            tx.tenant_id().0,
            made_before,
            since
        );
        Ok::<_, StoreError>(row.fetch_optional(tx.connection()).await?)
    };
    let Some(row) = vault.store().with_tenant(context, read).await? else { return Ok(SigningSwitch::None) };
    if !row.due {
        return Ok(SigningSwitch::Kept);
    }
    let new = signing_keys::generate(vault, context).await?;
    let write = async |tx: &mut TenantTransaction| {
        let retired = sqlx::query!(
            "UPDATE signing_keys SET state = 'retired', retired_at = clock_timestamp()
            WHERE tenant_id = $1 AND key_id = $2 AND state = 'active'",
            tx.tenant_id().0,
            row.key_id
        );
        if retired.execute(tx.connection()).await?.rows_affected() == 0 {
            return Ok(SigningSwitch::Kept);
        }
        new.insert(tx).await?;
        Ok::<_, StoreError>(SigningSwitch::Switched)
    };
    vault.store().with_tenant(context, write).await
}

/// Destroys the private halves of retired keys, if a checkpoint was signed with the present one or with `at_once`; how
/// many, and how many are left.
pub async fn destroy_signing_keys(
    vault: &KeyVault,
    context: &TenantContext,
    at_once: bool,
) -> Result<(u64, u64), StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let done = sqlx::query!(
            "UPDATE signing_keys SET state = 'destroyed', private_key = NULL, revision = revision + 1
            WHERE tenant_id = $1 AND state = 'retired' AND ($2 OR EXISTS (
                SELECT FROM signing_keys k JOIN audit_checkpoints c
                    ON c.tenant_id = k.tenant_id AND c.signing_key_id = k.key_id
                WHERE k.tenant_id = $1 AND k.state = 'active'))",
            tx.tenant_id().0,
            at_once
        );
        let done = done.execute(tx.connection()).await?.rows_affected();
        let left = sqlx::query_scalar!(
            r#"SELECT count(*) AS "left!" FROM signing_keys WHERE tenant_id = $1 AND state = 'retired'"#,
            tx.tenant_id().0
        );
        Ok::<_, StoreError>((done, left.fetch_one(tx.connection()).await?.unsigned_abs()))
    };
    vault.store().with_tenant(context, write).await
}
