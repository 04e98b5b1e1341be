//! Recorded decisions of any number of processes, decided again one after the other by a model that shares no code with
//! the limiter. For proofs.

mod model;
mod parse;

use std::collections::HashMap;

use self::model::Model;
pub use self::parse::{InvalidRecord, Record};

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Decisions replayed.
    pub decisions: u64,
    /// Calls taken.
    pub taken: u64,
    /// Refusals.
    pub refused: u64,
    /// Refusals that began a penalty.
    pub penalties: u64,
    /// Debts of outages.
    pub charges: u64,
    /// Records that the model decides otherwise.
    pub mismatches: u64,
    /// The first of these, with what the model said.
    pub examples: Vec<String>,
    /// Calls after which some window held more than `capacity + capacity·t/window`.
    pub over_bound: u64,
}

/// Examples kept.
const MOST_EXAMPLES: usize = 10;

/// Decides all of `records` again in the order of the server's time.
///
/// Records of one microsecond have no order of their own: of these, one that the model agrees with is taken, refusals
/// before admissions, because an admission changes what the others saw.
pub fn replay(mut records: Vec<Record>) -> Outcome {
    records.sort_by_key(|record| (record.now(), record.taken() > 0));
    let (mut outcome, mut model, mut windows) = (Outcome::default(), Model::default(), Windows::default());
    for moment in records.chunk_by(|first, second| first.now() == second.now()) {
        let mut left: Vec<&Record> = moment.iter().collect();
        while !left.is_empty() {
            let agreed = left.iter().position(|record| model.agrees(record).is_ok());
            let record = left.remove(agreed.unwrap_or(0));
            if let Err(said) = model.agrees(record) {
                outcome.mismatches += 1;
                if outcome.examples.len() < MOST_EXAMPLES {
                    outcome.examples.push(format!("{record:?}: the model says {said}"));
                }
            }
            outcome.count(record);
            model.follow(record);
            outcome.over_bound += u64::from(!windows.hold(record));
        }
    }
    outcome
}

impl Outcome {
    fn count(&mut self, record: &Record) {
        let Record::Decided(decided) = record else {
            self.charges += 1;
            return;
        };
        self.decisions += 1;
        self.taken += decided.taken;
        let refused = decided.cost > 0 && decided.taken == 0;
        self.refused += u64::from(refused);
        self.penalties += u64::from(refused && decided.penalty.0 == decided.now);
    }
}

/// The bound, checked from its definition: with `N(t)` calls up to `t`, no two times may differ by more than
/// `capacity` in `N(t) - rate·t`.
#[derive(Debug, Default)]
struct Windows(HashMap<(String, u64, u64), (i128, i128)>);

impl Windows {
    fn hold(&mut self, record: &Record) -> bool {
        let Record::Decided(decided) = record else { return true };
        let mut holds = true;
        for (index, bucket) in decided.buckets.iter().enumerate().filter(|_| decided.taken > 0) {
            let scope = if index < decided.own { decided.principal.as_str() } else { "-" };
            let name = format!("{} {scope} {}", decided.tenant, bucket.field);
            let (calls, lowest) =
                self.0.entry((name, bucket.interval, bucket.denominator)).or_insert((0, i128::MAX));
            // In units of 1 / denominator microseconds: a call weighs `interval`, a microsecond `denominator`.
            let drained = i128::from(decided.now) * i128::from(bucket.denominator);
            *lowest = (*lowest).min(*calls * i128::from(bucket.interval) - drained);
            *calls += i128::from(decided.taken);
            let height = *calls * i128::from(bucket.interval) - drained - *lowest;
            holds &= height <= i128::from(bucket.window) * i128::from(bucket.denominator);
        }
        holds
    }
}
