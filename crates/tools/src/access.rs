//! Tokens for provider calls: the client's own for the catalogue, a person's for what is theirs. Opened
//! tokens stay in memory for at most a minute; one refresh at a time runs for an account in this process, and
//! the store's revision decides between processes.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use stagedoor_domain::{Clock, LinkedAccountId, ProviderAppId, PublicError, TenantContext};
use stagedoor_providers::{ProviderApp, ProviderError, Providers, TokenGrant};
use stagedoor_storage::KeyVault;
use stagedoor_storage::provider_sessions::{self, OpenedSession, RefreshedTokens, SaveOutcome};
use tokio::sync::Mutex;

use crate::accounts::{Account, relink_needed};
use crate::desk::report;
use crate::records::{Records, store_failure};

/// How long an opened token stays in memory.
const OPEN_FOR: Duration = Duration::from_mins(1);
/// A token that ends sooner than this is taken for ended, so that it lasts through the call.
const MARGIN: TimeDelta = TimeDelta::seconds(60);
/// How often a refresh that lost against another replica is looked at again.
const ATTEMPTS: usize = 3;

/// Tokens in memory.
pub(crate) struct Tokens {
    vault: Arc<KeyVault>,
    providers: Providers,
    records: Arc<Records>,
    clock: Arc<dyn Clock>,
    clients: Cache<ProviderAppId, Arc<ClientToken>>,
    sessions: Cache<LinkedAccountId, Arc<OpenedSession>>,
    refreshing: Cache<LinkedAccountId, Arc<Mutex<()>>>,
}

struct ClientToken {
    token: SecretString,
    expires_at: DateTime<Utc>,
}

impl Tokens {
    pub(crate) fn new(
        vault: Arc<KeyVault>,
        providers: Providers,
        records: Arc<Records>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            vault,
            providers,
            records,
            clock,
            clients: Cache::builder().max_capacity(10_000).time_to_live(Duration::from_hours(1)).build(),
            sessions: Cache::builder().max_capacity(50_000).time_to_live(OPEN_FOR).build(),
            refreshing: Cache::builder().max_capacity(50_000).time_to_idle(OPEN_FOR).build(),
        }
    }

    /// A token of the client itself (RFC 6749 §4.4).
    pub(crate) async fn of_client(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
    ) -> Result<SecretString, PublicError> {
        if let Some(known) = self.clients.get(&app.id).await {
            if self.lasts(known.expires_at) {
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
        app: &ProviderApp,
        account: &Account,
    ) -> Result<SecretString, PublicError> {
        let session = if let Some(session) = self.sessions.get(&account.id).await {
            session
        } else {
            let load = async { self.load(ctx, account).await.map(Arc::new) };
            let loaded = Box::pin(self.sessions.try_get_with(account.id, load)).await;
            loaded.map_err(|error: Arc<PublicError>| PublicError::clone(&error))?
        };
        if self.lasts(session.expires_at) {
            return Ok(session.access_token.clone());
        }
        Box::pin(self.refreshed(ctx, app, account, &session.access_token)).await
    }

    /// Another token than `stale`: one that someone else refreshed meanwhile, or one refreshed now.
    pub(crate) async fn refreshed(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        account: &Account,
        stale: &SecretString,
    ) -> Result<SecretString, PublicError> {
        let lock = self.refreshing.get_with(account.id, async { Arc::default() }).await;
        let _one_at_a_time = lock.lock().await;
        for _ in 0..ATTEMPTS {
            let session = self.load(ctx, account).await?;
            if session.access_token.expose_secret() != stale.expose_secret() && self.lasts(session.expires_at)
            {
                let token = session.access_token.clone();
                self.sessions.insert(account.id, Arc::new(session)).await;
                return Ok(token);
            }
            // `None`: another replica stored its refresh first, and what it stored counts.
            if let Some(token) = self.refresh(ctx, app, account, &session).await? {
                return Ok(token);
            }
        }
        Err(PublicError::internal())
    }

    /// One refresh, stored before it is used; `None` if another one was stored first.
    async fn refresh(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        account: &Account,
        session: &OpenedSession,
    ) -> Result<Option<SecretString>, PublicError> {
        let Some(refresh_token) = &session.refresh_token else {
            self.records.mark_relink_needed(ctx, account).await;
            return Err(relink_needed(account.provider));
        };
        let asked_at = self.clock.now();
        let grant = match self.providers.get(account.provider).refresh(ctx, app, refresh_token).await {
            Ok(grant) => grant,
            Err(error @ ProviderError::InvalidGrant { .. }) => {
                let current = self.load(ctx, account).await?;
                if current.revision != session.revision {
                    return Ok(None);
                }
                self.records.mark_relink_needed(ctx, account).await;
                return Err(report(&error));
            }
            Err(error) => return Err(report(&error)),
        };
        let tokens = RefreshedTokens {
            expires_at: ends(asked_at, &grant),
            access_token: grant.access_token,
            refresh_token: grant.refresh_token,
            scopes: (!grant.scopes.is_empty()).then_some(grant.scopes),
        };
        let saved = provider_sessions::save_refreshed(&self.vault, ctx, session, &tokens).await;
        match saved.map_err(|error| store_failure(&error))? {
            SaveOutcome::Saved { .. } => {
                self.sessions.invalidate(&account.id).await;
                Ok(Some(tokens.access_token))
            }
            SaveOutcome::Superseded => Ok(None),
        }
    }

    async fn load(&self, ctx: &TenantContext, account: &Account) -> Result<OpenedSession, PublicError> {
        let loaded = provider_sessions::load(&self.vault, ctx, account.id).await;
        loaded.map_err(|error| store_failure(&error))?.ok_or_else(|| relink_needed(account.provider))
    }

    fn lasts(&self, expires_at: DateTime<Utc>) -> bool {
        expires_at - self.clock.now() > MARGIN
    }
}

/// When a granted token ends, counted from before it was asked for.
fn ends(asked_at: DateTime<Utc>, grant: &TokenGrant) -> DateTime<Utc> {
    TimeDelta::from_std(grant.expires_in)
        .ok()
        .and_then(|life| asked_at.checked_add_signed(life))
        .unwrap_or(asked_at)
}
