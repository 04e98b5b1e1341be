//! The parts of a roll-up, read where they lie.

use stagedoor_domain::music::Provider;

use crate::format::{ENTRY, KEY, NONE, PLAY, Part, Reader, Tag, open};
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
            *known = (first != NONE).then_some((first, last));
        }
        Ok(Self { provider, month, tracks: reader.rows(tracks, KEY)?, minutes: reader.rest(), known })
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
    rows: &'a [u8],
    plays: &'a [u8],
    track_count: usize,
}

/// One way in which a track was told, by rows, all of which are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) track: usize,
    pub(crate) album: Option<usize>,
    pub(crate) duration_ms: Option<u32>,
    artists: &'a [u8],
    genres: &'a [u8],
}

impl<'a> Entry<'a> {
    pub(crate) fn artists(&self) -> impl ExactSizeIterator<Item = u32> + Clone + 'a {
        words(self.artists)
    }

    pub(crate) fn genres(&self) -> impl ExactSizeIterator<Item = u32> + Clone + 'a {
        words(self.genres)
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
        let [artists, albums, genres, entries, rows, plays] = counts;
        let view = Self {
            artists: reader.rows(artists, KEY)?,
            albums: reader.rows(albums, KEY)?,
            genres: reader.rows(genres, KEY)?,
            entries: reader.rows(entries, ENTRY)?,
            rows: reader.rows(rows, 4)?,
            plays: reader.rows(plays, PLAY)?,
            track_count: heard.tracks().len(),
        };
        if reader.is_done() { Ok(view) } else { Err(reader.damaged()) }
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

    pub(crate) fn entry_count(&self) -> usize {
        self.entries.len() / ENTRY
    }

    /// One of the ways in which a track was told.
    #[inline]
    pub(crate) fn entry(&self, number: usize) -> Option<Entry<'a>> {
        let at = number * ENTRY;
        let fixed = self.entries.get(at..at + ENTRY)?;
        let some = |number: u32| (number != NONE).then_some(number);
        let entry = |track: u32, album: Option<u32>, rows: &'a [u8], artists: usize| {
            let (artists, genres) = rows.split_at_checked(artists)?;
            let (track, album) = (track as usize, album.map(|row| row as usize));
            let within = track < self.track_count
                && album.is_none_or(|row| row < self.albums.len() / KEY)
                && words(artists).all(|row| (row as usize) < self.artists.len() / KEY)
                && words(genres).all(|row| (row as usize) < self.genres.len() / KEY);
            let duration_ms = some(word(fixed, 8));
            within.then_some(Entry { track, album, duration_ms, artists, genres })
        };
        let begin = word(fixed, 12) as usize * 4;
        let counts = word(fixed, 16);
        let (artists, genres) = ((counts & 0xffff) as usize * 4, (counts >> 16) as usize * 4);
        let rows = self.rows.get(begin..begin + artists + genres)?;
        entry(word(fixed, 0), some(word(fixed, 4)), rows, artists)
    }

    /// Every play in the order of their times: milliseconds since the month began, entry, and what else it says.
    pub(crate) fn plays(&self) -> impl Iterator<Item = Result<(u32, u32, Tag), InsightsError>> + 'a {
        self.plays.chunks_exact(PLAY).map(|play| {
            let entry = word(play, 4);
            let tag = Tag::read(play[7], word(play, 8)).ok_or(InsightsError::Damaged("play"))?;
            Ok((word(play, 0), entry & 0x00ff_ffff, tag))
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
    pub(crate) fn album(&self, row: usize) -> Result<(&'a str, Option<&'a str>), InsightsError> {
        let (title, artist) = self.albums.get(row).ok_or(lost())?;
        Ok((title, artist.map(|row| self.artist(row)).transpose()?))
    }

    /// What an entry says, in full.
    pub(crate) fn track(&self, number: usize, entry: &Entry<'_>) -> Result<PlayedTrack, InsightsError> {
        let (reference, title) = self.entries.get(number).ok_or(lost())?;
        let owned = |name: Result<&str, InsightsError>| name.map(str::to_owned);
        Ok(PlayedTrack {
            reference: reference.map(str::to_owned),
            title: (*title).to_owned(),
            artists: entry.artists().map(|row| owned(self.artist(row))).collect::<Result<_, _>>()?,
            album: entry.album.map(|row| owned(self.album(row).map(|(title, _)| title))).transpose()?,
            genres: entry.genres().map(|row| owned(self.genre(row))).collect::<Result<_, _>>()?,
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

#[inline]
fn words(bytes: &[u8]) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
    bytes.chunks_exact(4).map(|bytes| word(bytes, 0))
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}
