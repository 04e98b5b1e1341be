//! How many requests are under way: bounded for each tenant, so that none takes a whole replica, and for the replica,
//! which sheds load rather than make everyone slow. Half of a tenant's places at most are one principal's,
//! unless they are few. Answers that are streams count until they end; `subscriptions/listen`, which does nothing but
//! wait, has places of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use stagedoor_domain::{
    ErrorCode, LimitDetail, LimitScope, PrincipalKind, PublicError, TenantContext, TenantId,
};

/// The name that a tenant's bound has in refusals and among its violations.
pub const LIMIT_NAME: &str = "concurrent-calls";
/// The same for streams of `subscriptions/listen`.
pub const LISTEN_LIMIT_NAME: &str = "concurrent-listens";

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Counters that are kept before those that count nothing are forgotten.
const REMEMBERED: usize = 8_192;

/// Places of a tenant that one principal may always have.
const INDIVISIBLE: u32 = 8;

/// Streams that only wait, for each place of a request.
const LISTENS: u32 = 4;

/// The places of one replica.
#[derive(Debug)]
pub struct Concurrency {
    calls: Places,
    listens: Places,
    refused_tenant: AtomicU64,
    refused_replica: AtomicU64,
}

/// The place of one request, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _places: [Place; 3],
}

/// Places of one kind.
#[derive(Debug)]
struct Places {
    limit: &'static str,
    most: u32,
    share: u32,
    taken: Arc<AtomicU32>,
    counters: RwLock<HashMap<Holder, Arc<AtomicU32>>>,
}

/// A tenant, or one of its principals.
type Holder = (TenantId, Option<PrincipalKind>);

/// Why there is no place.
#[derive(Debug, Clone, Copy)]
enum Full {
    Replica,
    Tenant(u32),
    Principal(u32),
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
        let share = u32::try_from(share).unwrap_or(most).max(1);
        Self {
            calls: Places::new(LIMIT_NAME, most, share),
            listens: Places::new(
                LISTEN_LIMIT_NAME,
                most.saturating_mul(LISTENS),
                share.saturating_mul(LISTENS),
            ),
            refused_tenant: AtomicU64::new(0),
            refused_replica: AtomicU64::new(0),
        }
    }

    /// A place for one request, or why there is none.
    pub fn enter(&self, ctx: &TenantContext) -> Result<Permit, Box<PublicError>> {
        let of_tenant = ctx.tenant().settings.concurrent_calls.unwrap_or(self.calls.share);
        let who = (ctx.tenant_id(), &ctx.principal().kind);
        self.calls.take(who, of_tenant).map_err(|full| self.refuse(&self.calls, full).into())
    }

    /// The same for a caller who has no context yet.
    pub fn enter_as(&self, tenant: TenantId, principal: &PrincipalKind) -> Result<Permit, Box<PublicError>> {
        let taken = self.calls.take((tenant, principal), self.calls.share);
        taken.map_err(|full| self.refuse(&self.calls, full).into())
    }

    /// A place for one stream that only waits, or why there is none: there are four for each that requests have, which
    /// a tenant's settings do not change.
    pub fn listen(&self, ctx: &TenantContext) -> Result<Permit, Box<PublicError>> {
        let who = (ctx.tenant_id(), &ctx.principal().kind);
        self.listens.take(who, self.listens.share).map_err(|full| self.refuse(&self.listens, full).into())
    }

    /// Whether more than half of the replica's places are taken: then nothing is done that nobody waits for.
    pub fn is_busy(&self) -> bool {
        self.calls.taken.load(Ordering::Relaxed) > self.calls.most / 2
    }

    /// What is counted.
    pub fn counts(&self) -> ConcurrencyCounts {
        ConcurrencyCounts {
            in_flight: self.calls.taken.load(Ordering::Relaxed),
            refused_tenant: self.refused_tenant.load(Ordering::Relaxed),
            refused_replica: self.refused_replica.load(Ordering::Relaxed),
        }
    }

    fn refuse(&self, places: &Places, full: Full) -> PublicError {
        let counter = match full {
            Full::Replica => &self.refused_replica,
            Full::Tenant(_) | Full::Principal(_) => &self.refused_tenant,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        match full {
            Full::Replica => replica_is_full(),
            Full::Tenant(most) => has_enough(places.limit, LimitScope::Tenant, most),
            Full::Principal(most) => has_enough(places.limit, LimitScope::Principal, most),
        }
    }
}

