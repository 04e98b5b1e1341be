//! The breaker of each client id: after a 429 its calls fail at once until the provider's wait has passed. Held in
//! this process; sharing it between replicas would replace `Breakers` and nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stagedoor_domain::{Entropy, Provider};

/// No provider is believed to mean more than this; after it, one call asks again.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// The first wait when a 429 names none; doubled by each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// Entries above which those that are over are dropped.
const SWEEP_ABOVE: usize = 1_024;

/// Which quota a call counts on: provider, client id and server, so that a tenant that claims another's
/// client id against a server of its own shuts nobody else out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BreakerKey {
    pub(crate) provider: Provider,
    pub(crate) origin: String,
    pub(crate) client_id: String,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// In `Clock::elapsed` time.
    open_until: Duration,
    /// 429s in a row without `Retry-After`.
    unexplained: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Breakers {
    entries: Mutex<HashMap<BreakerKey, Entry>>,
}

impl Breakers {
    /// How long calls of `key` still have to wait; `None` if they may go out.
    pub(crate) fn remaining(&self, key: &BreakerKey, now: Duration) -> Option<Duration> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let left = entries.get(key)?.open_until.saturating_sub(now);
        (!left.is_zero()).then_some(left)
    }

    /// Opens after a 429 and returns the wait: the provider's, or exponential backoff with jitter if it named none.
    pub(crate) fn open(
        &self,
        key: BreakerKey,
        retry_after: Option<Duration>,
        now: Duration,
        entropy: &dyn Entropy,
    ) -> Duration {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= SWEEP_ABOVE {
            entries.retain(|_, entry| entry.open_until > now);
        }
        let entry = entries.entry(key).or_insert(Entry { open_until: now, unexplained: 0 });
        let wait = if let Some(wait) = retry_after {
            entry.unexplained = 0;
            wait.clamp(Duration::from_secs(1), LONGEST_WAIT)
        } else {
            let backoff = FIRST_BACKOFF.saturating_mul(1 << entry.unexplained.min(6)).min(LONGEST_BACKOFF);
            entry.unexplained = entry.unexplained.saturating_add(1);
            backoff / 2 + jitter(backoff / 2, entropy)
        };
        entry.open_until = entry.open_until.max(now + wait);
        entry.open_until.saturating_sub(now)
    }

    /// Forgets past 429s after an answer that was none.
    pub(crate) fn close(&self, key: &BreakerKey, now: Duration) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.get(key).is_some_and(|entry| entry.open_until <= now) {
            entries.remove(key);
        }
    }
}

/// Evenly spread over 0..=`most`.
pub(crate) fn jitter(most: Duration, entropy: &dyn Entropy) -> Duration {
    let mut bytes = [0_u8; 2];
    entropy.fill(&mut bytes);
    most * u32::from(u16::from_le_bytes(bytes)) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Highest;

    impl Entropy for Highest {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xFF);
        }
    }

    fn key(origin: &str) -> BreakerKey {
        BreakerKey { provider: Provider::Spotify, origin: origin.to_owned(), client_id: "client".to_owned() }
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_long_wait_holds_to_its_end() {
        let breakers = Breakers::default();
        assert_eq!(breakers.open(key("a"), Some(seconds(80_000)), seconds(10), &Highest), seconds(80_000));
        assert_eq!(breakers.remaining(&key("a"), seconds(80_009)), Some(seconds(1)));
        assert_eq!(breakers.remaining(&key("a"), seconds(80_010)), None);
        assert_eq!(breakers.remaining(&key("b"), seconds(11)), None, "another server is not shut");
    }

    #[test]
    fn a_shorter_wait_does_not_shorten_a_longer_one() {
        let breakers = Breakers::default();
        breakers.open(key("a"), Some(seconds(60)), seconds(0), &Highest);
        assert_eq!(breakers.open(key("a"), Some(seconds(5)), seconds(1), &Highest), seconds(59));
    }

    #[test]
    fn unexplained_refusals_back_off_and_an_answer_forgives_them() {
        let breakers = Breakers::default();
        assert_eq!(breakers.open(key("a"), None, seconds(0), &Highest), seconds(1));
        assert_eq!(breakers.open(key("a"), None, seconds(1), &Highest), seconds(2));
        assert_eq!(breakers.open(key("a"), None, seconds(3), &Highest), seconds(4));
        breakers.close(&key("a"), seconds(7));
        assert_eq!(breakers.open(key("a"), None, seconds(8), &Highest), seconds(1));
    }

    #[test]
    fn an_answer_to_an_earlier_call_does_not_close_it() {
        let breakers = Breakers::default();
        breakers.open(key("a"), Some(seconds(30)), seconds(0), &Highest);
        breakers.close(&key("a"), seconds(1));
        assert_eq!(breakers.remaining(&key("a"), seconds(1)), Some(seconds(29)));
    }
}
