//! One provider's part of the repertoire: what it lacks, what it may not play where, and its own ids.

use std::collections::HashMap;

use stagedoor_domain::Provider;

use super::compose::{Master, MasterTrack};
use super::{Album, Artist, MARKETS, Track, mix};
use crate::text::base62;

/// Artists, albums and tracks of `provider`.
pub(super) fn view(master: &Master, provider: Provider, seed: u64) -> (Vec<Artist>, Vec<Album>, Vec<Track>) {
    let mut viewer = Viewer { master, provider, seed, artists: Vec::new(), known: HashMap::new() };
    let (mut albums, mut tracks): (Vec<Album>, Vec<Track>) = (Vec::new(), Vec::new());
    for (number, source) in master.albums.iter().enumerate() {
        if lacks_album(provider, seed, number) {
            continue;
        }
        let kept: Vec<(usize, &MasterTrack)> = source
            .tracks
            .iter()
            .enumerate()
            .filter(|(at, _)| source.tracks.len() < 4 || !lacks_track(provider, seed, number * 100 + at))
            .collect();
        let position = albums.len();
        let first = tracks.len();
        for (at, track) in &kept {
            let unique = number * 100 + at;
            let artists = viewer.artists_of(&track.artists);
            tracks.push(Track {
                id: viewer.id("track", unique),
                title: track.title.clone(),
                version: track.version.clone(),
                artists,
                album: position,
                isrc: (!lacks_isrc(provider, seed, unique)).then(|| track.isrc.clone()),
                recording: track.isrc.clone(),
                duration_ms: track.duration_ms + drift(provider, seed, unique),
                explicit: track.explicit,
                disc: 1,
                number: u32::try_from(*at).unwrap_or(0) + 1,
                beats_per_minute: track.beats_per_minute,
                key: track.key,
                popularity: track.popularity,
                blocked_in: blocked_in(seed, unique),
            });
        }
        let artists = viewer.artists_of(&source.artists);
        for artist in &artists {
            viewer.artists[*artist].albums.push(position);
        }
        albums.push(Album {
            id: viewer.id("album", number),
            title: source.title.clone(),
            version: source.version.clone(),
            artists,
            upc: source.upc.clone(),
            release_date: source.release_date.clone(),
            kind: source.kind,
            label: source.label,
            popularity: source.popularity,
            tracks: (first..tracks.len()).collect(),
        });
    }
    let mut artists = viewer.artists;
    for artist in &mut artists {
        artist.albums.sort_by(|left, right| albums[*right].release_date.cmp(&albums[*left].release_date));
    }
    (artists, albums, tracks)
}

struct Viewer<'a> {
    master: &'a Master,
    provider: Provider,
    seed: u64,
    artists: Vec<Artist>,
    known: HashMap<usize, usize>,
}

impl Viewer<'_> {
    fn artists_of(&mut self, sources: &[usize]) -> Vec<usize> {
        sources.iter().map(|source| self.artist(*source)).collect()
    }

    fn artist(&mut self, source: usize) -> usize {
        if let Some(position) = self.known.get(&source) {
            return *position;
        }
        let position = self.artists.len();
        let artist = &self.master.artists[source];
        self.artists.push(Artist {
            id: self.id("artist", source),
            name: artist.name.clone(),
            genre: artist.genre,
            popularity: artist.popularity,
            albums: Vec::new(),
        });
        self.known.insert(source, position);
        position
    }

    fn id(&self, kind: &str, number: usize) -> String {
        let salt = chance(self.seed, kind, number);
        match self.provider {
            Provider::Spotify => base62(u128::from(salt) << 64 | u128::from(mix(salt))),
            Provider::Tidal => {
                let start = match kind {
                    "artist" => 3_000_000,
                    "album" => 40_000_000,
                    _ => 70_000_000,
                };
                // A stride of 16 with a random low part keeps ids unique and not guessable one from the next.
                (start + number as u64 * 16 + salt % 16).to_string()
            }
        }
    }
}

fn chance(seed: u64, purpose: &str, number: usize) -> u64 {
    let salt = purpose.bytes().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
    mix(salt ^ (number as u64).wrapping_mul(0x9E37_79B9))
}

/// One album in sixteen is on one side only, half of these on each.
fn lacks_album(provider: Provider, seed: u64, number: usize) -> bool {
    match chance(seed, "album on one side", number) % 32 {
        0 => provider == Provider::Spotify,
        1 => provider == Provider::Tidal,
        _ => false,
    }
}

fn lacks_track(provider: Provider, seed: u64, unique: usize) -> bool {
    match chance(seed, "track on one side", unique) % 100 {
        0 | 1 => provider == Provider::Spotify,
        2 | 3 => provider == Provider::Tidal,
        _ => false,
    }
}

fn lacks_isrc(provider: Provider, seed: u64, unique: usize) -> bool {
    provider == Provider::Spotify && chance(seed, "isrc", unique).is_multiple_of(64)
}

/// The same recording differs by up to a second between services.
fn drift(provider: Provider, seed: u64, unique: usize) -> u64 {
    if provider == Provider::Tidal { chance(seed, "drift", unique) % 1000 } else { 0 }
}

fn blocked_in(seed: u64, unique: usize) -> Vec<&'static str> {
    match chance(seed, "blocked", unique) % 160 {
        0 | 1 => vec!["US"],
        2 => vec!["DE", "AT", "CH"],
        3 => MARKETS.iter().copied().filter(|market| *market != "JP").collect(),
        _ => Vec::new(),
    }
}
