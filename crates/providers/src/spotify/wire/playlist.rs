//! Playlists and their entries in Spotify's JSON. The names of before February 2026 are read as well.

use serde::Deserialize;
use stagedoor_domain::music::{Page, Playlist, PlaylistItem};
use stagedoor_domain::{EntityKind, Provider};

use super::{ExternalUrls, TrackObject, link};
use crate::text;

#[derive(Deserialize)]
pub(in crate::spotify) struct PlaylistObject {
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
struct PlaylistItems {
    items: Option<Vec<Option<PlaylistItemObject>>>,
    total: Option<u32>,
}

#[derive(Deserialize)]
pub(in crate::spotify) struct PlaylistItemObject {
    added_at: Option<String>,
    item: Option<TrackObject>,
    /// The name of `item` before February 2026.
    track: Option<TrackObject>,
}

#[derive(Deserialize)]
struct Owner {
    id: Option<String>,
    display_name: Option<String>,
}

impl PlaylistObject {
    /// The playlist without its items. A name can be empty at Spotify.
    pub(in crate::spotify) fn into_playlist(self) -> Option<Playlist> {
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

    /// Whether it belongs to someone else than the user with this id.
    pub(in crate::spotify) fn is_foreign_to(&self, user: &str) -> bool {
        let owner = self.owner.as_ref().and_then(|owner| owner.id.as_deref());
        owner.is_some_and(|owner| owner != user)
    }

    /// The items that came with the playlist, at most `limit`; `None` if none came.
    pub(in crate::spotify) fn take_items(&mut self, limit: u32) -> Option<Page<PlaylistItem>> {
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
pub(in crate::spotify) fn playlist_item(entry: Option<PlaylistItemObject>, position: u32) -> PlaylistItem {
    let (held, added_at) = entry.map_or((None, None), |entry| (entry.item.or(entry.track), entry.added_at));
    let name = held.as_ref().and_then(TrackObject::name);
    let track = held.and_then(TrackObject::into_track);
    PlaylistItem {
        position,
        other: if track.is_some() { None } else { name },
        track,
        added_at: added_at.and_then(|time| text::word(&time)),
        item_id: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
        serde_json::from_value(json).unwrap()
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
    fn every_entry_has_the_name_that_writes_go_by() {
        let long = format!("spotify:local:Ada:Demo\u{202E}s:{}:61", "a".repeat(1_500));
        for (held, name, is_track) in [
            (json!({"id": "t1", "name": "x", "type": "track"}), Some("spotify:track:t1"), true),
            (json!({"id": "t2", "name": "x", "linked_from": {"id": "t1"}}), Some("spotify:track:t1"), true),
            (json!({"id": "t1", "name": ""}), Some("spotify:track:t1"), false),
            (json!({"id": "e1", "name": "Talk", "type": "episode"}), Some("spotify:episode:e1"), false),
            (
                json!({"id": null, "name": "Demo", "type": "track", "uri": "spotify:local:Ada::Demo:61"}),
                Some("spotify:local:Ada::Demo:61"),
                false,
            ),
            (json!({"id": "../me", "name": "x"}), None, false),
            (json!({"id": "x", "name": "x", "type": "Video clip:"}), None, false),
            (json!(null), None, false),
        ] {
            let item = playlist_item(parse(json!({"item": held, "is_local": false})), 7);
            assert_eq!((item.name().as_deref(), item.track.is_some()), (name, is_track), "{held}");
        }
        let item = playlist_item(parse(json!({"item": {"uri": long, "name": "x"}})), 0);
        let name = item.name().unwrap();
        assert!(name.starts_with("spotify:local:Ada:Demos:") && name.chars().count() <= 1_000, "{name}");
    }

    #[test]
    fn a_playlist_of_nobody_known_is_not_called_foreign() {
        let owned = |owner: serde_json::Value| {
            parse::<PlaylistObject>(json!({"id": "p", "name": "x", "owner": owner})).is_foreign_to("me")
        };
        assert!(owned(json!({"id": "someone"})));
        assert!(!owned(json!({"id": "me"})) && !owned(json!({})) && !owned(json!(null)));
    }
}
