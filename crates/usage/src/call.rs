//! What a call came to, in closed sets: nothing that an agent or a person can name is counted by its name.

use std::time::Duration;

use stagedoor_domain::{EntityKind, ErrorCode, ToolName};
use stagedoor_storage::usage;

/// A call that ended, or that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRecord {
    /// Which tool.
    pub tool: ToolName,
    /// What it was about.
    pub content: Content,
    /// How it ended.
    pub end: End,
    /// What the cache did for it, if it was asked.
    pub cache: Option<CacheUse>,
    /// Requests that it sent to music services.
    pub provider_calls: u64,
    /// Words of its search query.
    pub search_words: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With an answer, after that long.
    Answered(Duration),
    /// With an error, after that long.
    Failed(Duration),
    /// It was refused.
    Denied(Denial),
    /// It was none that an agent made: something was fetched beside a call, or a job went on.
    Beside,
}

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// A quota, a penalty, or no place among the calls under way.
    Limit,
    /// A scope that the principal lacks, or a tool that its key is not shown.
    Scope,
    /// The tenant's settings or the person's decisions.
    Policy,
}

/// What the cache did for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// It had the answer, or waited for another call's.
    Hit,
    /// The answer was fetched.
    Miss,
}

/// What a call was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Content {
    /// No item, or none that its arguments name.
    #[default]
    None,
    /// Items of one kind.
    Kind(EntityKind),
    /// Items of several kinds.
    Several,
}

impl End {
    /// Of a call that ended with `error`, or without one, after that long.
    pub fn of(error: Option<ErrorCode>, duration: Duration) -> Self {
        match (error, error.and_then(Denial::of)) {
            (_, Some(denial)) => Self::Denied(denial),
            (Some(_), None) => Self::Failed(duration),
            (None, None) => Self::Answered(duration),
        }
    }
}

impl Denial {
    /// Whether a code says that a call was refused, and why.
    pub const fn of(code: ErrorCode) -> Option<Self> {
        match code {
            ErrorCode::RateLimited | ErrorCode::Overloaded | ErrorCode::TooManyAttempts => Some(Self::Limit),
            ErrorCode::InsufficientScope | ErrorCode::UnknownTool => Some(Self::Scope),
            ErrorCode::PolicyGateClosed | ErrorCode::ConsentRequired | ErrorCode::DeviceRefused => {
                Some(Self::Policy)
            }
            _ => None,
        }
    }
}

impl Content {
    /// Of the kinds that a call is about.
    pub fn of(kinds: impl IntoIterator<Item = EntityKind>) -> Self {
        let mut kinds = kinds.into_iter();
        match (kinds.next(), kinds.next()) {
            (None, _) => Self::None,
            (Some(kind), None) => Self::Kind(kind),
            (Some(_), Some(_)) => Self::Several,
        }
    }

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => usage::NONE,
            Self::Kind(kind) => kind.as_str(),
            Self::Several => "several",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_no_failure_and_a_failure_no_refusal() {
        let of = |code| End::of(Some(code), Duration::from_secs(1));
        assert_eq!(of(ErrorCode::RateLimited), End::Denied(Denial::Limit));
        assert_eq!(of(ErrorCode::InsufficientScope), End::Denied(Denial::Scope));
        assert_eq!(of(ErrorCode::ConsentRequired), End::Denied(Denial::Policy));
        assert_eq!(of(ErrorCode::ProviderRateLimited), End::Failed(Duration::from_secs(1)));
        assert_eq!(End::of(None, Duration::ZERO), End::Answered(Duration::ZERO));
    }

    #[test]
    fn content_is_one_kind_several_or_none() {
        let of = |kinds: &[EntityKind]| Content::of(kinds.iter().copied()).as_str();
        assert_eq!(of(&[]), "none");
        assert_eq!(of(&[EntityKind::Album]), "album");
        assert_eq!(of(&[EntityKind::Album, EntityKind::Track]), "several");
        assert!(EntityKind::ALL.iter().all(|kind| !["none", "several"].contains(&kind.as_str())));
    }
}
