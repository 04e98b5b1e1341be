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
        Library = "library",
        Playback = "playback",
        Queues = "queues",
        Jobs = "jobs",
        Privacy = "privacy",
        Audit = "audit",
    }
);

closed_set!(
    /// A tool's name on the wire. Closed, so that it may be a metric label.
    ToolName, ToolNameSet, "A set of tools." {
        Search = "search",
        SearchAll = "search_all",
        Resolve = "resolve",
        TrackGet = "track_get",
        AlbumGet = "album_get",
        ArtistGet = "artist_get",
        ArtistAlbums = "artist_albums",
        Similar = "similar",
        Radio = "radio",
        MixesList = "mixes_list",
        MixItems = "mix_items",
        PlaylistsList = "playlists_list",
        PlaylistGet = "playlist_get",
        PlaylistCreate = "playlist_create",
        PlaylistUpdate = "playlist_update",
        PlaylistDelete = "playlist_delete",
        PlaylistAdd = "playlist_add",
        PlaylistRemove = "playlist_remove",
        PlaylistReorder = "playlist_reorder",
        PlaylistReplace = "playlist_replace",
        PlaylistVersions = "playlist_versions",
        PlaylistDiff = "playlist_diff",
        PlaylistUndo = "playlist_undo",
        PlaylistDedupe = "playlist_dedupe",
        PlaylistTransfer = "playlist_transfer",
        LibraryList = "library_list",
        LibraryContains = "library_contains",
        LibrarySave = "library_save",
        LibraryRemove = "library_remove",
        TopItems = "top_items",
        RecentlyPlayed = "recently_played",
        HistoryStatus = "history_status",
        HistoryQuery = "history_query",
        Insights = "insights",
        PlaybackState = "playback_state",
        Devices = "devices",
        PlaybackControl = "playback_control",
        QueueAdd = "queue_add",
        Profile = "profile",
        AccountsList = "accounts_list",
        AccountLink = "account_link",
        AccountUnlink = "account_unlink",
        SharedQueueGet = "shared_queue_get",
        SharedQueueEdit = "shared_queue_edit",
        SharedQueueCommit = "shared_queue_commit",
        PreferencesGet = "preferences_get",
        PreferencesSet = "preferences_set",
        JobGet = "job_get",
        JobCancel = "job_cancel",
        UsageStatus = "usage_status",
        ConsentGet = "consent_get",
        ConsentSet = "consent_set",
        ExportMyData = "export_my_data",
        DeleteMyData = "delete_my_data",
        PrivacyRequests = "privacy_requests",
        AuditQuery = "audit_query",
    }
);

impl ToolName {
    /// The toolset it belongs to.
    pub const fn toolset(self) -> Toolset {
        match self {
            Self::Search
            | Self::SearchAll
            | Self::Resolve
            | Self::TrackGet
            | Self::AlbumGet
            | Self::ArtistGet
            | Self::ArtistAlbums
            | Self::Similar
            | Self::Radio => Toolset::Catalog,
            Self::PlaylistsList
            | Self::PlaylistGet
            | Self::PlaylistCreate
            | Self::PlaylistUpdate
            | Self::PlaylistDelete
            | Self::PlaylistAdd
            | Self::PlaylistRemove
            | Self::PlaylistReorder
            | Self::PlaylistReplace
            | Self::PlaylistVersions
            | Self::PlaylistDiff
            | Self::PlaylistUndo
            | Self::PlaylistDedupe
            | Self::PlaylistTransfer => Toolset::Playlists,
            Self::LibraryList
            | Self::LibraryContains
            | Self::LibrarySave
            | Self::LibraryRemove
            | Self::TopItems
            | Self::RecentlyPlayed
            | Self::HistoryStatus
            | Self::HistoryQuery
            | Self::Insights
            | Self::MixesList
            | Self::MixItems => Toolset::Library,
            Self::PlaybackState | Self::Devices | Self::PlaybackControl | Self::QueueAdd => Toolset::Playback,
            Self::Profile | Self::AccountsList | Self::AccountLink | Self::AccountUnlink => Toolset::Accounts,
            Self::SharedQueueGet | Self::SharedQueueEdit | Self::SharedQueueCommit => Toolset::Queues,
            Self::PreferencesGet | Self::PreferencesSet => Toolset::Preferences,
            Self::JobGet | Self::JobCancel => Toolset::Jobs,
            Self::UsageStatus => Toolset::Usage,
            Self::ConsentGet
            | Self::ConsentSet
            | Self::ExportMyData
            | Self::DeleteMyData
            | Self::PrivacyRequests => Toolset::Privacy,
            Self::AuditQuery => Toolset::Audit,
        }
    }

