//! A month of plays as bytes, in three parts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use stagedoor_domain::music::Provider;

use crate::format::{NONE, Part, Tag, begin, put_text, put_varint};
use crate::identity::{Key, of_album, of_artist, of_genre, of_track};
use crate::{Month, PlaySource, PlayedTrack};

const MINUTE: u32 = 60_000;

/// The bytes of a month's roll-up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RollupParts {
    /// Which tracks were heard, and in which minutes anything was: needed of every month.
    pub heard: Vec<u8>,
    /// The plays: needed of the months that a question is about.
    pub plays: Vec<u8>,
    /// Titles, names and references: needed of the few months from which something is named.
    pub names: Vec<u8>,
}

/// Packs plays: milliseconds since the month began, which of `tracks`, and what else they say.
pub(crate) fn pack(
    provider: Provider,
    month: Month,
    tracks: &[PlayedTrack],
    plays: &[(u32, u32, Tag)],
) -> RollupParts {
    let used: HashSet<u32> = plays.iter().map(|(_, number, _)| *number).collect();
    let mut order: Vec<usize> = (0..tracks.len()).filter(|number| used.contains(&fitting(*number))).collect();
    order.sort_by(|one, other| tracks[*one].cmp(&tracks[*other]));
    let mut positions = vec![0; tracks.len()];
    for (position, number) in order.iter().enumerate() {
        positions[*number] = fitting(position);
    }
    let mut plays: Vec<(u32, u32, Tag)> =
        plays.iter().map(|(offset, number, tag)| (*offset, positions[*number as usize], *tag)).collect();
    plays.sort_unstable();
    let entries: Vec<&PlayedTrack> = order.iter().map(|number| &tracks[*number]).collect();
    let tables = Tables::of(&entries);
    RollupParts {
        heard: heard(begin(Part::Heard, provider, month), &tables, &plays),
        plays: played(begin(Part::Plays, provider, month), &tables, &entries, &plays),
        names: names(begin(Part::Names, provider, month), &tables, &entries),
    }
}

fn heard(mut bytes: Vec<u8>, tables: &Tables<'_>, plays: &[(u32, u32, Tag)]) -> Vec<u8> {
    bytes.extend(fitting(tables.tracks.len()).to_le_bytes());
    for source in [PlaySource::Poll, PlaySource::Import] {
        let mut times = plays.iter().filter(|(.., tag)| tag.source() == source).map(|(offset, ..)| *offset);
        let first = times.next();
        let last = times.next_back().or(first);
        bytes.extend(first.unwrap_or(NONE).to_le_bytes());
        bytes.extend(last.unwrap_or(NONE).to_le_bytes());
    }
    tables.tracks.keys().for_each(|key| bytes.extend(key.to_le_bytes()));
    let mut before = None;
    for minute in plays.iter().map(|(offset, ..)| offset / MINUTE) {
        if before != Some(minute) {
            put_varint(&mut bytes, u64::from(minute - before.unwrap_or_default()));
        }
        before = Some(minute);
    }
    bytes
}

fn played(
    mut bytes: Vec<u8>,
    tables: &Tables<'_>,
    entries: &[&PlayedTrack],
    plays: &[(u32, u32, Tag)],
) -> Vec<u8> {
    let (mut packed, mut rows) = (vec![], vec![]);
    for track in entries {
        tables.put_entry(&mut packed, &mut rows, track);
    }
    let counts = [tables.artists.len(), tables.albums.len(), tables.genres.len(), entries.len()];
    for number in counts.into_iter().chain([rows.len(), plays.len()]) {
        bytes.extend(fitting(number).to_le_bytes());
    }
    let artists = tables.artists.keys().map(|(key, _)| key);
    let albums = tables.albums.keys().map(|(key, ..)| key);
    let genres = tables.genres.keys().map(|(key, _)| key);
    artists.chain(albums).chain(genres).for_each(|key| bytes.extend(key.to_le_bytes()));
    bytes.extend(packed);
    for row in rows {
        bytes.extend(row.to_le_bytes());
    }
    for (offset, entry, tag) in plays {
        bytes.extend(offset.to_le_bytes());
        bytes.extend(tag.with_entry(*entry));
    }
    bytes
}

