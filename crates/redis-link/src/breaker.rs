//! The breaker: after a failure everything is refused for a while, then one call at a time may probe.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One word of state, so that the closed case costs one load.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Microseconds since the clock's start at which one call may probe; 0 means closed.
    next_probe: AtomicU64,
    /// Microseconds since the clock's start at which it opened; means nothing while it is closed.
    opened: AtomicU64,
}

/// What the breaker says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Go on.
    Closed,
    /// Go on, alone: the answer decides for all.
    Probe,
    /// Do not try.
    Open,
}

impl Breaker {
    /// How long everything is refused after a failure, and between probes.
    pub(crate) const PERIOD: Duration = Duration::from_millis(500);

    /// Asks to pass at `now`, a reading of `Clock::elapsed`.
    pub(crate) fn pass(&self, now: Duration) -> Pass {
        let next_probe = self.next_probe.load(Ordering::Acquire);
        if next_probe == 0 {
            return Pass::Closed;
        }
        if micros(now) < next_probe {
            return Pass::Open;
        }
        let after = micros(now + Self::PERIOD);
        match self.next_probe.compare_exchange(next_probe, after, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Pass::Probe,
            Err(_) => Pass::Open,
        }
    }

    /// Records a failure at `now`; true if the breaker was closed before.
    pub(crate) fn fail(&self, now: Duration) -> bool {
        let was_closed = self.next_probe.swap(micros(now + Self::PERIOD), Ordering::AcqRel) == 0;
        if was_closed {
            self.opened.store(micros(now), Ordering::Release);
        }
        was_closed
    }

    /// Records an answer; true if the breaker was open before.
    pub(crate) fn succeed(&self) -> bool {
        self.next_probe.load(Ordering::Acquire) != 0 && self.next_probe.swap(0, Ordering::AcqRel) != 0
    }

    /// For how long calls have been refused or probing.
    pub(crate) fn open_for(&self, now: Duration) -> Option<Duration> {
        self.is_open().then(|| now.saturating_sub(Duration::from_micros(self.opened.load(Ordering::Acquire))))
    }

    /// Whether calls are refused or probing.
    pub(crate) fn is_open(&self) -> bool {
        self.next_probe.load(Ordering::Acquire) != 0
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn one_probe_per_period_until_an_answer_comes() {
        let breaker = Breaker::default();
        assert_eq!(breaker.pass(at(0)), Pass::Closed);
        assert!(breaker.fail(at(0)), "the first failure opens it");
        assert!(!breaker.fail(at(0)), "the second finds it open");
        assert_eq!(breaker.pass(at(499)), Pass::Open);
        assert_eq!(breaker.pass(at(500)), Pass::Probe);
        assert_eq!(breaker.pass(at(500)), Pass::Open, "only one call probes");
        assert_eq!(breaker.pass(at(1_000)), Pass::Probe, "a lost probe does not wedge it");
        breaker.fail(at(1_200));
        let open_for = breaker.open_for(at(1_250));
        assert!(open_for.is_some_and(|open| open > at(1_249)), "it has not closed since the first failure");
        assert!(breaker.succeed());
        assert_eq!(breaker.pass(at(1_000)), Pass::Closed);
        assert!(!breaker.succeed());
        assert_eq!(breaker.open_for(at(1_300)), None);
    }
}
