//! Tidal's attributes as far as they are used, and how resources become the music model. Resources without
//! attributes (not visible in this country) drop out of lists.

use serde::Deserialize;
use stagedoor_domain::music::{Album, AlbumSummary, Artist, ArtistSummary, Playlist, PlaylistItem, Track};
use stagedoor_domain::{EntityKind, Provider};

use super::document::{Identifier, Included, Resource};
use crate::text;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrackAttributes {
    title: String,
    version: Option<String>,
    isrc: Option<String>,
    /// ISO 8601.
    duration: Option<String>,
    explicit: Option<bool>,
    external_links: Option<Vec<ExternalLink>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlbumAttributes {
    title: String,
    version: Option<String>,
    barcode_id: Option<String>,
    number_of_items: Option<u32>,
    release_date: Option<String>,
    external_links: Option<Vec<ExternalLink>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArtistAttributes {
    name: String,
    external_links: Option<Vec<ExternalLink>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlaylistAttributes {
    name: String,
    description: Option<String>,
    /// `PUBLIC`, `UNLISTED`, and whatever comes.
    access_type: Option<String>,
    number_of_items: Option<u32>,
    last_modified_at: Option<String>,
    external_links: Option<Vec<ExternalLink>>,
}

#[derive(Deserialize)]
struct ExternalLink {
    href: Option<String>,
    meta: Option<ExternalLinkMeta>,
}

#[derive(Deserialize)]
struct ExternalLinkMeta {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The track; `None` for a resource of another type.
pub(super) fn track(resource: &Resource, included: &Included<'_>) -> Option<Track> {
    if !resource.is("tracks") {
        return None;
    }
    let attributes: TrackAttributes = resource.attributes()?;
    Some(Track {
        reference: text::reference(Provider::Tidal, EntityKind::Track, &resource.id)?,
        title: title(&attributes.title, attributes.version.as_deref())?,
        artists: artists(resource, included),
        album: included.related(resource, "albums").find_map(album_summary),
        isrc: attributes.isrc.and_then(|code| text::isrc(&code)),
        duration_ms: attributes.duration.as_deref().and_then(milliseconds).unwrap_or_default(),
        explicit: attributes.explicit.unwrap_or_default(),
        track_number: None,
        url: link(attributes.external_links),
    })
}

/// The album, without tracks.
pub(super) fn album(resource: &Resource, included: &Included<'_>) -> Option<Album> {
    if !resource.is("albums") {
        return None;
    }
    let attributes: AlbumAttributes = resource.attributes()?;
    Some(Album {
        reference: text::reference(Provider::Tidal, EntityKind::Album, &resource.id)?,
        title: title(&attributes.title, attributes.version.as_deref())?,
        artists: artists(resource, included),
        release_date: attributes.release_date.and_then(|date| text::word(&date)),
        upc: attributes.barcode_id.and_then(|code| text::upc(&code)),
        track_count: attributes.number_of_items,
        tracks: Vec::new(),
        url: link(attributes.external_links),
    })
}

/// The tracks of an album that came with it.
pub(super) fn album_tracks(resource: &Resource, album: &Album, included: &Included<'_>) -> Vec<Track> {
    let identifiers =
        resource.relationship("items").and_then(|items| items.identifiers()).unwrap_or_default();
    let summary = AlbumSummary { reference: album.reference.clone(), title: album.title.clone() };
    let turn = |identifier: &Identifier| {
        let track = track(included.get(identifier)?, included)?;
        let track_number = identifier.meta.as_ref().and_then(|meta| meta.track_number);
        Some(Track { album: Some(summary.clone()), track_number, ..track })
    };
    identifiers.iter().filter_map(turn).collect()
}

pub(super) fn artist(resource: &Resource) -> Option<Artist> {
    if !resource.is("artists") {
        return None;
    }
    let attributes: ArtistAttributes = resource.attributes()?;
    Some(Artist {
        reference: text::reference(Provider::Tidal, EntityKind::Artist, &resource.id)?,
        name: text::name(&attributes.name)?,
        url: link(attributes.external_links),
    })
}

/// The playlist without its items. Its version is `lastModifiedAt`, as Tidal has no snapshots.
pub(super) fn playlist(resource: &Resource, included: &Included<'_>) -> Option<Playlist> {
    if !resource.is("playlists") {
        return None;
    }
    let attributes: PlaylistAttributes = resource.attributes()?;
    let owner = included.related(resource, "ownerProfiles").find_map(artist);
    Some(Playlist {
        reference: text::reference(Provider::Tidal, EntityKind::Playlist, &resource.id)?,
        name: text::name(&attributes.name).unwrap_or_default(),
        description: attributes.description.and_then(|text| text::description(&text)),
        item_count: attributes.number_of_items,
        owner: owner.map(|owner| owner.name),
        public: attributes.access_type.map(|access| access == "PUBLIC"),
        version: attributes.last_modified_at.and_then(|time| text::word(&time)),
        url: link(attributes.external_links),
    })
}

/// An entry of a playlist; a video or an invisible track keeps its position.
pub(super) fn playlist_item(identifier: &Identifier, position: u32, included: &Included<'_>) -> PlaylistItem {
    let meta = identifier.meta.as_ref();
    PlaylistItem {
        position,
        track: included.get(identifier).and_then(|resource| track(resource, included)),
        other: None,
        added_at: meta.and_then(|meta| text::word(meta.added_at.as_deref()?)),
        item_id: meta.and_then(|meta| text::word(meta.item_id.as_deref()?)),
    }
}

fn artists(resource: &Resource, included: &Included<'_>) -> Vec<ArtistSummary> {
    let summary = |found: &Resource| {
        let Artist { reference, name, .. } = artist(found)?;
        Some(ArtistSummary { reference, name })
    };
    included.related(resource, "artists").filter_map(summary).collect()
}

fn album_summary(resource: &Resource) -> Option<AlbumSummary> {
    let attributes: AlbumAttributes = resource.attributes()?;
    Some(AlbumSummary {
        reference: text::reference(Provider::Tidal, EntityKind::Album, &resource.id)?,
        title: title(&attributes.title, attributes.version.as_deref())?,
    })
}

/// `Title (Version)`, unless the title says it already.
fn title(title: &str, version: Option<&str>) -> Option<String> {
    match version.map(str::trim).filter(|version| !version.is_empty() && !title.contains(version)) {
        Some(version) => text::name(&format!("{title} ({version})")),
        None => text::name(title),
    }
}

fn link(links: Option<Vec<ExternalLink>>) -> Option<String> {
    let is_sharing =
        |link: &ExternalLink| link.meta.as_ref()?.kind.as_deref().map(|kind| kind == "TIDAL_SHARING");
    let sharing = links?.into_iter().find(|link| is_sharing(link).unwrap_or_default())?;
    text::link(&sharing.href?)
}

/// Milliseconds of an ISO 8601 duration of days and smaller units: `PT1H2M3.5S`.
fn milliseconds(duration: &str) -> Option<u64> {
    let mut rest = duration.strip_prefix('P')?;
    let mut total = 0_u64;
    let mut in_time = false;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            (rest, in_time) = (time, true);
            continue;
        }
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit = match (tail.chars().next()?, in_time) {
            ('D', false) => 86_400_000,
            ('H', true) => 3_600_000,
            ('M', true) => 60_000,
            ('S', true) => 1_000,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit)?)?;
        rest = &tail[1..];
    }
    Some(total)
}

/// `number`, with at most a decimal fraction, times `unit`.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let digits = &fraction[..fraction.len().min(3)];
    if digits.is_empty() {
        return Some(whole);
    }
    let scale = 10_u64.pow(u32::try_from(digits.len()).ok()?);
    whole.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)? / scale)
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    fn document(json: &str) -> Document<Resource> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn durations_of_iso_8601_become_milliseconds() {
        for (text, expected) in [
            ("PT3M5S", Some(185_000)),
            ("PT1H2M3.5S", Some(3_723_500)),
            ("P1DT1S", Some(86_401_000)),
            ("PT0.0625S", Some(62)),
            ("PT", Some(0)),
            ("P1M", None),
            ("3:05", None),
            ("PT5", None),
            ("PT99999999999999999999S", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn a_track_takes_its_artists_and_album_from_what_came_along() {
        let document = document(
            r#"{"data":{"id":"1","type":"tracks","attributes":{"title":"Song","version":"Live","duration":"PT2S",
                  "explicit":true,"isrc":"USUAN1400011","keyScale":"A NEW SCALE",
                  "externalLinks":[{"href":"https://x.example/","meta":{"type":"NEW"}},
                                   {"href":"https://tidal.com/track/1","meta":{"type":"TIDAL_SHARING"}}]},
                "relationships":{"artists":{"data":[{"id":"9","type":"artists"},{"id":"8","type":"artists"}]},
                  "albums":{"data":[{"id":"5","type":"albums"}]}}},
              "included":[{"id":"9","type":"artists","attributes":{"name":"Some\u0007one"}},{"id":"8","type":"artists"},
                {"id":"5","type":"albums","attributes":{"title":"Record"}}]}"#,
        );
        let track = track(&document.data, &document.included()).unwrap();
        assert_eq!(track.title, "Song (Live)");
        assert_eq!(track.artists.len(), 1);
        assert_eq!(track.artists[0].name, "Someone");
        assert_eq!(track.album.unwrap().title, "Record");
        assert_eq!((track.duration_ms, track.url.as_deref()), (2_000, Some("https://tidal.com/track/1")));
    }

    #[test]
    fn a_version_that_the_title_has_is_not_said_twice() {
        assert_eq!(title("Song (Live)", Some("Live")).as_deref(), Some("Song (Live)"));
        assert_eq!(title("Song", Some(" ")).as_deref(), Some("Song"));
    }

    #[test]
    fn a_resource_without_attributes_is_not_an_item() {
        let document = document(r#"{"data":{"id":"1","type":"tracks"}}"#);
        assert!(track(&document.data, &document.included()).is_none());
        assert!(album(&document.data, &document.included()).is_none());
    }

    #[test]
    fn an_unknown_access_type_is_not_public() {
        let document = document(
            r#"{"data":{"id":"1","type":"playlists","attributes":{"name":"Mine","accessType":"FRIENDS",
                "lastModifiedAt":"2026-01-02T03:04:05Z"}}}"#,
        );
        let playlist = playlist(&document.data, &document.included()).unwrap();
        assert_eq!(
            (playlist.public, playlist.version.as_deref()),
            (Some(false), Some("2026-01-02T03:04:05Z"))
        );
    }
}
