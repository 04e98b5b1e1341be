//! The arithmetic of one bucket: the generic cell rate algorithm in exact integers. `buckets.lua` is the same
//! arithmetic; the replay tests hold the two to each other.

use crate::plan::Rate;

/// The theoretical arrival time of a bucket: `whole + part / denominator` microseconds on the clock of whoever
/// keeps the bucket. At or before now, the bucket is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) whole: u64,
    pub(crate) part: u64,
    pub(crate) denominator: u64,
}

impl Arrival {
    /// The arrival time of a full bucket.
    pub(crate) fn full(rate: &Rate, now: u64) -> Self {
        Self { whole: now, part: 0, denominator: rate.denominator }
    }

    /// The arrival time as `rate` sees it at `now`: never in the past, and in its own denominator. A fraction of
    /// another denominator (the quota changed) is rounded up, by less than a microsecond.
    pub(crate) fn seen_by(self, rate: &Rate, now: u64) -> Self {
        let same = self.denominator == rate.denominator;
        let (whole, part) =
            if same || self.part == 0 { (self.whole, self.part) } else { (self.whole + 1, 0) };
        if whole < now { Self::full(rate, now) } else { Self { whole, part, denominator: rate.denominator } }
    }

    /// How many calls fit at `now`. `self` must have been seen by `rate` at `now` or later.
    pub(crate) fn fits(self, rate: &Rate, now: u64) -> u64 {
        let ahead = self.whole.saturating_sub(now);
        let free =
            (rate.window_us.saturating_sub(ahead)).saturating_mul(rate.denominator).saturating_sub(self.part);
        free / rate.interval
    }

    /// The arrival time after `calls` more calls.
    pub(crate) fn after(self, rate: &Rate, calls: u64) -> Self {
        let step = calls * rate.interval + self.part;
        Self { whole: self.whole + step / rate.denominator, part: step % rate.denominator, ..self }
    }

    /// Microseconds from `now` until the bucket is full.
    pub(crate) fn until_full(self, now: u64) -> u64 {
        (self.whole + u64::from(self.part > 0)).saturating_sub(now)
    }

    /// Microseconds from `now` until one call fits; 0 if one fits now.
    pub(crate) fn until_one_fits(self, rate: &Rate, now: u64) -> u64 {
        self.after(rate, 1).until_full(now).saturating_sub(rate.window_us)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use stagedoor_domain::policy::Quota;
    use stagedoor_domain::{LimitClass, LimitScope};

    use super::*;

    fn rate(capacity: u32, seconds: u64) -> Rate {
        let quota = Quota { capacity, window: Duration::from_secs(seconds) };
        Rate::new(LimitScope::Principal, LimitClass::Api, quota).expect("capacity and window are not zero")
    }

    #[test]
    fn a_changed_quota_rounds_against_the_caller() {
        let (old, new) = (rate(7, 60), rate(11, 60));
        let arrival = Arrival::full(&old, 100).after(&old, 1);
        assert!(arrival.part > 0);
        let seen = arrival.seen_by(&new, 100);
        assert_eq!((seen.whole, seen.part, seen.denominator), (arrival.whole + 1, 0, 11));
    }

    proptest! {
        /// The wait is exact: one microsecond less is refused.
        #[test]
        fn one_call_fits_exactly_after_the_wait(capacity in 1_u32..5_000, seconds in 1_u64..4_000, spent in 0_u64..5_000) {
            let rate = rate(capacity, seconds);
            let spent = spent.min(u64::from(capacity));
            let arrival = Arrival::full(&rate, 1_000).after(&rate, spent);
            let wait = arrival.until_one_fits(&rate, 1_000);
            prop_assert!(arrival.seen_by(&rate, 1_000 + wait).fits(&rate, 1_000 + wait) >= 1);
            if wait > 0 {
                prop_assert_eq!(arrival.fits(&rate, 1_000 + wait - 1), 0);
            }
            prop_assert_eq!(arrival.fits(&rate, 1_000), u64::from(capacity) - spent);
        }
    }
}
