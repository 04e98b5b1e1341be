//! A job as its owner sees it, and how a caller is told of progress.

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{JobId, PublicError, ToolName};
use stagedoor_storage::jobs::State;

/// What a job does; its name is that of the tool that begins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Brings a playlist to another service or account.
    PlaylistTransfer,
    /// Takes duplicates out of a long playlist.
    PlaylistDedupe,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// A replica will take it up.
    Queued,
    /// A replica works on it.
    Running,
    /// It waits for decisions of whoever began it.
    Waiting,
    /// All that could be done is done.
    Done,
    /// It ended early; its error says why, its report what was done.
    Failed,
    /// It was cancelled; its report says what was done.
    Cancelled,
}

impl JobKind {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlaylistTransfer => "playlist_transfer",
            Self::PlaylistDedupe => "playlist_dedupe",
        }
    }

    /// The tool that begins it, whose rights it needs.
    pub(crate) const fn tool(self) -> ToolName {
        match self {
            Self::PlaylistTransfer => ToolName::PlaylistTransfer,
            Self::PlaylistDedupe => ToolName::PlaylistDedupe,
        }
    }

    /// The kind of that name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::PlaylistTransfer, Self::PlaylistDedupe].into_iter().find(|kind| kind.as_str() == name)
    }
}

impl JobState {
    /// Whether nothing changes any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// The same as it is stored.
    pub(crate) const fn stored(self) -> State {
        match self {
            Self::Queued => State::Queued,
            Self::Running => State::Running,
            Self::Waiting => State::Waiting,
            Self::Done => State::Done,
            Self::Failed => State::Failed,
            Self::Cancelled => State::Cancelled,
        }
    }

    /// Whether a replica has something to do for it.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Waiting => Self::Waiting,
            State::Done => Self::Done,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// A job as its owner sees it.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// Steps done.
    pub done: u64,
    /// Steps in all, as far as that is known.
    pub total: Option<u64>,
    /// What it does now, or how it ended, in a sentence.
    pub message: Option<String>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When something last changed.
    pub updated_at: DateTime<Utc>,
    /// When it is forgotten.
    pub expires_at: DateTime<Utc>,
    /// What the tools answer of it, in the form that `DeskOptions::render` gave it. There while it waits and once it is
    /// over.
    pub answer: Option<Bytes>,
    /// Why it failed.
    pub error: Option<PublicError>,
}

/// Is told how far a call is. Must not block.
pub trait Progress: fmt::Debug + Send + Sync {
    /// `done` steps of `total` are done; `done` never falls. `message` is a sentence for a person.
    fn report(&self, done: u64, total: Option<u64>, message: &str);
}
