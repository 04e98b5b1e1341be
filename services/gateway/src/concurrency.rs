//! How many requests are under way: bounded for each tenant, so that none takes a whole replica, and for the replica,
//! which sheds load rather than make everyone slow. Open streams count until they end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use stagedoor_domain::{ErrorCode, LimitDetail, LimitScope, PublicError, TenantContext, TenantId};

/// The name that a tenant's bound has in refusals and among its violations.
pub const LIMIT_NAME: &str = "concurrent-calls";

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Tenants whose counters are kept before those that have nothing under way are forgotten.
const REMEMBERED: usize = 4_096;

/// The places of one replica.
#[derive(Debug)]
pub struct Concurrency {
    most: u32,
    share: u32,
    taken: Arc<AtomicU32>,
    tenants: RwLock<HashMap<TenantId, Arc<AtomicU32>>>,
    refused_tenant: AtomicU64,
    refused_replica: AtomicU64,
}

/// The place of one request, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _of_replica: Place,
    _of_tenant: Place,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrencyCounts {
    /// Requests under way.
    pub in_flight: u32,
    /// Requests refused because their tenant had enough under way.
    pub refused_tenant: u64,
    /// Requests refused because the replica had enough under way.
    pub refused_replica: u64,
}

#[derive(Debug)]
struct Place(Arc<AtomicU32>);

impl Concurrency {
    /// `most` requests at a time, of which a tenant may have `share_percent` unless its settings say otherwise; one
    /// place at least.
    pub fn new(most: u32, share_percent: u32) -> Self {
        let share = u64::from(most) * u64::from(share_percent.min(100)) / 100;
        Self {
            most,
            share: u32::try_from(share).unwrap_or(most).max(1),
            taken: Arc::default(),
            tenants: RwLock::default(),
            refused_tenant: AtomicU64::new(0),
            refused_replica: AtomicU64::new(0),
        }
    }

    /// A place for one request, or why there is none.
    pub fn enter(&self, ctx: &TenantContext) -> Result<Permit, Box<PublicError>> {
        let Some(replica) = Place::take(&self.taken, self.most) else {
            self.refused_replica.fetch_add(1, Ordering::Relaxed);
            return Err(Box::new(replica_is_full()));
        };
        let most = ctx.tenant().settings.concurrent_calls.unwrap_or(self.share);
        let Some(tenant) = Place::take(&self.counter(ctx.tenant_id()), most) else {
            self.refused_tenant.fetch_add(1, Ordering::Relaxed);
            return Err(Box::new(tenant_has_enough(most)));
        };
        Ok(Permit { _of_replica: replica, _of_tenant: tenant })
    }

    /// Whether more than half of the replica's places are taken: then nothing is done that nobody waits for.
    pub fn is_busy(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.most / 2
    }

    /// What is counted.
    pub fn counts(&self) -> ConcurrencyCounts {
        ConcurrencyCounts {
            in_flight: self.taken.load(Ordering::Relaxed),
            refused_tenant: self.refused_tenant.load(Ordering::Relaxed),
            refused_replica: self.refused_replica.load(Ordering::Relaxed),
        }
    }

    fn counter(&self, tenant: TenantId) -> Arc<AtomicU32> {
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        known.unwrap_or_else(|| {
            let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
            if tenants.len() >= REMEMBERED {
                // Whoever holds a place, or is about to take one, holds the counter too.
                tenants.retain(|_, counter| Arc::strong_count(counter) > 1);
            }
            Arc::clone(tenants.entry(tenant).or_default())
        })
    }
}

