//! A tenant's clients as admins see and change them: never their secrets. For stores of provisioning's role.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use stagedoor_crypto::{DataKey, KeyOwner};
use stagedoor_domain::{Entropy, Provider, ProviderAppId, TenantContext};
use uuid::Uuid;

use super::{ProviderAppMode, place};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// What may be told of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderAppRecord {
    /// The id.
    pub id: ProviderAppId,
    /// The provider.
    pub provider: Provider,
    /// The provider's id of the client.
    pub client_id: String,
    /// Whether a secret is stored.
    pub has_client_secret: bool,
    /// Where it is reached.
    pub addresses: Addresses,
    /// Which tier it has.
    pub mode: ProviderAppMode,
    /// Raised by each new secret.
    pub revision: i64,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// Where a provider is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Where the API is, version included.
    pub api_base_url: String,
    /// Where tokens are given out.
    pub auth_base_url: String,
    /// Where a person is sent to consent; `None` for the provider's own address.
    pub authorize_url: Option<String>,
}

/// A client to be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProviderApp {
    /// The id.
    pub id: ProviderAppId,
    /// The provider.
    pub provider: Provider,
    /// The provider's id of the client.
    pub client_id: String,
    /// Where it is reached.
    pub addresses: Addresses,
    /// Which tier it has.
    pub mode: ProviderAppMode,
}

/// A client's secret with the key that seals it.
pub struct Sealing<'a> {
    key: Arc<DataKey>,
    entropy: &'a dyn Entropy,
    secret: &'a SecretString,
}

/// What becomes of a client's secret.
#[derive(Debug)]
pub enum SecretChange<'a> {
    /// It stays.
    Keep,
    /// It is removed: the client is a public one.
    Remove,
    /// Another takes its place.
    Replace(Sealing<'a>),
}

impl<'a> Sealing<'a> {
    /// Gets the tenant's key, which is made if there is none.
    pub async fn prepare(
        vault: &'a KeyVault,
        context: &TenantContext,
        secret: &'a SecretString,
    ) -> Result<Self, StoreError> {
        let key = vault.active_key(context, KeyOwner::Tenant).await?;
        Ok(Self { key, entropy: vault.entropy(), secret })
    }

    fn seal(&self, transaction: &TenantTransaction, app: ProviderAppId, revision: i64) -> Vec<u8> {
        let place = place(transaction.tenant_id(), app, revision);
        self.key.seal(&place, self.secret.expose_secret().as_bytes(), self.entropy)
    }
}

impl fmt::Debug for Sealing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealing").finish_non_exhaustive()
    }
}

/// The tenant's clients, by provider.
pub async fn list(transaction: &mut TenantTransaction) -> Result<Vec<ProviderAppRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT app_id, provider, client_id, client_secret IS NOT NULL AS "has_client_secret!", api_base_url,
            auth_base_url, authorize_url, mode, revision, updated_at
        FROM provider_apps WHERE tenant_id = $1 ORDER BY provider"#,
        transaction.tenant_id().0
    );
    rows.fetch_all(transaction.connection()).await?.into_iter().map(Row::read).collect()
}

/// The tenant's client at `provider`.
pub async fn get(
    transaction: &mut TenantTransaction,
    provider: Provider,
) -> Result<Option<ProviderAppRecord>, StoreError> {
    Ok(list(transaction).await?.into_iter().find(|app| app.provider == provider))
}

/// The same, and nobody else changes it before the transaction ends.
pub async fn lock(
    transaction: &mut TenantTransaction,
    provider: Provider,
) -> Result<Option<ProviderAppRecord>, StoreError> {
    sqlx::query!(
        "SELECT app_id FROM provider_apps WHERE tenant_id = $1 AND provider = $2 FOR UPDATE",
        transaction.tenant_id().0,
        provider.as_str()
    )
    .fetch_optional(transaction.connection())
    .await?;
    get(transaction, provider).await
}

