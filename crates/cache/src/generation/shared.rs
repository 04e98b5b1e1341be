//! The generations of all replicas: in Redis, remembered here under leases. Why this is right stands in the module.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stagedoor_domain::{Clock, Entropy};
use stagedoor_redis_link::{RedisLink, Unavailable};
use tokio::time::{Instant, sleep};

use super::deferred::Deferred;
use super::leases::{LEASE, Leases};
use super::listener::Listener;
use super::script::{GenerationScript, Holders, Numbers};
use super::waits::{Ended, Waits};
use super::{BumpDeferred, Change, EntryIndex, Forget, GenerationCounters, Gone, Person, forgotten};

/// Between two attempts to tell Redis of a bump that it did not take.
const REPEAT_EVERY: Duration = Duration::from_millis(250);

/// For how long it is tried after the end was asked for; less than what the process waits for its tasks.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// For how long after a failure a hash that is new is not taken for the person's first.
const DOUBT: Duration = Duration::from_secs(4);

/// A replica's name among the replicas: random, so that a restarted one is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReplicaId(pub(super) u64);

/// Generations in Redis.
#[derive(Debug)]
pub(crate) struct SharedGenerations {
    link: Arc<RedisLink>,
    script: GenerationScript,
    replica: ReplicaId,
    leases: Leases,
    deferred: Deferred,
    waits: Waits,
    index: EntryIndex,
    forget: Forget,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    renewals: AtomicU64,
    bumps: AtomicU64,
    acknowledged: AtomicU64,
    waited_out: AtomicU64,
    deferred: AtomicU64,
    lost: AtomicU64,
}

impl SharedGenerations {
    pub(super) fn new(
        link: Arc<RedisLink>,
        replica: ReplicaId,
        clock: Arc<dyn Clock>,
        forget: Forget,
    ) -> Self {
        Self {
            link,
            script: GenerationScript::new(),
            replica,
            leases: Leases::new(clock),
            deferred: Deferred::default(),
            waits: Waits::default(),
            index: EntryIndex::new(),
            forget,
            counts: Counts::default(),
        }
    }

    /// The person's generations under a lease, without waiting.
    pub(super) fn held(&self, person: Person) -> Option<Numbers> {
        if self.deferred.concerns(person) {
            return None;
        }
        self.leases.held(person)
    }

    /// The person's generations, read by one of all who find no lease; `None` if they are out of reach, or the person was
    /// forgotten.
    pub(super) async fn read(&self, person: Person) -> Option<Numbers> {
        self.settle_deferred(person).await?;
        let turn = self.leases.turn(person);
        let _turn = turn.lock().await;
        if let Some(numbers) = self.held(person) {
            return Some(numbers);
        }
        let begun = self.leases.begin(person);
        let numbers = self.script.read(&self.link, self.replica, person).await.ok()??;
        self.counts.renewals.fetch_add(1, Ordering::Relaxed);
        // Dropped meanwhile: it still answers this call, which began before it asked.
        self.leases.install(person, begun, numbers.clone());
        Some(numbers)
    }

    /// Has no generations of the person be made any more, by whatever is still under way.
    pub(super) async fn mark_forgotten(&self, person: Person) -> Result<(), Unavailable> {
        forgotten::mark(&self.link, person).await?;
        self.leases.drop_one(person);
        Ok(())
    }

    pub(super) async fn bump(&self, person: Person, change: Change) -> Result<(), BumpDeferred> {
        // Noted before it is tried: a caller that goes away half-way must not lose the bump.
        let note = self.deferred.note(person, change);
        let mut wait = self.waits.open();
        let sent = match self.send(person, change, note, wait.nonce()).await {
            Ok(holders) => Ok(holders),
            Err(error) => self.send_again(person, change, note, wait.nonce(), error).await,
        };
        let holders = sent.map_err(|error| {
            self.counts.deferred.fetch_add(1, Ordering::Relaxed);
            BumpDeferred(error)
        })?;
        match wait.until_gone(holders).await {
            Ended::Alone => 0,
            Ended::Acknowledged => self.counts.acknowledged.fetch_add(1, Ordering::Relaxed),
            Ended::Over => self.counts.waited_out.fetch_add(1, Ordering::Relaxed),
        };
        Ok(())
    }

