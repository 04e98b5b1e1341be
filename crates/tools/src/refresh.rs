//! Refreshing a person's tokens. A provider may end the old refresh token with the exchange, so what came back
//! must not be lost: exchange and storing run apart from the caller, who may leave, and storing is repeated
//! until the database has it. One exchange at a time runs for an account in this process; between processes the
//! revision of the stored session decides.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, LinkedAccountId, PublicError, TenantContext};
use stagedoor_providers::{ProviderApp, ProviderError, Providers, TokenGrant};
use stagedoor_storage::KeyVault;
use stagedoor_storage::provider_sessions::{self, OpenedSession, RefreshedTokens, SaveOutcome};
use tokio::sync::{Mutex, oneshot};

use crate::accounts::{Account, relink_needed};
use crate::desk::report;
use crate::records::{Records, store_failure};

/// Runs a task apart from its caller, under a name.
pub type Spawn = Arc<dyn Fn(&'static str, Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// A token that ends sooner than this is taken for ended, so that it lasts through the call.
const MARGIN: TimeDelta = TimeDelta::seconds(60);
/// How often a refresh that lost against another replica is looked at again.
const ATTEMPTS: usize = 3;
/// How often storing is tried, a second apart at most: about as long as the new access token lives.
const STORE_ATTEMPTS: u32 = 3_600;

/// Refreshes sessions.
pub(crate) struct Refresher {
    vault: Arc<KeyVault>,
    providers: Providers,
    records: Arc<Records>,
    clock: Arc<dyn Clock>,
    spawn: Spawn,
    running: Cache<LinkedAccountId, Arc<Mutex<()>>>,
}

/// Who waits for a refresh; told once.
struct Waiting(Option<oneshot::Sender<Result<SecretString, PublicError>>>);

impl Waiting {
    fn tell(&mut self, result: Result<SecretString, PublicError>) {
        if let Some(sender) = self.0.take() {
            // Nobody there: the caller left, which is what this task is for.
            let _ = sender.send(result);
        }
    }
}

impl Refresher {
    pub(crate) fn new(
        vault: Arc<KeyVault>,
        providers: Providers,
        records: Arc<Records>,
        clock: Arc<dyn Clock>,
        spawn: Spawn,
    ) -> Arc<Self> {
        let running = Cache::builder().max_capacity(50_000).time_to_idle(Duration::from_hours(2)).build();
        Arc::new(Self { vault, providers, records, clock, spawn, running })
    }

    /// Whether a token that ends then lasts through a call.
    pub(crate) fn lasts(&self, expires_at: DateTime<Utc>) -> bool {
        expires_at - self.clock.now() > MARGIN
    }

    /// Another token than `stale`: one that someone else refreshed meanwhile, or one refreshed now.
    pub(crate) async fn token(
        self: &Arc<Self>,
        ctx: &TenantContext,
        app: &Arc<ProviderApp>,
        account: &Account,
        stale: &SecretString,
    ) -> Result<SecretString, PublicError> {
        let (sender, receiver) = oneshot::channel();
        let (refresher, ctx, app) = (Arc::clone(self), ctx.clone(), Arc::clone(app));
        let (account, stale) = (account.clone(), stale.clone());
        (self.spawn)(
            "token refresh",
            Box::pin(async move {
                let mut waiting = Waiting(Some(sender));
                let result = refresher.run(&ctx, &app, &account, &stale, &mut waiting).await;
                waiting.tell(result);
            }),
        );
        receiver.await.unwrap_or_else(|_| Err(PublicError::internal()))
    }

    /// The session as it is stored.
    pub(crate) async fn load(
        &self,
        ctx: &TenantContext,
        account: &Account,
    ) -> Result<OpenedSession, PublicError> {
        let loaded = provider_sessions::load(&self.vault, ctx, account.id).await;
        loaded.map_err(|error| store_failure(&error))?.ok_or_else(|| relink_needed(account.provider))
    }

    async fn run(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        account: &Account,
        stale: &SecretString,
        waiting: &mut Waiting,
    ) -> Result<SecretString, PublicError> {
        let lock = self.running.get_with(account.id, async { Arc::default() }).await;
        let _one_at_a_time = lock.lock().await;
        for _ in 0..ATTEMPTS {
            let session = self.load(ctx, account).await?;
            if session.access_token.expose_secret() != stale.expose_secret() && self.lasts(session.expires_at)
            {
                return Ok(session.access_token);
            }
            // `None`: another replica stored its refresh first, and what it stored counts.
            if let Some(token) = self.refresh(ctx, app, account, &session, waiting).await? {
                return Ok(token);
            }
        }
        Err(PublicError::internal())
    }

    /// One exchange, stored before it is used; `None` if another one was stored first.
    async fn refresh(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        account: &Account,
        session: &OpenedSession,
        waiting: &mut Waiting,
    ) -> Result<Option<SecretString>, PublicError> {
        let Some(refresh_token) = &session.refresh_token else {
            self.records.mark_relink_needed(ctx, account).await;
            return Err(relink_needed(account.provider));
        };
        let asked_at = self.clock.now();
        let grant = match self.providers.get(account.provider).refresh(ctx, app, refresh_token).await {
            Ok(grant) => grant,
            Err(error @ ProviderError::InvalidGrant { .. }) => {
                if self.load(ctx, account).await?.revision != session.revision {
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
        self.store(ctx, session, tokens, waiting).await
    }

    /// Stores what came back, however long the database is away. The caller is told at the first failure; the
    /// account's lock is held, so that nobody here sends the old refresh token meanwhile.
    async fn store(
        &self,
        ctx: &TenantContext,
        session: &OpenedSession,
        tokens: RefreshedTokens,
        waiting: &mut Waiting,
    ) -> Result<Option<SecretString>, PublicError> {
        let mut wait = Duration::from_millis(50);
        for _ in 0..STORE_ATTEMPTS {
            match provider_sessions::save_refreshed(&self.vault, ctx, session, &tokens).await {
                Ok(SaveOutcome::Saved { .. }) => return Ok(Some(tokens.access_token)),
                Ok(SaveOutcome::Superseded) => return Ok(None),
                Err(error) if error.is_transient() => {
                    tracing::warn!(error = %Chain(&error), "refreshed tokens wait for the database");
                    waiting.tell(Err(error.public()));
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(1));
                }
                Err(error) => return Err(store_failure(&error)),
            }
        }
        tracing::error!("refreshed tokens could not be stored and are lost");
        Err(PublicError::internal())
    }
}

/// When a granted token ends, counted from before it was asked for.
pub(crate) fn ends(asked_at: DateTime<Utc>, grant: &TokenGrant) -> DateTime<Utc> {
    let life = TimeDelta::from_std(grant.expires_in).ok();
    life.and_then(|life| asked_at.checked_add_signed(life)).unwrap_or(asked_at)
}
