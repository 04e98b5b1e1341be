//! The API keys that this replica remembers, so that a call needs no query: found by their tenant's name and their id,
//! looked up again when their time is over or they were changed. Whether a presented key is the one, `authn` checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::future::Cache;
use stagedoor_crypto::ApiKeyDigest;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ApiKeyId, Clock, Principal, Tenant, TenantSlug};
use stagedoor_storage::{Store, StoreError, StoredApiKey};

use crate::key_use;
use crate::tenant_watch::{KeyStanding, SeenKey, TenantWatch};
use crate::turn::Turns;

/// How long a key that was found is not looked up again (SECURITY §2).
const FOUND_FOR: Duration = Duration::from_secs(30);
/// How long a key that was not found is not looked up again; short, because someone may be creating it.
const MISSING_FOR: Duration = Duration::from_secs(1);
/// Keys remembered at most.
const REMEMBERED: u64 = 100_000;

/// A key that exists, as it is remembered.
#[derive(Debug)]
pub(crate) struct KnownKey {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) tenant_revision: i64,
    pub(crate) principal: Arc<Principal>,
    pub(crate) digest: ApiKeyDigest,
    /// At which revision it was looked up, and since when nothing can have been missed.
    seen: SeenKey,
    looked_up_at: Duration,
    /// Somebody looks it up again.
    renewing: Turns,
    /// Somebody brings it under the newest pepper.
    pub(crate) repeppering: AtomicBool,
    /// Its use is to be noted; once for as long as it is remembered.
    unnoted: AtomicBool,
}

/// Keys by the name of their tenant and their id; `None` for those that are not there.
#[derive(Debug)]
pub(crate) struct KnownKeys {
    store: Store,
    clock: Arc<dyn Clock>,
    watch: Arc<TenantWatch>,
    known: Cache<Name, Option<Arc<KnownKey>>>,
}

type Name = (TenantSlug, ApiKeyId);

impl KnownKeys {
    /// None is known yet; `watch` knows what becomes of them.
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, watch: Arc<TenantWatch>) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).expire_after(Expiry).build();
        Self { store, clock, watch, known }
    }

    /// The key as it is now, as far as this replica can know.
    pub(crate) async fn find(
        &self,
        slug: TenantSlug,
        id: &ApiKeyId,
    ) -> Result<Option<Arc<KnownKey>>, Arc<StoreError>> {
        let name = (slug, id.clone());
        match self.known.get(&name).await {
            Some(Some(known)) if self.is_over(&known) => self.known.invalidate(&name).await,
            Some(Some(known)) => return Ok(self.renewed(name, known).await),
            Some(None) => return Ok(None),
            None => {}
        }
        let look_up = self.look_up(&name);
        match Box::pin(self.known.try_get_with_by_ref(&name, look_up)).await? {
            // Whoever looked may have begun before a change that is seen by now.
            Some(known) => Ok(self.renewed(name, known).await),
            None => Ok(None),
        }
    }

    /// Forgets a key, so that the next request looks it up again.
    pub(crate) async fn forget(&self, slug: &TenantSlug, key: &ApiKeyId) {
        self.known.invalidate(&(slug.clone(), key.clone())).await;
    }

    async fn look_up(&self, name: &Name) -> Result<Option<Arc<KnownKey>>, StoreError> {
        let (era, looked_up_at) = (self.watch.era(), self.clock.elapsed());
        let stored = self.store.find_api_key(&name.0, &name.1).await?;
        Ok(stored.map(|stored| KnownKey::new(stored, era, looked_up_at)))
    }

    /// By the clock that was handed in, beside the cache's own.
    fn is_over(&self, known: &KnownKey) -> bool {
        self.clock.elapsed().saturating_sub(known.looked_up_at) > FOUND_FOR
    }

    /// The key as it is now. A revoked one is refused as soon as that is seen; one that was changed is looked up by one
    /// request, while the others go by what is known until it has been. So do all while the database is away.
    async fn renewed(&self, name: Name, known: Arc<KnownKey>) -> Option<Arc<KnownKey>> {
        match self.watch.standing(known.tenant.id, &name.1, known.seen) {
            KeyStanding::Current => return Some(known),
            KeyStanding::Revoked => {
                self.known.insert(name, None).await;
                return None;
            }
            KeyStanding::Changed => {}
        }
        let Some(turn) = known.renewing.take() else { return Some(known) };
        match Box::pin(self.look_up(&name)).await {
            Ok(renewed) => {
                self.known.insert(name, renewed.clone()).await;
                turn.keep();
                renewed
            }
            Err(error) => {
                drop(turn);
                tracing::debug!(error = %Chain(&error), "a key could not be looked up again");
                Some(known)
            }
        }
    }
}

impl KnownKey {
    fn new(stored: StoredApiKey, era: u64, looked_up_at: Duration) -> Arc<Self> {
        Arc::new(Self {
            tenant: Arc::new(stored.tenant),
            tenant_revision: stored.tenant_revision,
            principal: Arc::new(stored.principal),
            digest: stored.digest,
            seen: SeenKey { revision: stored.key_revision, era },
            looked_up_at,
            renewing: Turns::default(),
            repeppering: AtomicBool::new(false),
            unnoted: AtomicBool::new(stored.unused.is_none_or(|unused| unused >= key_use::GAP)),
        })
    }

    /// Whether this use is to be noted: nobody has for a while, and no other request is about to.
    pub(crate) fn is_use_to_be_noted(&self) -> bool {
        self.unnoted.load(Ordering::Relaxed) && self.unnoted.swap(false, Ordering::Relaxed)
    }
}

struct Expiry;

impl moka::Expiry<Name, Option<Arc<KnownKey>>> for Expiry {
    fn expire_after_create(
        &self,
        _key: &Name,
        value: &Option<Arc<KnownKey>>,
        _created_at: std::time::Instant,
    ) -> Option<Duration> {
        Some(if value.is_some() { FOUND_FOR } else { MISSING_FOR })
    }
}
