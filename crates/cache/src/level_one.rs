//! Level 1: this process's memory, weighted by bytes. How old an entry is, is told by our clock; moka's own clock
//! only frees the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use moka::notification::RemovalCause;
use stagedoor_domain::{Clock, Provider};

use crate::entry::Entry;
use crate::generation::{Forget, Gone, Person};
use crate::lifetimes::Windows;
use crate::usage::TenantUsage;

/// What moka and the entry itself take beside key, body and note, roughly.
const OVERHEAD: usize = 320;
/// How long the one caller that was asked to have an answer fetched again has for it, before another is asked: it may
/// have had reasons not to. A fetch that takes longer is joined, not repeated.
const TURN: Duration = Duration::from_secs(1);

/// The level.
#[derive(Debug)]
pub(crate) struct LevelOne {
    entries: Cache<Arc<str>, Arc<Held>>,
    evictions: Arc<AtomicU64>,
    landings: AtomicU64,
    clock: Arc<dyn Clock>,
}

/// What an entry is kept by, beside its key.
#[derive(Debug, Clone)]
pub(crate) struct Filing {
    pub(crate) windows: Windows,
    pub(crate) usage: Arc<TenantUsage>,
    /// Whose account brought it, if it was a person's.
    pub(crate) account: Option<(Person, Provider)>,
}

/// An entry in memory.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) entry: Entry,
    /// Which of all that this process fetched it was; 0 for a copy of what another one fetched.
    pub(crate) landing: u64,
    /// Whose memory it takes.
    pub(crate) usage: Arc<TenantUsage>,
    /// Whose account brought it, if it was a person's.
    account: Option<(Person, Provider)>,
    /// Its age when it was put here, and the reading of `Clock::elapsed` then. Not the wall clock, which may be set.
    age: Duration,
    at: Duration,
    keep: Duration,
    weight: u32,
    /// Until when, in milliseconds of `Clock::elapsed`, someone is asked to have it fetched again.
    turn_ends: AtomicU64,
}

impl Held {
    /// Bytes that it takes, roughly.
    pub(crate) fn weight(&self) -> u32 {
        self.weight
    }
}

impl LevelOne {
    pub(crate) fn new(max_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evictions);
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, held: &Arc<Held>| held.weight)
            .expire_after(Kept)
            .support_invalidation_closures()
            .eviction_listener(move |_, held: Arc<Held>, cause| {
                let for_room = cause == RemovalCause::Size;
                held.usage.released(held.weight, for_room);
                if for_room {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Self { entries, evictions, landings: AtomicU64::new(0), clock }
    }

    /// The entry, whatever its age.
    pub(crate) async fn get(&self, key: &str) -> Option<Arc<Held>> {
        self.entries.get(key).await
    }

    /// An entry that this process fetched, not kept yet.
    pub(crate) fn landed(&self, key: &str, entry: Entry, filing: Filing) -> Arc<Held> {
        let landing = self.landings.fetch_add(1, Ordering::AcqRel) + 1;
        self.held(key, entry, filing, landing)
    }

    /// Keeps a copy of what another process fetched.
    pub(crate) async fn copy(&self, key: &Arc<str>, entry: Entry, filing: Filing) -> Arc<Held> {
        let held = self.held(key, entry, filing, 0);
        self.keep(Arc::clone(key), Arc::clone(&held)).await;
        held
    }

    /// The same, unless there is one meanwhile.
    pub(crate) async fn copy_if_absent(&self, key: &Arc<str>, entry: Entry, filing: Filing) -> Arc<Held> {
        let held = self.held(key, entry, filing, 0);
        held.usage.held(held.weight);
        let mine = Arc::clone(&held);
        let kept = self.entries.entry(Arc::clone(key)).or_insert_with(async { mine }).await;
        if !kept.is_fresh() {
            held.usage.released(held.weight, false);
        }
        kept.into_value()
    }

    /// Keeps an entry.
    pub(crate) async fn keep(&self, key: Arc<str>, held: Arc<Held>) {
        held.usage.held(held.weight);
        self.entries.insert(key, held).await;
    }

    /// Drops an entry.
    pub(crate) async fn drop_one(&self, key: &str) {
        self.entries.invalidate(key).await;
    }

    /// What drops the entries that a word of it concerns.
    pub(crate) fn forget(&self) -> Forget {
        let entries = self.entries.clone();
        Forget::new(move |gone| {
            let concerns = move |_: &Arc<str>, held: &Arc<Held>| match gone {
                Gone::Account(person, provider) => held.account == Some((person, provider)),
                Gone::Unheard => held.account.is_some(),
            };
            if let Err(error) = entries.invalidate_entries_if(concerns) {
                tracing::error!(%error, "entries of a person could not be dropped");
            }
        })
    }

    /// How many entries this process has fetched.
    pub(crate) fn landings(&self) -> u64 {
        self.landings.load(Ordering::Acquire)
    }

    /// How old an entry is now.
    pub(crate) fn age(&self, held: &Held) -> Duration {
        held.age + self.clock.elapsed().saturating_sub(held.at)
    }

    /// Whether the caller is the one that should have the entry fetched again.
    pub(crate) fn elect(&self, held: &Held) -> bool {
        let now = self.clock.elapsed();
        let ends = held.turn_ends.load(Ordering::Acquire);
        // A turn ends after at least a millisecond, so that 0 is free for "nobody yet".
        if ends > millis(now) {
            return false;
        }
        let next = millis(now + TURN);
        held.turn_ends.compare_exchange(ends, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn held(&self, key: &str, entry: Entry, filing: Filing, landing: u64) -> Arc<Held> {
        let Filing { windows, usage, account } = filing;
        let note = entry.next.as_deref().map_or(0, str::len);
        Arc::new(Held {
            weight: u32::try_from(key.len() + entry.body.len() + note + OVERHEAD).unwrap_or(u32::MAX),
            age: (self.clock.now() - entry.stored_at).to_std().unwrap_or_default(),
            at: self.clock.elapsed(),
            keep: windows.kept(&entry),
            entry,
            usage,
            account,
            landing,
            turn_ends: AtomicU64::new(0),
        })
    }

    /// Bytes and entries as of the last housekeeping, and entries dropped for room since the start.
    pub(crate) fn size(&self) -> (u64, u64, u64) {
        (self.entries.weighted_size(), self.entries.entry_count(), self.evictions.load(Ordering::Relaxed))
    }

    /// Does now what is put off otherwise until entries are asked for: what is dropped or over leaves the memory.
    pub(crate) async fn settle(&self) {
        self.entries.run_pending_tasks().await;
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Frees an entry when it is not worth keeping any longer.
struct Kept;

impl Expiry<Arc<str>, Arc<Held>> for Kept {
    fn expire_after_create(&self, _: &Arc<str>, held: &Arc<Held>, _: Instant) -> Option<Duration> {
        Some(held.keep.saturating_sub(held.age))
    }

    fn expire_after_update(
        &self,
        _: &Arc<str>,
        held: &Arc<Held>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(held.keep.saturating_sub(held.age))
    }
}
