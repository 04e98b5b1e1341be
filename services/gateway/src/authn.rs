//! Key or token → `Principal`: checks a key against its stored digest, has `oauth` check a token, counts failures. Which
//! tenant the URL names is part of the look-up, so a key of another tenant does not exist here. What is remembered of keys
//! is in `known_keys`. What a request shows, `token_validator` reads. A key that is stored under an older pepper is brought under the newest when it signs in: nobody else has its text.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderValue};
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_crypto::{Peppers, PlainApiKey};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{
    ApiKeyId, Clock, ErrorCode, Issuer, Principal, PublicError, Tenant, TenantId, TenantSlug, TenantStatus,
};
use stagedoor_limits::{AttemptGuard, Attempts};
use stagedoor_storage::{Store, StoreError};
use uuid::Uuid;

use crate::background::Background;
use crate::key_use::KeyUses;
use crate::known_keys::{KnownKey, KnownKeys};
use crate::oauth::{Objection, TokenRefused, Tokens};
use crate::problem::Problem;
use crate::tenant_watch::TenantWatch;
use crate::token_validator::{Credential, Token, TokenValidator};

/// Who signed in.
#[derive(Debug)]
pub struct SignIn {
    /// The tenant as it is now.
    pub tenant: Arc<Tenant>,
    /// The principal behind the key or the token.
    pub principal: Arc<Principal>,
    /// Whose token it is, if it is one.
    pub issuer: Option<Arc<Issuer>>,
}

/// Why a request has no principal. Clients cannot tell the reasons apart.
#[derive(Debug)]
pub enum Refused {
    /// No key, or not one that is valid here.
    Invalid {
        /// The tenant, where the key is one of its own; for its audit trail.
        tenant: Option<Arc<Tenant>>,
        /// Why, for metrics.
        reason: AuthFailure,
        /// What the client is told: that the key is not valid, or that there were too many of these.
        error: PublicError,
    },
    /// The key cannot be looked up now.
    Unavailable(Arc<StoreError>),
    /// The token cannot be verified now; why has been logged.
    Unverifiable(PublicError),
}

/// Checks keys.
#[derive(Debug)]
pub struct Authenticator {
    store: Store,
    peppers: Arc<Peppers>,
    attempts: AttemptGuard,
    clock: Arc<dyn Clock>,
    watch: Arc<TenantWatch>,
    background: Background,
    known: KnownKeys,
    uses: Arc<KeyUses>,
    tokens: Tokens,
}

impl Authenticator {
    /// Checks keys against `store`; `watch` knows what became of their tenants since.
    pub fn new(
        store: Store,
        peppers: Arc<Peppers>,
        attempts: AttemptGuard,
        clock: Arc<dyn Clock>,
        watch: Arc<TenantWatch>,
        background: Background,
        (uses, tokens): (Arc<KeyUses>, Tokens),
    ) -> Self {
        let known = KnownKeys::new(store.clone(), Arc::clone(&clock), Arc::clone(&watch));
        Self { store, peppers, attempts, clock, watch, background, known, uses, tokens }
    }

