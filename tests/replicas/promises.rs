//! What was promised, and each time that it was not kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Breaches that are told in words; all are counted.
const TOLD: usize = 10;

/// The promises that were looked at.
#[derive(Debug, Default)]
pub(crate) struct Promises(Mutex<BTreeMap<&'static str, Outcome>>);

/// What became of one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// How often it was broken.
    pub(crate) breaches: u64,
    /// The first breaches, in words.
    pub(crate) told: Vec<String>,
    /// The figures that show it, in words.
    pub(crate) shown: String,
}

impl Promises {
    /// Has looked at `promise`; `shown` says what was found.
    pub(crate) fn looked_at(&self, promise: &'static str, shown: String) {
        self.with(promise, |outcome| outcome.shown = shown);
    }

    /// Has found `promise` broken.
    pub(crate) fn broken(&self, promise: &'static str, how: String) {
        self.with(promise, |outcome| {
            outcome.breaches += 1;
            if outcome.told.len() < TOLD {
                outcome.told.push(how);
            }
        });
    }

    /// Whether none was broken.
    pub(crate) fn kept(&self) -> bool {
        self.outcomes().values().all(|outcome| outcome.breaches == 0)
    }

    /// Each promise with what became of it.
    pub(crate) fn outcomes(&self) -> BTreeMap<&'static str, Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, promise: &'static str, change: impl FnOnce(&mut Outcome)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(promise).or_default());
    }
}
