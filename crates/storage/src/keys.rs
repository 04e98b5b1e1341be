//! The vault: opened keys of tenants and people, made on first use, kept open for at most a minute, then wiped.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use stagedoor_crypto::{DataKey, KeyEncryptionKeys, KeyOwner, SealContext, envelope};
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{Clock, Entropy, TenantContext, TenantId, UserId};
use uuid::Uuid;

use crate::data_keys::{self, WrappedKey};
use crate::error::StoreError;
use crate::store::Store;

/// How long a key stays open. An erased person's data is unreadable everywhere after this.
pub const OPEN_FOR: Duration = Duration::from_mins(1);

/// How old a key gets before the next call looks whether it still opens, so that calls of a database that went away
/// just now find keys which are good for a while.
const FRESH_FOR: Duration = Duration::from_secs(30);
/// How long such a look is left to the one call that has begun it.
const LOOK_FOR: Duration = Duration::from_secs(5);

/// Opens, makes and keeps keys. Shared by reference; needs the store outside of any transaction of the caller.
pub struct KeyVault {
    store: Store,
    key_encryption_keys: KeyEncryptionKeys,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    opened: Mutex<HashMap<(TenantId, Handle), Opened>>,
    loading: Mutex<HashMap<(TenantId, KeyOwner), Arc<Gate>>>,
}

/// Lets one call at a time load a key; those behind it find what it loaded, or share its outage.
#[derive(Default)]
struct Gate {
    turn: tokio::sync::Mutex<()>,
    outages: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Handle {
    ActiveOf(KeyOwner),
    Id(Uuid),
}

struct Opened {
    key: Arc<DataKey>,
    at: Duration,
    /// When a call last set out to read it again.
    looked_at: Duration,
}

enum Standing {
    Good,
    /// Good, but it is this call's turn to read it again.
    Stale,
    Closed,
}

impl KeyVault {
    /// A vault over `store`.
    pub fn new(
        store: Store,
        key_encryption_keys: KeyEncryptionKeys,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            key_encryption_keys,
            clock,
            entropy,
            opened: Mutex::default(),
            loading: Mutex::default(),
        }
    }

    /// The store that it reads.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock it was handed.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The randomness it was handed.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// The tenant's key; made if there is none.
    pub async fn tenant_key(&self, context: &TenantContext) -> Result<Arc<DataKey>, StoreError> {
        self.active_key(context, KeyOwner::Tenant).await
    }

    /// A person's key; made if there is none.
    pub async fn subject_key(
        &self,
        context: &TenantContext,
        user: UserId,
    ) -> Result<Arc<DataKey>, StoreError> {
        self.active_key(context, KeyOwner::Subject(user)).await
    }

    /// The key that seals for `owner` now; made if there is none.
    pub async fn active_key(
        &self,
        context: &TenantContext,
        owner: KeyOwner,
    ) -> Result<Arc<DataKey>, StoreError> {
        match self.cached(context, Handle::ActiveOf(owner)) {
            Some(key) => Ok(key),
            None => Box::pin(self.load_once(context, owner)).await,
        }
    }

    /// Makes sure that what is sealed for `owner` now can be: its key and the tenant's open, and did so within the
    /// last minute. Costs two look-ups under a lock as long as they are fresh.
    pub async fn ensure_open(&self, context: &TenantContext, owner: KeyOwner) -> Result<(), StoreError> {
        self.ensure_one(context, KeyOwner::Tenant).await?;
        if owner != KeyOwner::Tenant {
            self.ensure_one(context, owner).await?;
        }
        Ok(())
    }

    async fn ensure_one(&self, context: &TenantContext, owner: KeyOwner) -> Result<(), StoreError> {
        match self.standing(context, owner) {
            Standing::Good => Ok(()),
            Standing::Closed => Box::pin(self.load_once(context, owner)).await.map(drop),
            Standing::Stale => match Box::pin(self.load_active(context, owner)).await {
                Err(error) if !error.is_transient() => {
                    // It was destroyed or damaged: nothing more is sealed under it.
                    self.lock().remove(&(context.tenant_id(), Handle::ActiveOf(owner)));
                    Err(error)
                }
                // An outage: the key that is open is good until its minute ends.
                _ => Ok(()),
            },
        }
    }

    fn standing(&self, context: &TenantContext, owner: KeyOwner) -> Standing {
        let now = self.clock.elapsed();
        let mut opened = self.lock();
        let Some(found) = opened.get_mut(&(context.tenant_id(), Handle::ActiveOf(owner))) else {
            return Standing::Closed;
        };
        let age = now.saturating_sub(found.at);
        if age >= OPEN_FOR {
            Standing::Closed
        } else if age >= FRESH_FOR && now.saturating_sub(found.looked_at) >= LOOK_FOR {
            found.looked_at = now;
            Standing::Stale
        } else {
            Standing::Good
        }
    }

    async fn load_once(&self, context: &TenantContext, owner: KeyOwner) -> Result<Arc<DataKey>, StoreError> {
        let gate = self.gate(context, owner);
        let outages = gate.outages.load(Ordering::Acquire);
        let _turn = gate.turn.lock().await;
        if let Some(key) = self.cached(context, Handle::ActiveOf(owner)) {
            return Ok(key);
        }
        if gate.outages.load(Ordering::Acquire) != outages {
            return Err(StoreError::TimedOut);
        }
        let outcome = self.load_active(context, owner).await;
        if outcome.as_ref().is_err_and(StoreError::is_transient) {
            gate.outages.fetch_add(1, Ordering::AcqRel);
        }
        outcome
    }

