//! Rolling up: a month of plays at one provider becomes bytes, and bytes become a month to which plays can be added.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use stagedoor_domain::music::Provider;

use crate::format::{HEADER, MAGIC, NEVER, NO_TEXT, Tag, VERSION, provider_number, put_varint};
use crate::identity::{Key, of_album, of_artist, of_genre, of_track};
use crate::view::RollupView;
use crate::{InsightsError, Month, Play, PlaySource, PlayedTrack};

/// What one roll-up may hold, so that its lengths fit their fields: plays, and bytes of all that tracks say.
const MOST_PLAYS: usize = 1 << 24;
const MOST_BYTES: usize = 1 << 31;
/// What a track and each of its texts take at most besides the texts themselves.
const OVERHEAD: usize = 64;

/// The plays of one person in one month of UTC at one provider, packed by column. Every play is kept with its time to
/// the millisecond: sums by day or by hour of UTC could not be exact at the edges of a person's days, whose zone is
/// only known when a question comes.
///
/// The same plays give the same bytes, in whatever order and in however many steps they were added. A play that is added
/// twice counts twice.
#[derive(Debug, Clone)]
pub struct MonthRollup {
    provider: Provider,
    month: Month,
    tracks: Vec<PlayedTrack>,
    numbers: HashMap<PlayedTrack, u32>,
    plays: Vec<(u32, u32, Tag)>,
    size: usize,
}

/// Rolls up plays of any provider and month, each month by itself.
pub fn roll_up<'a>(
    plays: impl IntoIterator<Item = &'a Play>,
) -> Result<BTreeMap<(Provider, Month), MonthRollup>, InsightsError> {
    let mut rollups: BTreeMap<(Provider, Month), MonthRollup> = BTreeMap::new();
    for play in plays {
        let (provider, month) = (play.provider, Month::of(play.played_at)?);
        let rollup = rollups.entry((provider, month)).or_insert_with(|| MonthRollup::new(provider, month));
        rollup.add(play)?;
    }
    Ok(rollups)
}

impl MonthRollup {
    /// A month without plays.
    pub fn new(provider: Provider, month: Month) -> Self {
        Self { provider, month, tracks: vec![], numbers: HashMap::new(), plays: vec![], size: 0 }
    }

