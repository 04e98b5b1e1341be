//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_domain::{Clock, SystemClock};

/// A clock that stands still until it is moved. Starts at the machine's time, because the certificates, tokens and
/// partitions of other programs live in it.
#[derive(Debug)]
pub struct FrozenClock {
    start: DateTime<Utc>,
    moved_micros: AtomicU64,
}

impl FrozenClock {
    /// A clock that stands at `start`.
    pub fn at(start: DateTime<Utc>) -> Self {
        Self { start, moved_micros: AtomicU64::new(0) }
    }

    /// A clock that stands at this moment.
    pub fn now() -> Self {
        Self::at(SystemClock::new().now())
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.moved_micros.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for FrozenClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + TimeDelta::microseconds(self.moved_micros.load(Ordering::SeqCst).cast_signed())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.moved_micros.load(Ordering::SeqCst))
    }
}
