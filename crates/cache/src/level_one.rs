//! Level 1: this process's memory, weighted by bytes. Whether an entry is still fresh is decided by our clock;
//! moka's own clock only frees the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use moka::notification::RemovalCause;
use stagedoor_domain::Clock;

use crate::entry::Entry;

/// What moka and the entry itself take beside key and body, roughly.
const OVERHEAD: usize = 200;

/// The level.
#[derive(Debug)]
pub(crate) struct LevelOne {
    entries: Cache<Arc<str>, Held>,
    evictions: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
struct Held {
    stored: Entry,
    /// The reading of `Clock::elapsed` from which it is stale. Not the wall clock, which may be set.
    fresh_until: Duration,
    life_left: Duration,
}

impl LevelOne {
    pub(crate) fn new(max_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evictions);
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &Arc<str>, held: &Held| {
                u32::try_from(key.len() + held.stored.body.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .expire_after(LifeLeft)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Self { entries, evictions, clock }
    }

    /// The entry, if it is still fresh.
    pub(crate) async fn get(&self, key: &str) -> Option<Entry> {
        let held = self.entries.get(key).await?;
        (self.clock.elapsed() < held.fresh_until).then_some(held.stored)
    }

    /// Keeps an entry for `life_left`.
    pub(crate) async fn put(&self, key: Arc<str>, stored: Entry, life_left: Duration) {
        let fresh_until = self.clock.elapsed() + life_left;
        self.entries.insert(key, Held { stored, fresh_until, life_left }).await;
    }

    /// Bytes and entries as of the last housekeeping, and entries dropped for room since the start.
    pub(crate) fn size(&self) -> (u64, u64, u64) {
        (self.entries.weighted_size(), self.entries.entry_count(), self.evictions.load(Ordering::Relaxed))
    }

    #[cfg(test)]
    pub(crate) async fn settle(&self) {
        self.entries.run_pending_tasks().await;
    }
}

/// Frees an entry when its life is over.
struct LifeLeft;

impl Expiry<Arc<str>, Held> for LifeLeft {
    fn expire_after_create(&self, _: &Arc<str>, held: &Held, _: Instant) -> Option<Duration> {
        Some(held.life_left)
    }

    fn expire_after_update(
        &self,
        _: &Arc<str>,
        held: &Held,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(held.life_left)
    }
}
