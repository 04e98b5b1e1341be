//! Spotify's JSON as far as it is used, and how it becomes the music model. Everything may be missing; entries that
//! have no id (local files, withdrawn items) drop out of lists.

mod player;
mod playlist;

pub(super) use player::{DeviceObject, PlaybackObject, PlayedObject, QueueObject};
pub(super) use playlist::{PlaylistItemObject, PlaylistObject, playlist_item};

use serde::Deserialize;
use stagedoor_domain::music::{Album, AlbumSummary, Artist, ArtistSummary, Item, Page, SavedItem, Track};
use stagedoor_domain::{EntityKind, Provider};
use url::Url;

use crate::text;

/// `PagingObject`. `items` must be there; single entries can be `null`.
#[derive(Deserialize)]
pub(super) struct Paging<T> {
    pub(super) items: Vec<Option<T>>,
    next: Option<String>,
    total: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct TrackObject {
    id: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    uri: Option<String>,
    /// What was asked for or is in the list, where another recording is played in its place in the person's market.
    linked_from: Option<LinkedTrack>,
    artists: Option<Vec<Option<ArtistObject>>>,
    album: Option<AlbumObject>,
    external_ids: Option<ExternalIds>,
    external_urls: Option<ExternalUrls>,
    duration_ms: Option<u64>,
    explicit: Option<bool>,
    track_number: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct AlbumObject {
    id: Option<String>,
    name: Option<String>,
    artists: Option<Vec<Option<ArtistObject>>>,
    release_date: Option<String>,
    total_tracks: Option<u32>,
    external_ids: Option<ExternalIds>,
    external_urls: Option<ExternalUrls>,
    tracks: Option<Paging<TrackObject>>,
}

#[derive(Deserialize)]
pub(super) struct ArtistObject {
    id: Option<String>,
    name: Option<String>,
    external_urls: Option<ExternalUrls>,
}

#[derive(Deserialize)]
pub(super) struct Snapshot {
    pub(super) snapshot_id: String,
}

/// `SavedTrackObject` and `SavedAlbumObject`.
#[derive(Deserialize)]
pub(super) struct SavedObject {
    added_at: Option<String>,
    track: Option<TrackObject>,
    album: Option<AlbumObject>,
}

/// `CursorPagingObject`.
#[derive(Deserialize)]
pub(super) struct CursorPaging<T> {
    pub(super) items: Vec<Option<T>>,
    next: Option<String>,
    total: Option<u32>,
    cursors: Option<Cursors>,
}

#[derive(Deserialize)]
pub(super) struct Cursors {
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
}

#[derive(Deserialize)]
struct LinkedTrack {
    id: Option<String>,
}

#[derive(Deserialize)]
struct ExternalIds {
    isrc: Option<String>,
    upc: Option<String>,
    ean: Option<String>,
}

#[derive(Deserialize)]
struct ExternalUrls {
    spotify: Option<String>,
}

impl<T> Paging<T> {
    /// The offset of the page after the one at `offset`. Of the `next` link only the offset is used.
    pub(super) fn next_offset(&self, offset: u32) -> Option<u32> {
        let link = self.next.as_deref()?;
        let linked = Url::parse(link).ok().and_then(|url| {
            let (_, value) = url.query_pairs().find(|(name, _)| name == "offset")?;
            value.parse().ok()
        });
        let counted = u32::try_from(self.items.len()).ok().and_then(|count| offset.checked_add(count));
        linked.or(counted).filter(|next| *next > offset)
    }

    /// The page as the model has it.
    pub(super) fn into_page<U>(self, offset: u32, turn: impl FnMut(T) -> Option<U>) -> Page<U> {
        let next = self.next_offset(offset).map(|next| next.to_string());
        Page { items: self.items.into_iter().flatten().filter_map(turn).collect(), next, total: self.total }
    }

    pub(super) fn total(&self) -> Option<u32> {
        self.total
    }
}

impl<T> CursorPaging<T> {
    /// The page as the model has it; `cursor` picks the one that leads on. It must lead away from `here`.
    pub(super) fn into_page<U>(
        self,
        here: Option<&str>,
        cursor: impl FnOnce(Cursors) -> Option<String>,
        turn: impl FnMut(T) -> Option<U>,
    ) -> Page<U> {
        let more = self.next.is_some() && !self.items.is_empty();
        let next = self.cursors.and_then(cursor).filter(|next| more && Some(next.as_str()) != here);
        Page { items: self.items.into_iter().flatten().filter_map(turn).collect(), next, total: self.total }
    }
}

impl SavedObject {
    pub(super) fn into_saved(self) -> Option<SavedItem> {
        let track = self.track.and_then(TrackObject::into_track).map(Item::Track);
        let item = track.or_else(|| self.album.and_then(AlbumObject::into_listed).map(Item::Album))?;
        Some(SavedItem { item, added_at: self.added_at.and_then(|time| text::word(&time)) })
    }
}

impl TrackObject {
    /// What stands for it in a playlist, whatever it is: `spotify:track:ID`, `spotify:episode:ID`, `spotify:local:…`.
    fn name(&self) -> Option<String> {
        if let Some(local) = self.uri.as_deref().filter(|uri| uri.starts_with(LOCAL)) {
            return text::description(local);
        }
        let id = self.own_id()?;
        let kind = self.kind.as_deref().unwrap_or("track");
        (is_word(kind) && text::reference(Provider::Spotify, EntityKind::Track, id).is_some())
            .then(|| format!("spotify:{kind}:{id}"))
    }

    /// The id that reads and writes of lists go by.
    fn own_id(&self) -> Option<&str> {
        self.linked_from.as_ref().and_then(|linked| linked.id.as_deref()).or(self.id.as_deref())
    }

    /// The track; `None` for an episode, a local file or an entry without an id.
    pub(super) fn into_track(self) -> Option<Track> {
        if self.kind.as_deref().is_some_and(|kind| kind != "track")
            || self.uri.as_deref().is_some_and(|uri| uri.starts_with(LOCAL))
        {
            return None;
        }
        let reference = text::reference(Provider::Spotify, EntityKind::Track, self.own_id()?)?;
        Some(Track {
            reference,
            title: text::name(&self.name?)?,
            artists: artists(self.artists),
            album: self.album.and_then(AlbumObject::into_summary),
            isrc: self.external_ids.and_then(|ids| ids.isrc).and_then(|code| text::isrc(&code)),
            duration_ms: self.duration_ms.unwrap_or_default(),
            explicit: self.explicit.unwrap_or_default(),
            audio_quality: None,
            track_number: self.track_number.filter(|number| *number > 0),
            url: link(self.external_urls),
        })
    }
}

impl AlbumObject {
    /// The album with the first page of its tracks, if the answer has one.
    pub(super) fn into_album(self) -> Option<Album> {
        let reference = text::reference(Provider::Spotify, EntityKind::Album, self.id.as_deref()?)?;
        let title = text::name(self.name.as_deref()?)?;
        let summary = AlbumSummary { reference: reference.clone(), title: title.clone() };
        let tracks =
            self.tracks.map(|page| page.into_page(0, TrackObject::into_track).items).unwrap_or_default();
        Some(Album {
            reference,
            title,
            artists: artists(self.artists),
            release_date: self.release_date.and_then(|date| text::word(&date)),
            upc: self.external_ids.and_then(|ids| ids.upc.or(ids.ean)).and_then(|code| text::upc(&code)),
            track_count: self.total_tracks,
            explicit: None,
            audio_quality: None,
            tracks: tracks.into_iter().map(|track| Track { album: Some(summary.clone()), ..track }).collect(),
            url: link(self.external_urls),
        })
    }

    /// The album as lists have it: without its tracks.
    pub(super) fn into_listed(self) -> Option<Album> {
        Self { tracks: None, ..self }.into_album()
    }

    fn into_summary(self) -> Option<AlbumSummary> {
        Some(AlbumSummary {
            reference: text::reference(Provider::Spotify, EntityKind::Album, &self.id?)?,
            title: text::name(&self.name?)?,
        })
    }
}

impl ArtistObject {
    pub(super) fn into_artist(self) -> Option<Artist> {
        Some(Artist {
            reference: text::reference(Provider::Spotify, EntityKind::Artist, &self.id?)?,
            name: text::name(&self.name?)?,
            url: link(self.external_urls),
        })
    }
}

/// How the URIs of files on a person's own device begin.
const LOCAL: &str = "spotify:local:";

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn artists(artists: Option<Vec<Option<ArtistObject>>>) -> Vec<ArtistSummary> {
    let summary = |artist: ArtistObject| {
        let Artist { reference, name, .. } = artist.into_artist()?;
        Some(ArtistSummary { reference, name })
    };
    artists.unwrap_or_default().into_iter().flatten().filter_map(summary).collect()
}

fn link(urls: Option<ExternalUrls>) -> Option<String> {
    urls.and_then(|urls| urls.spotify).and_then(|url| text::link(&url))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_track_with_next_to_nothing_is_still_a_track() {
        let track: TrackObject = parse(json!({
            "id": "abc", "name": "A\u{202E}B", "artists": [null, {"name": "no id"}], "new_field": [1],
            "external_ids": {"isrc": "not one"}, "album": null
        }));
        let track = track.into_track().unwrap();
        assert_eq!((track.title.as_str(), track.artists.len(), track.isrc), ("AB", 0, None));
    }

    #[test]
    fn what_is_no_track_is_none() {
        for json in [
            json!({"id": null, "name": "local file"}),
            json!({"id": "abc", "name": "x", "type": "episode"}),
            json!({"id": "../me", "name": "x"}),
            json!({}),
        ] {
            assert!(parse::<TrackObject>(json.clone()).into_track().is_none(), "{json}");
        }
    }

    #[test]
    fn a_next_link_gives_its_offset_and_nothing_else() {
        let page: Paging<ArtistObject> =
            parse(json!({"items": [null], "next": "https://evil.example/x?offset=40&limit=1", "total": 90}));
        assert_eq!(page.next_offset(20), Some(40));
        let page: Paging<ArtistObject> = parse(json!({"items": [null, null], "next": "nonsense"}));
        assert_eq!(page.next_offset(20), Some(22));
        let page: Paging<ArtistObject> = parse(json!({"items": [], "next": "https://x.example/?offset=20"}));
        assert_eq!(page.next_offset(20), None, "a page that does not move on is the last");
    }

    #[test]
    fn a_page_without_items_is_not_a_page() {
        assert!(serde_json::from_value::<Paging<ArtistObject>>(json!({"total": 1})).is_err());
    }
}
