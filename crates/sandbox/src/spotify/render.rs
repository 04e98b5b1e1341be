//! Catalogue items and playlists as Spotify's objects.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::catalogue::{Album, AlbumKind, Artist, Catalogue, MARKETS, Track};
use crate::exchange::{Origin, Query};
use crate::model::Side;
use crate::playlist::{Entry, Other, Playlist};

/// What rendering depends on besides the item: the address for links, and the market.
#[derive(Debug)]
pub(super) struct Painter<'a> {
    pub(super) catalogue: &'a Catalogue,
    /// `http://host/spotify/v1`.
    pub(super) api: String,
    /// The market asked for, or the account's country; `None` for an application's token.
    pub(super) market: Option<String>,
}

impl<'a> Painter<'a> {
    pub(super) fn new(
        catalogue: &'a Catalogue,
        Origin(origin): &Origin,
        query: &Query,
        country: Option<&str>,
    ) -> Self {
        let market =
            query.get("market").filter(|market| *market != "from_token").or(country).map(str::to_owned);
        Self { catalogue, api: format!("{origin}/spotify/v1"), market }
    }

    pub(super) fn is_playable(&self, track: &Track) -> bool {
        self.market.as_deref().is_none_or(|market| track.playable_in(market))
    }

    pub(super) fn track(&self, track: &Track) -> Value {
        let album = &self.catalogue.albums[track.album];
        let mut object = self.simple_track(track);
        object["album"] = self.simple_album(album);
        object["external_ids"] =
            track.isrc.as_ref().map_or_else(|| json!({}), |isrc| json!({ "isrc": isrc }));
        object["popularity"] = json!(track.popularity);
        object
    }

    pub(super) fn simple_track(&self, track: &Track) -> Value {
        let mut object = self.linked("track", &track.id);
        object["name"] = json!(track.full_title());
        object["artists"] = self.artists(&track.artists);
        object["disc_number"] = json!(track.disc);
        object["track_number"] = json!(track.number);
        object["duration_ms"] = json!(track.duration_ms);
        object["explicit"] = json!(track.explicit);
        object["is_local"] = json!(false);
        object["preview_url"] = Value::Null;
        match &self.market {
            None => object["available_markets"] = json!(markets_of(track)),
            Some(market) => {
                object["is_playable"] = json!(track.playable_in(market));
                if !track.playable_in(market) {
                    object["restrictions"] = json!({ "reason": "market" });
                }
            }
        }
        object
    }

    pub(super) fn album(&self, album: &Album, tracks: Value) -> Value {
        let mut object = self.simple_album(album);
        let year = album.release_date.get(..4).unwrap_or("2000");
        object["tracks"] = tracks;
        object["copyrights"] = json!([{ "text": format!("{year} {}", album.label), "type": "C" }]);
        object["external_ids"] = json!({ "upc": album.upc });
        object["genres"] = json!([]);
        object["label"] = json!(album.label);
        object["popularity"] = json!(album.popularity);
        object
    }

    pub(super) fn simple_album(&self, album: &Album) -> Value {
        let mut object = self.linked("album", &album.id);
        object["album_type"] = json!(album_type(album.kind));
        object["total_tracks"] = json!(album.tracks.len());
        object["available_markets"] = json!(MARKETS);
        object["images"] = images(&album.id);
        object["name"] = json!(album.full_title());
        object["release_date"] = json!(album.release_date);
        object["release_date_precision"] = json!(match album.release_date.len() {
            4 => "year",
            7 => "month",
            _ => "day",
        });
        object["artists"] = self.artists(&album.artists);
        object
    }

    /// An album in an artist's discography.
    pub(super) fn discography_album(&self, album: &Album) -> Value {
        let mut object = self.simple_album(album);
        object["album_group"] = json!(album_type(album.kind));
        object
    }

    pub(super) fn artist(&self, artist: &Artist) -> Value {
        let mut object = self.linked("artist", &artist.id);
        object["name"] = json!(artist.name);
        object["genres"] = json!([artist.genre]);
        object["images"] = images(&artist.id);
        object["followers"] = json!({ "href": null, "total": u32::from(artist.popularity) * 1013 });
        object["popularity"] = json!(artist.popularity);
        object
    }