fn names(mut bytes: Vec<u8>, tables: &Tables<'_>, entries: &[&PlayedTrack]) -> Vec<u8> {
    for number in [entries.len(), tables.artists.len(), tables.albums.len(), tables.genres.len()] {
        bytes.extend(fitting(number).to_le_bytes());
    }
    for track in entries {
        bytes.push(u8::from(track.reference.is_some()));
        if let Some(reference) = &track.reference {
            put_text(&mut bytes, reference);
        }
        put_text(&mut bytes, &track.title);
    }
    tables.artists.keys().for_each(|(_, name)| put_text(&mut bytes, name));
    for (_, title, artist) in tables.albums.keys() {
        put_text(&mut bytes, title);
        let artist = artist.map(|name| tables.artists[&(of_artist(name), name)]);
        put_varint(&mut bytes, artist.map_or(0, |row| u64::from(row) + 1));
    }
    tables.genres.keys().for_each(|(_, name)| put_text(&mut bytes, name));
    bytes
}

/// `MonthRollup::add` keeps all that is counted within 32 bits.
fn fitting(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

type Named<'a> = BTreeMap<(Key, &'a str), u32>;

/// The rows of what plays name, each spelling by itself, in the order of keys and spellings.
struct Tables<'a> {
    tracks: BTreeMap<Key, u32>,
    artists: Named<'a>,
    albums: BTreeMap<(Key, &'a str, Option<&'a str>), u32>,
    genres: Named<'a>,
    /// Of artists and genres, whose spellings stand in many tracks.
    keys: HashMap<&'a str, (Key, Key)>,
}

impl<'a> Tables<'a> {
    fn of(entries: &[&'a PlayedTrack]) -> Self {
        let mut keys: HashMap<&str, (Key, Key)> = HashMap::new();
        let (mut tracks, mut artists) = (BTreeSet::new(), BTreeSet::new());
        let (mut albums, mut genres) = (BTreeSet::new(), BTreeSet::new());
        for track in entries {
            for name in track.artists.iter().chain(&track.genres) {
                keys.entry(name).or_insert_with(|| (of_artist(name), of_genre(name)));
            }
            tracks.insert(of_track(track));
            artists.extend(track.artists.iter().map(|name| (keys[name.as_str()].0, name.as_str())));
            genres.extend(track.genres.iter().map(|name| (keys[name.as_str()].1, name.as_str())));
            albums.extend(album(track));
        }
        Self {
            tracks: numbered(tracks),
            artists: numbered(artists),
            albums: numbered(albums),
            genres: numbered(genres),
            keys,
        }
    }

    fn put_entry(&self, bytes: &mut Vec<u8>, rows: &mut Vec<u32>, track: &PlayedTrack) {
        let album = album(track).map(|album| self.albums[&album]);
        let (begin, fixed) = (fitting(rows.len()), [self.tracks[&of_track(track)], album.unwrap_or(NONE)]);
        for number in fixed.into_iter().chain([track.duration_ms.unwrap_or(NONE), begin]) {
            bytes.extend(number.to_le_bytes());
        }
        for names in [&track.artists, &track.genres] {
            bytes.extend(u16::try_from(names.len()).unwrap_or(u16::MAX).to_le_bytes());
        }
        let keys = |name: &str| self.keys[name];
        rows.extend(track.artists.iter().map(|name| self.artists[&(keys(name).0, name.as_str())]));
        rows.extend(track.genres.iter().map(|name| self.genres[&(keys(name).1, name.as_str())]));
    }
}

fn album(track: &PlayedTrack) -> Option<(Key, &str, Option<&str>)> {
    let title = track.album.as_deref()?;
    Some((of_album(title, track), title, track.artists.first().map(String::as_str)))
}

fn numbered<K: Ord>(keys: BTreeSet<K>) -> BTreeMap<K, u32> {
    keys.into_iter().zip(0..).collect()
}