impl Place {
    fn take(counter: &Arc<AtomicU32>, most: u32) -> Option<Self> {
        let one_more = |taken: u32| (taken < most).then_some(taken + 1);
        let taken = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.ok().map(|_| Self(Arc::clone(counter)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn tenant_has_enough(most: u32) -> PublicError {
    let message = format!("This tenant has {most} calls under way, as many as it may have at a time.");
    PublicError::new(ErrorCode::Overloaded, message)
        .hint("Wait until some of your calls have ended, then try again; make fewer at a time.")
        .retry_after(RETRY_AFTER)
        .limit(LimitDetail {
            name: LIMIT_NAME.to_owned(),
            scope: LimitScope::Tenant,
            capacity: most,
            window_seconds: 0,
            remaining: 0,
            full_in_seconds: 0,
        })
}

fn replica_is_full() -> PublicError {
    PublicError::new(ErrorCode::Overloaded, "The gateway has as many calls under way as it can bear.")
        .hint("Nothing was done. Try again in a second.")
        .retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::SystemEntropy;
    use stagedoor_domain::{CallId, SystemClock, Tenant, TenantSettings, TenantStatus};

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "tests build contexts")]
    fn tenant(concurrent_calls: Option<u32>) -> TenantContext {
        let (clock, entropy) = (SystemClock::new(), SystemEntropy);
        let tenant = Tenant {
            id: TenantId::generate(&clock, &entropy),
            slug: "acme".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings { concurrent_calls, ..TenantSettings::default() },
        };
        TenantContext::for_job(Arc::new(tenant), "test", CallId::generate(&clock, &entropy))
    }

    /// How many places the tenant and the replica have taken.
    fn taken(places: &Concurrency, ctx: &TenantContext) -> (u32, u32) {
        let of_tenant = places.counter(ctx.tenant_id()).load(Ordering::Relaxed);
        (of_tenant, places.counts().in_flight)
    }

    #[test]
    fn a_tenant_has_its_share_and_gets_it_back() {
        let places = Concurrency::new(8, 25);
        let (busy, other) = (tenant(None), tenant(None));
        let first = places.enter(&busy).unwrap();
        let second = places.enter(&busy).unwrap();
        assert_eq!(taken(&places, &busy), (2, 2));
        let refused = places.enter(&busy).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (ErrorCode::Overloaded, Some(RETRY_AFTER)));
        let limit = refused.limit.unwrap();
        assert_eq!((&*limit.name, limit.scope, limit.capacity), (LIMIT_NAME, LimitScope::Tenant, 2));
        assert_eq!(taken(&places, &busy), (2, 2), "the refused one holds nothing");
        let another = places.enter(&other).unwrap();
        assert_eq!(taken(&places, &other), (1, 3));
        drop((first, another));
        let third = places.enter(&busy).unwrap();
        assert_eq!(taken(&places, &busy), (2, 2));
        drop((second, third));
        let counts = ConcurrencyCounts { in_flight: 0, refused_tenant: 1, refused_replica: 0 };
        assert_eq!(places.counts(), counts);
    }

    #[test]
    fn a_tenants_own_bound_goes_first_and_the_replicas_holds_for_all() {
        let places = Concurrency::new(4, 25);
        let wide = tenant(Some(100));
        let held: Vec<_> = (0..4).map(|_| places.enter(&wide).unwrap()).collect();
        assert!(places.is_busy());
        let refused = places.enter(&tenant(None)).unwrap_err();
        assert_eq!((refused.code, refused.limit), (ErrorCode::Overloaded, None));
        drop(held);
        assert!(!places.is_busy());
        assert!(places.enter(&tenant(Some(0))).is_err(), "a tenant may be closed");
        assert_eq!(places.counts().in_flight, 0);
    }

    #[test]
    fn many_threads_never_hold_more_than_there_are() {
        let places = Concurrency::new(1_000, 1);
        let (ctx, inside, highest) = (tenant(None), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let Ok(permit) = places.enter(&ctx) else { continue };
                        highest.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!((1..=10).contains(&highest.into_inner()));
        assert_eq!(taken(&places, &ctx), (0, 0));
    }

    #[test]
    fn tenants_that_are_quiet_are_forgotten() {
        let places = Concurrency::new(8, 100);
        let held = tenant(None);
        let permit = places.enter(&held).unwrap();
        for _ in 0..2 * REMEMBERED {
            drop(places.enter(&tenant(None)).unwrap());
        }
        assert!(places.tenants.read().unwrap().len() <= REMEMBERED);
        assert_eq!(taken(&places, &held), (1, 1), "whoever has calls under way is not");
        drop(permit);
    }
}
