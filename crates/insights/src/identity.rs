//! When two plays are of the same track, artist, album or genre: when these keys are equal.

use stagedoor_crypto::digest::sha256;
use unicode_normalization::UnicodeNormalization as _;

use crate::PlayedTrack;

/// The first 8 bytes of SHA-256 of what identifies something, never 0. Of a million things, two have the same key with a
/// probability of 1 in 18 million.
pub(crate) type Key = u64;

/// A track is its reference; without one, title and first artist.
pub(crate) fn of_track(track: &PlayedTrack) -> Key {
    match &track.reference {
        Some(reference) => digest("track", &[reference]),
        None => digest("named track", &[&folded(&track.title), &first_artist(track)]),
    }
}

/// An artist is a name: the data download has no references of artists.
pub(crate) fn of_artist(name: &str) -> Key {
    digest("artist", &[&folded(name)])
}

/// An album is its title and the first artist of the track.
pub(crate) fn of_album(title: &str, track: &PlayedTrack) -> Key {
    digest("album", &[&folded(title), &first_artist(track)])
}

/// A genre is its name.
pub(crate) fn of_genre(name: &str) -> Key {
    digest("genre", &[&folded(name)])
}

fn first_artist(track: &PlayedTrack) -> String {
    track.artists.first().map(|name| folded(name)).unwrap_or_default()
}

/// A name without what spellings differ in: letter case, compatible forms (NFKC), spaces.
fn folded(name: &str) -> String {
    let lower = name.nfkc().collect::<String>().to_lowercase();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn digest(kind: &str, parts: &[&str]) -> Key {
    let mut bytes = vec![];
    for part in [kind].iter().chain(parts) {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    let mut key = [0; 8];
    key.copy_from_slice(&sha256(&[&bytes])[..8]);
    Key::from_le_bytes(key) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(reference: Option<&str>, title: &str, artist: &str) -> PlayedTrack {
        PlayedTrack {
            reference: reference.map(str::to_owned),
            title: title.to_owned(),
            artists: vec![artist.to_owned()],
            album: None,
            genres: vec![],
            duration_ms: None,
        }
    }

    #[test]
    fn a_reference_counts_before_names() {
        let named = |title, artist| of_track(&track(None, title, artist));
        let referred = |reference, title| of_track(&track(Some(reference), title, "A"));
        assert_eq!(referred("spotify:track:1", "Song"), referred("spotify:track:1", "Song (2020 Remaster)"));
        assert_ne!(referred("spotify:track:1", "Song"), referred("spotify:track:2", "Song"));
        assert_eq!(named("Song", "The  Band "), named("SONG", "the band"));
        assert_ne!(named("Song", "A"), named("Song", "B"));
        assert_ne!(named("Song", "A"), referred("spotify:track:1", "Song"));
    }

    #[test]
    fn names_are_compared_without_case_form_and_spaces() {
        assert_eq!(of_artist("Ｍｏｔｏ\u{308}rhead"), of_artist(" MOTÖRHEAD"));
        assert_ne!(of_artist("Motorhead"), of_artist("Motörhead"));
        assert_ne!(of_artist("x"), of_genre("x"));
        let (one, other) = (track(None, "t", "ab"), track(None, "t", "b"));
        assert_ne!(of_album("", &one), of_album("a", &other), "lengths keep parts apart");
    }
}
