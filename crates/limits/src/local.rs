//! Buckets in this process: the twin of the script, for one replica without Redis and for outages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{Clock, TenantContext, TenantId};

use crate::gcra::Arrival;
use crate::penalty::{Offences, Penalty, Running};
use crate::plan::{Plan, Rate};
use crate::script::{Ask, Taken};
use crate::shards::{Idle, Shards};

/// One bucket.
#[derive(Debug)]
struct Held {
    field: Box<str>,
    arrival: Arrival,
    /// The rate at which it was charged last.
    rate: Rate,
    /// Calls that were admitted here and that the shared buckets do not know of.
    unshared: u64,
}

/// The buckets of a principal, or those that a tenant's principals share.
#[derive(Debug, Default)]
struct Buckets(Vec<Held>);

/// What is kept for one principal.
#[derive(Debug, Default)]
struct Kept {
    buckets: Buckets,
    offences: Offences,
}

/// What a bucket's calls of an outage weigh in the shared one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Debt {
    pub(crate) tenant: TenantId,
    /// `None` for what all principals share.
    pub(crate) principal: Option<PrincipalKind>,
    pub(crate) field: Box<str>,
    pub(crate) calls: u64,
    /// The calls that are told of with it: those that have been refilled weigh nothing any more.
    pub(crate) told: u64,
    /// By how much the shared bucket's arrival time moves on.
    pub(crate) micros: u64,
}

/// The buckets of every principal that called within its longest window.
#[derive(Debug)]
pub(crate) struct LocalBuckets {
    kept: Shards<Buckets, Kept>,
    /// Whether anything may be owed.
    owes: AtomicBool,
    clock: Arc<dyn Clock>,
}

impl LocalBuckets {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { kept: Shards::new(), owes: AtomicBool::new(false), clock }
    }

    /// Takes what is asked from every bucket of `plan`, or nothing.
    pub(crate) fn take(&self, ctx: &TenantContext, plan: &Plan, ask: Ask) -> Taken {
        self.with(ctx, |tenant, kept, now| take(tenant, kept, plan, ask, now))
    }

    /// Notes that a call that was taken here was not taken from the shared buckets.
    pub(crate) fn owe(&self, ctx: &TenantContext, plan: &Plan) {
        self.with(ctx, |tenant, kept, _| {
            for (index, rate) in plan.rates.iter().enumerate() {
                let buckets = if index < plan.own { &mut kept.buckets } else { &mut *tenant };
                if let Some(held) = buckets.find(rate) {
                    held.unshared += 1;
                }
            }
        });
        self.owes.store(true, Ordering::Release);
    }

    /// Whether the shared buckets may be owed something.
    pub(crate) fn owes(&self) -> bool {
        self.owes.load(Ordering::Acquire)
    }

    /// Remembers a penalty that the shared buckets told of, so that an outage does not end it.
    pub(crate) fn remember(&self, ctx: &TenantContext, penalty: Penalty) {
        self.with(ctx, |_, kept, now| {
            let (length, remaining) = (micros(penalty.length), micros(penalty.remaining));
            let since = (now + remaining).saturating_sub(length);
            kept.offences.take_over(Running { since, length: now + remaining - since });
        });
    }

    /// What the shared buckets are owed. Unless all of it is paid, [`Self::still_owes`] has to be told.
    pub(crate) fn debts(&self) -> Vec<Debt> {
        self.owes.store(false, Ordering::Release);
        let now = micros(self.clock.elapsed());
        let mut debts = Vec::new();
        self.kept.each(|tenant, shared, principals| {
            debts.extend(shared.0.iter_mut().filter_map(|held| held.debt(tenant, None, now)));
            for (principal, kept) in principals {
                let held = kept.buckets.0.iter_mut();
                debts.extend(held.filter_map(|held| held.debt(tenant, Some(principal), now)));
            }
        });
        debts
    }

    /// Notes that some debts could not be paid.
    pub(crate) fn still_owes(&self) {
        self.owes.store(true, Ordering::Release);
    }

    /// Notes that `debts` were paid. The arrival times stay: however many outages there are, what this replica admits
    /// on its own is one bucket.
    pub(crate) fn settle(&self, debts: &[Debt]) {
        for debt in debts {
            self.kept.known(debt.tenant, debt.principal.as_ref(), |shared, kept| {
                let buckets = kept.map_or(shared, |kept| &mut kept.buckets);
                if let Some(held) = buckets.0.iter_mut().find(|held| held.field == debt.field) {
                    held.unshared = held.unshared.saturating_sub(debt.told);
                }
            });
        }
    }

    /// Forgets some principals of a tenant.
    pub(crate) fn forget(&self, tenant: TenantId, principals: &[PrincipalKind]) {
        self.kept.forget(tenant, principals);
    }

    /// Forgets the buckets that have refilled.
    pub(crate) fn sweep(&self) {
        self.kept.sweep(self.clock.elapsed());
    }

    fn with<R>(&self, ctx: &TenantContext, work: impl FnOnce(&mut Buckets, &mut Kept, u64) -> R) -> R {
        let now = self.clock.elapsed();
        self.kept.with(ctx, now, |tenant, kept| work(tenant, kept, micros(now)))
    }

    #[cfg(test)]
    pub(crate) fn principals(&self) -> usize {
        self.kept.len()
    }
}

