//! Refreshing a person's tokens, when and by whom. A provider may end the old refresh token with the exchange, so one
//! refresh at a time runs for a grant: here by sharing it, between replicas by a claim in the database. It runs apart
//! from its callers, who may leave. The exchange itself is in `exchange`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use stagedoor_audit::AuditClient;
use stagedoor_domain::{Clock, ErrorCode, LinkedAccountId, PublicError, TenantContext, TenantId};
use stagedoor_providers::{ProviderApp, Providers, TokenGrant};
use stagedoor_storage::KeyVault;
use stagedoor_storage::provider_sessions::{self, OpenedSession, RefreshClaim};

use crate::accounts::Account;
use crate::flights::{Flights, Lead, Part};
use crate::opening::Opener;
use crate::records::{Records, store_failure};
use crate::sessions::SessionsInUse;
use crate::trail::Trail;

/// Runs a task apart from its caller, under a name.
pub type Spawn = Arc<dyn Fn(&'static str, Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// A token that ends sooner than this is refreshed before it is used, so that it lasts through the call.
const MARGIN: TimeDelta = TimeDelta::seconds(60);
/// A token that ends sooner than this is refreshed beside its use.
const EARLY: TimeDelta = TimeDelta::minutes(5);
/// How long after an early refresh was begun the next one may be.
const EARLY_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long a claim holds. Whoever holds it longer, because its process ended, has lost it.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// How long a caller waits for a refresh that something is in the way of.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a session is looked at again that changed between reading and claiming it.
const ATTEMPTS: usize = 5;

/// Refreshes sessions.
pub(crate) struct Refresher {
    pub(super) vault: Arc<KeyVault>,
    pub(super) providers: Providers,
    pub(super) records: Arc<Records>,
    pub(super) opener: Arc<Opener>,
    pub(super) sessions: Arc<SessionsInUse>,
    pub(super) trail: Arc<Trail>,
    pub(super) clock: Arc<dyn Clock>,
    spawn: Spawn,
    flights: Flights<Arc<OpenedSession>>,
    early: Mutex<HashMap<(TenantId, LinkedAccountId), Duration>>,
}

/// Whose tokens are refreshed and on whose behalf; owned, because the work outlives its caller.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) ctx: TenantContext,
    pub(crate) client: AuditClient,
    pub(crate) app: Arc<ProviderApp>,
    pub(crate) account: Account,
}

/// What should be renewed.
#[derive(Clone)]
struct Stale {
    token: SecretString,
    expires_at: DateTime<Utc>,
}

/// What is to be done about a token's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nothing.
    Long,
    /// It is good for this call, and is refreshed beside it.
    Short,
    /// It is refreshed first.
    Over,
}

impl Refresher {
    pub(crate) fn new(
        (vault, providers): (Arc<KeyVault>, Providers),
        (records, opener): (Arc<Records>, Arc<Opener>),
        (sessions, trail): (Arc<SessionsInUse>, Arc<Trail>),
        clock: Arc<dyn Clock>,
        spawn: Spawn,
    ) -> Arc<Self> {
        let (flights, early) = (Flights::new(), Mutex::default());
        Arc::new(Self { vault, providers, records, opener, sessions, trail, clock, spawn, flights, early })
    }

    /// What is to be done about a token that ends then.
    pub(crate) fn life(&self, expires_at: DateTime<Utc>) -> Life {
        let left = expires_at - self.clock.now();
        if left > EARLY {
            Life::Long
        } else if left > MARGIN {
            Life::Short
        } else {
            Life::Over
        }
    }

    /// A later session than `stale`: one that someone else refreshed meanwhile, or one refreshed now.
    pub(crate) async fn refreshed(
        self: &Arc<Self>,
        errand: &Errand,
        stale: &OpenedSession,
    ) -> Result<Arc<OpenedSession>, PublicError> {
        let stale = Stale::of(stale);
        for _ in 0..ATTEMPTS {
            let follow = match self.flights.join(&errand.ctx, errand.account.id) {
                Part::Follow(follow) => follow,
                Part::Lead(lead) => {
                    let follow = lead.follow();
                    self.begin(errand.clone(), stale.clone(), lead);
                    follow
                }
            };
            let outcome = follow.landed_or_held(PATIENCE).await;
            // `None`: it panicked, which was logged where tasks are run.
            let session = outcome.unwrap_or_else(|| Err(PublicError::internal()))?;
            if !stale.is(&session) {
                return Ok(session);
            }
            // What was shared was the refresh of an older token than this.
        }
        Err(PublicError::internal())
    }

