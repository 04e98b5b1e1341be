//! API keys as provisioning writes them, and what may be told of them; authentication reads them by
//! `Store::find_api_key`.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_crypto::{ApiKeyDigest, KeyMode};
use stagedoor_domain::{ApiKeyId, ScopeSet, ToolsetSet, UserId};

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// What a new key may do and for whom.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The operator's name for it.
    pub name: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Which tools it is shown; `None` means every toolset, those of later releases too.
    pub toolsets: Option<ToolsetSet>,
    /// Whether tools that write are withheld.
    pub read_only: bool,
    /// The person it acts for.
    pub user: Option<UserId>,
    /// The networks it may call from; empty means any.
    pub allowed_networks: Vec<IpNet>,
    /// When it stops being valid.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What may be told of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySummary {
    /// The operator's name for it.
    pub name: String,
    /// The person it acts for.
    pub user: Option<UserId>,
    /// When it stops being valid.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl KeySummary {
    /// Whether the key would still be accepted.
    pub fn is_valid_at(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What may be told of the key of that id, revoked ones too.
pub async fn summary(
    transaction: &mut TenantTransaction,
    id: &ApiKeyId,
) -> Result<Option<KeySummary>, StoreError> {
    let row = sqlx::query!(
        "SELECT name, user_id, expires_at, revoked_at FROM api_keys WHERE tenant_id = $1 AND key_id = $2",
        transaction.tenant_id().0,
        id.as_str()
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| KeySummary {
        name: row.name,
        user: row.user_id.map(Into::into),
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
    }))
}

/// The keys that act for a person, revoked ones too.
pub async fn ids_of(transaction: &mut TenantTransaction, user: UserId) -> Result<Vec<ApiKeyId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT key_id FROM api_keys WHERE tenant_id = $1 AND user_id = $2 ORDER BY key_id",
        transaction.tenant_id().0,
        user.0
    )
    .fetch_all(transaction.connection())
    .await?;
    ids.into_iter()
        .map(|id| id.parse().map_err(|_| StoreError::not_understood("api_keys.key_id", id)))
        .collect()
}

/// Stores a key's digest and rights.
pub async fn insert(
    transaction: &mut TenantTransaction,
    id: &ApiKeyId,
    mode: KeyMode,
    digest: &ApiKeyDigest,
    key: &NewApiKey,
) -> Result<(), StoreError> {
    let mode = match mode {
        KeyMode::Live => "live",
        KeyMode::Test => "test",
    };
    let pepper_version = i16::try_from(digest.pepper_version)
        .map_err(|_| StoreError::not_understood("the pepper's version", digest.pepper_version.to_string()))?;
    let scopes: Vec<String> = key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let toolsets: Option<Vec<String>> =
        key.toolsets.map(|toolsets| toolsets.iter().map(|toolset| toolset.as_str().to_owned()).collect());
    sqlx::query!(
        "INSERT INTO api_keys (tenant_id, key_id, name, mode, pepper_version, digest, scopes, toolsets, read_only, \
            user_id, allowed_networks, expires_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        transaction.tenant_id().0,
        id.as_str(),
        key.name,
        mode,
        pepper_version,
        &digest.hmac[..],
        &scopes,
        toolsets.as_deref(),
        key.read_only,
        key.user.map(|user| user.0),
        &key.allowed_networks as &[IpNet],
        key.expires_at
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("an API key of that id"))?;
    Ok(())
}

/// Revokes a key at `now`; `false` if there is none that was still valid.
pub async fn revoke(
    transaction: &mut TenantTransaction,
    id: &ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE api_keys SET revoked_at = $3 WHERE tenant_id = $1 AND key_id = $2 AND revoked_at IS NULL",
        transaction.tenant_id().0,
        id.as_str(),
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
