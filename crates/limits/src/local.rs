//! Buckets in this process: the twin of the script, for one replica without Redis and for outages.

use std::sync::Arc;

use stagedoor_domain::policy::LimitClass;
use stagedoor_domain::{Clock, TenantContext};

use crate::gcra::Arrival;
use crate::plan::Rate;
use crate::script::Taken;
use crate::shards::{PrincipalKey, Shards};

/// One bucket of a principal.
#[derive(Debug)]
struct Held {
    class: LimitClass,
    window_us: u64,
    arrival: Arrival,
}

/// The buckets of every principal that called within its longest window.
#[derive(Debug)]
pub(crate) struct LocalBuckets {
    principals: Shards<Vec<Held>>,
    clock: Arc<dyn Clock>,
}

impl LocalBuckets {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { principals: Shards::new(), clock }
    }

    /// Takes `cost` calls from every bucket of `rates`, or from none; 0 looks without taking.
    pub(crate) fn take(&self, ctx: &TenantContext, rates: &[Rate], cost: u64) -> Taken {
        let now = u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX / 2);
        // A bucket that has refilled is as good as none, so forgetting it changes no decision.
        let idle = |held: &Vec<Held>| held.iter().all(|bucket| bucket.arrival.until_full(now) == 0);
        self.principals.with(PrincipalKey::of(ctx), idle, |held| take(held, rates, cost, now))
    }

    #[cfg(test)]
    pub(crate) fn principals(&self) -> usize {
        self.principals.len()
    }
}

fn take(held: &mut Vec<Held>, rates: &[Rate], cost: u64, now: u64) -> Taken {
    let mut arrivals: Vec<Arrival> =
        rates.iter().map(|rate| current(held, rate).seen_by(rate, now)).collect();
    let fits = arrivals.iter().zip(rates).all(|(arrival, rate)| arrival.fits(rate, now) >= cost);
    if fits && cost > 0 {
        for (arrival, rate) in arrivals.iter_mut().zip(rates) {
            *arrival = arrival.after(rate, cost);
            store(held, rate, *arrival);
        }
    }
    Taken { calls: if fits { cost } else { 0 }, now, arrivals }
}

fn current(held: &[Held], rate: &Rate) -> Arrival {
    held.iter()
        .find(|bucket| bucket.class == rate.class && bucket.window_us == rate.window_us)
        .map_or_else(|| Arrival::full(rate, 0), |bucket| bucket.arrival)
}

fn store(held: &mut Vec<Held>, rate: &Rate, arrival: Arrival) {
    match held.iter_mut().find(|bucket| bucket.class == rate.class && bucket.window_us == rate.window_us) {
        Some(bucket) => bucket.arrival = arrival,
        None => held.push(Held { class: rate.class, window_us: rate.window_us, arrival }),
    }
}