    /// What bytes hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InsightsError> {
        let view = RollupView::new(bytes)?;
        let mut rollup = Self::new(view.provider(), view.month());
        let mut numbers = vec![];
        for entry in view.entries() {
            numbers.push(rollup.number(&view.track(&entry?)?)?);
        }
        for play in view.plays() {
            let (offset, entry, tag) = play?;
            let number = numbers.get(entry as usize).ok_or(InsightsError::Damaged("play"))?;
            rollup.plays.push((offset, *number, tag));
        }
        Ok(rollup)
    }

    /// The provider.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The month.
    pub fn month(&self) -> Month {
        self.month
    }

    /// How many plays it holds.
    pub fn len(&self) -> usize {
        self.plays.len()
    }

    /// Whether it holds none, and need not be stored.
    pub fn is_empty(&self) -> bool {
        self.plays.is_empty()
    }

    /// Adds a play of its month and provider.
    pub fn add(&mut self, play: &Play) -> Result<(), InsightsError> {
        let found_month = Month::of(play.played_at)?;
        if (play.provider, found_month) != (self.provider, self.month) {
            return Err(InsightsError::Misplaced {
                provider: self.provider,
                month: self.month,
                found_provider: play.provider,
                found_month,
            });
        }
        let offset = u32::try_from(play.played_at - self.month.begins_at())
            .map_err(|_| InsightsError::Time(play.played_at))?;
        if self.plays.len() >= MOST_PLAYS {
            return Err(InsightsError::TooMuch(self.month));
        }
        let number = self.number(&play.track)?;
        self.plays.push((offset, number, Tag::new(play.ms_played, play.skipped, play.source)));
        Ok(())
    }

    /// The plays in the order of their times, as they were added.
    pub fn plays(&self) -> Vec<Play> {
        let begins_at = self.month.begins_at();
        let mut plays: Vec<Play> = self
            .plays
            .iter()
            .map(|(offset, number, tag)| Play {
                played_at: begins_at + i64::from(*offset),
                provider: self.provider,
                track: self.tracks[*number as usize].clone(),
                ms_played: tag.ms_played(),
                skipped: tag.skipped(),
                source: tag.source(),
            })
            .collect();
        plays.sort_by(|one, other| (one.played_at, &one.track).cmp(&(other.played_at, &other.track)));
        plays
    }

    fn number(&mut self, track: &PlayedTrack) -> Result<u32, InsightsError> {
        let full = InsightsError::TooMuch(self.month);
        if let Some(number) = self.numbers.get(track) {
            return Ok(*number);
        }
        let texts = texts_of(track);
        let size = texts.map(|text| text.len() + OVERHEAD).sum::<usize>() + OVERHEAD;
        self.size = self.size.checked_add(size).filter(|size| *size <= MOST_BYTES).ok_or(full.clone())?;
        let number = u32::try_from(self.tracks.len()).map_err(|_| full)?;
        self.tracks.push(track.clone());
        self.numbers.insert(track.clone(), number);
        Ok(number)
    }

    /// The bytes that are kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        let used: HashSet<u32> = self.plays.iter().map(|(_, number, _)| *number).collect();
        let mut order: Vec<usize> =
            (0..self.tracks.len()).filter(|number| used.contains(&fitting(*number))).collect();
        order.sort_by(|one, other| self.tracks[*one].cmp(&self.tracks[*other]));
        let mut positions = vec![0; self.tracks.len()];
        for (position, number) in order.iter().enumerate() {
            positions[*number] = fitting(position);
        }
        let mut plays: Vec<(u32, u32, Tag)> = self
            .plays
            .iter()
            .map(|(offset, number, tag)| (*offset, positions[*number as usize], *tag))
            .collect();
        plays.sort_unstable();

        let mut first = vec![u32::MAX; order.len()];
        for (offset, entry, _) in &plays {
            let first = &mut first[*entry as usize];
            *first = (*first).min(*offset);
        }
        let tables =
            Tables::of(order.iter().zip(first).map(|(number, first)| (&self.tracks[*number], first)));
        let mut entries = vec![];
        for number in &order {
            tables.put_entry(&mut entries, &self.tracks[*number]);
        }
        let mut packed = vec![];
        let mut before = 0;
        for (offset, entry, tag) in &plays {
            put_varint(&mut packed, u64::from(offset - before));
            put_varint(&mut packed, u64::from(*entry));
            put_varint(&mut packed, tag.number());
            before = *offset;
        }

        let mut bytes = Vec::with_capacity(HEADER + tables.texts.len() + entries.len() + packed.len());
        bytes.extend(MAGIC);
        bytes.extend([VERSION, provider_number(self.provider)]);
        bytes.extend(self.month.number().to_le_bytes());
        let counts = [tables.tracks.len(), tables.artists.len(), tables.albums.len(), tables.genres.len()];
        let lengths = [tables.texts.len(), entries.len(), order.len(), plays.len()];
        for number in counts.into_iter().chain(lengths) {
            bytes.extend(fitting(number).to_le_bytes());
        }
        for source in [PlaySource::Poll, PlaySource::Import] {
            let mut times =
                plays.iter().filter(|(.., tag)| tag.source() == source).map(|(offset, ..)| *offset);
            let first = times.next();
            let last = times.next_back().or(first);
            bytes.extend(first.unwrap_or(NEVER).to_le_bytes());
            bytes.extend(last.unwrap_or(NEVER).to_le_bytes());
        }
        tables.put(&mut bytes);
        bytes.extend(entries);
        bytes.extend(packed);
        bytes
    }
}

fn texts_of(track: &PlayedTrack) -> impl Iterator<Item = &str> {
    let lists = track.artists.iter().chain(&track.genres);
    let others = [track.reference.as_ref(), Some(&track.title), track.album.as_ref()];
    lists.chain(others.into_iter().flatten()).map(String::as_str)
}

