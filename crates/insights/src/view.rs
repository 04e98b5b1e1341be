//! A roll-up's bytes, read where they lie.

use stagedoor_domain::music::Provider;

use crate::format::{ALBUM, HEADER, MAGIC, NAMED, NEVER, NO_TEXT, Reader, TRACK, Tag, VERSION, provider_of};
use crate::identity::Key;
use crate::{InsightsError, Month, PlaySource, PlayedTrack};

/// The sections of a roll-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RollupView<'a> {
    provider: Provider,
    month: Month,
    tracks: &'a [u8],
    artists: &'a [u8],
    albums: &'a [u8],
    genres: &'a [u8],
    texts: &'a [u8],
    entries: &'a [u8],
    entry_count: usize,
    plays: &'a [u8],
    play_count: usize,
    /// Of polled and of imported plays.
    known: [Option<(u32, u32)>; 2],
}

/// One way in which a track was told: what calculations need, and where the rest begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Among the tracks.
    pub(crate) track: u32,
    pub(crate) duration_ms: Option<u32>,
    /// Where it begins.
    pub(crate) at: u32,
}

impl<'a> RollupView<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, InsightsError> {
        let mut reader = Reader::new(bytes, 0, "header");
        let header = reader.take(HEADER).map_err(|_| InsightsError::Version)?;
        if header[..2] != MAGIC || header[2] != VERSION {
            return Err(InsightsError::Version);
        }
        let damaged = InsightsError::Damaged("header");
        let provider = provider_of(header[3]).ok_or(damaged.clone())?;
        let month = Month::from_number(u16::from_le_bytes([header[4], header[5]])).ok_or(damaged.clone())?;
        let number = |at: usize| word(header, 6 + at * 4) as usize;
        let mut section =
            |count: usize, size: usize| reader.take(count.checked_mul(size).ok_or(damaged.clone())?);
        Ok(Self {
            provider,
            month,
            tracks: section(number(0), TRACK)?,
            artists: section(number(1), NAMED)?,
            albums: section(number(2), ALBUM)?,
            genres: section(number(3), NAMED)?,
            texts: section(number(4), 1)?,
            entries: section(number(5), 1)?,
            entry_count: number(6),
            play_count: number(7),
            known: [8, 10].map(|at| {
                let (first, last) = (word(header, 6 + at * 4), word(header, 10 + at * 4));
                (first != NEVER).then_some((first, last))
            }),
            plays: &bytes[reader.position()..],
        })
    }

    pub(crate) fn provider(&self) -> Provider {
        self.provider
    }

    pub(crate) fn month(&self) -> Month {
        self.month
    }

    /// When the first and the last play of a source ended: milliseconds since 1970.
    pub(crate) fn known(&self, source: PlaySource) -> Option<(i64, i64)> {
        let begins_at = self.month.begins_at();
        let (first, last) = self.known[usize::from(source == PlaySource::Import)]?;
        Some((begins_at + i64::from(first), begins_at + i64::from(last)))
    }

    /// Of each track its key, and when it was first heard: milliseconds since the month began.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (Key, u32)> + 'a {
        self.tracks.chunks_exact(TRACK).map(|row| (key(row), word(row, 16)))
    }

    pub(crate) fn track_count(&self) -> usize {
        self.tracks.len() / TRACK
    }

    /// Of each spelling of an artist its key and text.
    pub(crate) fn artists(&self) -> impl ExactSizeIterator<Item = (Key, u32)> + 'a {
        named(self.artists)
    }

    /// Of each spelling of a genre its key and text.
    pub(crate) fn genres(&self) -> impl ExactSizeIterator<Item = (Key, u32)> + 'a {
        named(self.genres)
    }

    /// Of each spelling of an album its key, its title and its first artist.
    pub(crate) fn albums(&self) -> impl ExactSizeIterator<Item = (Key, u32, Option<u32>)> + 'a {
        self.albums.chunks_exact(ALBUM).map(|row| {
            let artist = word(row, 20);
            (key(row), word(row, 16), (artist != NO_TEXT).then_some(artist))
        })
    }

    /// The text at a position.
    pub(crate) fn text(&self, position: u32) -> Result<&'a str, InsightsError> {
        let mut reader = Reader::new(self.texts, position as usize, "text");
        let length = reader.index()? as usize;
        std::str::from_utf8(reader.take(length)?).map_err(|_| reader.damaged())
    }

    /// Every way in which a track was told.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<Entry, InsightsError>> + 'a {
        let mut reader = Reader::new(self.entries, 0, "track");
        let tracks = self.track_count();
        (0..self.entry_count).map(move |_| {
            let at = u32::try_from(reader.position()).map_err(|_| reader.damaged())?;
            let track = reader.index()?;
            reader.varint()?;
            reader.varint()?;
            for _ in 0..reader.index()? {
                reader.varint()?;
            }
            reader.varint()?;
            for _ in 0..reader.index()? {
                reader.varint()?;
            }
            let duration_ms = reader.option()?;
            if track as usize >= tracks {
                return Err(reader.damaged());
            }
            Ok(Entry { track, duration_ms, at })
        })
    }

    /// Hands the artists, the album and the genres of an entry to functions, each by its row.
    pub(crate) fn visit(
        &self,
        entry: &Entry,
        mut artist: impl FnMut(usize) -> Result<(), InsightsError>,
        album: impl FnOnce(usize) -> Result<(), InsightsError>,
        mut genre: impl FnMut(usize) -> Result<(), InsightsError>,
    ) -> Result<(), InsightsError> {
        let mut reader = Reader::new(self.entries, entry.at as usize, "track");
        for _ in 0..3 {
            reader.varint()?;
        }
        for _ in 0..reader.index()? {
            artist(reader.index()? as usize)?;
        }
        if let Some(row) = reader.option()? {
            album(row as usize)?;
        }
        for _ in 0..reader.index()? {
            genre(reader.index()? as usize)?;
        }
        Ok(())
    }

    /// What an entry says, in full.
    pub(crate) fn track(&self, entry: &Entry) -> Result<PlayedTrack, InsightsError> {
        let mut reader = Reader::new(self.entries, entry.at as usize, "track");
        reader.varint()?;
        let text = |position: u32| self.text(position).map(str::to_owned);
        let reference = reader.option()?.map(text).transpose()?;
        let title = text(reader.index()?)?;
        let (mut artists, mut album, mut genres) = (vec![], None, vec![]);
        let lost = || InsightsError::Damaged("track");
        self.visit(
            entry,
            |row| {
                artists.push(text(word(row_of(self.artists, NAMED, row).ok_or_else(lost)?, 16))?);
                Ok(())
            },
            |row| {
                album = Some(text(word(row_of(self.albums, ALBUM, row).ok_or_else(lost)?, 16))?);
                Ok(())
            },
            |row| {
                genres.push(text(word(row_of(self.genres, NAMED, row).ok_or_else(lost)?, 16))?);
                Ok(())
            },
        )?;
        Ok(PlayedTrack { reference, title, artists, album, genres, duration_ms: entry.duration_ms })
    }

    /// Every play in the order of their times: milliseconds since the month began, entry, and what else it says.
    pub(crate) fn plays(&self) -> impl Iterator<Item = Result<(u32, u32, Tag), InsightsError>> + 'a {
        let mut reader = Reader::new(self.plays, 0, "play");
        let (mut offset, count) = (0_u32, self.play_count);
        (0..count).map(move |number| {
            let since = reader.index()?;
            offset = offset.checked_add(since).ok_or_else(|| reader.damaged())?;
            let entry = reader.index()?;
            let tag = Tag::read(reader.varint()?)?;
            if number + 1 == count && !reader.is_done() {
                return Err(reader.damaged());
            }
            Ok((offset, entry, tag))
        })
    }
}

fn named(rows: &[u8]) -> impl ExactSizeIterator<Item = (Key, u32)> + '_ {
    rows.chunks_exact(NAMED).map(|row| (key(row), word(row, 16)))
}

fn row_of(rows: &[u8], size: usize, row: usize) -> Option<&[u8]> {
    let begin = row.checked_mul(size)?;
    rows.get(begin..begin.checked_add(size)?)
}

fn key(row: &[u8]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&row[..16]);
    Key::from_le_bytes(key)
}

fn word(row: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&row[at..at + 4]);
    u32::from_le_bytes(word)
}
