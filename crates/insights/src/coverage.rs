//! Of which times anything is known.

use chrono::{DateTime, SecondsFormat};

use crate::PlaySource;
use crate::answer::{Coverage, GapShown};
use crate::calculation::{Question, float, rounded};
use crate::calendar::Calendar;
use crate::scan::{CURRENT, Counts, MonthView, Span};

const MOST_GAPS: usize = 20;

pub(crate) fn of(
    months: &[MonthView<'_>],
    counts: &Counts,
    calendar: &Calendar,
    span: Span,
    question: &Question<'_>,
) -> Coverage {
    let heard = |source| {
        let times = months.iter().filter_map(move |month| month.heard.known(source));
        times.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    };
    let (polled, imported) = (heard(PlaySource::Poll), heard(PlaySource::Import));
    let watched = question.watched.map(|watched| (watched.since, watched.until));
    let all = polled.into_iter().chain(imported);
    let (from, to) = span.of(CURRENT);
    let (begin, end) = (calendar.begin_of(from), calendar.begin_of(to + 1));
    let mut gaps: Vec<_> =
        question.gaps.iter().filter(|gap| gap.from < end && gap.to > begin && gap.from < gap.to).collect();
    gaps.sort_by(|one, other| (one.from, one.to, &one.reason).cmp(&(other.from, other.to, &other.reason)));
    let shown = gaps.iter().take(MOST_GAPS).map(|gap| GapShown {
        from: text(gap.from),
        to: text(gap.to),
        reason: gap.reason.clone(),
    });
    let end = end.min(question.now);
    let known = [hull(polled, watched), imported].into_iter().flatten();
    let known = united(known.map(|(first, last)| (first.max(begin), last.min(end))));
    let missed = united(gaps.iter().map(|gap| (gap.from, gap.to)));
    let length =
        |spans: &[(i64, i64)]| spans.iter().map(|(from, to)| (to - from).unsigned_abs()).sum::<u64>();
    let lost = length(&common(&known, &missed));
    Coverage {
        first_play: all.clone().map(|(first, _)| first).min().map(text),
        last_play: all.map(|(_, last)| last).max().map(text),
        rate: (end > begin)
            .then(|| rounded(float(length(&known) - lost) / float((end - begin).unsigned_abs()))),
        gap_count: gaps.len() as u64,
        gaps: shown.collect(),
        sources: counts.sums.sources,
    }
}

/// From the earlier beginning to the later end.
fn hull(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    one.into_iter().chain(other).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}

/// Spans in order, without overlaps.
fn united(spans: impl Iterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = spans.filter(|(from, to)| from < to).collect();
    spans.sort_unstable();
    let mut united: Vec<(i64, i64)> = vec![];
    for (from, to) in spans {
        match united.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => united.push((from, to)),
        }
    }
    united
}

/// What is in both of two lists of spans.
fn common(ones: &[(i64, i64)], others: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let pairs = ones.iter().flat_map(|one| others.iter().map(move |other| (one, other)));
    pairs
        .map(|(one, other)| (one.0.max(other.0), one.1.min(other.1)))
        .filter(|(from, to)| from < to)
        .collect()
}

fn text(time: i64) -> String {
    let time = DateTime::from_timestamp_millis(time).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_united_and_cut() {
        let known = united([(5, 9), (0, 3), (2, 4), (7, 7), (9, 10)].into_iter());
        assert_eq!(known, [(0, 4), (5, 10)]);
        assert_eq!(common(&known, &[(3, 6), (8, 20)]), [(3, 4), (5, 6), (8, 10)]);
    }
}
