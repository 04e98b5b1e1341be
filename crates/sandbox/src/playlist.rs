//! A playlist as both providers keep it: entries in order, a revision that every write raises, a time that
//! every write moves.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The most entries either service allows.
pub(crate) const MAX_ENTRIES: usize = 10_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Playlist {
    pub(crate) id: String,
    /// An account id; empty for the provider's own.
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// Spotify: on the profile. Tidal: `PUBLIC` rather than `UNLISTED`.
    pub(crate) public: bool,
    pub(crate) collaborative: bool,
    /// Account ids that may write besides the owner.
    pub(crate) collaborators: Vec<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) modified_at: DateTime<Utc>,
    pub(crate) revision: u64,
    pub(crate) entries: Vec<Entry>,
}

/// One position of a playlist.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Tells equal tracks apart (Tidal's `itemId`).
    pub(crate) item_id: String,
    pub(crate) track_id: String,
    pub(crate) added_at: DateTime<Utc>,
    pub(crate) added_by: String,
}

impl Playlist {
    pub(crate) fn new(id: String, owner: String, name: String, now: DateTime<Utc>) -> Self {
        let now = now.trunc_subsecs(3);
        Self {
            id,
            owner,
            name,
            description: None,
            public: true,
            collaborative: false,
            collaborators: Vec::new(),
            created_at: now,
            modified_at: now,
            revision: 1,
            entries: Vec::new(),
        }
    }

    /// Whether `account` may read the items and write.
    pub(crate) fn is_open_to(&self, account: Option<&str>) -> bool {
        account.is_some_and(|account| {
            self.owner == account || self.collaborators.iter().any(|collaborator| collaborator == account)
        })
    }

    /// Notes a write. The time moves by at least a millisecond, so that two writes never look like one.
    pub(crate) fn touch(&mut self, now: DateTime<Utc>) {
        self.revision += 1;
        self.modified_at = now.trunc_subsecs(3).max(self.modified_at + TimeDelta::milliseconds(1));
    }
}
