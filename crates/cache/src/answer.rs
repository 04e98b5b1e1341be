//! What the cache is given at the start, and what it answers.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use stagedoor_redis_link::RedisOptions;

use crate::entry::Entry;

/// How large the cache is and where its second level is.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Bytes of level 1.
    pub l1_max_bytes: u64,
    /// Level 2; `None` means one replica, level 1 only.
    pub redis: Option<RedisOptions>,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { l1_max_bytes: 100 * 1024 * 1024, redis: None }
    }
}

/// Where an answer came from. Closed, so that it may be a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// This process.
    L1,
    /// Redis.
    L2,
    /// Fetched by this call, and kept.
    Fetched,
    /// Fetched by another call that was under way.
    Coalesced,
    /// Fetched by this call past the cache.
    Bypassed,
}

impl Level {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Fetched => "fetched",
            Self::Coalesced => "coalesced",
            Self::Bypassed => "bypassed",
        }
    }
}

/// An answer. The body is shared with the cache, not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// The bytes that were fetched.
    pub body: Bytes,
    /// Where they came from.
    pub level: Level,
    /// When they were fetched.
    pub stored_at: DateTime<Utc>,
}

impl Cached {
    pub(crate) fn of(stored: Entry, level: Level) -> Self {
        Self { body: stored.body, level, stored_at: stored.stored_at }
    }
}
