//! What Tidal puts together itself: the radio of a track or artist, and the mixes of a person. Each is a playlist whose
//! id says what is in it, so that none is kept.

use chrono::{DateTime, TimeDelta};

use crate::catalogue::{Catalogue, mix};
use crate::playlist::{Entry, Playlist};
use crate::text::{unhex, uuid_text};

/// Tracks in a mix.
const LENGTH: usize = 30;
/// Daily mixes of a person.
pub(super) const DAILY: u32 = 8;

/// What a mix is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipe {
    TrackRadio,
    ArtistRadio,
    Daily,
    Discovery,
    NewReleases,
}

const RECIPES: [Recipe; 5] =
    [Recipe::TrackRadio, Recipe::ArtistRadio, Recipe::Daily, Recipe::Discovery, Recipe::NewReleases];

/// The id of a mix: of the track or artist at position `number`, or the person's mix of that number.
pub(super) fn id(recipe: Recipe, number: u32, person: &str) -> String {
    let place = RECIPES.iter().position(|known| *known == recipe).unwrap_or_default();
    let salt = person.bytes().fold(0x51, |salt, byte| mix(salt ^ u64::from(byte))).to_be_bytes();
    let number = number.to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..3].copy_from_slice(b"mix");
    bytes[3] = u8::try_from(place).unwrap_or_default();
    bytes[4..6].copy_from_slice(&salt[..2]);
    bytes[9..13].copy_from_slice(&number);
    bytes[13..].copy_from_slice(&salt[2..5]);
    uuid_text(bytes)
}

/// Whether an id is that of a mix.
pub(super) fn is_mix(id: &str) -> bool {
    decode(id).is_some()
}

/// The mix that an id stands for; `None` if it is not one, or of nothing in the catalogue.
pub(super) fn compose(catalogue: &Catalogue, id: &str) -> Option<Playlist> {
    let (recipe, number, salt) = decode(id)?;
    let at = usize::try_from(number).ok()?;
    let (name, tracks) = match recipe {
        Recipe::TrackRadio => {
            let track = catalogue.tracks.get(at)?;
            let mut tracks = vec![at];
            tracks.extend(similar_tracks(catalogue, at));
            (format!("{} Radio", track.title), tracks)
        }
        Recipe::ArtistRadio => {
            let artist = catalogue.artists.get(at)?;
            let own =
                artist.albums.iter().flat_map(|album| &catalogue.albums[*album].tracks).copied().take(5);
            let others = similar_artists(catalogue, at).into_iter().flat_map(|artist| {
                let albums = catalogue.artists[artist].albums.iter();
                albums.flat_map(|album| &catalogue.albums[*album].tracks).copied().take(2)
            });
            (format!("{} Radio", artist.name), own.chain(others).collect())
        }
        Recipe::Daily if number < DAILY => {
            let seed = mix(salt ^ u64::from(number));
            let first = usize::try_from(seed % catalogue.tracks.len().max(1) as u64).ok()?;
            (format!("My Mix {}", number + 1), similar_tracks(catalogue, first))
        }
        Recipe::Discovery if number == 0 => {
            ("My Daily Discovery".to_owned(), shuffled(0..catalogue.tracks.len(), salt))
        }
        Recipe::NewReleases if number == 0 => {
            let mut tracks = shuffled(0..catalogue.tracks.len(), salt);
            tracks.sort_by(|left, right| {
                let date = |at: &usize| &catalogue.albums[catalogue.tracks[*at].album].release_date;
                date(right).cmp(date(left))
            });
            ("My New Arrivals".to_owned(), tracks)
        }
        Recipe::Daily | Recipe::Discovery | Recipe::NewReleases => return None,
    };
    let made_at = DateTime::from_timestamp(1_760_000_000, 0)? + TimeDelta::hours(i64::from(number % 1000));
    let mut playlist = Playlist::new(id.to_owned(), String::new(), name, made_at);
    playlist.description = Some("Put together by the house.".to_owned());
    playlist.entries = tracks
        .into_iter()
        .take(LENGTH)
        .map(|track| {
            let item = u128::from(mix(salt ^ track as u64)) << 64 | u128::from(mix(track as u64));
            Entry::track(uuid_text(item.to_be_bytes()), &catalogue.tracks[track].id, made_at, "")
        })
        .collect();
    Some(playlist)
}

/// Tracks of other artists of the genre.
pub(super) fn similar_tracks(catalogue: &Catalogue, at: usize) -> Vec<usize> {
    let genre = |track: usize| {
        let artist = catalogue.tracks[track].artists.first();
        artist.map(|artist| catalogue.artists[*artist].genre)
    };
    let own = catalogue.tracks[at].artists.first();
    let others = (0..catalogue.tracks.len())
        .filter(|other| genre(*other) == genre(at) && catalogue.tracks[*other].artists.first() != own);
    shuffled(others, at as u64).into_iter().take(45).collect()
}

/// Other artists of the genre.
pub(super) fn similar_artists(catalogue: &Catalogue, at: usize) -> Vec<usize> {
    let others = (0..catalogue.artists.len())
        .filter(|other| *other != at && catalogue.artists[*other].genre == catalogue.artists[at].genre);
    shuffled(others, at as u64)
}

/// Albums of other artists of the genre.
pub(super) fn similar_albums(catalogue: &Catalogue, at: usize) -> Vec<usize> {
    let Some(artist) = catalogue.albums[at].artists.first() else { return Vec::new() };
    let artists = similar_artists(catalogue, *artist).into_iter();
    artists.flat_map(|artist| catalogue.artists[artist].albums.clone()).take(30).collect()
}

/// The position of a track or artist as a mix names it.
pub(super) fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn decode(id: &str) -> Option<(Recipe, u32, u64)> {
    let bytes: [u8; 16] = unhex(&id.replace('-', ""))?.try_into().ok()?;
    let recipe = *RECIPES.get(usize::from(bytes[3]))?;
    if &bytes[..3] != b"mix" || uuid_text(bytes) != id {
        return None;
    }
    let number = u32::from_be_bytes(bytes[9..13].try_into().ok()?);
    let salt = bytes[4..6].iter().chain(&bytes[13..]).fold(0, |salt, byte| salt << 8 | u64::from(*byte));
    Some((recipe, number, salt))
}

fn shuffled(positions: impl Iterator<Item = usize>, salt: u64) -> Vec<usize> {
    let mut positions: Vec<usize> = positions.collect();
    positions.sort_by_cached_key(|at| mix(mix(salt) ^ *at as u64));
    positions
}
