//! What was played most, without names first: they are read only of what may be shown.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::answer::{TopAlbum, TopArtist, TopGenre, TopTrack};
use crate::scan::{CURRENT, MonthView};
use crate::table::{Row, Table};
use crate::view::NamesView;
use crate::{InsightsError, Month, PlayedTrack};

/// The rows that may be among the first `count` by plays and time listened: all that are equal to the last one of them are, as
/// only their names say which come first.
#[derive(Debug)]
pub(crate) struct Foremost {
    rows: Vec<Row>,
    count: usize,
}

impl Foremost {
    pub(crate) fn of(table: &Table, count: usize) -> Self {
        let mut rows: Vec<Row> =
            table.rows.iter().filter(|row| row.sum.plays[CURRENT] > 0).copied().collect();
        if count == 0 {
            rows.clear();
        } else if rows.len() > count {
            let (_, last, _) = rows.select_nth_unstable_by_key(count - 1, |row| Reverse(weight(row)));
            let least = weight(last);
            rows.retain(|row| weight(row) >= least);
        }
        Self { rows, count }
    }

    /// Which of the months name them.
    pub(crate) fn months(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().map(|row| row.name.0 as usize)
    }

    /// The first ones: with what `read` gives for the order, and with what it gives to show.
    fn named<T, N: Ord>(
        &self,
        read: impl Fn(usize, u32) -> Result<(N, T), InsightsError>,
    ) -> Result<Vec<(Row, T)>, InsightsError> {
        let mut found = vec![];
        for row in &self.rows {
            let (month, place) = row.name;
            let (name, shown) = read(month as usize, place)?;
            found.push((Reverse(weight(row)), name, *row, shown));
        }
        found.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        Ok(found.into_iter().take(self.count).map(|(.., row, shown)| (row, shown)).collect())
    }
}

fn weight(row: &Row) -> (u32, u64) {
    (row.sum.plays[CURRENT], row.sum.listened_ms)
}

/// Names of those months that name something.
pub(crate) struct Names<'a> {
    months: &'a [MonthView<'a>],
    by_month: BTreeMap<Month, NamesView<'a>>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(
        months: &'a [MonthView<'a>],
        given: impl Iterator<Item = Result<NamesView<'a>, InsightsError>>,
    ) -> Result<Self, InsightsError> {
        let mut by_month = BTreeMap::new();
        for view in given {
            let view = view?;
            let month = months.iter().find(|month| month.heard.month == view.month);
            let month = month.ok_or(InsightsError::Mixed)?;
            view.belongs_to(&month.heard)?;
            by_month.insert(view.month, view);
        }
        Ok(Self { months, by_month })
    }

    fn of(&self, month: usize) -> Result<&NamesView<'a>, InsightsError> {
        let month = self.months[month].heard.month;
        self.by_month.get(&month).ok_or(InsightsError::Missing(month))
    }

    fn track(&self, month: usize, number: u32) -> Result<PlayedTrack, InsightsError> {
        let names = self.of(month)?;
        let plays = self.months[month].plays.as_ref().ok_or(InsightsError::Missing(names.month))?;
        let entry = plays.entry(number as usize).ok_or(InsightsError::Damaged("track"))?;
        names.track(number as usize, &entry)
    }

    pub(crate) fn tracks(&self, foremost: &Foremost) -> Result<Vec<TopTrack>, InsightsError> {
        let found = foremost.named(|month, place| {
            let track = self.track(month, place)?;
            Ok(((track.title.clone(), track.reference.clone()), track))
        })?;
        let shown = |(row, track): (Row, PlayedTrack)| TopTrack {
            reference: track.reference,
            title: track.title,
            artists: track.artists,
            album: track.album,
            plays: u64::from(row.sum.plays[CURRENT]),
            listened_ms: row.sum.listened_ms,
        };
        Ok(found.into_iter().map(shown).collect())
    }

    pub(crate) fn artists(&self, foremost: &Foremost) -> Result<Vec<TopArtist>, InsightsError> {
        let found = foremost.named(|month, place| {
            let name = self.of(month)?.artist(place)?.to_owned();
            Ok((name.clone(), name))
        })?;
        let shown = |(row, name): (Row, String)| TopArtist {
            name,
            plays: u64::from(row.sum.plays[CURRENT]),
            listened_ms: row.sum.listened_ms,
        };
        Ok(found.into_iter().map(shown).collect())
    }

    pub(crate) fn albums(&self, foremost: &Foremost) -> Result<Vec<TopAlbum>, InsightsError> {
        let found = foremost.named(|month, place| {
            let (title, artist) = self.of(month)?.album(place as usize)?;
            let name = (title.to_owned(), artist.map(str::to_owned));
            Ok((name.clone(), name))
        })?;
        let shown = |(row, (title, artist)): (Row, (String, Option<String>))| TopAlbum {
            title,
            artist,
            plays: u64::from(row.sum.plays[CURRENT]),
            listened_ms: row.sum.listened_ms,
        };
        Ok(found.into_iter().map(shown).collect())
    }

    pub(crate) fn genres(&self, foremost: &Foremost) -> Result<Vec<TopGenre>, InsightsError> {
        let found = foremost.named(|month, place| {
            let name = self.of(month)?.genre(place)?.to_owned();
            Ok((name.clone(), name))
        })?;
        let shown = |(row, name): (Row, String)| TopGenre {
            name,
            plays: u64::from(row.sum.plays[CURRENT]),
            listened_ms: row.sum.listened_ms,
        };
        Ok(found.into_iter().map(shown).collect())
    }
}
