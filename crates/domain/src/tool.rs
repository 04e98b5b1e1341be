//! The catalogue of tools as data: name, toolset, scope, policy classes. `tools` has the code behind each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::{CacheClass, LimitClass};
use crate::scope::{Scope, closed_set};

closed_set!(
    /// A group of tools that a key, a header or a path can be narrowed to.
    Toolset, ToolsetSet, "A set of toolsets." {
        Accounts = "accounts",
        Catalog = "catalog",
        Playlists = "playlists",
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
            Self::AccountsList => Toolset::Accounts,
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
            Self::AccountsList | Self::UsageStatus => None,
        }
    }

    /// How long its answers may be reused.
    pub const fn cache_class(self) -> CacheClass {
        match self {
            Self::Search => CacheClass::Search,
            Self::TrackGet | Self::Resolve => CacheClass::Track,
            Self::AlbumGet | Self::ArtistGet => CacheClass::Metadata,
            Self::PlaylistsList | Self::PlaylistGet => CacheClass::Playlist,
            Self::PlaylistCreate | Self::PlaylistAdd | Self::AccountsList | Self::UsageStatus => {
                CacheClass::Never
            }
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
            Self::AccountsList | Self::UsageStatus => LimitClass::Api,
        }
    }

    /// Whether it changes anything; writes are audited synchronously (class A) and withheld from read-only keys.
    pub const fn writes(self) -> bool {
        matches!(self, Self::PlaylistCreate | Self::PlaylistAdd)
    }
}
