//! The parts of a roll-up, read where they lie.

use stagedoor_domain::music::Provider;

use crate::format::{KEY, NEVER, Part, Reader, Tag, open};
use crate::identity::Key;
use crate::{InsightsError, Month, PlaySource, PlayedTrack};

const MINUTE: i64 = 60_000;

/// Which tracks were heard, and when anything was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeardView<'a> {
    pub(crate) provider: Provider,
    pub(crate) month: Month,
    tracks: &'a [u8],
    minutes: &'a [u8],
    /// Of polled and of imported plays.
    known: [Option<(u32, u32)>; 2],
}

impl<'a> HeardView<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, InsightsError> {
        let (provider, month, mut reader) = open(Part::Heard, bytes, "list of tracks heard")?;
        let tracks = reader.word()?;
        let mut known = [None; 2];
        for known in &mut known {
            let (first, last) = (reader.word()?, reader.word()?);
            *known = (first != NEVER).then_some((first, last));
        }
        Ok(Self { provider, month, tracks: reader.keys(tracks)?, minutes: reader.rest(), known })
    }

    /// When the first and the last play of a source ended: milliseconds since 1970.
    pub(crate) fn known(&self, source: PlaySource) -> Option<(i64, i64)> {
        let begins_at = self.month.begins_at();
        let (first, last) = self.known[usize::from(source == PlaySource::Import)]?;
        Some((begins_at + i64::from(first), begins_at + i64::from(last)))
    }

    /// The keys of the tracks.
    pub(crate) fn tracks(&self) -> impl ExactSizeIterator<Item = Key> + 'a {
        keys(self.tracks)
    }

    /// The minutes in which a play ended: milliseconds since 1970.
    pub(crate) fn minutes(&self) -> impl Iterator<Item = Result<i64, InsightsError>> + 'a {
        let mut reader = Reader::new(self.minutes, 0, "list of minutes");
        let mut minute = 0_i64;
        let begins_at = self.month.begins_at();
        std::iter::from_fn(move || {
            if reader.is_done() {
                return None;
            }
            let read = reader.index().map(|more| {
                minute += i64::from(more);
                begins_at + minute * MINUTE
            });
            Some(read)
        })
    }
}

/// The plays of a month.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaysView<'a> {
    artists: &'a [u8],
    albums: &'a [u8],
    genres: &'a [u8],
    entries: &'a [u8],
    entry_count: usize,
    plays: &'a [u8],
    play_count: usize,
    track_count: usize,
}

/// One way in which a track was told, by rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'e> {
    pub(crate) track: u32,
    pub(crate) artists: &'e [u32],
    pub(crate) album: Option<u32>,
    pub(crate) genres: &'e [u32],
    pub(crate) duration_ms: Option<u32>,
}

/// All entries of a month.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    fixed: Vec<(u32, Option<u32>, Option<u32>)>,
    /// Where the artists of an entry end among `rows`, then where its genres do.
    ends: Vec<(usize, usize)>,
    rows: Vec<u32>,
}

impl Entries {
    pub(crate) fn len(&self) -> usize {
        self.fixed.len()
    }

    pub(crate) fn duration_ms(&self, number: usize) -> Option<u32> {
        self.fixed[number].2
    }

    /// One of them.
    pub(crate) fn at(&self, number: usize) -> Option<Entry<'_>> {
        let begin = number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |ends| ends.1);
        let (track, album, duration_ms) = *self.fixed.get(number)?;
        let (middle, end) = self.ends[number];
        let (artists, genres) = (&self.rows[begin..middle], &self.rows[middle..end]);
        Some(Entry { track, artists, album, genres, duration_ms })
    }

    /// In their order.
    pub(crate) fn all(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).filter_map(|number| self.at(number))
    }
}

impl<'a> PlaysView<'a> {
    /// The plays of the month whose tracks `heard` has.
    pub(crate) fn new(bytes: &'a [u8], heard: &HeardView<'_>) -> Result<Self, InsightsError> {
        let (provider, month, mut reader) = open(Part::Plays, bytes, "list of plays")?;
        if (provider, month) != (heard.provider, heard.month) {
            return Err(InsightsError::Mixed);
        }
        let mut counts = [0; 6];
        for count in &mut counts {
            *count = reader.word()?;
        }
        let [artists, albums, genres, entry_count, play_count, length] = counts;
        Ok(Self {
            artists: reader.keys(artists)?,
            albums: reader.keys(albums)?,
            genres: reader.keys(genres)?,
            entries: reader.take(length as usize)?,
            entry_count: entry_count as usize,
            plays: reader.rest(),
            play_count: play_count as usize,
            track_count: heard.tracks().len(),
        })
    }

