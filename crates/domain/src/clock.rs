//! Time and randomness as things that are handed in. Only `SystemClock` reads the machine's clock; the
//! system's randomness is in `crypto`.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// Where the time comes from. Tests hand in a frozen one.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall clock, UTC.
    fn now(&self) -> DateTime<Utc>;
    /// Time since an arbitrary start, never going back; for durations only.
    fn elapsed(&self) -> Duration;
}

/// Where random bytes come from.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills `bytes` with random bytes fit for keys and nonces.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clock.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose `elapsed` counts from now.
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