    /// What is known of tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The tenant and principal of a request to the path `called` of the tenant that `slug` names.
    pub async fn sign_in(
        &self,
        slug: &str,
        called: &str,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<SignIn, Refused> {
        // The checksum refuses made-up keys before anything is looked up.
        let credential = TokenValidator.validate(headers).map_err(|reason| Refused::of(None, reason))?;
        let Ok(slug) = slug.parse::<TenantSlug>() else {
            return Err(Refused::of(None, AuthFailure::Unknown));
        };
        let key = match credential {
            Credential::Key(key) => key,
            Credential::Token(token) => {
                return Box::pin(self.sign_in_with_token(&slug, called, token, address)).await;
            }
        };
        let found = self.known.find(slug, key.id()).await.map_err(Refused::Unavailable)?;
        let Some(known) = found else {
            return Err(self.count_failure(None, AuthFailure::Unknown, address).await);
        };
        let tenant = self.watch.newest(&known.tenant, known.tenant_revision);
        if !key.verify(&known.digest, &self.peppers) {
            return Err(self.count_failure(Some(tenant), AuthFailure::WrongSecret, address).await);
        }
        let sign_in = SignIn { tenant, principal: Arc::clone(&known.principal), issuer: None };
        match self.obstacle(&sign_in, address) {
            None => {
                self.repepper(&key, &known);
                if known.is_use_to_be_noted() {
                    self.uses.note(known.tenant.id, key.id().clone());
                }
                Ok(sign_in)
            }
            Some(reason) => Err(Refused::of(Some(sign_in.tenant), reason)),
        }
    }

    async fn sign_in_with_token(
        &self,
        slug: &TenantSlug,
        called: &str,
        token: Token<'_>,
        address: IpAddr,
    ) -> Result<SignIn, Refused> {
        match self.tokens.sign_in(slug, called, token.expose_secret()).await {
            Ok(found) => {
                let (tenant, principal) = (found.tenant, found.principal);
                let sign_in = SignIn { tenant, principal, issuer: Some(found.issuer) };
                match self.obstacle(&sign_in, address) {
                    None => Ok(sign_in),
                    Some(reason) => Err(Refused::of(Some(sign_in.tenant), reason)),
                }
            }
            Err(TokenRefused::Invalid { tenant, reason, guess: true }) => {
                Err(self.count_failure(tenant, reason, address).await)
            }
            Err(TokenRefused::Invalid { tenant, reason, guess: false }) => Err(Refused::of(tenant, reason)),
            Err(TokenRefused::Unavailable(error)) => Err(Refused::Unverifiable(error)),
        }
    }

    /// Forgets a key, so that the next request looks it up again.
    pub async fn forget(&self, slug: &TenantSlug, key: &ApiKeyId) {
        self.known.forget(slug, key).await;
    }

    /// Brings a key under the newest pepper, beside the call that signed in with it. Once for as long as it is remembered:
    /// if the database is away, a later call does it.
    fn repepper(&self, key: &PlainApiKey, known: &KnownKey) {
        let Some(new) = key.newer_digest(&known.digest, &self.peppers) else { return };
        if known.repeppering.swap(true, Ordering::Relaxed) {
            return;
        }
        let (store, tenant, id) = (self.store.clone(), known.tenant.id, key.id().clone());
        let (old, newest) = (known.digest.clone(), new.pepper_version);
        self.background.spawn("repepper", async move {
            match store.repepper_api_key(tenant, &id, &old, &new).await {
                Ok(stored) => tracing::info!(%tenant, key = %id, newest, stored, "a key was brought under a new pepper"),
                Err(error) => {
                    tracing::warn!(%tenant, key = %id, error = %Chain(&error), "a key stays under its old pepper for now");
                }
            }
        });
    }

    /// What stands against a key whose secret fits.
    fn obstacle(&self, sign_in: &SignIn, address: IpAddr) -> Option<AuthFailure> {
        let principal = &sign_in.principal;
        if principal.expires_at.is_some_and(|at| at <= self.clock.now()) {
            Some(AuthFailure::Expired)
        } else if sign_in.tenant.status != TenantStatus::Active {
            Some(AuthFailure::Suspended)
        } else if !principal.allows_address(address) {
            Some(AuthFailure::Blocked)
        } else {
            None
        }
    }

    /// Counts a guess. One log for each client network, whatever was guessed: an answer must not tell which key
    /// ids exist, and a good key is never locked out by someone else's guesses.
    async fn count_failure(
        &self,
        tenant: Option<Arc<Tenant>>,
        reason: AuthFailure,
        address: IpAddr,
    ) -> Refused {
        match self.record_guess(address).await {
            Ok(()) => Refused::of(tenant, reason),
            Err(error) => Refused::Invalid { tenant, reason: AuthFailure::Blocked, error },
        }
    }

    /// Counts a wrong guess of any secret, a key's or a link's; fails if its network has made too many.
    pub async fn record_guess(&self, address: IpAddr) -> Result<(), PublicError> {
        let guesses = Attempts::new(TenantId(Uuid::nil()), address);
        self.attempts.record_failure(&guesses).await
    }
}

impl Refused {
    fn of(tenant: Option<Arc<Tenant>>, reason: AuthFailure) -> Self {
        Self::Invalid { tenant, reason, error: Problem::unauthenticated_error() }
    }

    /// What the client is told. Where it might do better with another credential, `challenge` says which.
    pub fn problem(&self, challenge: HeaderValue) -> Problem {
        match self {
            Self::Invalid { error, .. } if error.code == ErrorCode::Unauthenticated => {
                Problem::unauthenticated(challenge)
            }
            Self::Invalid { error, .. } => error.clone().into(),
            Self::Unavailable(error) => error.public().into(),
            Self::Unverifiable(error) => Problem::new(error.clone()).challenging(challenge),
        }
    }

    /// What a client is told to be wrong with its credential.
    pub fn objection(&self) -> Objection {
        match self {
            Self::Invalid { reason: AuthFailure::Missing, .. } | Self::Unverifiable(_) => Objection::Missing,
            _ => Objection::InvalidToken,
        }
    }
}