    /// Begins to refresh `session` unless someone does already or has tried a moment ago. Nobody waits for it.
    pub(crate) fn refresh_beside(self: &Arc<Self>, errand: &Errand, session: &OpenedSession) {
        // Without a refresh token there is nothing to do before its end.
        if session.refresh_token.is_some()
            && self.may_begin_early(errand)
            && let Part::Lead(lead) = self.flights.join(&errand.ctx, errand.account.id)
        {
            self.begin(errand.clone(), Stale::of(session), lead);
        }
    }

    fn may_begin_early(&self, errand: &Errand) -> bool {
        let (key, now) = ((errand.ctx.tenant_id(), errand.account.id), self.clock.elapsed());
        let mut begun = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|_, at| now.saturating_sub(*at) < EARLY_AGAIN_AFTER);
        let may = !begun.contains_key(&key);
        begun.entry(key).or_insert(now);
        may
    }

    fn begin(self: &Arc<Self>, errand: Errand, stale: Stale, lead: Lead<Arc<OpenedSession>>) {
        let refresher = Arc::clone(self);
        let work = async move {
            let outcome = refresher.run(&errand, &stale, &lead).await;
            lead.land(outcome);
        };
        (self.spawn)("token refresh", Box::pin(work));
    }

    async fn run(
        &self,
        errand: &Errand,
        stale: &Stale,
        lead: &Lead<Arc<OpenedSession>>,
    ) -> Result<Arc<OpenedSession>, PublicError> {
        let Errand { ctx, client, account, .. } = errand;
        for _ in 0..ATTEMPTS {
            let standing = self.sessions.standing(ctx, account).await;
            let session = self.opener.load(ctx, client, account).await?;
            if !stale.is(&session) && self.life(session.expires_at) != Life::Over {
                let session = Arc::new(session);
                self.sessions.keep(ctx, &session, standing);
                return Ok(session);
            }
            let Some(claim) = self.claim(errand, &session, lead).await? else { continue };
            self.unless_refused(errand, &session, claim).await?;
            let exchanged = self.exchange(errand, &session, claim, lead).await?;
            // `None`: another replica stored its refresh first, and what it stored counts.
            if let Some(refreshed) = exchanged {
                self.sessions.keep(ctx, &refreshed, standing);
                return Ok(refreshed);
            }
        }
        Err(PublicError::internal())
    }

    /// The right to exchange the session's refresh token, once nobody else has it; `None` if the session was written
    /// meanwhile.
    async fn claim(
        &self,
        errand: &Errand,
        session: &OpenedSession,
        lead: &Lead<Arc<OpenedSession>>,
    ) -> Result<Option<i64>, PublicError> {
        let mut pause = Duration::from_millis(50);
        loop {
            let claim = provider_sessions::claim_refresh(&self.vault, &errand.ctx, session, LEASE).await;
            let remaining = match claim.map_err(|error| store_failure(&error))? {
                RefreshClaim::Won { claim, .. } => return Ok(Some(claim)),
                RefreshClaim::Moved => return Ok(None),
                RefreshClaim::Busy { remaining } => remaining,
            };
            let busy = being_refreshed(&errand.account, remaining);
            if !lead.is_awaited() {
                // Someone sees to it, and nobody here needs it now.
                return Err(busy);
            }
            lead.held(busy);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
}

impl Stale {
    fn of(session: &OpenedSession) -> Self {
        Self { token: session.access_token.clone(), expires_at: session.expires_at }
    }

    /// Whether the session is still that one. A provider may give the same token again, with a later end.
    fn is(&self, session: &OpenedSession) -> bool {
        session.access_token.expose_secret() == self.token.expose_secret()
            && session.expires_at <= self.expires_at
    }
}

/// When a granted token ends, counted from before it was asked for.
pub(crate) fn ends(asked_at: DateTime<Utc>, grant: &TokenGrant) -> DateTime<Utc> {
    let life = TimeDelta::from_std(grant.expires_in).ok();
    life.and_then(|life| asked_at.checked_add_signed(life)).unwrap_or(asked_at)
}

fn being_refreshed(account: &Account, remaining: Duration) -> PublicError {
    let message = format!(
        "The access to the {} account is being renewed by another replica, which takes longer than usual.",
        account.provider.title()
    );
    PublicError::new(ErrorCode::ProviderUnavailable, message)
        .hint("Try again as told; nothing was done.")
        .retry_after(remaining)
}
