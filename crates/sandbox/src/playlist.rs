//! A playlist as both providers keep it: entries in order, a revision that every write raises, a time that
//! every write moves.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The most entries either service allows.
pub(crate) const MAX_ENTRIES: usize = 10_000;

/// The id of the only video there is at Tidal.
pub(crate) const VIDEO: &str = "75623239";

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
    /// Whether its owner took it out of the library; Spotify keeps it all the same.
    #[serde(default)]
    pub(crate) forsaken: bool,
}

/// One position of a playlist.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Tells equal tracks apart (Tidal's `itemId`).
    pub(crate) item_id: String,
    /// The id of the track, or of the episode or video; empty for what has none.
    pub(crate) track_id: String,
    pub(crate) added_at: DateTime<Utc>,
    pub(crate) added_by: String,
    /// What it is if it is no track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) other: Option<Other>,
}

/// What a playlist can hold besides tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Other {
    /// A file on the person's computer, which only their own client can add; Spotify.
    LocalFile {
        /// Its title.
        title: String,
    },
    /// An episode of a podcast; Spotify.
    Episode {
        /// Its title.
        title: String,
    },
    /// A video, always the same one; Tidal.
    Video,
    /// Something that the service tells nothing of any more; Spotify.
    Gone,
}

impl Entry {
    pub(crate) fn track(item_id: String, track_id: &str, added_at: DateTime<Utc>, added_by: &str) -> Self {
        let (track_id, added_by) = (track_id.to_owned(), added_by.to_owned());
        Self { item_id, track_id, added_at, added_by, other: None }
    }
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
            forsaken: false,
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
