//! Leases: a busy principal's calls are taken from Redis some ahead and spent here without a round trip.
//! They are debited first, so a lease can only admit fewer calls than the buckets would, never more.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::policy::LimitClass;
use stagedoor_domain::{Clock, TenantContext};

use crate::decision::{Backend, Bucket, Decision};
use crate::plan::Rate;
use crate::shards::{PrincipalKey, Shards};

/// How far ahead calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOptions {
    /// The most calls taken ahead at once; 0 turns leases off.
    pub tokens: u32,
    /// How long they may be spent; what is left then is lost. At most 1 s, so that a changed quota holds within it.
    pub max_age: Duration,
}

impl LeaseOptions {
    /// No leases: every call is one round trip.
    pub const OFF: Self = Self { tokens: 0, max_age: Duration::from_secs(1) };

    /// Up to `tokens` calls ahead, for one second.
    pub const fn of(tokens: u32) -> Self {
        Self { tokens, max_age: Duration::from_secs(1) }
    }
}

/// The part of the calls of the last `max_age` that is taken ahead. What a principal leaves unspent when it
/// goes quiet is at most this part of a second's calls.
const AHEAD_DIVISOR: u64 = 8;

/// One principal's calls of one class.
#[derive(Debug, Default)]
struct Slot {
    /// Calls seen in the running interval of `max_age`, and in the one before.
    seen: u64,
    seen_before: u64,
    interval_start: Duration,
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Lease {
    left: u64,
    taken_at: Duration,
    rates: Arc<[Rate]>,
    /// The tightest bucket as Redis reported it, the lease's calls already off.
    tightest: Option<Bucket>,
}

/// What to do for one call.
#[derive(Debug)]
pub(crate) enum Spend {
    /// It was paid from the lease.
    Paid(Decision),
    /// Ask Redis, for this call and so many more.
    Ask(u64),
}

/// The leases of this replica.
#[derive(Debug)]
pub(crate) struct Leases {
    options: LeaseOptions,
    principals: Shards<[Slot; LimitClass::ALL.len()]>,
    clock: Arc<dyn Clock>,
}

impl Leases {
    pub(crate) fn new(options: LeaseOptions, clock: Arc<dyn Clock>) -> Self {
        let max_age = options.max_age.clamp(Duration::from_millis(1), Duration::from_secs(1));
        Self { options: LeaseOptions { max_age, ..options }, principals: Shards::new(), clock }
    }

    /// Pays for a call of `class` from a lease if one is held.
    pub(crate) fn spend(&self, ctx: &TenantContext, class: LimitClass) -> Spend {
        if self.options.tokens == 0 {
            return Spend::Ask(0);
        }
        self.with(ctx, class, |slot, now| {
            slot.count(now, self.options.max_age);
            match slot.pay(now, self.options.max_age) {
                Some(decision) => Spend::Paid(decision),
                None => Spend::Ask(slot.ahead().min(u64::from(self.options.tokens))),
            }
        })
    }

    /// Pays for a call that Redis had no room for, from a lease that another call has brought meanwhile.
    pub(crate) fn pay(&self, ctx: &TenantContext, class: LimitClass) -> Option<Decision> {
        if self.options.tokens == 0 {
            return None;
        }
        self.with(ctx, class, |slot, now| slot.pay(now, self.options.max_age))
    }

    /// Keeps `calls` that Redis has debited beyond the call that asked.
    pub(crate) fn keep(
        &self,
        ctx: &TenantContext,
        class: LimitClass,
        calls: u64,
        rates: &Arc<[Rate]>,
        tightest: Option<Bucket>,
    ) {
        if calls == 0 {
            return;
        }
        self.with(ctx, class, |slot, now| {
            let fresh = slot.lease.take_if(|lease| now.saturating_sub(lease.taken_at) < self.options.max_age);
            // Two calls that asked at the same time both keep what they got; the older age holds for both.
            let (left, taken_at) = fresh.map_or((0, now), |lease| (lease.left, lease.taken_at));
            slot.lease = Some(Lease { left: left + calls, taken_at, rates: Arc::clone(rates), tightest });
        });
    }

    fn with<T>(
        &self,
        ctx: &TenantContext,
        class: LimitClass,
        work: impl FnOnce(&mut Slot, Duration) -> T,
    ) -> T {
        let now = self.clock.elapsed();
        let max_age = self.options.max_age;
        let idle = |slots: &[Slot; _]| {
            slots.iter().all(|slot| now.saturating_sub(slot.interval_start) >= max_age * 2)
        };
        self.principals.with(PrincipalKey::of(ctx), idle, |slots| work(&mut slots[class as usize], now))
    }
}

impl Slot {
    fn count(&mut self, now: Duration, interval: Duration) {
        let age = now.saturating_sub(self.interval_start);
        if age >= interval {
            self.seen_before = if age < interval * 2 { self.seen } else { 0 };
            self.seen = 0;
            self.interval_start = now;
        }
        self.seen += 1;
    }

    fn ahead(&self) -> u64 {
        self.seen.max(self.seen_before) / AHEAD_DIVISOR
    }

    fn pay(&mut self, now: Duration, max_age: Duration) -> Option<Decision> {
        let lease = self.lease.as_mut()?;
        let age = now.saturating_sub(lease.taken_at);
        if age >= max_age || lease.left == 0 {
            self.lease = None;
            return None;
        }
        lease.left -= 1;
        let tightest = lease.tightest.map(|bucket| Bucket {
            remaining: bucket.remaining + lease.left,
            reset_after: bucket.reset_after.saturating_sub(age),
            ..bucket
        });
        Some(Decision::admitted(&lease.rates, tightest, Backend::Lease))
    }
}
