//! One pass over the months: what was played in the period and in the one before it, and which tracks were heard earlier.

use crate::calendar::{Calendar, DAY, HOUR};
use crate::format::Tag;
use crate::identity::Key;
use crate::table::{Sum, Table};
use crate::view::{Entry, HeardView, PlaysView};
use crate::{InsightsError, PlaySource, Sources};

/// The period and the one before it, side by side: days since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The first day of the period before.
    pub(crate) begin: i64,
    /// Days of each.
    pub(crate) days: i64,
}

pub(crate) const CURRENT: usize = 0;
pub(crate) const PREVIOUS: usize = 1;

impl Span {
    /// The first and the last day of the period (`CURRENT`) or of the one before (`PREVIOUS`).
    pub(crate) fn of(&self, which: usize) -> (i64, i64) {
        let from = if which == CURRENT { self.begin + self.days } else { self.begin };
        (from, from + self.days - 1)
    }

    /// Where a day stands among the days of both.
    #[inline]
    pub(crate) fn index(&self, day: i64) -> Option<usize> {
        usize::try_from(day - self.begin).ok().filter(|_| day - self.begin < 2 * self.days)
    }
}

/// A month with its plays, if they are needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MonthView<'a> {
    pub(crate) heard: HeardView<'a>,
    pub(crate) plays: Option<PlaysView<'a>>,
}

/// Plays and time of a day.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DaySum {
    pub(crate) plays: u64,
    pub(crate) listened_ms: u64,
}

/// What is counted of the period alone.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) exact_plays: u64,
    pub(crate) exact_ms: u64,
    pub(crate) by_length_plays: u64,
    pub(crate) by_length_ms: u64,
    pub(crate) unknown_plays: u64,
    pub(crate) skip_known: u64,
    pub(crate) skipped: u64,
    pub(crate) sources: Sources,
}

/// All that was counted.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Of the period before, then of the period.
    pub(crate) days: Vec<DaySum>,
    pub(crate) hours: [[u64; 24]; 7],
    pub(crate) sums: Sums,
    /// What was heard before the months with plays was first heard at the beginning of time.
    pub(crate) tracks: Table,
    pub(crate) artists: Table,
    pub(crate) albums: Table,
    pub(crate) genres: Table,
}

/// What the plays of one entry, or of one row, of one month come to.
#[derive(Debug, Clone, Copy)]
struct MonthSum {
    sum: Sum,
    /// When the latest play of the period ended.
    last: i64,
    /// When the first one of all in the month did.
    first: i64,
    /// Which entry or row of the month has the name of the latest.
    name: u32,
}

impl MonthSum {
    fn nothing(name: u32) -> Self {
        Self { sum: Sum::default(), last: i64::MIN, first: i64::MAX, name }
    }

    /// Adds another, whose name is after the one at hand.
    #[inline]
    fn add(&mut self, other: &Self) {
        if other.sum.plays[0] > 0 && self.last <= other.last {
            self.name = other.name;
        }
        self.add_unnamed(other);
    }

