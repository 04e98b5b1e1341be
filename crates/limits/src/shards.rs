//! A map by principal, split over several locks, that forgets what is idle when it has doubled in size.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use stagedoor_domain::{TenantContext, TenantId};

const SHARDS: usize = 16;
const FIRST_SWEEP: usize = 1_024;

/// Who is counted. The tenant is part of the key, so that equal labels of two tenants never meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PrincipalKey {
    pub(crate) tenant: TenantId,
    pub(crate) principal: Box<str>,
}

impl PrincipalKey {
    pub(crate) fn of(ctx: &TenantContext) -> Self {
        Self { tenant: ctx.tenant_id(), principal: ctx.principal().label().into_boxed_str() }
    }
}

/// The map.
#[derive(Debug)]
pub(crate) struct Shards<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<V> {
    entries: HashMap<PrincipalKey, V>,
    sweep_at: usize,
}

impl<V: Default> Shards<V> {
    pub(crate) fn new() -> Self {
        let shard = || Mutex::new(Shard { entries: HashMap::new(), sweep_at: FIRST_SWEEP });
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    /// Runs `work` on the entry of `key`, alone. Before a new entry is made in a shard that has doubled since
    /// the last sweep, the entries that are `idle` are dropped.
    pub(crate) fn with<T>(
        &self,
        key: PrincipalKey,
        idle: impl Fn(&V) -> bool,
        work: impl FnOnce(&mut V) -> T,
    ) -> T {
        let index = usize::try_from(self.hasher.hash_one(&key) % SHARDS as u64).unwrap_or_default();
        let mut shard = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        if shard.entries.len() >= shard.sweep_at && !shard.entries.contains_key(&key) {
            shard.entries.retain(|_, value| !idle(value));
            shard.sweep_at = (shard.entries.len() * 2).max(FIRST_SWEEP);
        }
        work(shard.entries.entry(key).or_default())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum()
    }
}