impl Places {
    fn new(limit: &'static str, most: u32, share: u32) -> Self {
        Self { limit, most, share, taken: Arc::default(), counters: RwLock::default() }
    }

    fn take(&self, (tenant, principal): (TenantId, &PrincipalKind), of_tenant: u32) -> Result<Permit, Full> {
        let replica = Place::take(&self.taken, self.most).ok_or(Full::Replica)?;
        let of_all = Place::take(&self.counter(tenant, None), of_tenant).ok_or(Full::Tenant(of_tenant))?;
        // A key whose service is slow leaves room for the tenant's others.
        let of_principal = of_tenant.div_ceil(2).max(INDIVISIBLE);
        let own = Place::take(&self.counter(tenant, Some(principal)), of_principal)
            .ok_or(Full::Principal(of_principal))?;
        Ok(Permit { _places: [replica, of_all, own] })
    }

    fn counter(&self, tenant: TenantId, principal: Option<&PrincipalKind>) -> Arc<AtomicU32> {
        let whose = (tenant, principal.cloned());
        let known = self.counters.read().unwrap_or_else(PoisonError::into_inner).get(&whose).cloned();
        known.unwrap_or_else(|| {
            let mut counters = self.counters.write().unwrap_or_else(PoisonError::into_inner);
            if counters.len() >= REMEMBERED {
                // Whoever holds a place, or is about to take one, holds the counter too.
                counters.retain(|_, counter| Arc::strong_count(counter) > 1);
            }
            Arc::clone(counters.entry(whose).or_default())
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

fn has_enough(limit: &str, scope: LimitScope, most: u32) -> PublicError {
    let whose = match scope {
        LimitScope::Tenant => "This tenant",
        LimitScope::Principal => "This key",
    };
    let message = format!("{whose} has {most} calls under way, as many as it may have at a time.");
    PublicError::new(ErrorCode::Overloaded, message)
        .hint("Wait until some of your calls have ended, then try again; make fewer at a time.")
        .retry_after(RETRY_AFTER)
        .limit(LimitDetail {
            name: limit.to_owned(),
            scope,
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
    use stagedoor_domain::{
        CallId, LinkAttemptId, SystemClock, Tenant, TenantSettings, TenantStatus, UserId,
    };

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
        let of_tenant = places.calls.counter(ctx.tenant_id(), None).load(Ordering::Relaxed);
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
    #[expect(clippy::disallowed_methods, reason = "tests build contexts")]
    fn one_principal_leaves_room_for_the_tenants_others() {
        let places = Concurrency::new(100, 20);
        let slow = tenant(None);
        let other = {
            let (clock, entropy) = (SystemClock::new(), SystemEntropy);
            let (attempt, user) =
                (LinkAttemptId::generate(&clock, &entropy), UserId::generate(&clock, &entropy));
            TenantContext::for_link_page(
                Arc::new(slow.tenant().clone()),
                attempt,
                user,
                CallId::generate(&clock, &entropy),
            )
        };
        let mut held: Vec<_> = (0..10).map(|_| places.enter(&slow).unwrap()).collect();
        let limit = places.enter(&slow).unwrap_err().limit.unwrap();
        assert_eq!((&*limit.name, limit.scope, limit.capacity), (LIMIT_NAME, LimitScope::Principal, 10));
        held.extend((0..10).map(|_| places.enter(&other).unwrap()));
        assert_eq!(taken(&places, &slow), (20, 20), "the refused one holds nothing");
        assert_eq!(places.counts().refused_tenant, 1);
    }

    #[test]
    fn streams_that_only_wait_have_places_of_their_own() {
        let places = Concurrency::new(4, 50);
        let ctx = tenant(None);
        let held: Vec<_> = (0..8).map(|_| places.listen(&ctx).unwrap()).collect();
        let limit = places.listen(&ctx).unwrap_err().limit.unwrap();
        assert_eq!((&*limit.name, limit.capacity), (LISTEN_LIMIT_NAME, 8));
        assert_eq!(taken(&places, &ctx), (0, 0), "they take no request's");
        drop(held);
        assert!(places.listen(&ctx).is_ok());
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
        assert!((1..=8).contains(&highest.into_inner()));
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
        assert!(places.calls.counters.read().unwrap().len() <= REMEMBERED);
        assert_eq!(taken(&places, &held), (1, 1), "whoever has calls under way is not");
        drop(permit);
    }
}