/// `add` keeps all that is counted within 32 bits.
fn fitting(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Every text and name once, and where each stands.
struct Tables<'a> {
    texts: Vec<u8>,
    positions: HashMap<&'a str, u32>,
    /// By key: when it was first heard.
    tracks: BTreeMap<Key, u32>,
    /// By key and spelling.
    artists: BTreeSet<(Key, u32)>,
    albums: BTreeSet<(Key, u32, u32)>,
    genres: BTreeSet<(Key, u32)>,
    track_numbers: HashMap<Key, u32>,
    artist_numbers: HashMap<(Key, u32), u32>,
    album_numbers: HashMap<(Key, u32, u32), u32>,
    genre_numbers: HashMap<(Key, u32), u32>,
}

impl<'a> Tables<'a> {
    fn of(tracks: impl Iterator<Item = (&'a PlayedTrack, u32)> + Clone) -> Self {
        let sorted: BTreeSet<&str> = tracks.clone().flat_map(|(track, _)| texts_of(track)).collect();
        let (mut texts, mut positions) = (vec![], HashMap::new());
        for text in sorted {
            positions.insert(text, fitting(texts.len()));
            put_varint(&mut texts, text.len() as u64);
            texts.extend(text.as_bytes());
        }
        let mut tables = Self {
            texts,
            positions,
            tracks: BTreeMap::new(),
            artists: BTreeSet::new(),
            albums: BTreeSet::new(),
            genres: BTreeSet::new(),
            track_numbers: HashMap::new(),
            artist_numbers: HashMap::new(),
            album_numbers: HashMap::new(),
            genre_numbers: HashMap::new(),
        };
        for (track, first) in tracks {
            let known = tables.tracks.entry(of_track(track)).or_insert(first);
            *known = (*known).min(first);
            for name in &track.artists {
                tables.artists.insert((of_artist(name), tables.positions[name.as_str()]));
            }
            for name in &track.genres {
                tables.genres.insert((of_genre(name), tables.positions[name.as_str()]));
            }
            if let Some(album) = tables.album(track) {
                tables.albums.insert(album);
            }
        }
        tables.track_numbers = numbered(tables.tracks.keys().copied());
        tables.artist_numbers = numbered(tables.artists.iter().copied());
        tables.album_numbers = numbered(tables.albums.iter().copied());
        tables.genre_numbers = numbered(tables.genres.iter().copied());
        tables
    }

    fn album(&self, track: &PlayedTrack) -> Option<(Key, u32, u32)> {
        let title = track.album.as_deref()?;
        let artist = track.artists.first().map_or(NO_TEXT, |name| self.positions[name.as_str()]);
        Some((of_album(title, track), self.positions[title], artist))
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        for (key, first) in &self.tracks {
            bytes.extend(key.to_le_bytes());
            bytes.extend(first.to_le_bytes());
        }
        for (key, name) in &self.artists {
            bytes.extend(key.to_le_bytes());
            bytes.extend(name.to_le_bytes());
        }
        for (key, title, artist) in &self.albums {
            bytes.extend(key.to_le_bytes());
            bytes.extend(title.to_le_bytes());
            bytes.extend(artist.to_le_bytes());
        }
        for (key, name) in &self.genres {
            bytes.extend(key.to_le_bytes());
            bytes.extend(name.to_le_bytes());
        }
        bytes.extend(&self.texts);
    }

    fn put_entry(&self, bytes: &mut Vec<u8>, track: &PlayedTrack) {
        let position = |text: &str| self.positions[text];
        let plus_one = |number: Option<u32>| number.map_or(0, |number| u64::from(number) + 1);
        put_varint(bytes, u64::from(self.track_numbers[&of_track(track)]));
        put_varint(bytes, plus_one(track.reference.as_deref().map(position)));
        put_varint(bytes, u64::from(position(&track.title)));
        put_varint(bytes, track.artists.len() as u64);
        for name in &track.artists {
            put_varint(bytes, u64::from(self.artist_numbers[&(of_artist(name), position(name))]));
        }
        put_varint(bytes, plus_one(self.album(track).map(|album| self.album_numbers[&album])));
        put_varint(bytes, track.genres.len() as u64);
        for name in &track.genres {
            put_varint(bytes, u64::from(self.genre_numbers[&(of_genre(name), position(name))]));
        }
        put_varint(bytes, plus_one(track.duration_ms));
    }
}

fn numbered<K: Eq + std::hash::Hash>(keys: impl Iterator<Item = K>) -> HashMap<K, u32> {
    keys.enumerate().map(|(number, key)| (key, fitting(number))).collect()
}