    /// A playlist without its items; `items` is what the caller may see of them.
    pub(super) fn playlist(&self, playlist: &Playlist, side: &Side, items: Option<Value>) -> Value {
        let mut object = self.linked("playlist", &playlist.id);
        object["name"] = json!(playlist.name);
        object["description"] = json!(playlist.description.as_deref().unwrap_or_default());
        object["collaborative"] = json!(playlist.collaborative);
        object["public"] = json!(playlist.public);
        object["snapshot_id"] = json!(snapshot_id(playlist));
        object["images"] = json!([]);
        let owner = side.owner_of(playlist);
        let mut user = self.linked("user", owner.map_or("spotify", |owner| &owner.user_id));
        user["display_name"] = json!(owner.map_or("Spotify", |owner| &owner.display_name));
        object["owner"] = user;
        if let Some(items) = items {
            object["items"] = items;
        }
        object
    }

    /// What a list shows of a playlist's items: where they are and how many.
    pub(super) fn items_reference(&self, playlist: &Playlist) -> Value {
        json!({ "href": format!("{}/playlists/{}/items", self.api, playlist.id), "total": playlist.entries.len() })
    }

    /// What a playlist's entry is; nothing for what is gone.
    pub(super) fn entry(&self, entry: &Entry) -> Option<Value> {
        match &entry.other {
            None => self.catalogue.track(&entry.track_id).map(|track| self.track(track)),
            Some(Other::LocalFile { title }) => Some(local_file(title)),
            Some(Other::Episode { title }) => Some(self.episode(&entry.track_id, title)),
            Some(Other::Video | Other::Gone) => None,
        }
    }

    fn episode(&self, id: &str, title: &str) -> Value {
        let about = |object: &mut Value, name: &str| {
            object["name"] = json!(name);
            object["description"] = json!("Talk, invented.");
            object["html_description"] = json!("Talk, invented.");
            object["explicit"] = json!(false);
            object["images"] = images(id);
            object["is_externally_hosted"] = json!(false);
            object["languages"] = json!(["en"]);
        };
        let mut show = self.linked("show", id);
        about(&mut show, "Talk");
        show["available_markets"] = json!(MARKETS);
        show["copyrights"] = json!([]);
        show["media_type"] = json!("audio");
        show["publisher"] = json!("The House");
        show["total_episodes"] = json!(1);
        let mut episode = self.linked("episode", id);
        about(&mut episode, title);
        episode["audio_preview_url"] = Value::Null;
        episode["duration_ms"] = json!(1_800_000);
        episode["is_playable"] = json!(true);
        episode["release_date"] = json!("2026-01-05");
        episode["release_date_precision"] = json!("day");
        episode["show"] = show;
        episode
    }

    /// The five fields that every object has.
    pub(super) fn linked(&self, kind: &str, id: &str) -> Value {
        json!({
            "id": id,
            "type": kind,
            "uri": format!("spotify:{kind}:{id}"),
            "href": format!("{}/{kind}s/{id}", self.api),
            "external_urls": { "spotify": format!("https://open.spotify.com/{kind}/{id}") },
        })
    }

    fn artists(&self, positions: &[usize]) -> Value {
        positions
            .iter()
            .map(|at| {
                let artist = &self.catalogue.artists[*at];
                let mut object = self.linked("artist", &artist.id);
                object["name"] = json!(artist.name);
                object
            })
            .collect()
    }
}

/// Changes with every write; opaque, but telling the playlist it belongs to.
pub(super) fn snapshot_id(playlist: &Playlist) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{},{}", playlist.revision, playlist.id))
}

pub(super) fn album_type(kind: AlbumKind) -> &'static str {
    match kind {
        AlbumKind::Album => "album",
        AlbumKind::Ep | AlbumKind::Single => "single",
        AlbumKind::Compilation => "compilation",
    }
}

/// A file on someone's computer: a name, and no id to add it by.
fn local_file(title: &str) -> Value {
    json!({
        "type": "track",
        "uri": format!("spotify:local:::{}:180", title.replace(' ', "+")),
        "name": title,
        "is_local": true,
        "duration_ms": 180_000,
        "explicit": false,
        "disc_number": 0,
        "track_number": 0,
        "artists": [{ "type": "artist", "name": "" }],
    })
}

/// RFC 3339, whole seconds.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn markets_of(track: &Track) -> Vec<&'static str> {
    MARKETS.iter().copied().filter(|market| track.playable_in(market)).collect()
}

fn images(id: &str) -> Value {
    [640, 300, 64]
        .iter()
        .map(|size| {
            let url = format!("https://i.scdn.co/image/{size:08x}{}", id.to_ascii_lowercase());
            json!({ "url": url, "height": size, "width": size })
        })
        .collect()
}
