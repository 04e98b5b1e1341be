//! Rows that tool calls need again and again, remembered for half a minute: a person's linked accounts, a
//! tenant's clients at the services.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use stagedoor_domain::{ErrorCode, Provider, PublicError, TenantContext, TenantId, UserId};
use stagedoor_providers::{ProviderApp, SpotifyMode};
use stagedoor_storage::linked_accounts::{self, AccountStatus, LinkedAccount};
use stagedoor_storage::provider_apps::{self, OpenedProviderApp, ProviderAppMode};
use stagedoor_storage::{KeyVault, StoreError};
use url::Url;

use crate::accounts::Account;

/// How long a row is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// Owners whose rows are remembered at most.
const OWNERS: u64 = 50_000;

/// The rows.
pub(crate) struct Records {
    vault: Arc<KeyVault>,
    accounts: Cache<(TenantId, UserId), Arc<[Account]>>,
    apps: Cache<TenantId, Arc<[Arc<ProviderApp>]>>,
}

impl Records {
    pub(crate) fn new(vault: Arc<KeyVault>) -> Self {
        Self {
            vault,
            accounts: Cache::builder().max_capacity(OWNERS).time_to_live(REMEMBERED_FOR).build(),
            apps: Cache::builder().max_capacity(OWNERS).time_to_live(REMEMBERED_FOR).build(),
        }
    }

    /// A person's linked accounts.
    pub(crate) async fn accounts(
        &self,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Arc<[Account]>, PublicError> {
        let owner = (ctx.tenant_id(), user);
        if let Some(known) = self.accounts.get(&owner).await {
            return Ok(known);
        }
        let load = async { self.load_accounts(ctx, user).await.map(Arc::from) };
        let found = Box::pin(self.accounts.try_get_with(owner, load)).await;
        found.map_err(|error: Arc<PublicError>| PublicError::clone(&error))
    }

    /// A person's linked accounts as the database has them now.
    pub(crate) async fn load_accounts(
        &self,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Vec<Account>, PublicError> {
        let load = self.vault.store().with_tenant(ctx, async |tx| linked_accounts::list(tx, user).await);
        let rows = load.await.map_err(|error| store_failure(&error))?;
        Ok(rows.into_iter().map(account).collect())
    }

    /// Forgets a person's accounts, so that a change shows at once.
    pub(crate) async fn forget_accounts(&self, ctx: &TenantContext, user: UserId) {
        self.accounts.invalidate(&(ctx.tenant_id(), user)).await;
    }

    /// Marks that a person must link an account again.
    pub(crate) async fn mark_relink_needed(&self, ctx: &TenantContext, account: &Account) {
        let mark = self
            .vault
            .store()
            .with_tenant(ctx, async |tx| linked_accounts::mark_relink_needed(tx, account.id).await);
        let marked: Result<bool, StoreError> = mark.await;
        if let Err(error) = marked {
            tracing::error!(
                error = %stagedoor_domain::error::Chain(&error),
                "an account could not be marked for linking again"
            );
        }
        self.forget_accounts(ctx, account.user).await;
    }

    /// The tenant's clients at the services.
    pub(crate) async fn apps(&self, ctx: &TenantContext) -> Result<Arc<[Arc<ProviderApp>]>, PublicError> {
        if let Some(known) = self.apps.get(&ctx.tenant_id()).await {
            return Ok(known);
        }
        let found = Box::pin(self.apps.try_get_with(ctx.tenant_id(), self.load_apps(ctx))).await;
        found.map_err(|error: Arc<PublicError>| PublicError::clone(&error))
    }

    async fn load_apps(&self, ctx: &TenantContext) -> Result<Arc<[Arc<ProviderApp>]>, PublicError> {
        let mut apps = Vec::new();
        for provider in Provider::ALL {
            let loaded = provider_apps::load(&self.vault, ctx, *provider).await;
            if let Some(opened) = loaded.map_err(|error| store_failure(&error))? {
                apps.push(Arc::new(app(opened)?));
            }
        }
        Ok(apps.into())
    }
}

/// Logs a store failure where it is handled, and says what the agent may know.
pub(crate) fn store_failure(error: &StoreError) -> PublicError {
    tracing::error!(error = %stagedoor_domain::error::Chain(error), "the store failed a tool call");
    error.public()
}

/// The tenant has not set a service up, or none at all.
pub(crate) fn not_configured(provider: Option<Provider>) -> PublicError {
    let what = provider.map_or("A music service", Provider::title);
    PublicError::new(ErrorCode::ProviderNotConfigured, format!("{what} is not set up for this tenant."))
        .hint("The tenant's operator has to add the client id and secret of its own app there.")
}

fn account(row: LinkedAccount) -> Account {
    Account {
        id: row.id,
        user: row.user,
        provider: row.provider,
        name: Some(row.label).filter(|label| !label.is_empty()),
        country: row.country_code,
        relink_needed: row.status == AccountStatus::RelinkNeeded,
    }
}

fn app(opened: OpenedProviderApp) -> Result<ProviderApp, PublicError> {
    let base = |text: &str| {
        Url::parse(text).map_err(|error| {
            tracing::error!(error = %error, provider = %opened.provider, "a provider app has a base URL that is none");
            not_configured(Some(opened.provider))
        })
    };
    Ok(ProviderApp {
        id: opened.id,
        provider: opened.provider,
        api_base: base(&opened.api_base_url)?,
        auth_base: base(&opened.auth_base_url)?,
        client_id: opened.client_id,
        client_secret: opened.client_secret,
        mode: match opened.mode {
            ProviderAppMode::Development => SpotifyMode::Development,
            ProviderAppMode::Extended => SpotifyMode::Extended,
        },
    })
}