    /// The key of each spelling of an artist.
    pub(crate) fn artists(&self) -> impl ExactSizeIterator<Item = Key> + 'a {
        keys(self.artists)
    }

    /// The key of each spelling of an album.
    pub(crate) fn albums(&self) -> impl ExactSizeIterator<Item = Key> + 'a {
        keys(self.albums)
    }

    /// The key of each spelling of a genre.
    pub(crate) fn genres(&self) -> impl ExactSizeIterator<Item = Key> + 'a {
        keys(self.genres)
    }

    /// Every way in which a track was told; all of its rows are there.
    pub(crate) fn entries(&self) -> Result<Entries, InsightsError> {
        let mut reader = Reader::new(self.entries, 0, "track");
        let mut entries = Entries::default();
        let [artists, albums, genres] = [self.artists, self.albums, self.genres].map(|keys| keys.len() / KEY);
        let within = |row: u32, count: usize| {
            if (row as usize) < count { Ok(row) } else { Err(InsightsError::Damaged("track")) }
        };
        for _ in 0..self.entry_count {
            let track = within(reader.index()?, self.track_count)?;
            for _ in 0..reader.index()? {
                entries.rows.push(within(reader.index()?, artists)?);
            }
            let middle = entries.rows.len();
            let album = reader.option()?.map(|row| within(row, albums)).transpose()?;
            for _ in 0..reader.index()? {
                entries.rows.push(within(reader.index()?, genres)?);
            }
            entries.ends.push((middle, entries.rows.len()));
            entries.fixed.push((track, album, reader.option()?));
        }
        if reader.is_done() { Ok(entries) } else { Err(reader.damaged()) }
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

/// Titles, names and references of a month.
#[derive(Debug)]
pub(crate) struct NamesView<'a> {
    pub(crate) provider: Provider,
    pub(crate) month: Month,
    /// Reference and title.
    entries: Vec<(Option<&'a str>, &'a str)>,
    artists: Vec<&'a str>,
    albums: Vec<(&'a str, Option<u32>)>,
    genres: Vec<&'a str>,
}

impl<'a> NamesView<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, InsightsError> {
        let (provider, month, mut reader) = open(Part::Names, bytes, "list of names")?;
        let [mut entries, mut artists, mut albums, mut genres] = [(); 4].map(|()| 0);
        for count in [&mut entries, &mut artists, &mut albums, &mut genres] {
            *count = reader.word()?;
        }
        let mut names =
            Self { provider, month, entries: vec![], artists: vec![], albums: vec![], genres: vec![] };
        for _ in 0..entries {
            let reference = if reader.index()? == 1 { Some(reader.text()?) } else { None };
            names.entries.push((reference, reader.text()?));
        }
        for _ in 0..artists {
            names.artists.push(reader.text()?);
        }
        for _ in 0..albums {
            names.albums.push((reader.text()?, reader.option()?));
        }
        for _ in 0..genres {
            names.genres.push(reader.text()?);
        }
        if reader.is_done() { Ok(names) } else { Err(reader.damaged()) }
    }

    pub(crate) fn belongs_to(&self, heard: &HeardView<'_>) -> Result<(), InsightsError> {
        let same = (self.provider, self.month) == (heard.provider, heard.month);
        if same { Ok(()) } else { Err(InsightsError::Mixed) }
    }

    pub(crate) fn artist(&self, row: u32) -> Result<&'a str, InsightsError> {
        self.artists.get(row as usize).copied().ok_or(lost())
    }

    pub(crate) fn genre(&self, row: u32) -> Result<&'a str, InsightsError> {
        self.genres.get(row as usize).copied().ok_or(lost())
    }

    /// Title, and first artist of its tracks.
    pub(crate) fn album(&self, row: u32) -> Result<(&'a str, Option<&'a str>), InsightsError> {
        let (title, artist) = self.albums.get(row as usize).ok_or(lost())?;
        Ok((title, artist.map(|row| self.artist(row)).transpose()?))
    }

    /// What an entry says, in full.
    pub(crate) fn track(&self, number: usize, entry: &Entry<'_>) -> Result<PlayedTrack, InsightsError> {
        let (reference, title) = self.entries.get(number).ok_or(lost())?;
        let owned = |name: Result<&str, InsightsError>| name.map(str::to_owned);
        Ok(PlayedTrack {
            reference: reference.map(str::to_owned),
            title: (*title).to_owned(),
            artists: entry.artists.iter().map(|row| owned(self.artist(*row))).collect::<Result<_, _>>()?,
            album: entry.album.map(|row| owned(self.album(row).map(|(title, _)| title))).transpose()?,
            genres: entry.genres.iter().map(|row| owned(self.genre(*row))).collect::<Result<_, _>>()?,
            duration_ms: entry.duration_ms,
        })
    }
}

fn lost() -> InsightsError {
    InsightsError::Damaged("list of names")
}

fn keys(bytes: &[u8]) -> impl ExactSizeIterator<Item = Key> + '_ {
    bytes.chunks_exact(KEY).map(|bytes| {
        let mut key = [0; KEY];
        key.copy_from_slice(bytes);
        Key::from_le_bytes(key)
    })
}
