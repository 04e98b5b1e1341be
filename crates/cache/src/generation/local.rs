//! The generations of the only replica: counters in this process.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Change, Person};

const SLOTS: usize = 16_384;

/// A fixed table instead of a map: bounded, and never forgets. Two persons in one slot only invalidate each
/// other's entries now and then.
#[derive(Debug)]
pub(crate) struct LocalGenerations {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl LocalGenerations {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::new() }
    }

    pub(super) fn current(&self, person: Person, change: Change) -> u64 {
        self.slot(person, change).load(Ordering::Acquire)
    }

    pub(super) fn bump(&self, person: Person, change: Change) {
        self.slot(person, change).fetch_add(1, Ordering::AcqRel);
    }

    fn slot(&self, person: Person, change: Change) -> &AtomicU64 {
        let hash = self.hasher.hash_one((person, change)) % SLOTS as u64;
        &self.slots[usize::try_from(hash).unwrap_or_default()]
    }
}
