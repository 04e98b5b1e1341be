//! A tenant's own client at a provider. The secret is sealed under the tenant's key. What admins see and change is in
//! `records`.

pub mod records;

use secrecy::SecretString;
use stagedoor_crypto::SealContext;
use stagedoor_domain::{Provider, ProviderAppId, TenantContext, TenantId};

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// The provider's tier of an app, which decides what may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderAppMode {
    /// Spotify's development mode; Tidal's only mode.
    Development,
    /// Spotify's extended quota mode.
    Extended,
}

impl ProviderAppMode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Extended => "extended",
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        let known = [Self::Development, Self::Extended].into_iter().find(|mode| mode.as_str() == text);
        known.ok_or_else(|| StoreError::not_understood("provider_apps.mode", text))
    }
}

/// A client with its secret opened.
#[derive(Debug, Clone)]
pub struct OpenedProviderApp {
    /// The id.
    pub id: ProviderAppId,
    /// The provider.
    pub provider: Provider,
    /// The provider's id of the client.
    pub client_id: String,
    /// The client's secret; `None` for a public client.
    pub client_secret: Option<SecretString>,
    /// Where the API is, version included.
    pub api_base_url: String,
    /// Where tokens are given out.
    pub auth_base_url: String,
    /// Where a person is sent to consent; `None` for the provider's own address.
    pub authorize_url: Option<String>,
    /// Which tier it has.
    pub mode: ProviderAppMode,
}

/// The tenant's client at `provider`, or `None` if the tenant has not set it up.
pub async fn load(
    vault: &KeyVault,
    context: &TenantContext,
    provider: Provider,
) -> Result<Option<OpenedProviderApp>, StoreError> {
    let found = vault
        .store()
        .with_tenant(context, async |tx| {
            let row = sqlx::query!(
                "SELECT app_id, client_id, client_secret, api_base_url, auth_base_url, authorize_url, mode, revision
                FROM provider_apps WHERE tenant_id = $1 AND provider = $2",
                tx.tenant_id().0,
                provider.as_str()
            );
            Ok::<_, StoreError>(row.fetch_optional(tx.connection()).await?)
        })
        .await?;
    let Some(row) = found else { return Ok(None) };
    let mode = ProviderAppMode::read(&row.mode)?;
    let id = ProviderAppId(row.app_id);
    let client_secret = match &row.client_secret {
        None => None,
        Some(sealed) => {
            let place = place(context.tenant_id(), id, row.revision);
            let secret = vault.open(context, &place, sealed, "a client secret").await?;
            Some(secret_text(&secret, "provider_apps.client_secret")?)
        }
    };
    Ok(Some(OpenedProviderApp {
        id,
        provider,
        client_id: row.client_id,
        client_secret,
        api_base_url: row.api_base_url,
        auth_base_url: row.auth_base_url,
        authorize_url: row.authorize_url,
        mode,
    }))
}

/// Sets the tenant's client at a provider up; one per provider.
pub(crate) async fn insert(
    vault: &KeyVault,
    context: &TenantContext,
    app: &OpenedProviderApp,
) -> Result<(), StoreError> {
    let sealing = match &app.client_secret {
        Some(secret) => Some(records::Sealing::prepare(vault, context, secret).await?),
        None => None,
    };
    let new = records::NewProviderApp {
        id: app.id,
        provider: app.provider,
        client_id: app.client_id.clone(),
        addresses: records::Addresses {
            api_base_url: app.api_base_url.clone(),
            auth_base_url: app.auth_base_url.clone(),
            authorize_url: app.authorize_url.clone(),
        },
        mode: app.mode,
    };
    let insert = async |tx: &mut TenantTransaction| records::insert(tx, &new, sealing.as_ref()).await;
    vault.store().with_tenant(context, insert).await
}

/// Changes where the tenant's client at `provider` is reached; `false` if there is none.
pub(crate) async fn set_urls(
    vault: &KeyVault,
    context: &TenantContext,
    provider: Provider,
    api_base_url: &str,
    auth_base_url: &str,
    authorize_url: Option<&str>,
) -> Result<bool, StoreError> {
    vault
        .store()
        .with_tenant(context, async |tx| {
            let done = sqlx::query!(
                "UPDATE provider_apps SET api_base_url = $3, auth_base_url = $4, authorize_url = $5, updated_at = now()
                WHERE tenant_id = $1 AND provider = $2",
                tx.tenant_id().0,
                provider.as_str(),
                api_base_url,
                auth_base_url,
                authorize_url
            )
            .execute(tx.connection())
            .await?;
            Ok(done.rows_affected() == 1)
        })
        .await
}

/// The text of an opened secret.
pub(crate) fn secret_text(bytes: &[u8], what: &'static str) -> Result<SecretString, StoreError> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| StoreError::not_understood(what, "bytes that are no text"))?;
    Ok(SecretString::from(text))
}

fn place(tenant: TenantId, app: ProviderAppId, revision: i64) -> SealContext {
    SealContext { tenant, table: "provider_apps", column: "client_secret", row: app.0, revision }
}
