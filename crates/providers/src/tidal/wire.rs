//! Tidal's attributes as far as they are used, and how resources become the music model. Resources without
//! attributes (not visible in this country) drop out of lists.

use serde::Deserialize;
use stagedoor_domain::music::{
    Album, AlbumSummary, Artist, ArtistSummary, Item, Playlist, PlaylistItem, Track,
};
use stagedoor_domain::{AudioQuality, EntityKind, Provider};

use super::document::{Identifier, Included, Resource};
use super::duration::milliseconds;
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
    media_tags: Option<Vec<String>>,
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
    explicit: Option<bool>,
    media_tags: Option<Vec<String>>,
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
        audio_quality: best_quality(attributes.media_tags.as_deref()),
        track_number: None,
        url: link(attributes.external_links),
    })
}

/// The best quality that the tags tell of. What they say besides, such as Dolby Atmos, is another mix and no quality.
fn best_quality(tags: Option<&[String]>) -> Option<AudioQuality> {
    let quality = |tag: &String| match tag.as_str() {
        "LOSSLESS" => Some(AudioQuality::Lossless),
        "HIRES_LOSSLESS" => Some(AudioQuality::HiResLossless),
        _ => None,
    };
    // Tidal has everything in HIGH; where it tells and names nothing better, that is the best.
    tags.map(|tags| tags.iter().filter_map(quality).max().unwrap_or(AudioQuality::High))
}

/// The track that an identifier points at.
pub(super) fn track_of(identifier: &Identifier, included: &Included<'_>) -> Option<Track> {
    track(included.get(identifier)?, included)
}

/// The item that an identifier points at.
pub(super) fn item_of(identifier: &Identifier, included: &Included<'_>) -> Option<Item> {
    let resource = included.get(identifier)?;
    let track = || track(resource, included).map(Item::Track);
    let album = || album(resource, included).map(Item::Album);
    let artist = || artist(resource).map(Item::Artist);
    track().or_else(album).or_else(artist).or_else(|| playlist(resource, included).map(Item::Playlist))
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
        explicit: attributes.explicit,
        audio_quality: best_quality(attributes.media_tags.as_deref()),
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

/// Tidal's word for who finds a playlist. It has no private ones.
pub(super) const fn access_type(public: bool) -> &'static str {
    if public { "PUBLIC" } else { "UNLISTED" }
}

/// An entry of a playlist. What is no track, or no track that the account sees, keeps its place and its name.
pub(super) fn playlist_item(identifier: &Identifier, position: u32, included: &Included<'_>) -> PlaylistItem {
    let meta = identifier.meta.as_ref();
    let track = track_of(identifier, included);
    PlaylistItem {
        position,
        other: if track.is_none() { entry_name(identifier) } else { None },
        track,
        added_at: meta.and_then(|meta| text::word(meta.added_at.as_deref()?)),
        item_id: item_id(identifier),
    }
}

/// The text that stands for an entry: `tidal:track:ID`, `tidal:video:ID`, and the like for what may come.
pub(super) fn entry_name(identifier: &Identifier) -> Option<String> {
    let kind = match identifier.kind.as_str() {
        "tracks" => "track",
        "videos" => "video",
        other if other.bytes().all(|byte| byte.is_ascii_alphanumeric()) => other,
        _ => return None,
    };
    let reference = text::reference(Provider::Tidal, EntityKind::Track, &identifier.id)?;
    text::word(&format!("{}:{kind}:{}", Provider::Tidal, reference.id()))
}

/// Tidal's id of an entry, which tells equal tracks apart.
pub(super) fn item_id(identifier: &Identifier) -> Option<String> {
    text::word(identifier.meta.as_ref()?.item_id.as_deref()?)
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

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    fn document(json: &str) -> Document<Resource> {
        serde_json::from_str(json).unwrap()
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
    fn an_entry_keeps_its_name_whatever_it_is() {
        let name = |json: &str| entry_name(&serde_json::from_str(json).unwrap());
        assert_eq!(name(r#"{"id":"1","type":"tracks"}"#).as_deref(), Some("tidal:track:1"));
        assert_eq!(name(r#"{"id":"2","type":"videos"}"#).as_deref(), Some("tidal:video:2"));
        assert_eq!(name(r#"{"id":"3","type":"holograms"}"#).as_deref(), Some("tidal:holograms:3"));
        assert_eq!(name(r#"{"id":"4","type":"a b"}"#), None);
        assert_eq!(name(r#"{"id":"../5","type":"tracks"}"#), None);
    }

    #[test]
    fn a_version_that_the_title_has_is_not_said_twice() {
        assert_eq!(title("Song (Live)", Some("Live")).as_deref(), Some("Song (Live)"));
        assert_eq!(title("Song", Some(" ")).as_deref(), Some("Song"));
    }

    #[test]
    fn the_best_of_the_qualities_is_told_and_what_is_none_is_not() {
        let best =
            |tags: &[&str]| best_quality(Some(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>()));
        assert_eq!(best(&["HIRES_LOSSLESS", "LOSSLESS"]), Some(AudioQuality::HiResLossless));
        assert_eq!(best(&["LOSSLESS", "DOLBY_ATMOS"]), Some(AudioQuality::Lossless));
        assert_eq!(best(&["DOLBY_ATMOS"]), Some(AudioQuality::High));
        assert_eq!(best_quality(None), None, "it was not told");
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