    /// The scope a principal needs; `None` if any authenticated principal may call it.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::MixesList | Self::MixItems => Some(Scope::RecommendationsRead),
            Self::PlaylistsList | Self::PlaylistGet | Self::PlaylistVersions | Self::PlaylistDiff => {
                Some(Scope::PlaylistsRead)
            }
            Self::LibraryList | Self::LibraryContains => Some(Scope::LibraryRead),
            Self::LibrarySave | Self::LibraryRemove => Some(Scope::LibraryWrite),
            Self::TopItems
            | Self::RecentlyPlayed
            | Self::HistoryStatus
            | Self::HistoryQuery
            | Self::Insights => Some(Scope::HistoryRead),
            Self::PlaybackState | Self::Devices => Some(Scope::PlaybackRead),
            Self::PlaybackControl | Self::QueueAdd => Some(Scope::PlaybackWrite),
            Self::AccountUnlink | Self::ConsentSet | Self::ExportMyData | Self::DeleteMyData => {
                Some(Scope::PrivacyManage)
            }
            Self::AuditQuery => Some(Scope::AuditRead),
            Self::PreferencesSet => Some(Scope::PreferencesWrite),
            Self::Profile
            | Self::AccountsList
            | Self::AccountLink
            | Self::PreferencesGet
            | Self::JobGet
            | Self::JobCancel
            | Self::ConsentGet
            | Self::PrivacyRequests
            | Self::UsageStatus => None,
            _ => match self.toolset() {
                Toolset::Catalog => Some(Scope::CatalogRead),
                Toolset::Queues => Some(Scope::QueuesWrite),
                _ => Some(Scope::PlaylistsWrite),
            },
        }
    }

    /// How long its answers may be reused.
    pub const fn cache_class(self) -> CacheClass {
        match self {
            Self::Search | Self::SearchAll => CacheClass::Search,
            Self::TrackGet | Self::Resolve => CacheClass::Track,
            Self::AlbumGet
            | Self::ArtistGet
            | Self::ArtistAlbums
            | Self::Similar
            | Self::Radio
            | Self::TopItems
            | Self::Profile => CacheClass::Metadata,
            Self::PlaylistsList
            | Self::PlaylistGet
            | Self::LibraryList
            | Self::LibraryContains
            | Self::MixesList
            | Self::MixItems => CacheClass::Playlist,
            _ => CacheClass::Never,
        }
    }

    /// The quota it counts on, besides `api`.
    pub const fn limit_class(self) -> LimitClass {
        match self {
            Self::Search | Self::SearchAll | Self::Resolve => LimitClass::Search,
            Self::PlaylistCreate
            | Self::PlaylistUpdate
            | Self::PlaylistDelete
            | Self::PlaylistAdd
            | Self::PlaylistRemove
            | Self::PlaylistReorder
            | Self::PlaylistReplace
            | Self::PlaylistVersions
            | Self::PlaylistDiff
            | Self::PlaylistUndo
            | Self::PlaylistDedupe
            | Self::PlaylistTransfer
            | Self::SharedQueueCommit => LimitClass::Playlist,
            Self::AccountLink => LimitClass::Auth,
            _ => LimitClass::Api,
        }
    }

    /// Whether it changes anything; writes are audited synchronously (class A) and withheld from read-only keys.
    pub const fn writes(self) -> bool {
        matches!(
            self,
            Self::PlaylistCreate
                | Self::PlaylistUpdate
                | Self::PlaylistDelete
                | Self::PlaylistAdd
                | Self::PlaylistRemove
                | Self::PlaylistReorder
                | Self::PlaylistReplace
                | Self::PlaylistUndo
                | Self::PlaylistDedupe
                | Self::PlaylistTransfer
                | Self::LibrarySave
                | Self::LibraryRemove
                | Self::PlaybackControl
                | Self::QueueAdd
                | Self::SharedQueueEdit
                | Self::SharedQueueCommit
                | Self::AccountLink
                | Self::AccountUnlink
                | Self::PreferencesSet
                | Self::ConsentSet
                | Self::ExportMyData
                | Self::DeleteMyData
                | Self::JobCancel
        )
    }

    /// Whether it can remove or replace what was there.
    pub const fn destroys(self) -> bool {
        matches!(
            self,
            Self::AccountUnlink
                | Self::DeleteMyData
                | Self::PlaylistUpdate
                | Self::PlaylistDelete
                | Self::PlaylistRemove
                | Self::PlaylistReplace
                | Self::PlaylistUndo
                | Self::PlaylistDedupe
                | Self::LibraryRemove
                | Self::SharedQueueEdit
                | Self::JobCancel
        )
    }

    /// The scopes of an account that it needs at a provider, in the provider's words; any of several alternatives
    /// counts as all of them, because consent is asked for once.
    pub const fn provider_scopes(self, provider: Provider) -> &'static [&'static str] {
        match provider {
            Provider::Spotify => self.spotify_scopes(),
            Provider::Tidal => self.tidal_scopes(),
        }
    }

    const fn spotify_scopes(self) -> &'static [&'static str] {
        match self {
            Self::PlaylistsList | Self::PlaylistGet | Self::PlaylistVersions | Self::PlaylistDiff => {
                &["playlist-read-private", "playlist-read-collaborative"]
            }
            Self::PlaylistCreate
            | Self::PlaylistUpdate
            | Self::PlaylistDelete
            | Self::PlaylistAdd
            | Self::PlaylistRemove
            | Self::PlaylistReorder
            | Self::PlaylistReplace
            | Self::PlaylistUndo
            | Self::PlaylistDedupe
            | Self::PlaylistTransfer
            | Self::SharedQueueCommit => {
                &["playlist-modify-public", "playlist-modify-private", "playlist-read-private"]
            }
            Self::LibraryList | Self::LibraryContains => &["user-library-read", "user-follow-read"],
            Self::LibrarySave | Self::LibraryRemove => {
                &["user-library-modify", "user-follow-modify", "playlist-modify-public"]
            }
            Self::TopItems => &["user-top-read"],
            Self::RecentlyPlayed => &["user-read-recently-played"],
            Self::PlaybackState | Self::Devices => {
                &["user-read-playback-state", "user-read-currently-playing"]
            }
            Self::PlaybackControl | Self::QueueAdd => {
                &["user-modify-playback-state", "user-read-playback-state"]
            }
            Self::AccountLink | Self::Profile => &["user-read-private"],
            _ => &[],
        }
    }

    const fn tidal_scopes(self) -> &'static [&'static str] {
        match self {
            Self::Search | Self::SearchAll => &["search.read"],
            Self::PlaylistsList | Self::PlaylistGet | Self::PlaylistVersions | Self::PlaylistDiff => {
                &["playlists.read"]
            }
            Self::PlaylistCreate
            | Self::PlaylistUpdate
            | Self::PlaylistDelete
            | Self::PlaylistAdd
            | Self::PlaylistRemove
            | Self::PlaylistReorder
            | Self::PlaylistReplace
            | Self::PlaylistUndo
            | Self::PlaylistDedupe
            | Self::PlaylistTransfer
            | Self::SharedQueueCommit => &["playlists.read", "playlists.write"],
            Self::LibraryList => &["collection.read"],
            Self::LibrarySave | Self::LibraryRemove => &["collection.write"],
            Self::MixesList | Self::MixItems => &["recommendations.read"],
            Self::AccountLink | Self::Profile => &["user.read"],
            _ => &[],
        }
    }
}
