//! Tokens for provider calls: the client's own for the catalogue, a person's for what is theirs. Opened tokens
//! stay in memory for at most a minute. How a person's token is refreshed is in `refresh`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use secrecy::SecretString;
use stagedoor_domain::{Clock, LinkedAccountId, ProviderAppId, PublicError, TenantContext};
use stagedoor_providers::{ProviderApp, Providers};
use stagedoor_storage::provider_sessions::OpenedSession;

use crate::accounts::Account;
use crate::desk::report;
use crate::refresh::{Refresher, ends};

/// How long an opened token stays in memory.
const OPEN_FOR: Duration = Duration::from_mins(1);

/// Tokens in memory.
pub(crate) struct Tokens {
    providers: Providers,
    refresher: Arc<Refresher>,
    clock: Arc<dyn Clock>,
    clients: Cache<ProviderAppId, Arc<ClientToken>>,
    sessions: Cache<LinkedAccountId, Arc<OpenedSession>>,
}

struct ClientToken {
    token: SecretString,
    expires_at: DateTime<Utc>,
}

impl Tokens {
    pub(crate) fn new(providers: Providers, refresher: Arc<Refresher>, clock: Arc<dyn Clock>) -> Self {
        Self {
            providers,
            refresher,
            clock,
            clients: Cache::builder().max_capacity(10_000).time_to_live(Duration::from_hours(1)).build(),
            sessions: Cache::builder().max_capacity(50_000).time_to_live(OPEN_FOR).build(),
        }
    }

    /// A token of the client itself (RFC 6749 §4.4).
    pub(crate) async fn of_client(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
    ) -> Result<SecretString, PublicError> {
        if let Some(known) = self.clients.get(&app.id).await {
            if self.refresher.lasts(known.expires_at) {
                return Ok(known.token.clone());
            }
            self.clients.invalidate(&app.id).await;
        }
        let fetch = async {
            let asked_at = self.clock.now();
            let granted = self.providers.get(app.provider).client_credentials(ctx, app).await;
            let grant = granted.map_err(|error| report(&error))?;
            Ok(Arc::new(ClientToken { expires_at: ends(asked_at, &grant), token: grant.access_token }))
        };
        let fetched = self.clients.try_get_with(app.id, fetch).await;
        let fetched = fetched.map_err(|error: Arc<PublicError>| PublicError::clone(&error))?;
        Ok(fetched.token.clone())
    }

    /// Forgets the client's token, which the provider refused.
    pub(crate) async fn forget_client(&self, app: &ProviderApp) {
        self.clients.invalidate(&app.id).await;
    }

    /// A person's token, refreshed if it ends soon.
    pub(crate) async fn of_account(
        &self,
        ctx: &TenantContext,
        app: &Arc<ProviderApp>,
        account: &Account,
    ) -> Result<SecretString, PublicError> {
        let session = if let Some(session) = self.sessions.get(&account.id).await {
            session
        } else {
            let load = async { self.refresher.load(ctx, account).await.map(Arc::new) };
            let loaded = Box::pin(self.sessions.try_get_with(account.id, load)).await;
            loaded.map_err(|error: Arc<PublicError>| PublicError::clone(&error))?
        };
        if self.refresher.lasts(session.expires_at) {
            return Ok(session.access_token.clone());
        }
        self.refreshed(ctx, app, account, &session.access_token).await
    }

    /// Another token than `stale`, which has ended or was refused.
    pub(crate) async fn refreshed(
        &self,
        ctx: &TenantContext,
        app: &Arc<ProviderApp>,
        account: &Account,
        stale: &SecretString,
    ) -> Result<SecretString, PublicError> {
        self.sessions.invalidate(&account.id).await;
        self.refresher.token(ctx, app, account, stale).await
    }
}