    /// Adds another, and keeps the name.
    #[inline]
    fn add_unnamed(&mut self, other: &Self) {
        self.sum.plays[0] += other.sum.plays[0];
        self.sum.plays[1] += other.sum.plays[1];
        self.sum.listened_ms += other.sum.listened_ms;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

fn nothing(count: usize) -> Vec<MonthSum> {
    (0..count).zip(0..).map(|(_, name)| MonthSum::nothing(name)).collect()
}

impl Counts {
    /// Counts the plays of months, which are in their order.
    pub(crate) fn of(
        months: &[MonthView<'_>],
        calendar: &Calendar,
        span: Span,
    ) -> Result<Self, InsightsError> {
        let days = usize::try_from(2 * span.days).unwrap_or_default();
        let mut counts = Self {
            days: vec![DaySum::default(); days],
            hours: [[0; 24]; 7],
            sums: Sums::default(),
            tracks: Table::default(),
            artists: Table::default(),
            albums: Table::default(),
            genres: Table::default(),
        };
        for (number, month) in (0..).zip(months) {
            if let Some(plays) = &month.plays {
                counts.month(number, &month.heard, plays, calendar, span)?;
            }
        }
        // What is only known to have been heard is from before all that is counted: later months do not matter.
        for month in months.iter().take_while(|month| month.plays.is_none()) {
            for key in month.heard.tracks() {
                if let Some(row) = counts.tracks.get(key) {
                    counts.tracks.rows[row].first = i64::MIN;
                }
            }
        }
        Ok(counts)
    }

    fn month(
        &mut self,
        number: u32,
        heard: &HeardView<'_>,
        plays: &PlaysView<'_>,
        calendar: &Calendar,
        span: Span,
    ) -> Result<(), InsightsError> {
        let entries = (0..plays.entry_count()).map(|number| plays.entry(number));
        let entries = entries.collect::<Option<Vec<_>>>().ok_or(InsightsError::Damaged("track"))?;
        let sums = self.plays(heard, plays, &entries, calendar, span)?;
        let artist_keys: Vec<Key> = plays.artists().collect();
        let mut tracks = nothing(heard.tracks().len());
        let mut artists = nothing(artist_keys.len());
        let mut albums = nothing(plays.albums().len());
        let mut genres = nothing(plays.genres().len());
        for (entry, sum) in entries.iter().zip(&sums) {
            tracks[entry.track].add(sum);
            for (place, row) in entry.artists().enumerate() {
                // Two spellings of one name are one artist of the track.
                let key = artist_keys[row as usize];
                if !entry.artists().take(place).any(|row| artist_keys[row as usize] == key) {
                    artists[row as usize].add_unnamed(sum);
                }
            }
            if let Some(row) = entry.album {
                albums[row].add_unnamed(sum);
            }
            for row in entry.genres() {
                genres[row as usize].add_unnamed(sum);
            }
        }
        // A track that was heard in the month, but on no day that is counted, has a row, too: it is not new afterwards.
        let rows = self.tracks.rows_of(heard.tracks());
        add(&mut self.tracks, &rows, &tracks, number);
        let rows = self.artists.rows_of(artist_keys.into_iter());
        add(&mut self.artists, &rows, &artists, number);
        let rows = self.albums.rows_of(plays.albums());
        add(&mut self.albums, &rows, &albums, number);
        let rows = self.genres.rows_of(plays.genres());
        add(&mut self.genres, &rows, &genres, number);
        Ok(())
    }

    /// Goes over the plays of a month, for which the days are known only here.
    fn plays(
        &mut self,
        heard: &HeardView<'_>,
        plays: &PlaysView<'_>,
        entries: &[Entry<'_>],
        calendar: &Calendar,
        span: Span,
    ) -> Result<Vec<MonthSum>, InsightsError> {
        let mut sums = nothing(entries.len());
        let (begins_at, current_from) = (heard.month.begins_at(), span.of(CURRENT).0);
        let (mut cursor, mut hour) = (0, Hour::default());
        let mut kinds = [[(0, 0); 2]; Tag::KINDS];
        for play in plays.plays() {
            let (offset, entry, tag) = play?;
            let number = entry as usize;
            let lost = InsightsError::Damaged("play");
            let (sum, entry) = sums.get_mut(number).zip(entries.get(number)).ok_or(lost)?;
            let time = begins_at + i64::from(offset);
            sum.first = sum.first.min(time);
            let local = calendar.local(time, &mut cursor);
            if !(hour.begin..hour.begin + HOUR).contains(&local) {
                hour = Hour::of(local);
            }
            let Some(index) = span.index(hour.day) else { continue };
            let listened_ms = u64::from(tag.ms_played().or(entry.duration_ms).unwrap_or_default());
            self.days[index].plays += 1;
            self.days[index].listened_ms += listened_ms;
            if hour.day < current_from {
                sum.sum.plays[PREVIOUS] += 1;
                continue;
            }
            sum.sum.plays[CURRENT] += 1;
            sum.sum.listened_ms += listened_ms;
            sum.last = time;
            self.hours[hour.weekday][hour.of_day] += 1;
            let kind = &mut kinds[tag.kind()][usize::from(entry.duration_ms.is_some())];
            kind.0 += 1;
            kind.1 += listened_ms;
        }
        for (kind, sums) in kinds.iter().enumerate() {
            for (has_length, (plays, listened_ms)) in [false, true].into_iter().zip(sums) {
                if let Some(tag) = Tag::of_kind(kind) {
                    self.sums.add(tag, has_length, *plays, *listened_ms);
                }
            }
        }
        Ok(sums)
    }
}

/// An hour of the local clock.
#[derive(Debug, Clone, Copy)]
struct Hour {
    begin: i64,
    day: i64,
    weekday: usize,
    of_day: usize,
}

impl Hour {
    fn of(local: i64) -> Self {
        let (day, within) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        Self {
            begin: local - within % HOUR,
            day,
            weekday: usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default(),
            of_day: usize::try_from(within / HOUR).unwrap_or_default(),
        }
    }
}

impl Default for Hour {
    fn default() -> Self {
        Self::of(0)
    }
}

fn add(table: &mut Table, rows: &[u32], sums: &[MonthSum], month: u32) {
    for (row, sum) in rows.iter().zip(sums) {
        table.add(*row, sum.sum, (sum.first, sum.last), (month, sum.name));
    }
}

impl Sums {
    /// Adds plays that say the same.
    fn add(&mut self, tag: Tag, has_length: bool, plays: u64, listened_ms: u64) {
        match (tag.ms_played(), has_length) {
            (Some(_), _) => {
                self.exact_plays += plays;
                self.exact_ms += listened_ms;
            }
            (None, true) => {
                self.by_length_plays += plays;
                self.by_length_ms += listened_ms;
            }
            (None, false) => self.unknown_plays += plays,
        }
        if let Some(skipped) = tag.skipped() {
            self.skip_known += plays;
            self.skipped += if skipped { plays } else { 0 };
        }
        match tag.source() {
            PlaySource::Poll => self.sources.poll += plays,
            PlaySource::Import => self.sources.import += plays,
        }
    }
}
