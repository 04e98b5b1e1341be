//! What the tools of shared queues are asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{ErrorCode, Provider, PublicError, QueueItemId, QueueRole, SharedQueueId};
use uuid::Uuid;

use crate::arguments::invalid;

/// Which queue to show.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetArguments {
    pub(super) queue: Option<String>,
    pub(super) since_version: Option<i64>,
    /// Its changes instead.
    pub(super) history: Option<bool>,
    /// `next_from`.
    pub(super) from: Option<i64>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Create,
    Invite,
    Add,
    Vote,
    Reorder,
    Remove,
    Undo,
    Lock,
    Unlock,
    Leave,
    End,
}

/// What a person is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WantedRole {
    Owner,
    Editor,
    Voter,
    Listener,
    None,
}

/// What to change.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditArguments {
    pub(super) action: Action,
    pub(super) queue: Option<String>,
    pub(super) name: Option<String>,
    pub(super) by_votes: Option<bool>,
    /// Id or subject.
    pub(super) person: Option<String>,
    pub(super) role: Option<WantedRole>,
    pub(super) tracks: Option<Vec<String>>,
    pub(super) items: Option<Vec<String>>,
    /// An item; default the end.
    pub(super) before: Option<String>,
    /// 1, -1, 0.
    pub(super) vote: Option<i16>,
    pub(super) change: Option<i64>,
    pub(super) expected_version: Option<i64>,
    pub(super) idempotency_key: Option<String>,
}

/// Where to bring a queue.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommitArguments {
    pub(super) queue: String,
    /// To add to.
    pub(super) playlist: Option<String>,
    /// Of a new playlist.
    pub(super) name: Option<String>,
    /// Play it (Spotify).
    pub(super) player: Option<bool>,
    pub(super) device: Option<String>,
    pub(super) provider: Option<Provider>,
    pub(super) account: Option<String>,
    pub(super) idempotency_key: String,
}

impl WantedRole {
    pub(super) const fn role(self) -> Option<QueueRole> {
        match self {
            Self::Owner => Some(QueueRole::Owner),
            Self::Editor => Some(QueueRole::Editor),
            Self::Voter => Some(QueueRole::Voter),
            Self::Listener => Some(QueueRole::Listener),
            Self::None => None,
        }
    }
}

impl EditArguments {
    /// The queue, which every action but `create` is about.
    pub(super) fn queue(&self) -> Result<SharedQueueId, PublicError> {
        queue(self.queue.as_deref().ok_or_else(|| missing("queue"))?)
    }

    pub(super) fn items(&self) -> Result<Vec<QueueItemId>, PublicError> {
        let given =
            self.items.as_deref().filter(|items| !items.is_empty()).ok_or_else(|| missing("items"))?;
        let items: Vec<QueueItemId> =
            given.iter().map(|text| item("items", text)).collect::<Result<_, _>>()?;
        let mut seen = std::collections::HashSet::new();
        match items.iter().find(|item| !seen.insert(**item)) {
            Some(twice) => Err(invalid(format!("`items` names {twice} twice."))),
            None => Ok(items),
        }
    }

    pub(super) fn only_item(&self) -> Result<QueueItemId, PublicError> {
        match *self.items()? {
            [only] => Ok(only),
            _ => Err(invalid("`items` must name one item for this action.")),
        }
    }

    pub(super) fn before(&self) -> Result<Option<QueueItemId>, PublicError> {
        self.before.as_deref().map(|text| item("before", text)).transpose()
    }
}

/// A queue's id; what is none names no queue.
pub(super) fn queue(text: &str) -> Result<SharedQueueId, PublicError> {
    text.trim().parse::<Uuid>().map(SharedQueueId).map_err(|_| super::refusals::unknown())
}

fn item(field: &str, text: &str) -> Result<QueueItemId, PublicError> {
    text.trim().parse::<Uuid>().map(QueueItemId).map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        PublicError::new(ErrorCode::QueueItemUnknown, format!("`{field}`: {shown:?} is no item of a queue."))
            .hint("Take the `item` of what shared_queue_get shows, not the track's reference.")
    })
}

pub(super) fn missing(field: &str) -> PublicError {
    invalid(format!("`{field}` is missing for this action."))
}
