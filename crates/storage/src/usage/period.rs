//! The lengths of time that figures are kept for.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// A length of time, beginning where clocks say so (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// A minute, kept for two days.
    Minute,
    /// An hour, kept as long as the tenant keeps its metrics.
    Hour,
    /// A day, kept as long.
    Day,
}

impl Period {
    /// Every period, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// How long it is.
    pub const fn length(self) -> TimeDelta {
        match self {
            Self::Minute => TimeDelta::minutes(1),
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        }
    }

    /// When the one began that `at` is in.
    pub fn begin(self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.duration_trunc(self.length()).unwrap_or(at)
    }

    /// When the first one begins that does not begin before `at`.
    pub fn next(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let begun = self.begin(at);
        if begun == at { at } else { begun + self.length() }
    }

    /// Those that lie in a span as a whole: the beginning of the first, and the end of the last; the same twice if there
    /// is none.
    pub(super) fn whole_in(self, from: DateTime<Utc>, to: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let (first, last) = (self.next(from), self.begin(to));
        (first, last.max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn whole_periods_of_a_span_begin_and_end_within_it() {
        let (from, to) = (at("2026-11-22T10:30:30Z"), at("2026-11-24T09:10:59Z"));
        let whole = |period: Period| period.whole_in(from, to);
        assert_eq!(whole(Period::Minute), (at("2026-11-22T10:31:00Z"), at("2026-11-24T09:10:00Z")));
        assert_eq!(whole(Period::Hour), (at("2026-11-22T11:00:00Z"), at("2026-11-24T09:00:00Z")));
        assert_eq!(whole(Period::Day), (at("2026-11-23T00:00:00Z"), at("2026-11-24T00:00:00Z")));
        let (first, last) = Period::Day.whole_in(from, at("2026-11-22T12:00:00Z"));
        assert_eq!(first, last, "none");
        let midnight = at("2026-11-23T00:00:00Z");
        assert_eq!((Period::Day.begin(midnight), Period::Day.next(midnight)), (midnight, midnight));
    }
}
