//! Changing what a key may do, and ending it. Replicas see either within a second.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_domain::{ApiKeyId, ScopeSet, ToolsetSet};

use super::{KeyState, KeySummary, checks, get, lock, mint, row};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// What is to be changed; what is `None` stays. The person is not among it: what a key did is told by key, and must not
/// become another person's.
#[derive(Debug, Clone, Default)]
pub struct KeyChanges {
    /// The operator's name for it.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<ScopeSet>,
    /// Which tools it is shown; the inner `None` means every toolset.
    pub toolsets: Option<Option<ToolsetSet>>,
    /// Whether tools that write are withheld.
    pub read_only: Option<bool>,
    /// The networks it may call from; empty means any.
    pub allowed_networks: Option<Vec<IpNet>>,
    /// When it stops being valid; the inner `None` means never.
    pub expires_at: Option<Option<DateTime<Utc>>>,
}

/// Changes a key, if it is still at `revision` where that is given.
///
/// # Errors
/// [`StoreError::Missing`]; [`StoreError::Changed`] if it is at another revision; [`StoreError::Invalid`] names a field
/// that is wrong; [`StoreError::Impossible`] if it was revoked; [`StoreError::AlreadyExists`] if two active keys have the
/// new name.
pub async fn update(
    transaction: &mut TenantTransaction,
    id: &ApiKeyId,
    revision: Option<i64>,
    changes: &KeyChanges,
    now: DateTime<Utc>,
) -> Result<KeySummary, StoreError> {
    let old = lock(transaction, id).await?;
    if revision.is_some_and(|revision| revision != old.revision) {
        return Err(StoreError::Changed("the API key"));
    }
    if old.state_at(now) == KeyState::Revoked {
        return Err(StoreError::Impossible("the API key was revoked, and stays so"));
    }
    let new = changed(&old, changes, now)?;
    let toolsets = new.toolsets.map(row::toolset_names);
    sqlx::query!(
        "UPDATE api_keys SET name = $3, scopes = $4, toolsets = $5, read_only = $6, allowed_networks = $7, expires_at = $8
        WHERE tenant_id = $1 AND key_id = $2",
        transaction.tenant_id().0,
        id.as_str(),
        new.name,
        &row::scope_names(new.scopes),
        toolsets.as_deref(),
        new.read_only,
        &new.allowed_networks as &[IpNet],
        new.expires_at
    )
    .execute(transaction.connection())
    .await
    .map_err(mint::refused)?;
    present(transaction, id).await
}

/// Revokes a key. One that is revoked already stays as it is.
///
/// # Errors
/// [`StoreError::Missing`]; [`StoreError::Invalid`] if the reason is empty, too long, or does not show.
pub async fn revoke(
    transaction: &mut TenantTransaction,
    id: &ApiKeyId,
    reason: &str,
) -> Result<KeySummary, StoreError> {
    checks::reason(reason)?;
    sqlx::query!(
        "UPDATE api_keys SET revoked_at = clock_timestamp(), revoked_reason = $3
        WHERE tenant_id = $1 AND key_id = $2 AND revoked_at IS NULL",
        transaction.tenant_id().0,
        id.as_str(),
        reason
    )
    .execute(transaction.connection())
    .await?;
    present(transaction, id).await
}

pub(super) async fn present(
    transaction: &mut TenantTransaction,
    id: &ApiKeyId,
) -> Result<KeySummary, StoreError> {
    get(transaction, id).await?.ok_or(StoreError::Missing("API key"))
}

/// The key as it shall be.
fn changed(old: &KeySummary, changes: &KeyChanges, now: DateTime<Utc>) -> Result<KeySummary, StoreError> {
    let mut new = old.clone();
    if let Some(name) = &changes.name {
        checks::name(name)?;
        new.name.clone_from(name);
    }
    if let Some(scopes) = changes.scopes {
        checks::scopes(scopes)?;
        new.scopes = scopes;
    }
    if let Some(toolsets) = changes.toolsets {
        checks::toolsets(toolsets)?;
        new.toolsets = toolsets;
    }
    if let Some(networks) = &changes.allowed_networks {
        checks::networks(networks)?;
        new.allowed_networks.clone_from(networks);
    }
    // The end that a key has already may be past.
    if let Some(expires_at) = changes.expires_at.filter(|end| *end != old.expires_at) {
        checks::expiry(expires_at, now)?;
        let later = |end: DateTime<Utc>| expires_at.is_none_or(|new| new > end);
        if old.replaced_by.is_some() && old.expires_at.is_some_and(later) {
            return Err(StoreError::invalid("expires_at", "a key that was replaced cannot last longer"));
        }
        new.expires_at = expires_at;
    }
    new.read_only = changes.read_only.unwrap_or(old.read_only);
    Ok(new)
}
