//! The reference: buckets as fractions of 128 bits and refusals as a list of times, written from the definitions.

use std::collections::HashMap;

use super::parse::{Charged, Decided, Record, RecordedBucket};

/// All state, by tenant and principal (`-` for what all principals share).
#[derive(Debug, Default)]
pub(super) struct Model {
    arrivals: HashMap<(String, String, String), Arrival>,
    offenders: HashMap<(String, String), Offender>,
}

/// An arrival time of `numerator / denominator` microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    numerator: u128,
    denominator: u128,
}

#[derive(Debug, Clone, Default)]
struct Offender {
    refusals: Vec<u64>,
    /// Start and length.
    penalty: (u64, u64),
}

/// What the model says to one record.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    taken: u64,
    penalty: (u64, u64),
    arrivals: Vec<Arrival>,
    noted: bool,
}

impl Model {
    /// `Err` with what the model says if it says something else.
    pub(super) fn agrees(&self, record: &Record) -> Result<(), String> {
        match record {
            Record::Decided(decided) => {
                let verdict = self.decide(decided);
                let recorded = decided.buckets.iter().map(|bucket| Arrival {
                    numerator: u128::from(bucket.whole) * u128::from(bucket.denominator)
                        + u128::from(bucket.part),
                    denominator: u128::from(bucket.denominator),
                });
                let same = verdict.taken == decided.taken
                    && verdict.penalty == decided.penalty
                    && recorded.eq(verdict.arrivals.iter().copied());
                if same { Ok(()) } else { Err(format!("{verdict:?}")) }
            }
            Record::Charged(charged) => {
                let whole = self.charge(charged);
                if whole == u128::from(charged.whole) { Ok(()) } else { Err(whole.to_string()) }
            }
        }
    }

    /// Does what the model says.
    pub(super) fn follow(&mut self, record: &Record) {
        match record {
            Record::Decided(decided) => {
                let verdict = self.decide(decided);
                if verdict.taken > 0 {
                    for (index, arrival) in verdict.arrivals.iter().enumerate() {
                        self.arrivals.insert(key(decided, index), *arrival);
                    }
                }
                if verdict.noted {
                    let name = (decided.tenant.clone(), decided.principal.clone());
                    let offender = self.offenders.entry(name).or_default();
                    offender.note(decided);
                    if verdict.penalty.0 == decided.now && verdict.penalty.1 > 0 {
                        offender.penalty = verdict.penalty;
                    }
                }
            }
            Record::Charged(charged) => {
                let arrival = Arrival { numerator: self.charge(charged), denominator: 1 };
                let Charged { tenant, principal, field, .. } = charged;
                self.arrivals.insert((tenant.clone(), principal.clone(), field.clone()), arrival);
            }
        }
    }

    fn decide(&self, asked: &Decided) -> Verdict {
        let none = Offender::default();
        let name = (asked.tenant.clone(), asked.principal.clone());
        let offender = self.offenders.get(&name).unwrap_or(&none);
        let running = offender.running(asked);
        let seen: Vec<Arrival> = (0..asked.buckets.len()).map(|index| self.seen(asked, index)).collect();
        let room = |index: usize, from: u64| {
            let bucket = &asked.buckets[index];
            let (denominator, interval) = (u128::from(bucket.denominator), u128::from(bucket.interval));
            let base = seen[index].numerator.max(u128::from(from) * denominator);
            let end = (u128::from(asked.now) + u128::from(bucket.window)) * denominator;
            u64::try_from(end.saturating_sub(base) / interval).unwrap_or(u64::MAX)
        };
        let every = 0..asked.buckets.len();
        let own_fit = (0..asked.own).all(|index| room(index, asked.now) >= asked.cost);
        let all_fit = every.clone().all(|index| room(index, asked.now) >= asked.cost);
        let later = asked.now + asked.lead;
        let ahead = every.map(|index| room(index, later)).fold(asked.cost + asked.extra, u64::min);

        let (taken, from) = match running {
            None if asked.extra > 0 && ahead > asked.cost => (ahead, later),
            None if all_fit => (asked.cost, asked.now),
            _ => (0, asked.now),
        };
        let arrivals =
            seen.iter().zip(&asked.buckets).map(|(arrival, bucket)| arrival.after(bucket, taken, from));
        let noted =
            asked.cost > 0 && taken == 0 && !asked.steps.is_empty() && (running.is_some() || !own_fit);
        let penalty = if noted { offender.after(asked, running) } else { running.unwrap_or((0, 0)) };
        Verdict { taken, penalty, arrivals: arrivals.collect(), noted }
    }

    /// The arrival time in the bucket's own fraction, never in the past. One in another fraction, because the quota
    /// was another, is rounded up to a whole microsecond.
    fn seen(&self, asked: &Decided, index: usize) -> Arrival {
        let bucket = &asked.buckets[index];
        let denominator = u128::from(bucket.denominator);
        let now = u128::from(asked.now) * denominator;
        let numerator = match self.arrivals.get(&key(asked, index)) {
            None => 0,
            Some(known) if known.denominator == denominator => known.numerator,
            Some(known) => known.numerator.div_ceil(known.denominator) * denominator,
        };
        Arrival { numerator: numerator.max(now), denominator }
    }

    fn charge(&self, charged: &Charged) -> u128 {
        let name = (charged.tenant.clone(), charged.principal.clone(), charged.field.clone());
        let known = self.arrivals.get(&name).map_or(0, |known| known.numerator.div_ceil(known.denominator));
        known.max(u128::from(charged.now)) + u128::from(charged.micros)
    }
}

impl Arrival {
    fn after(self, bucket: &RecordedBucket, calls: u64, from: u64) -> Self {
        if calls == 0 {
            return self;
        }
        let base = self.numerator.max(u128::from(from) * self.denominator);
        Self { numerator: base + u128::from(calls) * u128::from(bucket.interval), ..self }
    }
}

impl Offender {
    fn running(&self, asked: &Decided) -> Option<(u64, u64)> {
        let longest = asked.steps.iter().map(|[_, _, block]| *block).max()?;
        let (since, length) = (self.penalty.0, self.penalty.1.min(longest));
        (length > 0 && asked.now < since + length).then_some((since, length))
    }

    fn note(&mut self, asked: &Decided) {
        self.refusals.push(asked.now);
        let most = asked.steps.iter().map(|[refusals, ..]| *refusals).max().unwrap_or(0);
        let surplus = self.refusals.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
        self.refusals.drain(..surplus);
    }

    /// The penalty in force after one more refusal.
    fn after(&self, asked: &Decided, running: Option<(u64, u64)>) -> (u64, u64) {
        let longest = asked.steps.iter().map(|[_, _, block]| *block).max().unwrap_or(0);
        let (last, weight) = (self.penalty.0, self.penalty.1.min(longest));
        let reached = asked.steps.iter().filter(|[refusals, within, block]| {
            let counts = |time: u64| asked.now - time < *within && (weight < *block || time > last);
            let recent = self.refusals.iter().filter(|time| counts(**time)).count() as u64;
            recent + 1 >= *refusals
        });
        let length = reached.map(|[_, _, block]| *block).max().unwrap_or(0);
        match running {
            Some(running) if running.1 >= length => running,
            _ if length > 0 => (asked.now, length),
            _ => (0, 0),
        }
    }
}

fn key(asked: &Decided, index: usize) -> (String, String, String) {
    let principal = if index < asked.own { asked.principal.clone() } else { "-".to_owned() };
    (asked.tenant.clone(), principal, asked.buckets[index].field.clone())
}
