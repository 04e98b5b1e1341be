//! What the cache has done, for metrics and `usage_status`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start, and the present size of level 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounters {
    /// Answers from this process.
    pub hits_l1: u64,
    /// Answers from Redis.
    pub hits_l2: u64,
    /// Look-ups that found nothing in either level.
    pub misses: u64,
    /// Calls that were given the answer of another call that was under way.
    pub coalesced: u64,
    /// Calls that went past the cache: not cacheable, or the generation was out of reach.
    pub bypassed: u64,
    /// Entries of Redis that were not what was stored; each deserves a look.
    pub poisoned: u64,
    /// Steps left out because Redis or a sealing key was out of reach.
    pub degraded: u64,
    /// Entries that level 1 dropped for room.
    pub evictions: u64,
    /// Bytes in level 1, keys and overhead included.
    pub l1_bytes: u64,
    /// Entries in level 1.
    pub l1_entries: u64,
    /// Round trips to Redis.
    pub redis_trips: u64,
}

/// The running counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits_l1: Count,
    pub(crate) hits_l2: Count,
    pub(crate) misses: Count,
    pub(crate) coalesced: Count,
    pub(crate) bypassed: Count,
    pub(crate) poisoned: Count,
    pub(crate) degraded: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
