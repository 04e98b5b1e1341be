//! Leases: a busy principal's calls are taken from Redis some ahead and spent here without a round trip.
//! They are debited first, so a lease can only admit fewer calls than the buckets would, never more.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::policy::LimitClass;
use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{Clock, TenantContext, TenantId};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::decision::{Backend, Bucket, Decision};
use crate::plan::Plan;
use crate::plans::TenantPlans;
use crate::script::Ask;
use crate::shards::{Idle, Shards};

/// How far ahead calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOptions {
    /// The most calls taken ahead at once; 0 turns leases off.
    pub tokens: u32,
    /// How long they may be spent; what is left then is lost. At most 1 s, so that a penalty that begins in another
    /// replica holds within it, and at most a 200th of the shortest window that the call counts on.
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

/// The part of the last second's calls that is taken ahead at most: a lease is spent within an eighth of a second
/// while the calls go on.
const AHEAD_DIVISOR: u64 = 8;
/// What may be lost of the calls that a principal was admitted: one in so many, and so many at first. This holds
/// whatever the calls' rhythm, because no lease is taken that could break it.
const LOSS_DIVISOR: u64 = 256;
const FIRST_LOSS: u64 = 8;
/// How long a principal is remembered that calls nothing.
const QUIET: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

/// One principal's calls of one class.
#[derive(Debug, Default)]
struct Slot {
    /// Calls seen in the running second, and in the one before.
    seen: u64,
    seen_before: u64,
    second_start: Duration,
    /// Calls admitted, and calls taken ahead that were not spent.
    admitted: u64,
    lost: u64,
    lease: Option<Lease>,
    /// Set while a call is under way that takes others ahead.
    taking: Option<Arc<Notify>>,
    /// Until when nothing is taken ahead, because there was nothing to be had.
    dry_until: Duration,
}

#[derive(Debug, Default)]
struct Slots {
    by_class: [Slot; LimitClass::ALL.len()],
    /// Until when a penalty holds: no lease is spent before.
    blocked_until: Duration,
}

#[derive(Debug)]
struct Lease {
    left: u64,
    over_at: Duration,
    plans: Arc<TenantPlans>,
    /// The tightest bucket as Redis reported it, the lease's calls already off.
    tightest: Option<Bucket>,
}

/// What to do for one call.
#[derive(Debug)]
pub(crate) enum Spend<'a> {
    /// It was paid from the lease.
    Paid(Decision),
    /// Ask Redis for this call alone.
    Ask,
    /// Ask Redis for this call and some more.
    TakeAhead(Taking<'a>),
    /// Another call is taking some ahead: come back when it has them.
    Wait(Pin<Box<OwnedNotified>>),
}

/// The leases of this replica.
#[derive(Debug)]
pub(crate) struct Leases {
    options: LeaseOptions,
    slots: Shards<(), Slots>,
    clock: Arc<dyn Clock>,
}

/// A call that takes others ahead. However it ends, those who wait for it go on.
#[derive(Debug)]
pub(crate) struct Taking<'a> {
    leases: &'a Leases,
    ctx: &'a TenantContext,
    class: LimitClass,
    ahead: u64,
    /// Counts from before the request is sent, so that a lease is over here before it is over for Redis.
    over_at: Duration,
    done: Arc<Notify>,
    kept: bool,
}

impl Leases {
    pub(crate) fn new(options: LeaseOptions, clock: Arc<dyn Clock>) -> Self {
        let max_age = options.max_age.clamp(Duration::from_millis(1), Duration::from_secs(1));
        Self { options: LeaseOptions { max_age, ..options }, slots: Shards::new(), clock }
    }

    /// Pays for a call of `class` from a lease if one is held.
    pub(crate) fn spend<'a>(&'a self, ctx: &'a TenantContext, class: LimitClass, again: bool) -> Spend<'a> {
        if self.options.tokens == 0 {
            return Spend::Ask;
        }
        self.with(ctx, |slots, now| {
            let blocked = now < slots.blocked_until;
            let slot = &mut slots.by_class[class as usize];
            if !again {
                slot.count(now);
            }
            if blocked {
                return Spend::Ask;
            }
            if let Some(decision) = slot.pay(ctx, class, now) {
                return Spend::Paid(decision);
            }
            if let Some(taking) = &slot.taking {
                return Spend::Wait(Box::pin(Arc::clone(taking).notified_owned()));
            }
            let ahead = slot.ahead().min(u64::from(self.options.tokens));
            if ahead == 0 || now < slot.dry_until {
                return Spend::Ask;
            }
            let done = Arc::new(Notify::new());
            slot.taking = Some(Arc::clone(&done));
            Spend::TakeAhead(Taking { leases: self, ctx, class, ahead, over_at: now, done, kept: false })
        })
    }

