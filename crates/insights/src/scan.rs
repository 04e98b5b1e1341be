//! One pass over the months: what was played in the period and in the one before it, and which tracks were heard earlier.

use crate::calendar::{Calendar, DAY, HOUR};
use crate::identity::Key;
use crate::table::{Sum, Table};
use crate::view::{Entries, HeardView, PlaysView};
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
    pub(crate) tracks: Table,
    /// When each of the tracks was first heard; what was heard before the months with plays is at the beginning of time.
    pub(crate) first: Vec<i64>,
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
        self.sum.plays[0] += other.sum.plays[0];
        self.sum.plays[1] += other.sum.plays[1];
        self.sum.listened_ms += other.sum.listened_ms;
        self.first = self.first.min(other.first);
        if other.sum.plays[0] > 0 && self.last <= other.last {
            (self.last, self.name) = (other.last, other.name);
        }
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
            first: vec![],
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
                    counts.first[row] = i64::MIN;
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
        let entries = plays.entries()?;
        let sums = self.plays(heard, plays, &entries, calendar, span)?;
        let artist_keys: Vec<Key> = plays.artists().collect();
        let mut tracks = nothing(heard.tracks().len());
        let mut artists = nothing(artist_keys.len());
        let mut albums = nothing(plays.albums().len());
        let mut genres = nothing(plays.genres().len());
        for (entry, sum) in entries.all().zip(&sums) {
            tracks[entry.track as usize].add(sum);
            for (place, row) in entry.artists.iter().enumerate() {
                // Two spellings of one name are one artist of the track.
                let key = artist_keys[*row as usize];
                if !entry.artists[..place].iter().any(|row| artist_keys[*row as usize] == key) {
                    artists[*row as usize].add(&MonthSum { name: *row, ..*sum });
                }
            }
            if let Some(row) = entry.album {
                albums[row as usize].add(&MonthSum { name: row, ..*sum });
            }
            for row in entry.genres {
                genres[*row as usize].add(&MonthSum { name: *row, ..*sum });
            }
        }
        // A track that was heard in the month, but on no day that is counted, has a row, too: it is not new afterwards.
        let rows = self.tracks.rows_of(heard.tracks());
        self.first.resize(self.tracks.rows.len(), i64::MAX);
        for (row, sum) in rows.iter().zip(&tracks) {
            let first = &mut self.first[*row as usize];
            *first = (*first).min(sum.first);
        }
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
        entries: &Entries,
        calendar: &Calendar,
        span: Span,
    ) -> Result<Vec<MonthSum>, InsightsError> {
        let mut sums = nothing(entries.len());
        let (begins_at, current_from) = (heard.month.begins_at(), span.of(CURRENT).0);
        let mut cursor = 0;
        for play in plays.plays() {
            let (offset, entry, tag) = play?;
            let number = entry as usize;
            let sum = sums.get_mut(number).ok_or(InsightsError::Damaged("play"))?;
            let time = begins_at + i64::from(offset);
            sum.first = sum.first.min(time);
            let local = calendar.local(time, &mut cursor);
            let day = local.div_euclid(DAY);
            let Some(index) = span.index(day) else { continue };
            let duration_ms = entries.duration_ms(number);
            let listened_ms = u64::from(tag.ms_played().or(duration_ms).unwrap_or_default());
            self.days[index].plays += 1;
            self.days[index].listened_ms += listened_ms;
            if day < current_from {
                sum.sum.plays[PREVIOUS] += 1;
                continue;
            }
            sum.sum.plays[CURRENT] += 1;
            sum.sum.listened_ms += listened_ms;
            sum.last = time;
            let weekday = usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default();
            let hour = usize::try_from(local.rem_euclid(DAY) / HOUR).unwrap_or_default();
            self.hours[weekday][hour] += 1;
            self.sums.add(tag, duration_ms);
        }
        Ok(sums)
    }
}

fn add(table: &mut Table, rows: &[u32], sums: &[MonthSum], month: u32) {
    for (row, sum) in rows.iter().zip(sums) {
        table.add(*row, sum.sum, sum.last, (month, sum.name));
    }
}

impl Sums {
    fn add(&mut self, tag: crate::format::Tag, duration_ms: Option<u32>) {
        match (tag.ms_played(), duration_ms) {
            (Some(ms), _) => {
                self.exact_plays += 1;
                self.exact_ms += u64::from(ms);
            }
            (None, Some(ms)) => {
                self.by_length_plays += 1;
                self.by_length_ms += u64::from(ms);
            }
            (None, None) => self.unknown_plays += 1,
        }
        if let Some(skipped) = tag.skipped() {
            self.skip_known += 1;
            self.skipped += u64::from(skipped);
        }
        match tag.source() {
            PlaySource::Poll => self.sources.poll += 1,
            PlaySource::Import => self.sources.import += 1,
        }
    }
}
