//! Tokens for provider calls: the client's own for the catalogue, a person's for what is theirs. Where a person's
//! session comes from is in `opening`, how it is refreshed in `refresh`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;
use secrecy::SecretString;
use stagedoor_domain::{Clock, ProviderAppId, PublicError, TenantContext};
use stagedoor_providers::{ProviderApp, Providers};
use stagedoor_storage::provider_sessions::OpenedSession;

use crate::desk::report;
use crate::opening::Opener;
use crate::refresh::{Errand, Life, Refresher, ends};

/// A client's token that ends sooner than this is replaced before it is used.
const MARGIN: TimeDelta = TimeDelta::seconds(60);

/// Tokens.
pub(crate) struct Tokens {
    providers: Providers,
    opener: Arc<Opener>,
    refresher: Arc<Refresher>,
    clock: Arc<dyn Clock>,
    clients: Cache<ProviderAppId, Arc<ClientToken>>,
}

struct ClientToken {
    token: SecretString,
    expires_at: DateTime<Utc>,
}

impl Tokens {
    pub(crate) fn new(
        providers: Providers,
        opener: Arc<Opener>,
        refresher: Arc<Refresher>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let clients = Cache::builder().max_capacity(10_000).time_to_live(Duration::from_hours(1)).build();
        Self { providers, opener, refresher, clock, clients }
    }

    /// A token of the client itself (RFC 6749 §4.4).
    pub(crate) async fn of_client(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
    ) -> Result<SecretString, PublicError> {
        if let Some(known) = self.clients.get(&app.id).await {
            if known.expires_at - self.clock.now() > MARGIN {
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

    /// A person's session whose token lasts through a call: refreshed first if it ends at once, and beside the call if
    /// it ends soon.
    pub(crate) async fn of_account(&self, errand: &Errand) -> Result<Arc<OpenedSession>, PublicError> {
        let session = self.opener.open(&errand.ctx, &errand.client, &errand.account).await?;
        match self.refresher.life(session.expires_at) {
            Life::Long => Ok(session),
            Life::Short => {
                self.refresher.refresh_beside(errand, &session);
                Ok(session)
            }
            // Nothing renews it: whether it has ended is for the provider to say, whose clock counts.
            Life::Over if session.refresh_token.is_none() => Ok(session),
            Life::Over => match self.refreshed(errand, &session).await {
                // It could not be refreshed now, and is good for some seconds yet.
                Err(error) if error.code.may_pass() && session.expires_at > self.clock.now() => Ok(session),
                outcome => outcome,
            },
        }
    }

    /// Another session than `stale`, whose token has ended or was refused.
    pub(crate) async fn refreshed(
        &self,
        errand: &Errand,
        stale: &OpenedSession,
    ) -> Result<Arc<OpenedSession>, PublicError> {
        self.refresher.refreshed(errand, stale).await
    }

    /// The provider refused a call with a token that it gave out a moment ago.
    pub(crate) async fn refused(&self, errand: &Errand, session: &OpenedSession) -> PublicError {
        self.refresher.refused(errand, session).await
    }
}
