//! How many keys are stored under which pepper: those of agents, and those of the admin API, each with its tenant, and those
//! of the installation with the tenant that stands for it. Only whoever presents a key can bring it under a newer one, so
//! signing in does that; here it is seen how far it is, and what is left is ended.

use chrono::{DateTime, Utc};
use stagedoor_domain::TenantContext;

use crate::api_keys::reasons;
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// The tenant that stands for the installation itself.
const PLATFORM: &str = "platform";

/// How many keys of a tenant are stored under a pepper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PepperUse {
    /// The pepper's version.
    pub version: u16,
    /// Keys that were neither revoked nor are over.
    pub keys: u64,
}

/// How many keys were revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeysUnder {
    /// Keys of agents.
    pub agents: u64,
    /// Keys of the admin API.
    pub admins: u64,
}

impl PepperUse {
    pub(crate) fn read(version: i16, keys: i64) -> Result<Self, StoreError> {
        let version = u16::try_from(version)
            .map_err(|_| StoreError::not_understood("a pepper's version", version.to_string()))?;
        Ok(Self { version, keys: keys.unsigned_abs() })
    }
}

/// The peppers in use, the oldest first.
pub async fn pepper_uses(
    vault: &KeyVault,
    context: &TenantContext,
    now: DateTime<Utc>,
) -> Result<Vec<PepperUse>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            r#"SELECT pepper_version AS "pepper_version!", count(*) AS "keys!" FROM (
                SELECT k.pepper_version FROM api_keys k
                WHERE k.tenant_id = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
                UNION ALL
                SELECT a.pepper_version FROM admin_keys a
                WHERE (a.bound_to = $1 OR (a.bound_to IS NULL AND $3))
                    AND a.revoked_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > $2)
            ) used GROUP BY pepper_version ORDER BY pepper_version"#,
            tx.tenant_id().0,
            now,
            is_platform(context)
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    rows.into_iter().map(|row| PepperUse::read(row.pepper_version, row.keys)).collect()
}

/// Revokes the tenant's keys that are stored under an older pepper than `present`, and tells the replicas; how many.
pub async fn revoke_keys_under(
    vault: &KeyVault,
    context: &TenantContext,
    present: u16,
    now: DateTime<Utc>,
) -> Result<KeysUnder, StoreError> {
    let present = i16::try_from(present)
        .map_err(|_| StoreError::not_understood("the pepper's version", present.to_string()))?;
    let write = async |tx: &mut TenantTransaction| {
        let tenant = tx.tenant_id().0;
        let agents = sqlx::query!(
            "UPDATE api_keys SET revoked_at = $3, revoked_reason = $4
            WHERE tenant_id = $1 AND pepper_version < $2 AND revoked_at IS NULL",
            tenant,
            present,
            now,
            reasons::PEPPER
        );
        let agents = agents.execute(tx.connection()).await?.rows_affected();
        let admins = sqlx::query!(
            "UPDATE admin_keys SET revoked_at = $3, revoked_reason = $4
            WHERE (bound_to = $1 OR (bound_to IS NULL AND $5)) AND pepper_version < $2 AND revoked_at IS NULL",
            tenant,
            present,
            now,
            reasons::PEPPER,
            is_platform(context)
        );
        // Each call of the admin API looks its key up: nobody need be told of these.
        let admins = admins.execute(tx.connection()).await?.rows_affected();
        if agents > 0 {
            sqlx::query_scalar!(r#"SELECT restore_tell() IS NULL AS "told!""#)
                .fetch_one(tx.connection())
                .await?;
        }
        Ok::<_, StoreError>(KeysUnder { agents, admins })
    };
    vault.store().with_tenant(context, write).await
}

fn is_platform(context: &TenantContext) -> bool {
    context.tenant().slug.as_str() == PLATFORM
}
