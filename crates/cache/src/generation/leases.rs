//! What this replica remembers of persons' generations, and for how long it may. No waiting and no Redis here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::Clock;

use super::Person;
use super::script::Numbers;

/// For how long Redis lists this replica as a holder, counted from when it read.
pub(super) const LEASE: Duration = Duration::from_secs(2);
/// For how long the replica itself counts on it, from before it asked: less, so that clocks may run a tenth apart.
pub(super) const HELD_FOR: Duration = Duration::from_millis(1_800);

const SHARDS: usize = 16;
const FIRST_SWEEP: usize = 64;

/// The table.
#[derive(Debug)]
pub(super) struct Leases {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Shard {
    slots: HashMap<Person, Slot>,
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Slot {
    /// What was read, and the clock's reading from before it was asked for.
    lease: Option<(Numbers, Duration)>,
    /// How often the lease was dropped: a reading from before the last time makes no lease.
    drops: u64,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// When a reading began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    at: Duration,
    drops: u64,
}

impl Leases {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let shard = || Mutex::new(Shard { slots: HashMap::new(), sweep_at: FIRST_SWEEP });
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), hasher: RandomState::new(), clock }
    }

    /// The person's generations, while the lease holds.
    pub(super) fn held(&self, person: Person) -> Option<Numbers> {
        let shard = self.shard(person);
        let slot = shard.slots.get(&person)?;
        // The clock is read under the lock: an event that came before has dropped the lease by now.
        let (numbers, _) = slot.lease.as_ref().filter(|_| slot.is_held(self.clock.elapsed()))?;
        Some(numbers.clone())
    }

    /// Where callers that find no lease line up, so that one of them reads.
    pub(super) fn turn(&self, person: Person) -> Arc<tokio::sync::Mutex<()>> {
        let now = self.clock.elapsed();
        let mut shard = self.shard(person);
        if shard.slots.len() >= shard.sweep_at && !shard.slots.contains_key(&person) {
            shard.sweep(now);
        }
        Arc::clone(&shard.slots.entry(person).or_default().turn)
    }

    /// Notes that a reading begins; to be called before anything is sent, by whoever has the turn.
    pub(super) fn begin(&self, person: Person) -> Begun {
        let mut shard = self.shard(person);
        let drops = shard.slots.entry(person).or_default().drops;
        Begun { at: self.clock.elapsed(), drops }
    }

    /// Makes a lease of what was read, unless it was dropped in the meantime.
    pub(super) fn install(&self, person: Person, begun: Begun, numbers: Numbers) -> bool {
        let mut shard = self.shard(person);
        let slot = shard.slots.entry(person).or_default();
        if slot.drops != begun.drops {
            return false;
        }
        slot.lease = Some((numbers, begun.at));
        true
    }

    /// Drops the person's lease, and what readings under way would make one of.
    pub(super) fn drop_one(&self, person: Person) {
        if let Some(slot) = self.shard(person).slots.get_mut(&person) {
            slot.drop_lease();
        }
    }

    /// Drops all leases.
    pub(super) fn drop_all(&self) {
        for shard in &self.shards {
            lock(shard).slots.values_mut().for_each(Slot::drop_lease);
        }
    }

    /// How many hold now.
    pub(super) fn count(&self) -> usize {
        let now = self.clock.elapsed();
        let holding = |shard| lock(shard).slots.values().filter(|slot| slot.is_held(now)).count();
        self.shards.iter().map(holding).sum()
    }

    fn shard(&self, person: Person) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(person) % SHARDS as u64;
        lock(&self.shards[usize::try_from(hash).unwrap_or_default()])
    }
}

impl Shard {
    /// Forgets persons of whom nothing counts and nobody asks.
    fn sweep(&mut self, now: Duration) {
        // A slot in whose turn somebody reads must keep its count of drops.
        self.slots.retain(|_, slot| slot.is_held(now) || Arc::strong_count(&slot.turn) > 1);
        self.sweep_at = (self.slots.len() * 2).max(FIRST_SWEEP);
    }
}

impl Slot {
    fn is_held(&self, now: Duration) -> bool {
        self.lease.as_ref().is_some_and(|(_, at)| now.saturating_sub(*at) < HELD_FOR)
    }

    fn drop_lease(&mut self) {
        self.lease = None;
        self.drops += 1;
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};
    use stagedoor_domain::{TenantId, UserId};
    use uuid::Uuid;

    #[derive(Debug, Default)]
    struct Frozen(Mutex<Duration>);

    impl Frozen {
        fn advance(&self, millis: u64) {
            *self.0.lock().unwrap() += Duration::from_millis(millis);
        }
    }

    impl Clock for Frozen {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn elapsed(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    fn table() -> (Leases, Arc<Frozen>) {
        let clock = Arc::new(Frozen::default());
        (Leases::new(Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    fn person(number: u128) -> Person {
        Person { tenant: TenantId(Uuid::from_u128(1)), user: UserId(Uuid::from_u128(number)) }
    }

    #[test]
    fn a_lease_counts_from_before_it_was_asked_for() {
        let (leases, clock) = table();
        let ada = person(1);
        let begun = leases.begin(ada);
        clock.advance(1_700);
        assert!(leases.install(ada, begun, Numbers::default()));
        assert!(leases.held(ada).is_some());
        clock.advance(100);
        assert!(leases.held(ada).is_none(), "the time the answer took is lost");

        let begun = leases.begin(ada);
        clock.advance(1_800);
        leases.install(ada, begun, Numbers::default());
        assert!(leases.held(ada).is_none(), "frozen on the way, it is over when it comes");
    }

    #[test]
    fn a_reading_that_was_overtaken_makes_no_lease() {
        let (leases, _) = table();
        let (ada, bob) = (person(1), person(2));
        let (hers, his) = (leases.begin(ada), leases.begin(bob));
        leases.drop_one(ada);
        assert!(!leases.install(ada, hers, Numbers::default()));
        assert!(leases.held(ada).is_none());
        assert!(leases.install(bob, his, Numbers::default()), "the other's is as good as it was");
        let again = leases.begin(ada);
        assert!(leases.install(ada, again, Numbers::default()));
        let late = leases.begin(bob);
        leases.drop_all();
        assert!(!leases.install(bob, late, Numbers::default()));
        assert_eq!(leases.count(), 0);
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let (leases, clock) = table();
        let ada = person(0);
        let turn = leases.turn(ada);
        let begun = leases.begin(ada);
        leases.drop_one(ada);
        let slots = || leases.shards.iter().map(|shard| lock(shard).slots.len()).sum::<usize>();
        for number in 1..=50_000 {
            leases.turn(person(number));
            let begun = leases.begin(person(number));
            leases.install(person(number), begun, Numbers::default());
            clock.advance(10);
        }
        assert!(slots() < 5_000, "{}", slots());
        assert!(
            !leases.install(ada, begun, Numbers::default()),
            "whoever reads is remembered, and what it missed"
        );
        drop(turn);
    }
}
