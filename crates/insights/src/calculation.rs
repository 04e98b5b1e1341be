//! From roll-ups and a question to an answer.

use std::collections::BTreeSet;

use chrono::{Days as CalendarDays, NaiveDate};
use chrono_tz::Tz;
use stagedoor_domain::music::Provider;

use crate::answer::{Basis, Discovery, HourOfWeek, Insights, Listening, Repeats, Skips, Totals};
use crate::calendar::{Calendar, DAY};
use crate::scan::{CURRENT, Counts, MonthView, PREVIOUS, Span, Sums};
use crate::tops::{Foremost, Names};
use crate::view::{HeardView, NamesView, PlaysView};
use crate::{InsightsError, Month, PlaySource, RollupParts, coverage, streaks, trend};

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

impl Question<'_> {
    /// The first and the last month whose plays are needed: those of the period, of the one before it, and of a day around
    /// both, because local days are not those of UTC.
    pub fn months(&self) -> Result<(Month, Month), InsightsError> {
        let span = span(self.period)?;
        let month =
            |day: i64| Month::of_day(date(day).max(NaiveDate::default())).ok_or(InsightsError::LongPeriod);
        Ok((month(span.begin - 1)?, month(span.of(CURRENT).1 + 1)?))
    }
}

/// A month's roll-up, opened: `plays` only if [`Question::months`] says so.
#[derive(Debug, Clone, Copy)]
pub struct MonthParts<B> {
    /// [`crate::RollupParts::heard`].
    pub heard: B,
    /// [`crate::RollupParts::plays`].
    pub plays: Option<B>,
}

/// What was counted, without names.
#[derive(Debug)]
pub struct Counted<'a> {
    provider: Provider,
    months: Vec<MonthView<'a>>,
    question: &'a Question<'a>,
    span: Span,
    calendar: Calendar,
    counts: Counts,
    tracks: Foremost,
    artists: Foremost,
    albums: Foremost,
    genres: Foremost,
}

/// Counts what the months of a person at `provider` say, in any order. All that there are before the end of the period are
/// needed, to know which tracks were new.
pub fn count<'a, B: AsRef<[u8]>>(
    provider: Provider,
    months: &'a [MonthParts<B>],
    question: &'a Question<'a>,
) -> Result<Counted<'a>, InsightsError> {
    let span = span(question.period)?;
    let (first, last) = question.months()?;
    let mut views = vec![];
    for parts in months {
        let heard = HeardView::new(parts.heard.as_ref())?;
        let plays = match &parts.plays {
            _ if !(first..=last).contains(&heard.month) => None,
            Some(plays) => Some(PlaysView::new(plays.as_ref(), &heard)?),
            None => return Err(InsightsError::Missing(heard.month)),
        };
        views.push(MonthView { heard, plays });
    }
    views.sort_by_key(|view| view.heard.month);
    let several = views.windows(2).any(|pair| pair[0].heard.month == pair[1].heard.month);
    if several || views.iter().any(|view| view.heard.provider != provider) {
        return Err(InsightsError::Mixed);
    }
    let (begin, (_, end)) = (span.begin * DAY, span.of(CURRENT));
    let earliest = views.first().map_or(begin, |view| view.heard.month.begins_at());
    let calendar =
        Calendar::new(question.zone, begin.min(earliest) - 2 * DAY, question.now.max(end * DAY) + 3 * DAY);
    let counts = Counts::of(&views, &calendar, span)?;
    let foremost = |table| Foremost::of(table, question.top);
    Ok(Counted {
        provider,
        months: views,
        question,
        span,
        calendar,
        tracks: foremost(&counts.tracks),
        artists: foremost(&counts.artists),
        albums: foremost(&counts.albums),
        genres: foremost(&counts.genres),
        counts,
    })
}

impl Counted<'_> {
    /// The months whose names are needed to answer.
    pub fn months_to_name(&self) -> BTreeSet<Month> {
        let all = [&self.tracks, &self.artists, &self.albums, &self.genres];
        all.into_iter().flat_map(Foremost::months).map(|month| self.months[month].heard.month).collect()
    }

    /// The answer, with `names` of the months that are needed, in any order: [`crate::RollupParts::names`].
    pub fn answer<B: AsRef<[u8]>>(&self, names: &[B]) -> Result<Insights, InsightsError> {
        let (counts, calendar, span) = (&self.counts, &self.calendar, self.span);
        let names = Names::new(&self.months, names.iter().map(|bytes| NamesView::new(bytes.as_ref())))?;
        let now = totals(counts, calendar, span, CURRENT);
        let before = totals(counts, calendar, span, PREVIOUS);
        let known = |source| self.months.iter().filter_map(move |month| month.heard.known(source));
        let first_known =
            known(PlaySource::Poll).chain(known(PlaySource::Import)).map(|(first, _)| first).min();
        Ok(Insights {
            provider: self.provider,
            zone: self.question.zone.name().to_owned(),
            listening: listening(&counts.sums),
            top_tracks: names.tracks(&self.tracks)?,
            top_artists: names.artists(&self.artists)?,
            top_albums: names.albums(&self.albums)?,
            top_genres: names.genres(&self.genres)?,
            hours: counts.hours.iter().map(|hours| hours.to_vec()).collect(),
            busiest: busiest(&counts.hours),
            streaks: streaks::of(&self.months, counts, calendar, span, self.question.now)?,
            discovery: Discovery {
                new_tracks: now.new_tracks,
                rate: rate(now.new_tracks, now.tracks),
                known_days_before: first_known.map_or(0, |first| {
                    u64::try_from(span.of(CURRENT).0 - calendar.day(first)).unwrap_or_default()
                }),
            },
            repeats: Repeats { plays: now.plays - now.tracks, rate: rate(now.plays - now.tracks, now.plays) },
            skips: rate(counts.sums.skipped, counts.sums.skip_known).map(|rate| Skips {
                known_plays: counts.sums.skip_known,
                skipped: counts.sums.skipped,
                rate,
            }),
            trend: trend::of(counts, span, &now, before),
            coverage: coverage::of(&self.months, counts, calendar, span, self.question),
            totals: now,
        })
    }
}

/// When the first play of all ended: milliseconds since 1970; of [`crate::RollupParts::heard`] of all months, in any order.
pub fn first_play<B: AsRef<[u8]>>(heard: &[B]) -> Result<Option<i64>, InsightsError> {
    let mut first = None;
    for bytes in heard {
        let heard = HeardView::new(bytes.as_ref())?;
        let known =
            [PlaySource::Poll, PlaySource::Import].into_iter().filter_map(|source| heard.known(source));
        first = known.map(|(first, _)| first).chain(first).min();
    }
    Ok(first)
}

/// The same at once, for whoever has all parts of all months at hand.
pub fn insights(
    provider: Provider,
    rollups: &[RollupParts],
    question: &Question<'_>,
) -> Result<Insights, InsightsError> {
    let months: Vec<MonthParts<&Vec<u8>>> = rollups
        .iter()
        .map(|rollup| MonthParts { heard: &rollup.heard, plays: Some(&rollup.plays) })
        .collect();
    let counted = count(provider, &months, question)?;
    let names: Vec<&Vec<u8>> = rollups.iter().map(|rollup| &rollup.names).collect();
    counted.answer(&names)
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
    let is_new = |first: i64| first != i64::MIN && (from..=to).contains(&calendar.day(first));
    let tracks = counts.tracks.rows.iter().filter(|row| row.sum.plays[which] > 0);
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