    fn gate(&self, context: &TenantContext, owner: KeyOwner) -> Arc<Gate> {
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(loading.entry((context.tenant_id(), owner)).or_default())
    }

    async fn load_active(
        &self,
        context: &TenantContext,
        owner: KeyOwner,
    ) -> Result<Arc<DataKey>, StoreError> {
        let found =
            self.store.with_tenant(context, async |tx| data_keys::find_active(tx, owner).await).await?;
        let row = match found {
            Some(row) => row,
            None => self.make(context, owner).await?,
        };
        let key = self.unwrap(context, &row).await?;
        self.keep(context, Handle::ActiveOf(owner), &key);
        Ok(key)
    }

    /// Seals `plaintext` for one place under the owner's key.
    pub async fn seal(
        &self,
        context: &TenantContext,
        owner: KeyOwner,
        place: &SealContext,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        Ok(self.active_key(context, owner).await?.seal(place, plaintext, &*self.entropy))
    }

    /// Opens what was sealed for that place, under whichever of the tenant's keys; `what` names it in the error.
    pub async fn open(
        &self,
        context: &TenantContext,
        place: &SealContext,
        sealed: &[u8],
        what: &'static str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let id = envelope::key_id(sealed).map_err(StoreError::unreadable(what))?;
        let key = if let Some(key) = self.cached(context, Handle::Id(id)) {
            key
        } else {
            let row = self.find(context, id).await?;
            self.unwrap(context, &row).await?
        };
        key.open(place, sealed).map_err(StoreError::unreadable(what))
    }

    /// Wipes keys that were open for a minute. Every new key does this too; a timer makes the minute a promise.
    pub fn forget_expired(&self) {
        let now = self.clock.elapsed();
        self.lock().retain(|_, opened| now.saturating_sub(opened.at) < OPEN_FOR);
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        loading.retain(|_, gate| Arc::strong_count(gate) > 1);
    }

    async fn make(&self, context: &TenantContext, owner: KeyOwner) -> Result<WrappedKey, StoreError> {
        let (tenant, revision) = (context.tenant_id(), 1);
        let key = DataKey::generate(uuid_v7(&*self.clock, &*self.entropy), owner, &*self.entropy);
        let (wrapped, wrapped_by) = match owner {
            KeyOwner::Tenant => {
                let keks = &self.key_encryption_keys;
                (keks.wrap(tenant, &key, revision, &*self.entropy), keks.active_id())
            }
            KeyOwner::Subject(_) => {
                let outer = Box::pin(self.tenant_key(context)).await?;
                (outer.wrap(tenant, &key, revision, &*self.entropy), outer.id())
            }
        };
        let row = WrappedKey { id: key.id(), owner, revision, wrapped, wrapped_by };
        // Another replica may have been faster: what is stored counts, not what was made here.
        let stored = self
            .store
            .with_tenant(context, async |tx| {
                data_keys::insert_active(tx, &row).await?;
                data_keys::find_active(tx, owner).await
            })
            .await?;
        stored.ok_or(StoreError::Missing("data key"))
    }

    async fn unwrap(&self, context: &TenantContext, row: &WrappedKey) -> Result<Arc<DataKey>, StoreError> {
        let tenant = context.tenant_id();
        let key = match row.owner {
            KeyOwner::Tenant => self.key_encryption_keys.unwrap(tenant, row.id, row.revision, &row.wrapped),
            KeyOwner::Subject(user) => {
                let outer = self.tenant_key_by_id(context, row.wrapped_by).await?;
                outer.unwrap(tenant, row.id, user, row.revision, &row.wrapped)
            }
        };
        let key = Arc::new(key.map_err(StoreError::unreadable("a data key"))?);
        self.keep(context, Handle::Id(row.id), &key);
        Ok(key)
    }

    async fn tenant_key_by_id(&self, context: &TenantContext, id: Uuid) -> Result<Arc<DataKey>, StoreError> {
        if let Some(key) = self.cached(context, Handle::Id(id)) {
            return Ok(key);
        }
        let row = self.find(context, id).await?;
        let key = self.key_encryption_keys.unwrap(context.tenant_id(), row.id, row.revision, &row.wrapped);
        let key = Arc::new(key.map_err(StoreError::unreadable("a tenant's key"))?);
        self.keep(context, Handle::Id(id), &key);
        Ok(key)
    }

    async fn find(&self, context: &TenantContext, id: Uuid) -> Result<WrappedKey, StoreError> {
        let found = self.store.with_tenant(context, async |tx| data_keys::find(tx, id).await).await?;
        found.ok_or(StoreError::Missing("data key"))
    }

    fn cached(&self, context: &TenantContext, handle: Handle) -> Option<Arc<DataKey>> {
        let now = self.clock.elapsed();
        let opened = self.lock();
        let found = opened.get(&(context.tenant_id(), handle))?;
        (now.saturating_sub(found.at) < OPEN_FOR).then(|| found.key.clone())
    }

    fn keep(&self, context: &TenantContext, handle: Handle, key: &Arc<DataKey>) {
        self.forget_expired();
        let now = self.clock.elapsed();
        let opened = Opened { key: key.clone(), at: now, looked_at: now };
        self.lock().insert((context.tenant_id(), handle), opened);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(TenantId, Handle), Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVault")
            .field("key_encryption_keys", &self.key_encryption_keys)
            .field("open", &self.lock().len())
            .finish_non_exhaustive()
    }
}
