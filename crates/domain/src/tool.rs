//! The catalogue of tools as data: name, toolset, scope, policy classes. `tools` has the code behind each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::music::Provider;
use crate::policy::{CacheClass, LimitClass};
use crate::scope::{Scope, closed_set};

closed_set!(
    /// A group of tools that a key, a header or a path can be narrowed to.
    Toolset, ToolsetSet, "A set of toolsets." {
        Accounts = "accounts",
        Catalog = "catalog",
        Playlists = "playlists",
        Preferences = "preferences",
        Usage = "usage",
    }
);

closed_set!(
    /// A tool's name on the wire. Closed, so that it may be a metric label.
    ToolName, ToolNameSet, "A set of tools." {
        Search = "search",
        TrackGet = "track_get",
        AlbumGet = "album_get",
        ArtistGet = "artist_get",
        Resolve = "resolve",
        PlaylistsList = "playlists_list",
        PlaylistGet = "playlist_get",
        PlaylistCreate = "playlist_create",
        PlaylistAdd = "playlist_add",
        AccountsList = "accounts_list",
        AccountLink = "account_link",
        AccountUnlink = "account_unlink",
        PreferencesGet = "preferences_get",
        PreferencesSet = "preferences_set",
        UsageStatus = "usage_status",
    }
);

impl ToolName {
    /// The toolset it belongs to.
    pub const fn toolset(self) -> Toolset {
        match self {
            Self::Search | Self::TrackGet | Self::AlbumGet | Self::ArtistGet | Self::Resolve => {
                Toolset::Catalog
            }
            Self::PlaylistsList | Self::PlaylistGet | Self::PlaylistCreate | Self::PlaylistAdd => {
                Toolset::Playlists
            }
            Self::AccountsList | Self::AccountLink | Self::AccountUnlink => Toolset::Accounts,
            Self::PreferencesGet | Self::PreferencesSet => Toolset::Preferences,
            Self::UsageStatus => Toolset::Usage,
        }
    }

    /// The scope a principal needs; `None` if any authenticated principal may call it.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::Search | Self::TrackGet | Self::AlbumGet | Self::ArtistGet | Self::Resolve => {
                Some(Scope::CatalogRead)
            }
            Self::PlaylistsList | Self::PlaylistGet => Some(Scope::PlaylistsRead),
            Self::PlaylistCreate | Self::PlaylistAdd => Some(Scope::PlaylistsWrite),
            Self::AccountUnlink => Some(Scope::PrivacyManage),
            Self::PreferencesSet => Some(Scope::PreferencesWrite),
            Self::AccountsList | Self::AccountLink | Self::PreferencesGet | Self::UsageStatus => None,
        }
    }

    /// How long its answers may be reused.
    pub const fn cache_class(self) -> CacheClass {
        match self {
            Self::Search => CacheClass::Search,
            Self::TrackGet | Self::Resolve => CacheClass::Track,
            Self::AlbumGet | Self::ArtistGet => CacheClass::Metadata,
            Self::PlaylistsList | Self::PlaylistGet => CacheClass::Playlist,
            Self::PlaylistCreate
            | Self::PlaylistAdd
            | Self::AccountsList
            | Self::AccountLink
            | Self::AccountUnlink
            | Self::PreferencesGet
            | Self::PreferencesSet
            | Self::UsageStatus => CacheClass::Never,
        }
    }

    /// The quota it counts on, besides `api`.
    pub const fn limit_class(self) -> LimitClass {
        match self {
            Self::Search | Self::Resolve => LimitClass::Search,
            Self::TrackGet | Self::AlbumGet | Self::ArtistGet | Self::PlaylistsList | Self::PlaylistGet => {
                LimitClass::Api
            }
            Self::PlaylistCreate | Self::PlaylistAdd => LimitClass::Playlist,
            Self::AccountsList
            | Self::AccountUnlink
            | Self::PreferencesGet
            | Self::PreferencesSet
            | Self::UsageStatus => LimitClass::Api,
            Self::AccountLink => LimitClass::Auth,
        }
    }

    /// Whether it changes anything; writes are audited synchronously (class A) and withheld from read-only keys.
    pub const fn writes(self) -> bool {
        matches!(
            self,
            Self::PlaylistCreate
                | Self::PlaylistAdd
                | Self::AccountLink
                | Self::AccountUnlink
                | Self::PreferencesSet
        )
    }

    /// Whether it can remove or replace what was there.
    pub const fn destroys(self) -> bool {
        matches!(self, Self::AccountUnlink)
    }

    /// The scopes of an account that it needs at a provider, in the provider's words; any of several alternatives
    /// counts as all of them, because consent is asked for once.
    pub const fn provider_scopes(self, provider: Provider) -> &'static [&'static str] {
        match (self, provider) {
            (Self::Search, Provider::Tidal) => &["search.read"],
            (Self::PlaylistsList | Self::PlaylistGet, Provider::Spotify) => {
                &["playlist-read-private", "playlist-read-collaborative"]
            }
            (Self::PlaylistsList | Self::PlaylistGet, Provider::Tidal) => &["playlists.read"],
            (Self::PlaylistCreate | Self::PlaylistAdd, Provider::Spotify) => {
                &["playlist-modify-public", "playlist-modify-private"]
            }
            (Self::PlaylistCreate | Self::PlaylistAdd, Provider::Tidal) => &["playlists.write"],
            (Self::AccountLink, Provider::Spotify) => &["user-read-private"],
            (Self::AccountLink, Provider::Tidal) => &["user.read"],
            _ => &[],
        }
    }
}
