//! Changing playlists: what one holds as writes see it, and each kind of change.

use async_trait::async_trait;
use stagedoor_domain::music::{Playlist, PlaylistItem};
use stagedoor_domain::{ItemRef, Provider, TenantContext};

use super::lacks;
use crate::error::ProviderError;
use crate::types::{Access, Skipped};

/// One entry of a playlist: `spotify:track:ID`, `spotify:episode:ID`, `tidal:track:ID`, `tidal:video:ID`, or empty where
/// the service tells nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What it is.
    pub name: Box<str>,
    /// The service's id of this entry, where entries have one (Tidal) and it is known.
    pub item_id: Option<Box<str>>,
}

impl Entry {
    /// An entry that is not in yet.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self { name: name.into(), item_id: None }
    }
}

impl From<&PlaylistItem> for Entry {
    fn from(item: &PlaylistItem) -> Self {
        Self { name: item.name().unwrap_or_default().into(), item_id: item.item_id.as_deref().map(Box::from) }
    }
}

/// A whole playlist, read at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The playlist.
    pub playlist: Playlist,
    /// Every entry, in order.
    pub items: Vec<PlaylistItem>,
}

/// One change of what a playlist holds. Positions count from 0 in the playlist as it is before the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Takes out the entries at these positions, ascending, each once.
    Remove(Vec<u32>),
    /// Puts in what is named, in order.
    Insert {
        /// Before the entry at this position; the playlist's length for the end.
        at: u32,
        /// What.
        names: Vec<Box<str>>,
    },
    /// Moves some entries that stand together.
    Move {
        /// The first of them.
        start: u32,
        /// How many.
        length: u32,
        /// Before the entry at this position, which is not among them; the playlist's length for the end.
        before: u32,
    },
    /// Makes it hold this and nothing else.
    Replace(Vec<Box<str>>),
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// What the playlist holds now by the service's answers.
    pub entries: Vec<Entry>,
    /// What the service left out.
    pub skipped: Vec<Skipped>,
    /// The playlist's new version, where the answer tells (Spotify's `snapshot_id`).
    pub version: Option<String>,
}

/// What to change of a playlist besides its entries; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlaylistChange<'a> {
    /// Its name, not empty.
    pub name: Option<&'a str>,
    /// Its description; empty for none.
    pub description: Option<&'a str>,
    /// Whether anyone may find it. Tidal has no private playlists: `false` is unlisted there.
    pub public: Option<bool>,
}

/// Changing playlists.
#[async_trait]
pub trait PlaylistEdits: Send + Sync {
    /// Which service this is.
    fn service(&self) -> Provider;

    /// One playlist without its items, in one request; its `version` says whether anything changed.
    async fn playlist_head(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
    ) -> Result<Playlist, ProviderError> {
        let _ = (ctx, access, playlist);
        lacks(self.service(), "tell a playlist's version")
    }

    /// A whole playlist, all of it at one version: if it changes while it is read, it is read once more. More than
    /// `most` entries are `ProviderError::UnsupportedByProvider`.
    async fn playlist_contents(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        most: u32,
    ) -> Result<Contents, ProviderError> {
        let _ = (ctx, access, playlist, most);
        lacks(self.service(), "read a whole playlist")
    }

    /// Changes what a playlist holds, in as many requests as the service needs. `current` is what it holds, at
    /// `version`. If a later request fails, `ProviderError::Interrupted` says what it holds by then.
    /// `idempotency_key` is 1–80 visible ASCII characters; only Tidal honours it.
    async fn edit_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        (current, version): (&[Entry], Option<&str>),
        edit: &Edit,
        idempotency_key: &str,
    ) -> Result<Edited, ProviderError> {
        let _ = (ctx, access, playlist, current, version, edit, idempotency_key);
        lacks(self.service(), "edit playlists")
    }

    /// Changes a playlist's name, description or visibility.
    async fn update_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        change: &PlaylistChange<'_>,
        idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let _ = (ctx, access, playlist, change, idempotency_key);
        lacks(self.service(), "change playlists")
    }

    /// Takes a playlist out of the account. Spotify keeps it for a while, where the person can bring it back.
    async fn delete_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let _ = (ctx, access, playlist, idempotency_key);
        lacks(self.service(), "delete playlists")
    }
}