/// Sets a client up.
///
/// # Errors
/// [`StoreError::AlreadyExists`] if there is one at that provider.
pub async fn insert(
    transaction: &mut TenantTransaction,
    app: &NewProviderApp,
    secret: Option<&Sealing<'_>>,
) -> Result<(), StoreError> {
    let revision = 1;
    sqlx::query!(
        "INSERT INTO provider_apps (tenant_id, app_id, provider, client_id, client_secret, api_base_url, \
            auth_base_url, mode, revision, authorize_url) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        transaction.tenant_id().0,
        app.id.0,
        app.provider.as_str(),
        app.client_id,
        secret.map(|secret| secret.seal(transaction, app.id, revision)),
        app.addresses.api_base_url,
        app.addresses.auth_base_url,
        app.mode.as_str(),
        revision,
        app.addresses.authorize_url.as_deref()
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("an app of that provider"))?;
    Ok(())
}

/// Writes where the client at `app.provider` is reached, its tier and its secret; what else `app` holds is as it was
/// locked.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn update(
    transaction: &mut TenantTransaction,
    app: &ProviderAppRecord,
    secret: &SecretChange<'_>,
) -> Result<(), StoreError> {
    // A secret is bound to its revision, which therefore rises only with it.
    let keeps = matches!(secret, SecretChange::Keep);
    let revision = if keeps { app.revision } else { app.revision + 1 };
    let sealed = match secret {
        SecretChange::Keep | SecretChange::Remove => None,
        SecretChange::Replace(sealing) => Some(sealing.seal(transaction, app.id, revision)),
    };
    let done = sqlx::query!(
        "UPDATE provider_apps SET api_base_url = $3, auth_base_url = $4, authorize_url = $5, mode = $6,
            client_secret = CASE WHEN $7 THEN client_secret ELSE $8 END, revision = $9, updated_at = now()
        WHERE tenant_id = $1 AND app_id = $2",
        transaction.tenant_id().0,
        app.id.0,
        app.addresses.api_base_url,
        app.addresses.auth_base_url,
        app.addresses.authorize_url.as_deref(),
        app.mode.as_str(),
        keeps,
        sealed,
        revision
    );
    let done = done.execute(transaction.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing("provider app")) }
}

/// Removes a client.
///
/// # Errors
/// [`StoreError::Missing`]; [`StoreError::Impossible`] if accounts are linked through it.
pub async fn remove(transaction: &mut TenantTransaction, app: &ProviderAppRecord) -> Result<(), StoreError> {
    let linked = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM linked_accounts WHERE tenant_id = $1 AND provider = $2) AS "linked!""#,
        transaction.tenant_id().0,
        app.provider.as_str()
    );
    if linked.fetch_one(transaction.connection()).await? {
        return Err(StoreError::Impossible("accounts are linked through this client; unlink them first"));
    }
    let done = sqlx::query!(
        "DELETE FROM provider_apps WHERE tenant_id = $1 AND app_id = $2",
        transaction.tenant_id().0,
        app.id.0
    );
    let done = done.execute(transaction.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing("provider app")) }
}

struct Row {
    app_id: Uuid,
    provider: String,
    client_id: String,
    has_client_secret: bool,
    api_base_url: String,
    auth_base_url: String,
    authorize_url: Option<String>,
    mode: String,
    revision: i64,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<ProviderAppRecord, StoreError> {
        let provider = self.provider.parse();
        Ok(ProviderAppRecord {
            id: ProviderAppId(self.app_id),
            provider: provider
                .map_err(|_| StoreError::not_understood("provider_apps.provider", &self.provider))?,
            client_id: self.client_id,
            has_client_secret: self.has_client_secret,
            addresses: Addresses {
                api_base_url: self.api_base_url,
                auth_base_url: self.auth_base_url,
                authorize_url: self.authorize_url,
            },
            mode: ProviderAppMode::read(&self.mode)?,
            revision: self.revision,
            updated_at: self.updated_at,
        })
    }
}
