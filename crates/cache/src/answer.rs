//! What the cache is given: its options, a question, a fetched answer; and what it answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use stagedoor_domain::policy::TtlBounds;
use stagedoor_redis_link::RedisOptions;

use crate::entry::Entry;
use crate::key::CacheKey;

/// How large the cache is, where its second level is, and how long answers count beyond their lives.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Bytes of level 1.
    pub l1_max_bytes: u64,
    /// Level 2; `None` means one replica, level 1 only.
    pub redis: Option<RedisOptions>,
    /// How long beyond its life an answer is given at once while it is fetched again (RFC 5861 §3), but never
    /// longer than the answer's life. Zero turns it off.
    pub stale_while_revalidate: Duration,
    /// How long beyond its life an answer may stand in for one that cannot be fetched (RFC 5861 §4). Zero turns
    /// it off.
    pub stale_if_error: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            l1_max_bytes: 100 * 1024 * 1024,
            redis: None,
            stale_while_revalidate: Duration::from_mins(1),
            stale_if_error: Duration::from_hours(24),
        }
    }
}

/// One question to the cache.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What is asked for.
    pub key: &'a CacheKey,
    /// Between which lives the answer's own moves (`TenantSettings::cache_ttl`). Not shortened by what one
    /// person prefers: the answer may be for others as well.
    pub ttl: TtlBounds,
    /// No answer of this age or older is wanted, be it fresh or not (a person's `cache_duration`); only one that
    /// stands in for an error may be older, and says so.
    pub oldest: Option<Duration>,
    /// Whether an answer that is there counts.
    pub mode: Mode,
    /// Whether it may be noted that this is asked for, for what is asked for most.
    pub noted: bool,
}

/// Whether an answer that is there counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Reuse,
    /// It does not: the answer is fetched again, once for all who ask for that at the same time. What another
    /// replica has fetched since this one's copy counts while it is fresh, so that not every replica that found the
    /// same answer due fetches it. Never gives an older answer than there was before, nor one instead of an error.
    Refetch,
    /// A fresh one does. Nobody has asked yet, so it counts as no call; never gives an old answer instead of an error.
    Ahead,
}

/// What a caller says of an error of type `E`.
#[derive(Debug, Clone, Copy)]
pub struct Verdicts<F, O> {
    /// `Fn(&E) -> bool`: whether an old answer is better than it. Asked only if there is one to give.
    pub forgivable: F,
    /// `Fn(&E) -> bool`: whether it is about the caller who was told so (its place in a queue), and no answer to another
    /// one's question.
    pub own: O,
}

/// What a fetch found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// An answer.
    Answer {
        /// Its bytes.
        body: Bytes,
        /// A digest of what it says, without times and cursors: whether it is the same as the one before.
        fingerprint: [u8; 32],
        /// A note that is kept with it (where the next page begins).
        next: Option<Box<str>>,
        /// The most that it lives, whatever the bounds say, for an answer that may be another one soon (nothing was
        /// found). Such an answer is never given beyond its life, and teaches nothing about the life of the next.
        life_at_most: Option<Duration>,
    },
    /// There is no such thing at the provider. Kept for 10 to 30 seconds.
    Absent {
        /// Whatever the caller needs to say so again.
        body: Bytes,
    },
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
    /// An old answer instead of an error of the fetch.
    Stale,
    /// Fetched by this call past the cache.
    Bypassed,
}

impl Level {
    /// Every level.
    pub const ALL: &'static [Self] =
        &[Self::L1, Self::L2, Self::Fetched, Self::Coalesced, Self::Stale, Self::Bypassed];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Fetched => "fetched",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
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
    /// Whether it says that there is no such thing.
    pub absent: bool,
    /// How long its life is over, if it is.
    pub stale: Option<Duration>,
    /// The caller is the one that should have it fetched again beside the call ([`Mode::Refetch`]).
    pub refresh: bool,
    /// The note that was kept with it.
    pub next: Option<Arc<str>>,
}

impl Cached {
    pub(crate) fn of(entry: &Entry, level: Level) -> Self {
        Self {
            body: entry.body.clone(),
            level,
            stored_at: entry.stored_at,
            absent: entry.absent,
            stale: None,
            refresh: false,
            next: entry.next.clone(),
        }
    }
}
