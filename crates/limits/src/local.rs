//! Buckets in this process: the twin of the script, for one replica without Redis and for outages.

use std::collections::HashMap;
use std::sync::Arc;
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
    /// By how much the shared bucket's arrival time moves on.
    pub(crate) micros: u64,
}

/// The buckets of every principal that called within its longest window.
#[derive(Debug)]
pub(crate) struct LocalBuckets {
    kept: Shards<Buckets, Kept>,
    clock: Arc<dyn Clock>,
}

impl LocalBuckets {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { kept: Shards::new(), clock }
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
    }

    /// Remembers a penalty that the shared buckets told of, so that an outage does not end it.
    pub(crate) fn remember(&self, ctx: &TenantContext, penalty: Penalty) {
        self.with(ctx, |_, kept, now| {
            let (length, remaining) = (micros(penalty.length), micros(penalty.remaining));
            let since = (now + remaining).saturating_sub(length);
            kept.offences.take_over(Running { since, length: now + remaining - since });
        });
    }

    /// What the shared buckets are owed.
    pub(crate) fn debts(&self) -> Vec<Debt> {
        let now = micros(self.clock.elapsed());
        let mut debts = Vec::new();
        self.each(|tenant, principal, held| debts.extend(held.debt(tenant, principal, now)));
        debts
    }

    /// Notes that `debts` were paid.
    pub(crate) fn settle(&self, debts: &[Debt]) {
        let paid: HashMap<_, u64> = debts
            .iter()
            .map(|debt| ((debt.tenant, debt.principal.as_ref(), &*debt.field), debt.calls))
            .collect();
        self.each(|tenant, principal, held| {
            if let Some(calls) = paid.get(&(tenant, principal, &*held.field)) {
                held.unshared = held.unshared.saturating_sub(*calls);
            }
        });
    }

    /// Forgets everything: the shared buckets know it.
    pub(crate) fn clear(&self) {
        self.kept.clear();
    }

    fn each(&self, mut work: impl FnMut(TenantId, Option<&PrincipalKind>, &mut Held)) {
        self.kept.each(|tenant, shared, principals| {
            shared.0.iter_mut().for_each(|held| work(tenant, None, held));
            for (principal, kept) in principals {
                kept.buckets.0.iter_mut().for_each(|held| work(tenant, Some(principal), held));
            }
        });
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
    let own_fit = arrivals.iter().zip(own).all(fits);
    let all_fit = own_fit && arrivals.iter().zip(&plan.rates).all(fits);

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
    let offence = ask.cost > 0 && (penalty.is_some() || !own_fit);
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
    fn debt(&self, tenant: TenantId, principal: Option<&PrincipalKind>, now: u64) -> Option<Debt> {
        let missing = u128::from(self.arrival.until_full(now)) * u128::from(self.rate.quota.capacity);
        let missing = missing.div_ceil(u128::from(self.rate.window_us));
        let calls = self.unshared.min(u64::try_from(missing).unwrap_or(u64::MAX));
        let weight = u128::from(calls) * u128::from(self.rate.window_us);
        let micros = weight.div_ceil(u128::from(self.rate.whole_capacity.max(1)));
        (calls > 0).then(|| Debt {
            tenant,
            principal: principal.cloned(),
            field: self.field.clone(),
            calls,
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
        })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 4)
}
