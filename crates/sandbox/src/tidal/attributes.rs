//! Resource attributes as Tidal writes them: ISO 8601 durations, popularity from 0 to 1, sharing links.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::catalogue::{Album, AlbumKind, Artist, Catalogue, Track};
use crate::library::Kept;
use crate::model::Account;
use crate::playlist::{Playlist, VIDEO};

const KEYS: [&str; 12] = ["C", "CSharp", "D", "Eb", "E", "F", "FSharp", "G", "Ab", "A", "Bb", "B"];

pub(super) fn track(track: &Track, album: &Album) -> Value {
    let mut attributes = json!({
        "title": track.title,
        "isrc": track.isrc.as_deref().unwrap_or_default(),
        "duration": duration(track.duration_ms),
        "explicit": track.explicit,
        "popularity": f64::from(track.popularity) / 100.0,
        "accessType": "PUBLIC",
        "availability": ["STREAM", "DJ"],
        "mediaTags": media_tags(album),
        "toneTags": [],
        "spotlighted": false,
        "bpm": f64::from(track.beats_per_minute),
        "key": KEYS[track.key % KEYS.len()],
        "keyScale": if track.beats_per_minute.is_multiple_of(3) { "MINOR" } else { "MAJOR" },
        "copyright": { "text": format!("{} {}", year(album), album.label) },
        "createdAt": format!("{}T00:00:00Z", full_date(&album.release_date)),
        "externalLinks": sharing("track", &track.id),
    });
    if let Some(version) = &track.version {
        attributes["version"] = json!(version);
    }
    attributes
}

/// Old records were never made in more than the quality of a disc.
fn media_tags(album: &Album) -> &'static [&'static str] {
    if year(album) < "1995" { &["LOSSLESS"] } else { &["LOSSLESS", "HIRES_LOSSLESS"] }
}

pub(super) fn album(album: &Album, catalogue: &Catalogue) -> Value {
    let tracks = || album.tracks.iter().map(|at| &catalogue.tracks[*at]);
    let kind = match album.kind {
        AlbumKind::Album | AlbumKind::Compilation => "ALBUM",
        AlbumKind::Ep => "EP",
        AlbumKind::Single => "SINGLE",
    };
    let mut attributes = json!({
        "title": album.title,
        "albumType": kind,
        "type": kind,
        "barcodeId": album.upc,
        "duration": duration(tracks().map(|track| track.duration_ms).sum()),
        "explicit": tracks().any(|track| track.explicit),
        "numberOfItems": album.tracks.len(),
        "numberOfVolumes": 1,
        "popularity": f64::from(album.popularity) / 100.0,
        "releaseDate": full_date(&album.release_date),
        "accessType": "PUBLIC",
        "availability": ["STREAM", "DJ"],
        "mediaTags": media_tags(album),
        "copyright": { "text": format!("{} {}", year(album), album.label) },
        "createdAt": format!("{}T00:00:00Z", full_date(&album.release_date)),
        "externalLinks": sharing("album", &album.id),
    });
    if let Some(version) = &album.version {
        attributes["version"] = json!(version);
    }
    attributes
}

pub(super) fn artist(artist: &Artist) -> Value {
    json!({
        "name": artist.name,
        "popularity": f64::from(artist.popularity) / 100.0,
        "contributionsEnabled": false,
        "ownerType": "LABEL",
        "spotlighted": false,
        "externalLinks": sharing("artist", &artist.id),
    })
}

pub(super) fn playlist(playlist: &Playlist, catalogue: &Catalogue) -> Value {
    let videos = playlist.entries.iter().filter(|entry| entry.other.is_some()).count();
    let length = playlist.entries.iter().filter_map(|entry| catalogue.track(&entry.track_id));
    let mut attributes = json!({
        "name": playlist.name,
        "accessType": if playlist.public { "PUBLIC" } else { "UNLISTED" },
        "bounded": true,
        "createdAt": time(playlist.created_at),
        "lastModifiedAt": time(playlist.modified_at),
        "duration": duration(length.map(|track| track.duration_ms).sum()),
        "numberOfFollowers": 0,
        "numberOfItems": playlist.entries.len(),
        "numberOfTrackItems": playlist.entries.len() - videos,
        "numberOfVideoItems": videos,
        "playlistType": if super::mixes::is_mix(&playlist.id) {
            "MIX"
        } else if playlist.owner.is_empty() {
            "EDITORIAL"
        } else {
            "USER"
        },
        "externalLinks": sharing("playlist", &playlist.id),
    });
    if let Some(description) = &playlist.description {
        attributes["description"] = json!(description);
    }
    attributes
}

pub(super) fn user(account: &Account) -> Value {
    json!({
        "username": account.display_name,
        "country": account.country,
        "developerAccessTier": "THIRD_PARTY",
        "email": format!("{}@people.example", account.user_id),
        "emailVerified": true,
    })
}

/// The only video there is.
pub(super) fn video(id: &str) -> Option<Value> {
    (id == VIDEO).then(|| {
        json!({
            "title": "Curtain Up",
            "isrc": "QZTST2600001",
            "duration": duration(201_000),
            "explicit": false,
            "popularity": 0.5,
            "availability": ["STREAM"],
            "releaseDate": "2026-01-05",
            "externalLinks": sharing("video", id),
        })
    })
}

pub(super) fn collection(entries: &[Kept]) -> Value {
    let mut attributes = json!({ "numberOfItems": entries.len() });
    if let Some(latest) = entries.iter().map(|entry| entry.added_at).max() {
        attributes["lastModifiedAt"] = json!(time(latest));
    }
    attributes
}

/// RFC 3339 with milliseconds.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// ISO 8601, whole seconds: `PT2M58S`.
fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let part = |value: u64, unit: char| if value > 0 { format!("{value}{unit}") } else { String::new() };
    match seconds + minutes + hours {
        0 => "PT0S".to_owned(),
        _ => format!("PT{}{}{}", part(hours, 'H'), part(minutes, 'M'), part(seconds, 'S')),
    }
}

fn full_date(date: &str) -> String {
    match date.len() {
        4 => format!("{date}-01-01"),
        7 => format!("{date}-01"),
        _ => date.to_owned(),
    }
}

fn year(album: &Album) -> &str {
    album.release_date.get(..4).unwrap_or("2000")
}

fn sharing(kind: &str, id: &str) -> Value {
    json!([{ "href": format!("https://tidal.com/{kind}/{id}"), "meta": { "type": "TIDAL_SHARING" } }])
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_leave_out_what_is_nought() {
        assert_eq!(duration(178_999), "PT2M58S");
        assert_eq!(duration(3_600_000), "PT1H");
        assert_eq!(duration(0), "PT0S");
    }
}
