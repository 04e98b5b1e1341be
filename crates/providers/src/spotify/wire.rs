//! Spotify's JSON as far as it is used, and how it becomes the music model. Everything may be missing; entries that
//! have no id (local files, withdrawn items) drop out of lists.

use serde::Deserialize;
use stagedoor_domain::music::{
    Album, AlbumSummary, Artist, ArtistSummary, Page, Playlist, PlaylistItem, Track,
};
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
pub(super) struct PlaylistObject {
    id: Option<String>,
    name: Option<String>,
    description: Option<String>,
    owner: Option<Owner>,
    public: Option<bool>,
    snapshot_id: Option<String>,
    external_urls: Option<ExternalUrls>,
    items: Option<PlaylistItems>,
    /// The name of `items` before February 2026.
    tracks: Option<PlaylistItems>,
}

/// `PlaylistTracksRefObject` in lists, `PagingPlaylistTrackObject` in a whole playlist.
#[derive(Deserialize)]
pub(super) struct PlaylistItems {
    items: Option<Vec<Option<PlaylistItemObject>>>,
    total: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct PlaylistItemObject {
    added_at: Option<String>,
    item: Option<TrackObject>,
    /// The name of `item` before February 2026.
    track: Option<TrackObject>,
}

#[derive(Deserialize)]
pub(super) struct Snapshot {
    pub(super) snapshot_id: String,
}

#[derive(Deserialize)]
struct Owner {
    id: Option<String>,
    display_name: Option<String>,
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

impl TrackObject {
    /// The track; `None` for an episode or an entry without an id.
    pub(super) fn into_track(self) -> Option<Track> {
        if self.kind.as_deref().is_some_and(|kind| kind != "track") {
            return None;
        }
        let reference = text::reference(Provider::Spotify, EntityKind::Track, &self.id?)?;
        Some(Track {
            reference,
            title: text::name(&self.name?)?,
            artists: artists(self.artists),
            album: self.album.and_then(AlbumObject::into_summary),
            isrc: self.external_ids.and_then(|ids| ids.isrc).and_then(|code| text::isrc(&code)),
            duration_ms: self.duration_ms.unwrap_or_default(),
            explicit: self.explicit.unwrap_or_default(),
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
            tracks: tracks.into_iter().map(|track| Track { album: Some(summary.clone()), ..track }).collect(),
            url: link(self.external_urls),
        })
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

impl PlaylistObject {
    /// The playlist without its items. A name can be empty at Spotify.
    pub(super) fn into_playlist(self) -> Option<Playlist> {
        let reference = text::reference(Provider::Spotify, EntityKind::Playlist, &self.id?)?;
        let owner = self.owner.and_then(|owner| owner.display_name.or(owner.id));
        Some(Playlist {
            reference,
            name: text::name(&self.name?).unwrap_or_default(),
            description: self.description.and_then(|text| text::description(&text)),
            item_count: self.items.or(self.tracks).and_then(|items| items.total),
            owner: owner.and_then(|name| text::name(&name)),
            public: self.public,
            version: self.snapshot_id.and_then(|version| text::word(&version)),
            url: link(self.external_urls),
        })
    }

    /// The items that came with the playlist, at most `limit`; `None` if none came.
    pub(super) fn take_items(&mut self, limit: u32) -> Option<Page<PlaylistItem>> {
        let holder = self.items.as_mut().or(self.tracks.as_mut())?;
        let (items, total) = (holder.items.take()?, holder.total?);
        let items: Vec<_> = items.into_iter().take(limit as usize).zip(0_u32..).collect();
        let taken = u32::try_from(items.len()).ok()?;
        let next = (0 < taken && taken < total).then(|| taken.to_string());
        let items = items.into_iter().map(|(item, position)| playlist_item(item, position)).collect();
        Some(Page { items, next, total: Some(total) })
    }
}

/// An entry of a playlist; `null` ones keep their position.
pub(super) fn playlist_item(entry: Option<PlaylistItemObject>, position: u32) -> PlaylistItem {
    let (track, added_at) = entry.map_or((None, None), |entry| (entry.item.or(entry.track), entry.added_at));
    PlaylistItem {
        position,
        track: track.and_then(TrackObject::into_track),
        other: None,
        added_at: added_at.and_then(|time| text::word(&time)),
        item_id: None,
    }
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
    fn both_names_of_playlist_items_are_read() {
        for (list, entry) in [("items", "item"), ("tracks", "track")] {
            let mut playlist: PlaylistObject = parse(json!({
                "id": "p", "name": "", list: {"total": 3, "items": [
                    {"added_at": "2026-01-01T00:00:00Z", entry: {"id": "t", "name": "x"}}, null, {entry: null}
                ]}
            }));
            let page = playlist.take_items(2).unwrap();
            assert_eq!(page.next.as_deref(), Some("2"));
            assert_eq!(page.items[0].track.as_ref().unwrap().title, "x");
            assert!(page.items[1].track.is_none());
            assert_eq!(playlist.into_playlist().unwrap().item_count, Some(3));
        }
    }

    #[test]
    fn a_page_without_items_is_not_a_page() {
        assert!(serde_json::from_value::<Paging<ArtistObject>>(json!({"total": 1})).is_err());
    }
}
