//! What an account has saved: tracks, albums and artists, oldest first. Playlists are kept apart, by `collections`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What can be kept in a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    Tracks,
    Albums,
    Artists,
}

/// An account's library.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Library {
    tracks: Vec<Kept>,
    albums: Vec<Kept>,
    artists: Vec<Kept>,
}

/// Something kept, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) added_at: DateTime<Utc>,
}

impl Library {
    /// What stands on a shelf, in the order in which it was put there.
    pub(crate) fn shelf(&self, shelf: Shelf) -> &[Kept] {
        match shelf {
            Shelf::Tracks => &self.tracks,
            Shelf::Albums => &self.albums,
            Shelf::Artists => &self.artists,
        }
    }

    pub(crate) fn holds(&self, shelf: Shelf, id: &str) -> bool {
        self.shelf(shelf).iter().any(|kept| kept.id == id)
    }

    /// Returns whether it was not there yet.
    pub(crate) fn put(&mut self, shelf: Shelf, id: &str, added_at: DateTime<Utc>) -> bool {
        if self.holds(shelf, id) {
            return false;
        }
        self.shelf_mut(shelf).push(Kept { id: id.to_owned(), added_at });
        true
    }

    pub(crate) fn take(&mut self, shelf: Shelf, id: &str) {
        self.shelf_mut(shelf).retain(|kept| kept.id != id);
    }

    fn shelf_mut(&mut self, shelf: Shelf) -> &mut Vec<Kept> {
        match shelf {
            Shelf::Tracks => &mut self.tracks,
            Shelf::Albums => &mut self.albums,
            Shelf::Artists => &mut self.artists,
        }
    }
}
