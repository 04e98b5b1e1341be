//! Key → `Principal`: checks a key against its stored digest, counts failures. Which tenant the URL names is part of
//! the look-up, so a key of another tenant does not exist here. What a request's key is, `token_validator` reads. A key
//! that is stored under an older pepper is brought under the newest when it signs in: nobody else has its text.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderMap;
use moka::future::Cache;
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_crypto::{ApiKeyDigest, Peppers, PlainApiKey};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{
    ApiKeyId, Clock, ErrorCode, Principal, PublicError, Tenant, TenantId, TenantSlug, TenantStatus,
};
use stagedoor_limits::{AttemptGuard, Attempts};
use stagedoor_storage::{Store, StoreError, StoredApiKey};
use uuid::Uuid;

use crate::background::Background;
use crate::problem::Problem;
use crate::tenant_watch::TenantWatch;
use crate::token_validator::TokenValidator;

/// How long a key that was found is not looked up again (SECURITY §2).
const FOUND_FOR: Duration = Duration::from_secs(30);
/// How long a key that was not found is not looked up again; short, because someone may be creating it.
const MISSING_FOR: Duration = Duration::from_secs(2);
/// Keys remembered at most.
const REMEMBERED: u64 = 100_000;

/// Who signed in.
#[derive(Debug)]
pub struct SignIn {
    /// The tenant as it is now.
    pub tenant: Arc<Tenant>,
    /// The principal behind the key.
    pub principal: Arc<Principal>,
}

/// A key that exists, as it is remembered.
#[derive(Debug)]
struct KnownKey {
    tenant: Arc<Tenant>,
    tenant_revision: i64,
    principal: Arc<Principal>,
    digest: ApiKeyDigest,
    /// Somebody looks it up again.
    renewing: AtomicBool,
    /// Somebody brings it under the newest pepper.
    repeppering: AtomicBool,
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
    known: Cache<(TenantSlug, ApiKeyId), Option<Arc<KnownKey>>>,
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
    ) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).expire_after(Expiry).build();
        Self { store, peppers, attempts, clock, watch, background, known }
    }

    /// The tenant and principal of a request to the tenant that `slug` names.
    pub async fn sign_in(&self, slug: &str, headers: &HeaderMap, address: IpAddr) -> Result<SignIn, Refused> {
        // The checksum refuses made-up keys before anything is looked up.
        let key = TokenValidator.validate(headers).map_err(|reason| Refused::of(None, reason))?;
        let Ok(slug) = slug.parse::<TenantSlug>() else {
            return Err(Refused::of(None, AuthFailure::Unknown));
        };
        let found = self.find(slug.clone(), &key).await.map_err(Refused::Unavailable)?;
        let Some(known) = found else {
            return Err(self.count_failure(None, AuthFailure::Unknown, address).await);
        };
        let Some(known) = self.renewed(&slug, &key, known).await else {
            return Err(self.count_failure(None, AuthFailure::Unknown, address).await);
        };
        let tenant = self.watch.newest(&known.tenant, known.tenant_revision);
        if !key.verify(&known.digest, &self.peppers) {
            return Err(self.count_failure(Some(tenant), AuthFailure::WrongSecret, address).await);
        }
        let sign_in = SignIn { tenant, principal: Arc::clone(&known.principal) };
        match self.obstacle(&sign_in, address) {
            None => {
                self.repepper(&key, &known);
                Ok(sign_in)
            }
            Some(reason) => Err(Refused::of(Some(sign_in.tenant), reason)),
        }
    }

    /// Forgets a key, so that the next request looks it up again.
    pub async fn forget(&self, slug: &TenantSlug, key: &ApiKeyId) {
        self.known.invalidate(&(slug.clone(), key.clone())).await;
    }

    async fn find(
        &self,
        slug: TenantSlug,
        key: &PlainApiKey,
    ) -> Result<Option<Arc<KnownKey>>, Arc<StoreError>> {
        let name = (slug, key.id().clone());
        if let Some(known) = self.known.get(&name).await {
            return Ok(known);
        }
        let look_up = async {
            let stored = self.store.find_api_key(&name.0, &name.1).await?;
            Ok::<_, StoreError>(stored.map(KnownKey::new))
        };
        Box::pin(self.known.try_get_with_by_ref(&name, look_up)).await
    }

    /// The key as it is now, if its tenant was changed since it was looked up: a revocation counts within the second in
    /// which replicas see such changes. One request looks; the others go by what is known until it has. So do all while
    /// the database is away.
    async fn renewed(
        &self,
        slug: &TenantSlug,
        key: &PlainApiKey,
        known: Arc<KnownKey>,
    ) -> Option<Arc<KnownKey>> {
        let newest = self.watch.newest(&known.tenant, known.tenant_revision);
        if Arc::ptr_eq(&newest, &known.tenant) || known.renewing.swap(true, Ordering::Relaxed) {
            return Some(known);
        }
        match Box::pin(self.store.find_api_key(slug, key.id())).await {
            Ok(stored) => {
                let renewed = stored.map(KnownKey::new);
                self.known.insert((slug.clone(), key.id().clone()), renewed.clone()).await;
                renewed
            }
            Err(error) => {
                known.renewing.store(false, Ordering::Relaxed);
                tracing::debug!(error = %Chain(&error), "a key could not be looked up again");
                Some(known)
            }
        }
    }

    /// Brings a key under the newest pepper, beside the call that signed in with it. Once for as long as it is remembered:
    /// if the database is away, a later call does it.
    fn repepper(&self, key: &PlainApiKey, known: &KnownKey) {
        let newest = self.peppers.newest_version();
        if known.digest.pepper_version >= newest || known.repeppering.swap(true, Ordering::Relaxed) {
            return;
        }
        let (store, tenant, id) = (self.store.clone(), known.tenant.id, key.id().clone());
        let (old, new) = (known.digest.clone(), key.digest(&self.peppers));
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

impl KnownKey {
    fn new(stored: StoredApiKey) -> Arc<Self> {
        Arc::new(Self {
            tenant: Arc::new(stored.tenant),
            tenant_revision: stored.tenant_revision,
            principal: Arc::new(stored.principal),
            digest: stored.digest,
            renewing: AtomicBool::new(false),
            repeppering: AtomicBool::new(false),
        })
    }
}

impl Refused {
    fn of(tenant: Option<Arc<Tenant>>, reason: AuthFailure) -> Self {
        Self::Invalid { tenant, reason, error: Problem::unauthenticated_error() }
    }

    /// What the client is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Invalid { error, .. } if error.code == ErrorCode::Unauthenticated => {
                Problem::unauthenticated()
            }
            Self::Invalid { error, .. } => error.clone().into(),
            Self::Unavailable(error) => error.public().into(),
        }
    }
}

struct Expiry;

impl moka::Expiry<(TenantSlug, ApiKeyId), Option<Arc<KnownKey>>> for Expiry {
    fn expire_after_create(
        &self,
        _key: &(TenantSlug, ApiKeyId),
        value: &Option<Arc<KnownKey>>,
        _created_at: std::time::Instant,
    ) -> Option<Duration> {
        Some(if value.is_some() { FOUND_FOR } else { MISSING_FOR })
    }
}
