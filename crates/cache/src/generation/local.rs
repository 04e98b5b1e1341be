//! The generations of the only replica: numbers in this process that rise with its time.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stagedoor_domain::Clock;

use super::{Change, Forget, Gone, Person};

const SLOTS: usize = 16_384;

/// A fixed table instead of a map: bounded, and never forgets. Two persons in one slot only invalidate each
/// other's entries now and then.
#[derive(Debug)]
pub(crate) struct LocalGenerations {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    forget: Forget,
}

impl LocalGenerations {
    pub(super) fn new(clock: Arc<dyn Clock>, forget: Forget) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { slots, hasher: RandomState::new(), clock, forget }
    }

    pub(super) fn current(&self, person: Person, change: Change) -> u64 {
        self.slot(person, change).load(Ordering::Acquire)
    }

    pub(super) fn bump(&self, person: Person, change: Change) {
        change.raises().for_each(|change| self.raise(person, change));
        if let Some(gone) = Gone::with(person, change) {
            self.forget.tell(gone);
        }
    }

    fn raise(&self, person: Person, change: Change) {
        let now = micros(self.clock.elapsed());
        let raise = |number: u64| Some(now.max(number + 1));
        // It is raised whatever it was.
        let _ = self.slot(person, change).fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);
    }

    /// Whether it was raised less than `time` ago.
    pub(super) fn raised_within(&self, time: Duration, person: Person, change: Change) -> bool {
        let number = self.current(person, change);
        number > 0 && micros(self.clock.elapsed()).saturating_sub(number) < micros(time)
    }

    fn slot(&self, person: Person, change: Change) -> &AtomicU64 {
        let hash = self.hasher.hash_one((person, change)) % SLOTS as u64;
        &self.slots[usize::try_from(hash).unwrap_or_default()]
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
