//! A map by tenant and principal, split over several locks by tenant, that forgets what is idle when it has doubled.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{TenantContext, TenantId};

const SHARDS: usize = 16;
const FIRST_SWEEP: usize = 1_024;

/// What may be forgotten once it is idle: forgetting it changes no decision.
pub(crate) trait Idle: Default {
    /// Whether it is idle at `now`.
    fn is_idle(&self, now: Duration) -> bool;
}

impl Idle for () {
    fn is_idle(&self, _now: Duration) -> bool {
        true
    }
}

/// What is kept for a tenant, and for each of its principals. One lock covers both, so that a call can be checked
/// against all of its buckets before any of them is charged.
#[derive(Debug)]
pub(crate) struct Shards<T, P> {
    shards: Box<[Mutex<Shard<T, P>>]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<T, P> {
    tenants: HashMap<TenantId, Entry<T, P>>,
    principals: usize,
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry<T, P> {
    tenant: T,
    principals: HashMap<PrincipalKind, P>,
}

impl<T: Idle, P: Idle> Shards<T, P> {
    pub(crate) fn new() -> Self {
        let shard = || Mutex::new(Shard { tenants: HashMap::new(), principals: 0, sweep_at: FIRST_SWEEP });
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    /// Runs `work` on what is kept for the context's tenant and principal, alone. Before a new principal is added to a
    /// shard that has doubled since the last sweep, those that are idle at `now` are dropped.
    pub(crate) fn with<R>(
        &self,
        ctx: &TenantContext,
        now: Duration,
        work: impl FnOnce(&mut T, &mut P) -> R,
    ) -> R {
        let (tenant, principal) = (ctx.tenant_id(), &ctx.principal().kind);
        let mut shard = self.shard(tenant);
        if let Some(entry) = shard.tenants.get_mut(&tenant)
            && let Some(kept) = entry.principals.get_mut(principal)
        {
            return work(&mut entry.tenant, kept);
        }
        shard.make_room(now);
        shard.principals += 1;
        let entry = shard
            .tenants
            .entry(tenant)
            .or_insert_with(|| Entry { tenant: T::default(), principals: HashMap::new() });
        work(&mut entry.tenant, entry.principals.entry(principal.clone()).or_default())
    }

    /// Runs `work` on everything that is kept, a lock at a time.
    pub(crate) fn each(&self, mut work: impl FnMut(TenantId, &mut T, &mut HashMap<PrincipalKind, P>)) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (tenant, entry) in &mut shard.tenants {
                work(*tenant, &mut entry.tenant, &mut entry.principals);
            }
        }
    }

    /// Runs `work` on what is kept for the tenant, and for `principal` if one is named; not if nothing is.
    pub(crate) fn known(
        &self,
        tenant: TenantId,
        principal: Option<&PrincipalKind>,
        work: impl FnOnce(&mut T, Option<&mut P>),
    ) {
        let mut shard = self.shard(tenant);
        let Some(entry) = shard.tenants.get_mut(&tenant) else { return };
        match principal.map(|principal| entry.principals.get_mut(principal)) {
            None => work(&mut entry.tenant, None),
            Some(Some(kept)) => work(&mut entry.tenant, Some(kept)),
            Some(None) => {}
        }
    }

    /// Drops what is kept for some principals of a tenant, idle or not.
    pub(crate) fn forget(&self, tenant: TenantId, principals: &[PrincipalKind]) {
        let mut shard = self.shard(tenant);
        let Some(entry) = shard.tenants.get_mut(&tenant) else { return };
        let before = entry.principals.len();
        for principal in principals {
            entry.principals.remove(principal);
        }
        let gone = before - entry.principals.len();
        shard.principals -= gone;
    }

    /// Drops what is idle at `now`.
    pub(crate) fn sweep(&self, now: Duration) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).sweep(now);
        }
    }

    fn shard(&self, tenant: TenantId) -> MutexGuard<'_, Shard<T, P>> {
        let index = usize::try_from(self.hasher.hash_one(tenant) % SHARDS as u64).unwrap_or_default();
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().principals).sum()
    }
}

impl<T: Idle, P: Idle> Shard<T, P> {
    fn make_room(&mut self, now: Duration) {
        if self.principals >= self.sweep_at {
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Duration) {
        self.tenants.retain(|_, entry| {
            entry.principals.retain(|_, kept| !kept.is_idle(now));
            !(entry.principals.is_empty() && entry.tenant.is_idle(now))
        });
        self.principals = self.tenants.values().map(|entry| entry.principals.len()).sum();
        self.sweep_at = (self.principals * 2).max(FIRST_SWEEP);
    }
}