    /// Notes what Redis said to a call that took nothing ahead.
    pub(crate) fn note(&self, ctx: &TenantContext, class: LimitClass, decision: &Decision) {
        if self.options.tokens == 0 {
            return;
        }
        self.with(ctx, |slots, now| {
            if decision.admitted {
                slots.by_class[class as usize].admitted += 1;
                slots.blocked_until = Duration::ZERO;
            } else if let Some(penalty) = decision.penalty {
                slots.by_class.iter_mut().for_each(Slot::lose);
                slots.blocked_until = now + penalty.remaining;
            }
        });
    }

    /// Drops the leases of some principals of a tenant.
    pub(crate) fn forget(&self, tenant: TenantId, principals: &[PrincipalKind]) {
        self.slots.forget(tenant, principals);
    }

    fn with<T>(&self, ctx: &TenantContext, work: impl FnOnce(&mut Slots, Duration) -> T) -> T {
        let now = self.clock.elapsed();
        self.slots.with(ctx, now, |(), slots| work(slots, now))
    }
}

impl Taking<'_> {
    /// What to ask Redis for: the call that asks, and some more.
    pub(crate) fn ask(&mut self, plan: &Plan) -> Ask {
        let life = self.leases.options.max_age.min(plan.lease_life());
        self.over_at += life;
        let lead = u64::try_from(life.as_micros()).unwrap_or(u64::MAX);
        Ask { cost: 1, extra: self.ahead, lead }
    }

    /// Keeps the calls that Redis debited beyond the one that asked.
    pub(crate) fn keep(mut self, calls: u64, plans: &Arc<TenantPlans>, decision: &Decision) {
        self.kept = true;
        self.leases.note(self.ctx, self.class, decision);
        self.leases.with(self.ctx, |slots, now| {
            let slot = &mut slots.by_class[self.class as usize];
            slot.lose();
            if calls == 0 {
                slot.dry_until = now + self.leases.options.max_age / 8;
                return;
            }
            let (plans, tightest) = (Arc::clone(plans), decision.binding);
            slot.lease = Some(Lease { left: calls, over_at: self.over_at, plans, tightest });
        });
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.leases.with(self.ctx, |slots, _| {
            let slot = &mut slots.by_class[self.class as usize];
            slot.taking = None;
            if !self.kept {
                // Redis may have debited them.
                slot.lost += self.ahead;
            }
        });
        self.done.notify_waiters();
    }
}

impl Slot {
    fn count(&mut self, now: Duration) {
        let age = now.saturating_sub(self.second_start);
        if age >= SECOND {
            self.seen_before = if age < SECOND * 2 { self.seen } else { 0 };
            self.seen = 0;
            self.second_start = now;
        }
        self.seen += 1;
    }

    fn ahead(&self) -> u64 {
        let may_be_lost = (self.admitted / LOSS_DIVISOR + FIRST_LOSS).saturating_sub(self.lost);
        (self.seen.max(self.seen_before) / AHEAD_DIVISOR).min(may_be_lost)
    }

    fn pay(&mut self, ctx: &TenantContext, class: LimitClass, now: Duration) -> Option<Decision> {
        let lease = self.lease.as_mut()?;
        if now >= lease.over_at || lease.left == 0 || !lease.plans.fit(&ctx.tenant().settings) {
            self.lose();
            return None;
        }
        lease.left -= 1;
        self.admitted += 1;
        let tightest =
            lease.tightest.map(|bucket| Bucket { remaining: bucket.remaining + lease.left, ..bucket });
        Some(Decision::admitted(lease.plans.of(class), tightest, Backend::Lease))
    }

    fn lose(&mut self) {
        self.lost += self.lease.take().map_or(0, |lease| lease.left);
    }
}

impl Idle for Slots {
    fn is_idle(&self, now: Duration) -> bool {
        self.by_class
            .iter()
            .all(|slot| slot.taking.is_none() && now.saturating_sub(slot.second_start) >= QUIET)
    }
}
