//! From roll-ups and a question to an answer.

use chrono::{Days as CalendarDays, NaiveDate};
use chrono_tz::Tz;
use stagedoor_domain::music::Provider;

use crate::answer::{Basis, Discovery, HourOfWeek, Insights, Listening, Repeats, Skips, Totals};
use crate::calendar::{Calendar, DAY};
use crate::scan::{CURRENT, Counts, PREVIOUS, Span, Sums};
use crate::view::RollupView;
use crate::{InsightsError, PlaySource, coverage, streaks, tops, trend};

/// The longest period: a hundred years.
pub(crate) const MOST_DAYS: i64 = 36_525;
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Whole local days, the first and the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
}

/// A time in which plays may have been missed: milliseconds since 1970, the end excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its beginning.
    pub from: i64,
    /// Its end.
    pub to: i64,
    /// Why, for people.
    pub reason: String,
}

/// When plays were polled, even if there were none: milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// Since when.
    pub since: i64,
    /// When a poll succeeded last.
    pub until: i64,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The days that it is about.
    pub period: Days,
    /// Whose days.
    pub zone: Tz,
    /// How many tracks, artists, albums and genres to name.
    pub top: usize,
    /// What was recorded of missed plays, in any order.
    pub gaps: &'a [Gap],
    /// When plays were polled, if they were.
    pub watched: Option<Watched>,
    /// The time: milliseconds since 1970.
    pub now: i64,
}

/// Calculates what `rollups` say: the opened bytes of all of a person's months at `provider`, in any order. Months before
/// the period are needed to know which tracks were new.
pub fn insights<B: AsRef<[u8]>>(
    provider: Provider,
    rollups: &[B],
    question: &Question<'_>,
) -> Result<Insights, InsightsError> {
    let mut views =
        rollups.iter().map(|bytes| RollupView::new(bytes.as_ref())).collect::<Result<Vec<_>, _>>()?;
    views.sort_by_key(RollupView::month);
    let several = views.windows(2).any(|pair| pair[0].month() == pair[1].month());
    if several || views.iter().any(|view| view.provider() != provider) {
        return Err(InsightsError::Mixed);
    }
    let span = span(question.period)?;
    let (begin, (_, end)) = (span.begin * DAY, span.of(CURRENT));
    let first_month = views.first().map_or(begin, |view| view.month().begins_at());
    let calendar =
        Calendar::new(question.zone, begin.min(first_month) - 2 * DAY, question.now.max(end * DAY) + 3 * DAY);
    let counts = Counts::of(&views, &calendar, span)?;
    let (now, before) =
        (totals(&counts, &calendar, span, CURRENT), totals(&counts, &calendar, span, PREVIOUS));
    let known: Vec<(i64, i64)> = [PlaySource::Poll, PlaySource::Import]
        .into_iter()
        .flat_map(|source| views.iter().filter_map(move |view| view.known(source)))
        .collect();
    Ok(Insights {
        provider,
        zone: question.zone.name().to_owned(),
        listening: listening(&counts.sums),
        top_tracks: tops::tracks(&views, &counts.tracks, question.top)?,
        top_artists: tops::artists(&views, &counts.artists, question.top)?,
        top_albums: tops::albums(&views, &counts.albums, question.top)?,
        top_genres: tops::genres(&views, &counts.genres, question.top)?,
        hours: counts.hours.iter().map(|hours| hours.to_vec()).collect(),
        busiest: busiest(&counts.hours),
        streaks: streaks::of(&views, &counts, &calendar, span, question.now)?,
        discovery: Discovery {
            new_tracks: now.new_tracks,
            rate: rate(now.new_tracks, now.tracks),
            known_days_before: known.iter().map(|(first, _)| *first).min().map_or(0, |first| {
                u64::try_from(span.of(CURRENT).0 - calendar.day(first)).unwrap_or_default()
            }),
        },
        repeats: Repeats { plays: now.plays - now.tracks, rate: rate(now.plays - now.tracks, now.plays) },
        skips: rate(counts.sums.skipped, counts.sums.skip_known).map(|rate| Skips {
            known_plays: counts.sums.skip_known,
            skipped: counts.sums.skipped,
            rate,
        }),
        trend: trend::of(&counts, span, &now, before),
        coverage: coverage::of(&views, &counts, &calendar, span, question),
        totals: now,
    })
}

fn span(period: Days) -> Result<Span, InsightsError> {
    let days = (period.to - period.from).num_days() + 1;
    if days < 1 {
        return Err(InsightsError::EmptyPeriod);
    }
    if days > MOST_DAYS {
        return Err(InsightsError::LongPeriod);
    }
    Ok(Span { begin: (period.from - NaiveDate::default()).num_days() - days, days })
}

/// The date of a day since 1970.
pub(crate) fn date(day: i64) -> NaiveDate {
    let (days, epoch) = (CalendarDays::new(day.unsigned_abs()), NaiveDate::default());
    let date = if day < 0 { epoch.checked_sub_days(days) } else { epoch.checked_add_days(days) };
    date.unwrap_or_default()
}

fn totals(counts: &Counts, calendar: &Calendar, span: Span, which: usize) -> Totals {
    let (from, to) = span.of(which);
    let first = span.index(from).unwrap_or_default();
    let last = span.index(to).unwrap_or_default();
    let days = counts.days.get(first..=last).unwrap_or_default();
    let begin = calendar.begin_of(from);
    let is_new = |first: i64| first + DAY >= begin && (from..=to).contains(&calendar.day(first));
    let tracks = counts.tracks.rows.iter().filter(|row| row.plays[which] > 0);
    Totals {
        from: date(from),
        to: date(to),
        days: days.len() as u64,
        plays: days.iter().map(|day| day.plays).sum(),
        listened_ms: days.iter().map(|day| day.listened_ms).sum(),
        active_days: days.iter().filter(|day| day.plays > 0).count() as u64,
        tracks: counts.tracks.played(which),
        artists: counts.artists.played(which),
        albums: counts.albums.played(which),
        new_tracks: tracks.filter(|row| is_new(row.first)).count() as u64,
    }
}

fn listening(sums: &Sums) -> Listening {
    let basis = match (sums.exact_plays > 0, sums.by_length_plays > 0, sums.unknown_plays > 0) {
        (false, false, false) => Basis::NoPlays,
        (true, false, false) => Basis::Exact,
        (false, true, false) => Basis::ByTrackLength,
        (false, false, true) => Basis::Unknown,
        _ => Basis::Mixed,
    };
    Listening {
        basis,
        exact_plays: sums.exact_plays,
        exact_ms: sums.exact_ms,
        by_length_plays: sums.by_length_plays,
        by_length_ms: sums.by_length_ms,
        unknown_plays: sums.unknown_plays,
    }
}

fn busiest(hours: &[[u64; 24]; 7]) -> Option<HourOfWeek> {
    let mut busiest: Option<HourOfWeek> = None;
    for (weekday, row) in WEEKDAYS.into_iter().zip(hours) {
        for (hour, plays) in (0..).zip(row) {
            if *plays > busiest.as_ref().map_or(0, |busiest| busiest.plays) {
                busiest = Some(HourOfWeek { weekday: weekday.to_owned(), hour, plays: *plays });
            }
        }
    }
    busiest
}

/// A part of a whole, to four digits; none of nothing.
pub(crate) fn rate(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| rounded(float(part) / float(whole)))
}

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds are far below 2^53")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

pub(crate) fn rounded(rate: f64) -> f64 {
    (rate * 10_000.0).round() / 10_000.0
}
