//! What was played most. Names are read only of what may be shown.

use std::cmp::Reverse;

use crate::answer::{TopAlbum, TopArtist, TopGenre, TopTrack};
use crate::scan::{CURRENT, Place, Row, Table};
use crate::view::{Entry, RollupView};
use crate::{InsightsError, PlayedTrack};

type Views<'a> = [RollupView<'a>];

pub(crate) fn tracks(views: &Views<'_>, table: &Table, count: usize) -> Result<Vec<TopTrack>, InsightsError> {
    let found = first(table, count, |place| {
        let entry = Entry { track: 0, duration_ms: None, at: place.at };
        view(views, place)?.track(&entry).map(|track| ((track.title.clone(), track.reference.clone()), track))
    })?;
    let shown = |(row, track): (Row, PlayedTrack)| TopTrack {
        reference: track.reference,
        title: track.title,
        artists: track.artists,
        album: track.album,
        plays: row.plays[CURRENT],
        listened_ms: row.listened_ms,
    };
    Ok(found.into_iter().map(shown).collect())
}

pub(crate) fn artists(
    views: &Views<'_>,
    table: &Table,
    count: usize,
) -> Result<Vec<TopArtist>, InsightsError> {
    let shown = |(row, name): (Row, String)| TopArtist {
        name,
        plays: row.plays[CURRENT],
        listened_ms: row.listened_ms,
    };
    Ok(named(views, table, count)?.into_iter().map(shown).collect())
}

pub(crate) fn genres(views: &Views<'_>, table: &Table, count: usize) -> Result<Vec<TopGenre>, InsightsError> {
    let shown = |(row, name): (Row, String)| TopGenre {
        name,
        plays: row.plays[CURRENT],
        listened_ms: row.listened_ms,
    };
    Ok(named(views, table, count)?.into_iter().map(shown).collect())
}

pub(crate) fn albums(views: &Views<'_>, table: &Table, count: usize) -> Result<Vec<TopAlbum>, InsightsError> {
    let found = first(table, count, |place| {
        let view = view(views, place)?;
        let title = view.text(place.at)?.to_owned();
        let artist = place.besides.map(|artist| view.text(artist).map(str::to_owned)).transpose()?;
        Ok(((title.clone(), artist.clone()), (title, artist)))
    })?;
    let shown = |(row, (title, artist)): (Row, (String, Option<String>))| TopAlbum {
        title,
        artist,
        plays: row.plays[CURRENT],
        listened_ms: row.listened_ms,
    };
    Ok(found.into_iter().map(shown).collect())
}

fn named(views: &Views<'_>, table: &Table, count: usize) -> Result<Vec<(Row, String)>, InsightsError> {
    first(table, count, |place| {
        let name = view(views, place)?.text(place.at)?.to_owned();
        Ok((name.clone(), name))
    })
}

fn view<'a, 'b>(views: &'b Views<'a>, place: Place) -> Result<&'b RollupView<'a>, InsightsError> {
    views.get(place.view as usize).ok_or(InsightsError::Damaged("text"))
}

/// The first `count` rows by plays, time listened and what `read` gives for the order, with what it gives to show. Names
/// are read of all that are equal to the last one of them, so that the order among those is the names', too.
fn first<T, N: Ord>(
    table: &Table,
    count: usize,
    read: impl Fn(Place) -> Result<(N, T), InsightsError>,
) -> Result<Vec<(Row, T)>, InsightsError> {
    let weight = |row: &Row| (row.plays[CURRENT], row.listened_ms);
    let mut rows: Vec<Row> = table.rows.iter().filter(|row| row.plays[CURRENT] > 0).copied().collect();
    if count == 0 {
        return Ok(vec![]);
    }
    if rows.len() > count {
        let (_, last, _) = rows.select_nth_unstable_by_key(count - 1, |row| Reverse(weight(row)));
        let least = weight(last);
        rows.retain(|row| weight(row) >= least);
    }
    let mut found = vec![];
    for row in rows {
        let (name, shown) = read(row.place)?;
        found.push((Reverse(weight(&row)), name, row, shown));
    }
    found.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    Ok(found.into_iter().take(count).map(|(.., row, shown)| (row, shown)).collect())
}
