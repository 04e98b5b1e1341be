//! Making keys. The text of a new key is in the answer and nowhere else.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_crypto::{ApiKeyDigest, KeyMode, Peppers, PlainApiKey};
use stagedoor_domain::{ApiKeyId, Entropy};

use super::{NewApiKey, row};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// What it takes to make keys.
#[derive(Debug, Clone, Copy)]
pub struct Minting<'a> {
    /// Randomness.
    pub entropy: &'a dyn Entropy,
    /// Under whose newest the key is stored.
    pub peppers: &'a Peppers,
    /// The time.
    pub now: DateTime<Utc>,
    /// Who makes it, as the audit trail names them.
    pub by: &'a str,
}

/// Makes a key. The answer is the only copy of its secret.
///
/// # Errors
/// [`StoreError::Invalid`] names a field that is wrong; [`StoreError::AlreadyExists`] if two active keys have that name;
/// [`StoreError::Missing`] if there is no such person, or the person or the tenant is being deleted.
pub async fn mint(
    transaction: &mut TenantTransaction,
    minting: &Minting<'_>,
    mode: KeyMode,
    key: &NewApiKey,
) -> Result<PlainApiKey, StoreError> {
    let plain = PlainApiKey::generate(minting.entropy, mode);
    mint_as(transaction, minting, plain, key).await
}

/// The same with a key that was generated before.
///
/// # Errors
/// As [`mint`].
pub async fn mint_as(
    transaction: &mut TenantTransaction,
    minting: &Minting<'_>,
    plain: PlainApiKey,
    key: &NewApiKey,
) -> Result<PlainApiKey, StoreError> {
    key.check(minting.now)?;
    let mode = plain.mode();
    insert(transaction, plain.id(), mode, &plain.digest(minting.peppers), key, Some(minting.by)).await?;
    Ok(plain)
}

/// Stores a key's digest and rights as they are.
pub async fn insert(
    transaction: &mut TenantTransaction,
    id: &ApiKeyId,
    mode: KeyMode,
    digest: &ApiKeyDigest,
    key: &NewApiKey,
    created_by: Option<&str>,
) -> Result<(), StoreError> {
    let toolsets = key.toolsets.map(row::toolset_names);
    sqlx::query!(
        "INSERT INTO api_keys (tenant_id, key_id, name, mode, pepper_version, digest, scopes, toolsets, read_only, \
            user_id, allowed_networks, expires_at, created_by) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        transaction.tenant_id().0,
        id.as_str(),
        key.name,
        row::mode_name(mode)?,
        row::pepper_version(digest)?,
        &digest.hmac[..],
        &row::scope_names(key.scopes),
        toolsets.as_deref(),
        key.read_only,
        key.user.map(|user| user.0),
        &key.allowed_networks as &[IpNet],
        key.expires_at,
        created_by
    )
    .execute(transaction.connection())
    .await
    .map_err(refused)?;
    Ok(())
}

/// What the database says of a key that it does not take.
pub(super) fn refused(error: sqlx::Error) -> StoreError {
    let constraint = error.as_database_error().and_then(|cause| cause.constraint()).map(str::to_owned);
    match constraint.as_deref() {
        Some("two_active_keys") => StoreError::AlreadyExists("an active pair of keys of that name"),
        _ => match StoreError::or_exists("an API key of that id")(error) {
            StoreError::Query(error) => StoreError::or_missing("person")(error),
            other => other,
        },
    }
}
