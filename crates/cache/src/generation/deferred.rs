//! Bumps that Redis has not taken yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Change, Person};

const AT_ONCE: usize = 64;

/// Each with the number of its newest note: a bump that was sent before a later one was noted says nothing about the
/// later one.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    notes: Mutex<HashMap<Person, HashMap<Change, u64>>>,
    /// How many persons there are, so that who finds none needs no lock.
    persons: AtomicUsize,
    last: AtomicU64,
}

impl Deferred {
    /// Notes a bump before it is sent.
    pub(super) fn note(&self, person: Person, change: Change) -> u64 {
        let mut notes = self.lock();
        let note = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        notes.entry(person).or_default().insert(change, note);
        self.persons.store(notes.len(), Ordering::Release);
        note
    }

    /// A bump that was sent under this note is done.
    pub(super) fn settle(&self, person: Person, change: Change, note: u64) {
        let mut notes = self.lock();
        let Some(changes) = notes.get_mut(&person) else { return };
        if changes.get(&change) == Some(&note) {
            changes.remove(&change);
        }
        if changes.is_empty() {
            notes.remove(&person);
        }
        self.persons.store(notes.len(), Ordering::Release);
    }

    /// Whether one of the person's waits.
    pub(super) fn concerns(&self, person: Person) -> bool {
        self.persons.load(Ordering::Acquire) > 0 && self.lock().contains_key(&person)
    }

    /// What waits of the person's.
    pub(super) fn of(&self, person: Person) -> Vec<(Person, Change, u64)> {
        let notes = self.lock();
        let changes = notes.get(&person).into_iter().flatten();
        changes.map(|(change, note)| (person, *change, *note)).collect()
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.lock().values().map(HashMap::len).sum()
    }

    /// Some of what waits.
    pub(super) fn some(&self) -> Vec<(Person, Change, u64)> {
        let notes = self.lock();
        let all =
            notes.iter().flat_map(|(person, changes)| changes.iter().map(move |change| (person, change)));
        all.take(AT_ONCE).map(|(person, (change, note))| (*person, *change, *note)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Person, HashMap<Change, u64>>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataScope;
    use stagedoor_domain::{Provider, TenantId, UserId};
    use uuid::Uuid;

    #[test]
    fn a_repeat_that_ends_late_does_not_settle_a_newer_bump() {
        let person =
            |tenant| Person { tenant: TenantId(Uuid::from_u128(tenant)), user: UserId(Uuid::from_u128(9)) };
        let (ada, bob) = (person(1), person(2));
        let change = Change::Of(Provider::Spotify, DataScope::Playlists);
        let deferred = Deferred::default();
        let first = deferred.note(ada, change);
        let newer = deferred.note(ada, change);
        deferred.settle(ada, change, first);
        assert_eq!(deferred.some(), [(ada, change, newer)], "the repeat of the first one ended late");
        assert!(deferred.concerns(ada) && !deferred.concerns(bob));

        let other = deferred.note(bob, change);
        assert_eq!(deferred.of(bob), [(bob, change, other)]);
        deferred.settle(ada, change, newer);
        deferred.settle(bob, change, other);
        deferred.settle(bob, change, other);
        assert_eq!(deferred.some(), []);
        assert!(!deferred.concerns(ada));
    }
}