fn take(tenant: &mut Buckets, kept: &mut Kept, plan: &Plan, ask: Ask, now: u64) -> Taken {
    let (own, shared) = plan.rates.split_at(plan.own);
    let mut arrivals: Vec<Arrival> = Vec::with_capacity(plan.rates.len());
    arrivals.extend(own.iter().map(|rate| kept.buckets.seen_by(rate, now)));
    arrivals.extend(shared.iter().map(|rate| tenant.seen_by(rate, now)));
    let penalty = kept.offences.running(&plan.steps, now);
    let fits = |(arrival, rate): (&Arrival, &Rate)| arrival.fits(rate, now) >= ask.cost;
    let all_fit = arrivals.iter().zip(&plan.rates).all(fits);
    // What the share of one replica refuses may be within the quota.
    let over_quota = arrivals.iter().zip(own).filter(|(_, rate)| rate.is_whole()).any(|one| !fits(one));

    if penalty.is_none() {
        let later = now + ask.lead;
        let most = ask.cost + ask.extra;
        let later_fit = arrivals
            .iter()
            .zip(&plan.rates)
            .map(|(arrival, rate)| arrival.seen_by(rate, later).fits(rate, now))
            .fold(most, u64::min);
        let (calls, from) = match (ask.extra > 0 && later_fit > ask.cost, all_fit) {
            (true, _) => (later_fit, later),
            (false, true) => (ask.cost, now),
            (false, false) => (0, now),
        };
        if calls > 0 {
            for (index, (arrival, rate)) in arrivals.iter_mut().zip(&plan.rates).enumerate() {
                *arrival = arrival.seen_by(rate, from).after(rate, calls);
                let buckets = if index < plan.own { &mut kept.buckets } else { &mut *tenant };
                buckets.store(rate, *arrival);
            }
        }
        if all_fit || calls > 0 {
            return Taken { calls, now, penalty, arrivals };
        }
    }
    // A refusal for the tenant's buckets alone is nobody's offence.
    let offence = ask.cost > 0 && (penalty.is_some() || over_quota);
    let penalty = if offence { kept.offences.note(&plan.steps, now) } else { penalty };
    Taken { calls: 0, now, penalty, arrivals }
}

impl Buckets {
    fn seen_by(&self, rate: &Rate, now: u64) -> Arrival {
        let held = self.0.iter().find(|held| held.field == rate.field);
        held.map_or_else(|| Arrival::full(rate, now), |held| held.arrival.seen_by(rate, now))
    }

    fn store(&mut self, rate: &Rate, arrival: Arrival) {
        match self.find(rate) {
            Some(held) => {
                held.arrival = arrival;
                if held.rate != *rate {
                    held.rate = rate.clone();
                }
            }
            None => {
                self.0.push(Held { field: rate.field.clone(), arrival, rate: rate.clone(), unshared: 0 });
            }
        }
    }

    fn find(&mut self, rate: &Rate) -> Option<&mut Held> {
        self.0.iter_mut().find(|held| held.field == rate.field)
    }
}

impl Idle for Buckets {
    /// A bucket that has refilled is as good as none.
    fn is_idle(&self, now: Duration) -> bool {
        self.0.iter().all(|held| held.arrival.until_full(micros(now)) == 0)
    }
}

impl Idle for Kept {
    fn is_idle(&self, now: Duration) -> bool {
        self.buckets.is_idle(now) && self.offences.is_over(micros(now))
    }
}

impl Held {
    /// The calls that have not been refilled since, at the weight that a call has in the whole bucket.
    fn debt(&mut self, tenant: TenantId, principal: Option<&PrincipalKind>, now: u64) -> Option<Debt> {
        let missing = u128::from(self.arrival.until_full(now)) * u128::from(self.rate.quota.capacity);
        let missing = missing.div_ceil(u128::from(self.rate.window_us));
        let calls = self.unshared.min(u64::try_from(missing).unwrap_or(u64::MAX));
        if calls == 0 {
            self.unshared = 0;
            return None;
        }
        let weight = u128::from(calls) * u128::from(self.rate.window_us);
        let micros = weight.div_ceil(u128::from(self.rate.whole_capacity.max(1)));
        Some(Debt {
            tenant,
            principal: principal.cloned(),
            field: self.field.clone(),
            calls,
            told: self.unshared,
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
        })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 4)
}
