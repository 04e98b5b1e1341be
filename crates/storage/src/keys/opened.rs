//! The keys that are open now: kept for at most a minute, wiped when dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_crypto::{DataKey, KeyOwner};
use stagedoor_domain::TenantId;
use uuid::Uuid;

/// How long a key stays open at most. An erased person's data is unreadable everywhere after this.
pub const OPEN_FOR: Duration = Duration::from_mins(1);

/// How long such a look is left to the one call that has begun it.
const LOOK_FOR: Duration = Duration::from_secs(5);

/// By what a key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Handle {
    /// The key that seals for an owner now.
    ActiveOf(KeyOwner),
    /// The key of that id.
    Id(Uuid),
    /// The tenant's key of that id, to unwrap a person's with.
    Outer(Uuid),
}

/// Opened keys of all tenants.
pub(super) struct OpenedKeys {
    keys: Mutex<HashMap<(TenantId, Handle), Opened>>,
    memory: Duration,
}

struct Opened {
    key: Arc<DataKey>,
    at: Duration,
    /// When a call last set out to read it again.
    looked_at: Duration,
}

/// How good what is open still is.
pub(super) enum Standing {
    Good,
    /// Good, but it is this call's turn to read it again.
    Stale,
    Closed,
}

impl OpenedKeys {
    pub(super) fn new(memory: Duration) -> Self {
        Self { keys: Mutex::default(), memory }
    }

    pub(super) fn memory(&self) -> Duration {
        self.memory
    }

    /// How old a key gets before the next call looks whether it still opens, so that calls of a database that went away
    /// just now find keys which are good for a while.
    fn fresh_for(&self) -> Duration {
        self.memory / 2
    }

    pub(super) fn get(&self, tenant: TenantId, handle: Handle, now: Duration) -> Option<Arc<DataKey>> {
        let opened = self.lock();
        let found = opened.get(&(tenant, handle))?;
        (now.saturating_sub(found.at) < self.memory).then(|| found.key.clone())
    }

    pub(super) fn standing(&self, tenant: TenantId, handle: Handle, now: Duration) -> Standing {
        let mut opened = self.lock();
        let Some(found) = opened.get_mut(&(tenant, handle)) else { return Standing::Closed };
        let age = now.saturating_sub(found.at);
        if age >= self.memory {
            Standing::Closed
        } else if age >= self.fresh_for() && now.saturating_sub(found.looked_at) >= LOOK_FOR {
            found.looked_at = now;
            Standing::Stale
        } else {
            Standing::Good
        }
    }

    pub(super) fn keep(&self, tenant: TenantId, handle: Handle, key: &Arc<DataKey>, now: Duration) {
        self.lock().insert((tenant, handle), Opened { key: key.clone(), at: now, looked_at: now });
    }

    pub(super) fn close(&self, tenant: TenantId, handle: Handle) {
        self.lock().remove(&(tenant, handle));
    }

    pub(super) fn close_of(&self, tenant: TenantId, owner: KeyOwner) {
        self.lock().retain(|(of, _), opened| *of != tenant || opened.key.owner() != owner);
    }

    pub(super) fn forget_expired(&self, now: Duration) {
        self.lock().retain(|_, opened| now.saturating_sub(opened.at) < self.memory);
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, Handle), Opened>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
