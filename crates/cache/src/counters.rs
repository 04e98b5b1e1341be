//! What the cache has done, for metrics and `usage_status`: by class of data and by outcome, both closed sets.

use std::sync::atomic::{AtomicU64, Ordering};

use stagedoor_domain::CacheClass;

use crate::generation::GenerationCounters;
use crate::shared_flight::FlightCounters;

/// How a call's question to the cache ended. Closed, so that it may be a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A fresh answer from this process.
    HitL1,
    /// A fresh answer from Redis.
    HitL2,
    /// An answer whose life was over, while it is fetched again.
    Stale,
    /// What is known not to exist.
    Negative,
    /// The answer or error of another call's fetch.
    Coalesced,
    /// Fetched, or tried to.
    Fetched,
    /// An old answer instead of an error of the fetch.
    Rescued,
    /// Fetched again beside a call.
    Refreshed,
    /// Fetched before anyone asked.
    Prefetched,
    /// Fetched past the cache.
    Bypassed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: &'static [Self] = &[
        Self::HitL1,
        Self::HitL2,
        Self::Stale,
        Self::Negative,
        Self::Coalesced,
        Self::Fetched,
        Self::Rescued,
        Self::Refreshed,
        Self::Prefetched,
        Self::Bypassed,
    ];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HitL1 => "hit_l1",
            Self::HitL2 => "hit_l2",
            Self::Stale => "stale",
            Self::Negative => "negative",
            Self::Coalesced => "coalesced",
            Self::Fetched => "fetched",
            Self::Rescued => "rescued",
            Self::Refreshed => "refreshed",
            Self::Prefetched => "prefetched",
            Self::Bypassed => "bypassed",
        }
    }
}

const OUTCOMES: usize = Outcome::ALL.len();
const CLASSES: usize = CacheClass::ALL.len();

/// Counts of one class, or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassCounts([u64; OUTCOMES]);

impl ClassCounts {
    /// Calls that ended so.
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Calls that needed no call to the provider.
    pub fn reused(&self) -> u64 {
        [Outcome::HitL1, Outcome::HitL2, Outcome::Stale, Outcome::Negative, Outcome::Coalesced]
            .map(|outcome| self.get(outcome))
            .iter()
            .sum()
    }

    /// Calls that asked the cache; fetches beside calls and calls past it are none.
    pub fn calls(&self) -> u64 {
        self.reused() + self.get(Outcome::Fetched) + self.get(Outcome::Rescued)
    }

    /// Calls to the provider that were saved: those reused, less what was fetched beside them.
    pub fn saved(&self) -> u64 {
        self.reused().saturating_sub(self.get(Outcome::Refreshed) + self.get(Outcome::Prefetched))
    }

    /// The part of the calls that needed no call to the provider; `None` before the first.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people; 2^53 calls are far")]
    pub fn ratio(&self) -> Option<f64> {
        (self.calls() > 0).then(|| self.reused() as f64 / self.calls() as f64)
    }

    pub(crate) fn add(&mut self, outcome: Outcome, count: u64) {
        self.0[outcome as usize] += count;
    }
}

/// Counts of every class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByClass([ClassCounts; CLASSES]);

impl ByClass {
    /// One class's.
    pub fn of(&self, class: CacheClass) -> ClassCounts {
        self.0[class as usize]
    }

    /// All classes', each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (CacheClass, ClassCounts)> {
        CacheClass::ALL.iter().map(|class| (*class, self.of(*class)))
    }

    /// All classes together.
    pub fn total(&self) -> ClassCounts {
        let mut total = ClassCounts::default();
        for (_, counts) in self.iter() {
            for outcome in Outcome::ALL {
                total.add(*outcome, counts.get(*outcome));
            }
        }
        total
    }

    pub(crate) fn add(&mut self, class: CacheClass, outcome: Outcome, count: u64) {
        self.0[class as usize].add(outcome, count);
    }

    /// What is here and was not there yet.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut delta = Self::default();
        for (class, counts) in self.iter() {
            for outcome in Outcome::ALL {
                let count = counts.get(*outcome).saturating_sub(before.of(class).get(*outcome));
                delta.add(class, *outcome, count);
            }
        }
        delta
    }

    /// Both together.
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        for (class, counts) in other.iter() {
            for outcome in Outcome::ALL {
                self.add(class, *outcome, counts.get(*outcome));
            }
        }
        self
    }
}

/// Counts since the start, and the present size of level 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounters {
    /// Calls by class and outcome.
    pub calls: ByClass,
    /// Entries of Redis that were not what was stored; each deserves a look.
    pub poisoned: u64,
    /// Steps left out because Redis or a sealing key was out of reach.
    pub degraded: u64,
    /// Answers that a caller was asked to have fetched again before their lives were over.
    pub early_refreshes: u64,
    /// Answers brought from Redis before anyone asked for them here.
    pub warmed: u64,
    /// Answers that came along inside others and were kept as such.
    pub seeded: u64,
    /// Entries that level 1 dropped for room.
    pub evictions: u64,
    /// Bytes in level 1, keys and overhead included.
    pub l1_bytes: u64,
    /// Entries in level 1.
    pub l1_entries: u64,
    /// Round trips to Redis.
    pub redis_trips: u64,
    /// Of these, those that no call waits for: they write down what was counted, or keep what came along with an answer.
    pub redis_trips_beside: u64,
    /// Generations and the leases on them.
    pub generations: GenerationCounters,
    /// Fetches for all replicas.
    pub flights: FlightCounters,
}

/// Running counts by class and outcome.
#[derive(Debug, Default)]
pub(crate) struct RunningCalls([[Count; OUTCOMES]; CLASSES]);

impl RunningCalls {
    pub(crate) fn add(&self, class: CacheClass, outcome: Outcome) {
        self.0[class as usize][outcome as usize].add();
    }

    pub(crate) fn read(&self) -> ByClass {
        let mut counts = ByClass::default();
        for class in CacheClass::ALL {
            for outcome in Outcome::ALL {
                counts.add(*class, *outcome, self.0[*class as usize][*outcome as usize].get());
            }
        }
        counts
    }
}

/// The running counts of this process.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) calls: RunningCalls,
    pub(crate) poisoned: Count,
    pub(crate) degraded: Count,
    pub(crate) early_refreshes: Count,
    pub(crate) warmed: Count,
    pub(crate) seeded: Count,
    pub(crate) trips_beside: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
