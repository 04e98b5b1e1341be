//! The period beside the one of equally many days right before it.

use crate::answer::{Totals, Trend, TrendBucket};
use crate::calculation::{date, float, rounded};
use crate::scan::{CURRENT, Counts, DaySum, PREVIOUS, Span};

/// As many buckets as can be told apart in a picture.
const MOST_BUCKETS: i64 = 31;

pub(crate) fn of(counts: &Counts, span: Span, now: &Totals, previous: Totals) -> Trend {
    let bucket_days = bucket_days(span.days);
    let sum = |which: usize, begin: i64| {
        let (from, to) = span.of(which);
        let days = from + begin..=to.min(from + begin + bucket_days - 1);
        let sums = days.filter_map(|day| span.index(day)).map(|index| counts.days[index]);
        sums.fold(DaySum::default(), |sum, day| DaySum {
            plays: sum.plays + day.plays,
            listened_ms: sum.listened_ms + day.listened_ms,
        })
    };
    let mut buckets = vec![];
    let mut begin = 0;
    while begin < span.days {
        let (current, previous) = (sum(CURRENT, begin), sum(PREVIOUS, begin));
        buckets.push(TrendBucket {
            from: date(span.of(CURRENT).0 + begin),
            plays: current.plays,
            listened_ms: current.listened_ms,
            previous_plays: previous.plays,
            previous_listened_ms: previous.listened_ms,
        });
        begin += bucket_days;
    }
    Trend {
        plays_change: change(now.plays, previous.plays),
        listened_change: change(now.listened_ms, previous.listened_ms),
        bucket_days: bucket_days.unsigned_abs(),
        buckets,
        previous,
    }
}

/// Days, weeks or four weeks, whichever is the first that fits.
fn bucket_days(days: i64) -> i64 {
    let fits = [1, 7, 28].into_iter().find(|bucket| bucket * MOST_BUCKETS >= days);
    fits.unwrap_or_else(|| (days + MOST_BUCKETS - 1) / MOST_BUCKETS)
}

fn change(now: u64, before: u64) -> Option<f64> {
    (before > 0).then(|| rounded(float(now) / float(before) - 1.0))
}

#[cfg(test)]
mod tests {
    use super::bucket_days;

    #[test]
    fn buckets_are_few_enough_to_be_told_apart() {
        let found = [1, 31, 32, 217, 218, 868, 869, 36_525].map(bucket_days);
        assert_eq!(found, [1, 1, 7, 7, 28, 28, 29, 1_179]);
    }
}
