//! The vault: opened keys of tenants and people, made on first use, kept open for at most a minute, then wiped.

mod failures;
mod gate;
mod opened;
mod rotating;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use stagedoor_crypto::{DataKey, KekError, KekProvider, KeyOwner, SealContext, envelope};
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{Clock, Entropy, TenantContext, TenantId, UserId};
use uuid::Uuid;

use crate::data_keys::{self, WrappedKey};
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

pub use failures::VaultFailures;
pub use opened::OPEN_FOR;

use failures::FailureCounter;
use gate::Gate;
use opened::{Handle, OpenedKeys, Standing};

/// How long the key-encryption keys may take, however patient who provides them is.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens, makes and keeps keys. Shared by reference; needs the store outside of any transaction of the caller.
pub struct KeyVault {
    store: Store,
    provider: Arc<dyn KekProvider>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    opened: OpenedKeys,
    failures: FailureCounter,
    loading: Mutex<HashMap<(TenantId, Handle), Arc<Gate>>>,
}

impl KeyVault {
    /// A vault over `store`, whose tenants' keys `provider` wraps.
    pub fn new(
        store: Store,
        provider: Arc<dyn KekProvider>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (opened, loading) = (OpenedKeys::new(OPEN_FOR), Mutex::default());
        Self { store, provider, clock, entropy, opened, failures: FailureCounter::default(), loading }
    }

