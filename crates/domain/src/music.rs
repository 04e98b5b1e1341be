//! The normalised music model that tools answer with, whichever provider it came from.
//! Lengths are milliseconds; dates keep the provider's precision (`2019`, `2019-05`, `2019-05-17`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::preferences::AudioQuality;
use crate::reference::ItemRef;
use crate::scope::closed_set;
use std::fmt;
use std::str::FromStr;

use serde::{Deserializer, Serializer};

closed_set!(
    /// A music service.
    Provider, ProviderSet, "A set of providers." {
        Spotify = "spotify",
        Tidal = "tidal",
    }
);

impl Provider {
    /// The name that people know it by.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Spotify => "Spotify",
            Self::Tidal => "Tidal",
        }
    }
}

impl JsonSchema for Provider {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Provider".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "enum": ["spotify", "tidal"] })
    }
}

/// An artist as items name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtistSummary {
    /// Reference, e.g. `spotify:artist:4Z8W4fKeB5YxbusRsdQVPb`.
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    /// Name.
    pub name: String,
}

/// An album as tracks name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlbumSummary {
    /// Reference, e.g. `tidal:album:251380836`.
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    /// Title.
    pub title: String,
}

/// A track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Track {
    /// Reference, e.g. `spotify:track:11dFghVXANMlKmJXsNCbNl`.
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    /// Title, version included.
    pub title: String,
    /// Artists, main one first.
    pub artists: Vec<ArtistSummary>,
    /// The album it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<AlbumSummary>,
    /// International Standard Recording Code (ISO 3901), where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// Whether the provider marks it explicit.
    pub explicit: bool,
    /// The best quality of sound that the provider has it in, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_quality: Option<AudioQuality>,
    /// Position on its disc, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_number: Option<u32>,
    /// Its page at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// An album.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Album {
    /// Reference, e.g. `tidal:album:251380836`.
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    /// Title.
    pub title: String,
    /// Artists, main one first.
    pub artists: Vec<ArtistSummary>,
    /// Release date as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_date: Option<String>,
    /// Universal Product Code or EAN, where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upc: Option<String>,
    /// How many tracks it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_count: Option<u32>,
    /// Whether the provider marks it explicit, where it does that with albums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explicit: Option<bool>,
    /// The best quality of sound that the provider has it in, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_quality: Option<AudioQuality>,
    /// Its tracks, first page; empty in lists.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tracks: Vec<Track>,
    /// Its page at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// An artist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artist {
    /// Reference, e.g. `spotify:artist:4Z8W4fKeB5YxbusRsdQVPb`.
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    /// Name.
    pub name: String,
    /// Its page at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A playlist without its items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Playlist {
    /// Reference, e.g. `spotify:playlist:37i9dQZF1DXcBWIGoYBM5M`.
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    /// Name.
    pub name: String,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How many items it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_count: Option<u32>,
    /// The owner's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether anyone may find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// What changes when the playlist does: Spotify's `snapshot_id`, Tidal's `lastModifiedAt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its page at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One entry of a playlist. Something else than a track (an episode, a video, a local file) has no `track` but
/// `other`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaylistItem {
    /// Position in the playlist, from 0.
    pub position: u32,
    /// The track, unless the entry is something else or is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    /// What the entry is if it is no track: `spotify:episode:ID`, `spotify:local:…`, `tidal:video:ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// When it was added (RFC 3339), where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_at: Option<String>,
    /// The provider's id of this entry, where entries have one (Tidal).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
}

impl PlaylistItem {
    /// The text that stands for the entry wherever playlists are compared or stored; `None` if the provider tells
    /// nothing of it.
    pub fn name(&self) -> Option<String> {
        self.track.as_ref().map(|track| track.reference.to_string()).or_else(|| self.other.clone())
    }
}

/// An item of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is its own name")]
pub enum Item {
    Track(Track),
    Album(Album),
    Artist(Artist),
    Playlist(Playlist),
}

/// An item in a person's library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SavedItem {
    /// The item.
    #[serde(flatten)]
    pub item: Item,
    /// When it was saved (RFC 3339), where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_at: Option<String>,
}

/// A list of tracks that the provider puts together for a person and changes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mix {
    /// Reference, e.g. `tidal:mix:ID`.
    #[serde(rename = "ref")]
    pub reference: ItemRef,
    /// Title.
    pub title: String,
    /// What it is about, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
}

/// One page of a list. `next` is the provider's own cursor or offset, to be sealed before an agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<String>,
    /// How many there are in all, where the provider tells.
    pub total: Option<u32>,
}

impl<T> Page<T> {
    /// A page with nothing after it.
    pub fn last(items: Vec<T>) -> Self {
        Self { items, next: None, total: None }
    }

    /// The page with each entry turned into another.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(turn).collect(), next: self.next, total: self.total }
    }
}
