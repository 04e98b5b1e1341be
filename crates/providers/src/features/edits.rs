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

impl Edit {
    /// What a playlist that holds `current` holds afterwards; positions past its end count as its end.
    #[must_use]
    pub fn applied(&self, current: &[Box<str>]) -> Vec<Box<str>> {
        let within = |position: u32| (position as usize).min(current.len());
        match self {
            Self::Remove(positions) => {
                let gone = |position: usize| {
                    u32::try_from(position).is_ok_and(|position| positions.binary_search(&position).is_ok())
                };
                let left = current.iter().enumerate().filter(|(position, _)| !gone(*position));
                left.map(|(_, name)| name.clone()).collect()
            }
            Self::Insert { at, names } => {
                let at = within(*at);
                [&current[..at], names, &current[at..]].concat()
            }
            Self::Move { start, length, before } => {
                let (start, end) = (within(*start), within(start.saturating_add(*length)));
                let before = within(*before);
                let block = &current[start..end];
                if before <= start {
                    [&current[..before], block, &current[before..start], &current[end..]].concat()
                } else {
                    let before = before.max(end);
                    [&current[..start], &current[end..before], block, &current[before..]].concat()
                }
            }
            Self::Replace(names) => names.clone(),
        }
    }
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

    /// Whether the service can do `edits`, one after the other, on a playlist that holds `current`; sends nothing.
    fn check_edits(&self, current: &[Box<str>], edits: &[Edit]) -> Result<(), ProviderError> {
        let _ = current;
        if edits.is_empty() { Ok(()) } else { lacks(self.service(), "edit playlists") }
    }

    /// Changes what a playlist holds, in as many requests as the service needs. `current` is what it holds, at
    /// `version`. What the service has no more is left out and listed, but kept where the playlist holds it already. If a
    /// later request fails, `ProviderError::Interrupted` says what it holds by then.
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

    /// Whether a playlist holds `now` after one of the requests that an edit of `current` takes, if none is refused and
    /// nothing is left out. Sends nothing.
    fn passes(&self, current: &[Box<str>], edit: &Edit, now: &[Box<str>]) -> Result<bool, ProviderError> {
        let _ = (current, edit, now);
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