    /// The same with keys that stay open for another time, which is no longer than [`OPEN_FOR`]. Whoever rotates keys
    /// must know of it: a key seals for that much longer than it is active.
    #[must_use]
    pub fn with_memory(self, memory: Duration) -> Self {
        Self { opened: OpenedKeys::new(memory.min(OPEN_FOR)), ..self }
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
            None => self.failures.note(Box::pin(self.load_once(context, owner)).await),
        }
    }

    /// What did not open or could not be sealed since the start.
    pub fn failures(&self) -> VaultFailures {
        self.failures.read()
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
        match self.opened.standing(context.tenant_id(), Handle::ActiveOf(owner), self.clock.elapsed()) {
            Standing::Good => Ok(()),
            Standing::Closed => Box::pin(self.load_once(context, owner)).await.map(drop),
            Standing::Stale => match Box::pin(self.load_active(context, owner)).await {
                Err(error) if !error.is_transient() => {
                    // It was destroyed or damaged: nothing more is sealed under it.
                    self.opened.close(context.tenant_id(), Handle::ActiveOf(owner));
                    Err(error)
                }
                // An outage: the key that is open is good until its minute ends.
                _ => Ok(()),
            },
        }
    }

    async fn load_once(&self, context: &TenantContext, owner: KeyOwner) -> Result<Arc<DataKey>, StoreError> {
        let handle = Handle::ActiveOf(owner);
        let gate = self.gate(context, handle);
        gate.pass(|| self.cached(context, handle), Box::pin(self.load_active(context, owner))).await
    }

    fn gate(&self, context: &TenantContext, handle: Handle) -> Arc<Gate> {
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(loading.entry((context.tenant_id(), handle)).or_default())
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
        let open = async {
            let id = envelope::key_id(sealed).map_err(StoreError::unreadable(what))?;
            let key = match self.cached(context, Handle::Id(id)) {
                Some(key) => key,
                None => Box::pin(self.load_by_id(context, id)).await?,
            };
            key.open(place, sealed).map_err(StoreError::unreadable(what))
        };
        self.failures.note(open.await)
    }

    /// Whether no key of that id was ever there, although the owner's own key is at hand. Then it is not a key that is
    /// missing: whatever names it was altered.
    pub(crate) async fn names_no_key(
        &self,
        context: &TenantContext,
        owner: KeyOwner,
        id: Uuid,
    ) -> Result<bool, StoreError> {
        let look = async |tx: &mut TenantTransaction| {
            if data_keys::is_known(tx, id).await? {
                Ok(None)
            } else {
                data_keys::find_active(tx, owner).await
            }
        };
        match Box::pin(self.store.with_tenant(context, look)).await? {
            None => Ok(false),
            Some(active) => Box::pin(self.unwrap(context, &active)).await.map(|_| true),
        }
    }

    async fn load_by_id(&self, context: &TenantContext, id: Uuid) -> Result<Arc<DataKey>, StoreError> {
        let load = async {
            let row = self.find(context, id).await?;
            self.unwrap(context, &row).await
        };
        let gate = self.gate(context, Handle::Id(id));
        gate.pass(|| self.cached(context, Handle::Id(id)), Box::pin(load)).await
    }

    /// Wipes keys that were open for a minute. Every new key does this too; a timer makes the minute a promise.
    pub fn forget_expired(&self) {
        self.opened.forget_expired(self.clock.elapsed());
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        loading.retain(|_, gate| Arc::strong_count(gate) > 1);
    }

    /// Wipes the keys of a person that are open here, so that nothing more is sealed or opened with them.
    pub fn forget_person(&self, context: &TenantContext, user: UserId) {
        self.opened.close_of(context.tenant_id(), KeyOwner::Subject(user));
    }

    async fn make(&self, context: &TenantContext, owner: KeyOwner) -> Result<WrappedKey, StoreError> {
        let revision = 1;
        let key = DataKey::generate(uuid_v7(&*self.clock, &*self.entropy), owner, &*self.entropy);
        let (wrapped, wrapped_by) = self.wrap(context, &key, revision).await?;
        let row = WrappedKey { id: key.id(), owner, revision, wrapped, wrapped_by, indexes: None };
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
        let key = match row.owner {
            KeyOwner::Tenant => self.unwrap_tenant_key(context, row).await?,
            KeyOwner::Subject(user) => {
                let outer = Box::pin(self.outer_key(context, row.wrapped_by)).await?;
                let key = outer.unwrap(context.tenant_id(), row.id, user, row.revision, &row.wrapped);
                let altered = |_| StoreError::key_unavailable("a person's key")(KekError::Altered);
                Arc::new(with_indexes(context, key.map_err(altered)?, row)?)
            }
        };
        self.keep(context, Handle::Id(row.id), &key);
        Ok(key)
    }

    /// The key as it is stored, under the key that is above it now, and that key's id.
    async fn wrap(
        &self,
        context: &TenantContext,
        key: &DataKey,
        revision: i64,
    ) -> Result<(Vec<u8>, Uuid), StoreError> {
        let tenant = context.tenant_id();
        match key.owner() {
            KeyOwner::Tenant => {
                let wrap = bounded(self.provider.wrap(tenant, key, revision, &*self.entropy)).await;
                let wrap = wrap.map_err(StoreError::key_unavailable("a key to wrap a tenant's with"))?;
                Ok((wrap.bytes, wrap.wrapped_by))
            }
            KeyOwner::Subject(_) => {
                let outer = Box::pin(self.tenant_key(context)).await?;
                Ok((outer.wrap(tenant, key, revision, &*self.entropy), outer.id()))
            }
        }
    }

    async fn outer_key(&self, context: &TenantContext, id: Uuid) -> Result<Arc<DataKey>, StoreError> {
        let cached =
            || self.cached(context, Handle::Outer(id)).or_else(|| self.cached(context, Handle::Id(id)));
        if let Some(key) = cached() {
            return Ok(key);
        }
        let load = async {
            let row = self.find(context, id).await?;
            let key = self.unwrap_tenant_key(context, &row).await?;
            self.keep(context, Handle::Outer(id), &key);
            Ok(key)
        };
        self.gate(context, Handle::Outer(id)).pass(cached, Box::pin(load)).await
    }

    async fn unwrap_tenant_key(
        &self,
        context: &TenantContext,
        row: &WrappedKey,
    ) -> Result<Arc<DataKey>, StoreError> {
        let key = bounded(self.provider.unwrap(context.tenant_id(), row.id, row.revision, &row.wrapped));
        let key = key.await.map_err(StoreError::key_unavailable("a tenant's key"))?;
        Ok(Arc::new(with_indexes(context, key, row)?))
    }

    async fn find(&self, context: &TenantContext, id: Uuid) -> Result<WrappedKey, StoreError> {
        let found = self.store.with_tenant(context, async |tx| data_keys::find(tx, id).await).await?;
        found.ok_or(StoreError::Missing("data key"))
    }

    fn cached(&self, context: &TenantContext, handle: Handle) -> Option<Arc<DataKey>> {
        self.opened.get(context.tenant_id(), handle, self.clock.elapsed())
    }

    fn keep(&self, context: &TenantContext, handle: Handle, key: &Arc<DataKey>) {
        self.forget_expired();
        self.opened.keep(context.tenant_id(), handle, key, self.clock.elapsed());
    }
}

fn with_indexes(context: &TenantContext, key: DataKey, row: &WrappedKey) -> Result<DataKey, StoreError> {
    match &row.indexes {
        None => Ok(key),
        Some(sealed) => key
            .with_indexes(context.tenant_id(), sealed)
            .map_err(|_| StoreError::key_unavailable("a key's blind indexes")(KekError::Altered)),
    }
}

async fn bounded<T>(answer: impl Future<Output = Result<T, KekError>>) -> Result<T, KekError> {
    let late = |_| Err(KekError::unreachable("the key-encryption keys were not to be had in time"));
    tokio::time::timeout(PROVIDER_TIMEOUT, answer).await.unwrap_or_else(late)
}

impl fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVault")
            .field("provider", &self.provider)
            .field("open", &self.opened.count())
            .finish_non_exhaustive()
    }
}
