//! A person's days and hours: which local day and hour a time falls in, in a zone of the IANA database.

use chrono::{DateTime, Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const HOUR: i64 = 3_600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;

/// A zone's offsets between two times.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    /// From when on, and the milliseconds by which local time is ahead of UTC. Never empty.
    spans: Vec<(i64, i64)>,
}

impl Calendar {
    /// The offsets of `zone` for times of `from..until` (milliseconds since 1970). A change is looked for once in a day of
    /// UTC: no zone has changed its offset twice within one.
    pub(crate) fn new(zone: Tz, from: i64, until: i64) -> Self {
        let mut spans = vec![(from, offset(zone, from))];
        let (mut at, mut current) = (from, spans[0].1);
        while at < until {
            let next = at + DAY;
            let then = offset(zone, next);
            if then != current {
                spans.push((change(zone, at, next), then));
                current = then;
            }
            at = next;
        }
        Self { spans }
    }

    /// Local time at `time`, in milliseconds since 1970-01-01 00:00 on the local clock. `cursor` is where the last look-up
    /// ended: looking up times in their order costs almost nothing.
    #[inline]
    pub(crate) fn local(&self, time: i64, cursor: &mut usize) -> i64 {
        while self.spans.get(*cursor + 1).is_some_and(|(from, _)| *from <= time) {
            *cursor += 1;
        }
        while *cursor > 0 && self.spans[*cursor].0 > time {
            *cursor -= 1;
        }
        time + self.spans[*cursor].1
    }

    /// The local day at `time`, in days since 1970-01-01.
    pub(crate) fn day(&self, time: i64) -> i64 {
        let after = self.spans.partition_point(|(from, _)| *from <= time);
        self.local(time, &mut after.saturating_sub(1)).div_euclid(DAY)
    }

    /// When local days begin to be `day` or later.
    pub(crate) fn begin_of(&self, day: i64) -> i64 {
        let ends = self.spans.iter().skip(1).map(|(from, _)| *from).chain([i64::MAX]);
        for ((from, offset), end) in self.spans.iter().zip(ends) {
            let begin = (day * DAY - offset).max(*from);
            if begin < end {
                return begin;
            }
        }
        day * DAY
    }

    /// Whether a zone left `day` out, as Samoa did in 2011.
    pub(crate) fn is_left_out(&self, day: i64) -> bool {
        self.spans.windows(2).any(|pair| {
            let [(_, before), (at, after)] = pair else { return false };
            let last = (at - 1 + before).div_euclid(DAY);
            let first = (at + after).div_euclid(DAY);
            last < day && day < first
        })
    }
}

fn offset(zone: Tz, time: i64) -> i64 {
    let at = DateTime::<Utc>::from_timestamp_millis(time).unwrap_or_default();
    i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()) * SECOND
}

/// The second at which the offset of `before` ends.
fn change(zone: Tz, before: i64, after: i64) -> i64 {
    let old = offset(zone, before);
    let (mut low, mut high) = (before.div_euclid(SECOND), after.div_euclid(SECOND));
    while high - low > 1 {
        let middle = low.midpoint(high);
        if offset(zone, middle * SECOND) == old { low = middle } else { high = middle }
    }
    high * SECOND
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn time(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().unwrap().timestamp_millis()
    }

    fn day(text: &str) -> i64 {
        let date: NaiveDate = text.parse().unwrap();
        (date - NaiveDate::default()).num_days()
    }

    fn calendar(zone: Tz, from: &str, until: &str) -> Calendar {
        Calendar::new(zone, time(from), time(until))
    }

    #[test]
    fn days_begin_where_the_clock_says() {
        let berlin = calendar(Tz::Europe__Berlin, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        assert_eq!(berlin.begin_of(day("2026-07-01")), time("2026-06-30T22:00:00Z"));
        assert_eq!(berlin.begin_of(day("2026-10-26")) - berlin.begin_of(day("2026-10-25")), 25 * HOUR);
        assert_eq!(berlin.begin_of(day("2026-03-30")) - berlin.begin_of(day("2026-03-29")), 23 * HOUR);
        assert_eq!(berlin.day(time("2026-06-30T22:00:00Z")), day("2026-07-01"));
        assert_eq!(berlin.day(time("2026-06-30T21:59:59.999Z")), day("2026-06-30"));
        // Midnight did not occur: the day began at one o'clock.
        let paulo = calendar(Tz::America__Sao_Paulo, "2018-10-01T00:00:00Z", "2018-12-01T00:00:00Z");
        assert_eq!(paulo.begin_of(day("2018-11-04")), time("2018-11-04T03:00:00Z"));
        assert_eq!(paulo.day(time("2018-11-04T02:59:59Z")), day("2018-11-03"));
    }

    #[test]
    fn clocks_that_are_set_back_over_midnight_return_to_the_day_before() {
        let johns = calendar(Tz::America__St_Johns, "2010-11-01T00:00:00Z", "2010-12-01T00:00:00Z");
        // At 00:01 it was 23:01 again.
        assert_eq!(johns.day(time("2010-11-07T02:30:30Z")), day("2010-11-07"));
        assert_eq!(johns.day(time("2010-11-07T02:31:00Z")), day("2010-11-06"));
        assert_eq!(johns.day(time("2010-11-07T03:30:00Z")), day("2010-11-07"));
        assert_eq!(johns.begin_of(day("2010-11-07")), time("2010-11-07T02:30:00Z"));
    }

    #[test]
    fn a_day_can_be_left_out() {
        let apia = calendar(Tz::Pacific__Apia, "2011-12-01T00:00:00Z", "2012-02-01T00:00:00Z");
        assert!(apia.is_left_out(day("2011-12-30")));
        assert!(!apia.is_left_out(day("2011-12-29")) && !apia.is_left_out(day("2011-12-31")));
        assert_eq!(apia.begin_of(day("2011-12-30")), apia.begin_of(day("2011-12-31")));
    }

    /// What looking once in a day may miss: two changes within one.
    #[test]
    fn every_zone_has_the_offsets_that_it_has() {
        let (from, until) = (time("2006-01-01T07:00:00Z"), time("2030-01-01T00:00:00Z"));
        for zone in chrono_tz::TZ_VARIANTS {
            let (calendar, mut cursor) = (Calendar::new(zone, from, until), 0);
            for step in 0..(until - from) / (31 * HOUR) {
                let time = from + step * 31 * HOUR;
                assert_eq!(calendar.local(time, &mut cursor), time + offset(zone, time), "{zone} at {time}");
            }
            for (at, after) in &calendar.spans[1..] {
                assert_eq!(offset(zone, *at), *after, "{zone} at {at}");
                assert_ne!(offset(zone, at - 1), *after, "{zone} before {at}");
            }
        }
    }
}
