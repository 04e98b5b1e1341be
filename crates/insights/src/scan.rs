//! One pass over all roll-ups: what was played in the period and in the one before it, and when each track was first heard.

use crate::calendar::{Calendar, DAY, HOUR};
use crate::identity::{ByKey, Key};
use crate::view::{Entry, RollupView};
use crate::{InsightsError, PlaySource, Sources};

/// The period and the one before it, side by side: days since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The first day of the period before.
    pub(crate) begin: i64,
    /// Days of each.
    pub(crate) days: i64,
}

impl Span {
    /// The first and the last day of the period (`CURRENT`) or of the one before (`PREVIOUS`).
    pub(crate) fn of(&self, which: usize) -> (i64, i64) {
        let from = if which == CURRENT { self.begin + self.days } else { self.begin };
        (from, from + self.days - 1)
    }

    /// Where a day stands among the days of both.
    pub(crate) fn index(&self, day: i64) -> Option<usize> {
        usize::try_from(day - self.begin).ok().filter(|_| day - self.begin < 2 * self.days)
    }
}

pub(crate) const CURRENT: usize = 0;
pub(crate) const PREVIOUS: usize = 1;

/// What stands in for a name until it is shown: the roll-up's number, and where in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) view: u32,
    pub(crate) at: u32,
    pub(crate) besides: Option<u32>,
}

/// A track, an artist, an album or a genre.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) plays: [u64; 2],
    /// In the period.
    pub(crate) listened_ms: u64,
    /// When it was first heard, for tracks.
    pub(crate) first: i64,
    /// Of the latest play of the period.
    last: i64,
    pub(crate) place: Place,
}

/// Rows by key.
#[derive(Debug, Default)]
pub(crate) struct Table {
    numbers: ByKey<u32>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// The number of a row, which is new if the key is.
    fn number(&mut self, key: Key, first: i64) -> u32 {
        *self.numbers.entry(key).or_insert_with(|| {
            let row = Row { plays: [0; 2], listened_ms: 0, first, last: i64::MIN, place: Place::default() };
            self.rows.push(row);
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn add(&mut self, number: u32, sum: &EntrySum, place: Place) {
        let row = &mut self.rows[number as usize];
        row.plays[CURRENT] += sum.plays[CURRENT];
        row.plays[PREVIOUS] += sum.plays[PREVIOUS];
        row.listened_ms += sum.listened_ms;
        if sum.plays[CURRENT] > 0 && (row.last, row.place) <= (sum.last, place) {
            (row.last, row.place) = (sum.last, place);
        }
    }

    /// How many have plays in the period or the one before.
    pub(crate) fn played(&self, which: usize) -> u64 {
        self.rows.iter().filter(|row| row.plays[which] > 0).count() as u64
    }
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
    pub(crate) artists: Table,
    pub(crate) albums: Table,
    pub(crate) genres: Table,
}

/// What the plays of one entry of one month come to.
#[derive(Debug, Clone, Copy)]
struct EntrySum {
    plays: [u64; 2],
    listened_ms: u64,
    last: i64,
}

impl Counts {
    /// Counts the plays of `views`, which are in the order of their months.
    pub(crate) fn of(
        views: &[RollupView<'_>],
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
        for (number, view) in views.iter().enumerate() {
            // Local days differ from those of UTC by one at most.
            let first_day = view.month().begins_at().div_euclid(DAY) - 1;
            let last_day = view.month().next().begins_at().div_euclid(DAY);
            if first_day > span.of(CURRENT).1 {
                break;
            }
            let begins_at = view.month().begins_at();
            let tracks: Vec<u32> = view
                .tracks()
                .map(|(key, first)| counts.tracks.number(key, begins_at + i64::from(first)))
                .collect();
            if last_day >= span.begin {
                counts.month(u32::try_from(number).unwrap_or(u32::MAX), view, &tracks, calendar, span)?;
            }
        }
        Ok(counts)
    }

    fn month(
        &mut self,
        number: u32,
        view: &RollupView<'_>,
        tracks: &[u32],
        calendar: &Calendar,
        span: Span,
    ) -> Result<(), InsightsError> {
        let entries = view.entries().collect::<Result<Vec<Entry>, _>>()?;
        let sums = self.plays(view, &entries, calendar, span)?;
        let artists: Vec<(u32, u32)> =
            view.artists().map(|(key, name)| (self.artists.number(key, 0), name)).collect();
        let genres: Vec<(u32, u32)> =
            view.genres().map(|(key, name)| (self.genres.number(key, 0), name)).collect();
        let albums: Vec<(u32, u32, Option<u32>)> =
            view.albums().map(|(key, title, artist)| (self.albums.number(key, 0), title, artist)).collect();
        let mut named = vec![];
        for (entry, sum) in entries.iter().zip(&sums).filter(|(_, sum)| sum.plays != [0; 2]) {
            let place = |at, besides| Place { view: number, at, besides };
            self.tracks.add(tracks[entry.track as usize], sum, place(entry.at, None));
            let (artist_table, album_table, genre_table) =
                (&mut self.artists, &mut self.albums, &mut self.genres);
            let lost = InsightsError::Damaged("track");
            // Two spellings of one name are one artist of the track.
            named.clear();
            view.visit(
                entry,
                |row| {
                    let (artist, name) = *artists.get(row).ok_or(lost.clone())?;
                    if !named.contains(&artist) {
                        named.push(artist);
                        artist_table.add(artist, sum, place(name, None));
                    }
                    Ok(())
                },
                |row| {
                    let (album, title, artist) = *albums.get(row).ok_or(lost.clone())?;
                    album_table.add(album, sum, place(title, artist));
                    Ok(())
                },
                |row| {
                    let (genre, name) = *genres.get(row).ok_or(lost.clone())?;
                    genre_table.add(genre, sum, place(name, None));
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    /// Goes over the plays of a month, for which the days are known only here.
    fn plays(
        &mut self,
        view: &RollupView<'_>,
        entries: &[Entry],
        calendar: &Calendar,
        span: Span,
    ) -> Result<Vec<EntrySum>, InsightsError> {
        let mut sums = vec![EntrySum { plays: [0; 2], listened_ms: 0, last: i64::MIN }; entries.len()];
        let (begins_at, current_from) = (view.month().begins_at(), span.of(CURRENT).0);
        let mut cursor = 0;
        for play in view.plays() {
            let (offset, entry, tag) = play?;
            let time = begins_at + i64::from(offset);
            let local = calendar.local(time, &mut cursor);
            let day = local.div_euclid(DAY);
            let Some(index) = span.index(day) else { continue };
            let lost = InsightsError::Damaged("play");
            let (sum, told) = sums.get_mut(entry as usize).zip(entries.get(entry as usize)).ok_or(lost)?;
            let known = tag.ms_played().or(told.duration_ms);
            let listened_ms = u64::from(known.unwrap_or_default());
            self.days[index].plays += 1;
            self.days[index].listened_ms += listened_ms;
            if day < current_from {
                sum.plays[PREVIOUS] += 1;
                continue;
            }
            sum.plays[CURRENT] += 1;
            sum.listened_ms += listened_ms;
            sum.last = time;
            let weekday = usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default();
            let hour = usize::try_from(local.rem_euclid(DAY) / HOUR).unwrap_or_default();
            self.hours[weekday][hour] += 1;
            self.sums.add(tag, told.duration_ms);
        }
        Ok(sums)
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