    /// Hears the other replicas, and repeats bumps that nobody waits for any more. Never ends.
    pub(super) async fn run(&self) {
        let repeat = async {
            loop {
                sleep(REPEAT_EVERY).await;
                self.repeat(self.deferred.some()).await;
            }
        };
        let Self { link, replica, leases, waits, forget, .. } = self;
        let listener = Listener { link, replica: *replica, leases, waits, forget };
        tokio::join!(listener.listen(), repeat);
    }

    /// The last chance of bumps that Redis has not taken: nobody repeats them after this process has ended.
    pub(super) async fn farewell(&self) {
        let over = Instant::now() + FAREWELL;
        loop {
            self.repeat(self.deferred.some()).await;
            let waiting = self.deferred.count();
            if waiting == 0 {
                return;
            }
            if Instant::now() >= over {
                self.counts.lost.fetch_add(u64::try_from(waiting).unwrap_or(u64::MAX), Ordering::Relaxed);
                tracing::error!(
                    changes = waiting,
                    "the cache could not be told of changes before the end; replicas may give what was before them"
                );
                return;
            }
            sleep(REPEAT_EVERY).await;
        }
    }

    pub(super) fn counters(&self) -> GenerationCounters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (acknowledged, waited_out) = (read(&self.counts.acknowledged), read(&self.counts.waited_out));
        GenerationCounters {
            leases: u64::try_from(self.leases.count()).unwrap_or(u64::MAX),
            renewals: read(&self.counts.renewals),
            bumps: read(&self.counts.bumps),
            bump_waits: acknowledged + waited_out,
            acknowledged,
            waited_out,
            deferred: read(&self.counts.deferred),
            lost: read(&self.counts.lost),
        }
    }

    async fn send(
        &self,
        person: Person,
        change: Change,
        note: u64,
        nonce: u64,
    ) -> Result<Holders, Unavailable> {
        let mut holders = self.script.bump(&self.link, self.replica, person, change, nonce).await?;
        // A replica may have been promoted that had never heard of the hash.
        if self.link.failed_within(DOUBT) {
            holders.unknown = holders.unknown.max(holders.young);
        }
        self.counts.bumps.fetch_add(1, Ordering::Relaxed);
        // While the note stands, nobody here uses a lease. So the old one goes first.
        self.leases.drop_one(person);
        if let Some(Gone::Account(_, provider)) = Gone::with(person, change) {
            self.forget.tell(Gone::Account(person, provider));
            // Not done until this is: what an account brought goes with it.
            self.index.remove_all(&self.link, person, provider).await?;
        }
        self.deferred.settle(person, change, note);
        Ok(holders)
    }

    /// Tries until Redis takes the bump, or until the leases are over of all replicas that reach Redis as little as
    /// this one has since it failed.
    async fn send_again(
        &self,
        person: Person,
        change: Change,
        note: u64,
        nonce: u64,
        mut error: Unavailable,
    ) -> Result<Holders, Unavailable> {
        let over = Instant::now() + LEASE.saturating_sub(self.link.down_for().unwrap_or_default());
        while Instant::now() < over {
            sleep(REPEAT_EVERY.min(over - Instant::now())).await;
            match self.send(person, change, note, nonce).await {
                Ok(holders) => return Ok(holders),
                Err(again) => error = again,
            }
        }
        Err(error)
    }

    /// Repeats the person's bumps that failed; `None` if one still fails.
    async fn settle_deferred(&self, person: Person) -> Option<()> {
        if self.deferred.concerns(person) {
            self.repeat(self.deferred.of(person)).await;
        }
        (!self.deferred.concerns(person)).then_some(())
    }

    /// These were answered as deferred or not at all, so nobody waits for the other replicas any more.
    async fn repeat(&self, waiting: Vec<(Person, Change, u64)>) {
        for (person, change, note) in waiting {
            if self.send(person, change, note, 0).await.is_err() {
                break;
            }
        }
    }
}

impl ReplicaId {
    #[cfg(test)]
    pub(super) const fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// Two replicas under one name would not wait for each other, so a source of randomness that repeats itself, as
    /// in tests, is not relied upon alone.
    pub(crate) fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        Self(RandomState::new().hash_one(bytes))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ReplicaId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}
