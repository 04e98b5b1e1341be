//! What a record is about. How it is written out is `payload`'s job.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::{CallId, ErrorCode, ItemRef, SessionId, TenantContext};

use crate::action::{AuditAction, AuditClass, GdprCategory};

/// The longest text of a record that comes from outside, in bytes: a resource's id, what a client calls itself.
pub(crate) const LONGEST_TEXT: usize = 512;

/// The thing that a call was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditResource {
    /// Its kind: `track`, `playlist`, `account`, …
    pub kind: &'static str,
    /// Its id.
    pub id: Box<str>,
}

impl AuditResource {
    /// An item at a provider.
    pub fn item(item: &ItemRef) -> Self {
        Self { kind: item.kind().as_str(), id: item.to_string().into() }
    }

    pub(crate) fn bounded(self) -> Self {
        Self { id: bounded(self.id), ..self }
    }
}

/// Where a call came from. Only keyed codes of both are stored (HMAC under the tenant's key), never the values.
#[derive(Debug, Clone, Default)]
pub struct AuditClient {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The text of its `User-Agent`.
    pub user_agent: Option<Arc<str>>,
    /// The program as it names itself, with its version.
    pub software: Option<Arc<str>>,
}

/// What is known of a call before its work.
#[derive(Debug, Clone)]
pub struct AuditOpening {
    /// What is about to be done.
    pub action: AuditAction,
    /// When its record must be in the database.
    pub class: AuditClass,
    /// What it is about, if that is known by now.
    pub resource: Option<AuditResource>,
    /// Where it came from.
    pub client: AuditClient,
    /// Why.
    pub category: GdprCategory,
}

impl AuditOpening {
    /// An action of its own class and category, about nothing in particular.
    pub fn new(action: AuditAction, client: AuditClient) -> Self {
        Self { action, class: action.class(), resource: None, client, category: action.category() }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub struct AuditOutcome {
    /// The error's code; `None` for success.
    pub error: Option<ErrorCode>,
    /// The HTTP status of the answer.
    pub response_code: u16,
    /// How long the work took.
    pub duration: Duration,
    /// Whether the answer came from the cache.
    pub cached: bool,
}

/// A request that was turned away before it became a call.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The id that its log line carries.
    pub call: CallId,
    /// What was tried.
    pub action: AuditAction,
    /// What it would have been about, where that is known.
    pub resource: Option<AuditResource>,
    /// Who it claimed to be, as a principal's label (`key:…`); unproven.
    pub claimed: Option<Box<str>>,
    /// Why it was turned away.
    pub error: ErrorCode,
    /// The HTTP status of the answer.
    pub response_code: u16,
    /// Where it came from.
    pub client: AuditClient,
}

/// Which part of a call a record holds. The numbers are in the chain's hashes and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A class A call before its work.
    Opened,
    /// A class A call after its work.
    Closed,
    /// A class B call.
    Call,
    /// A refusal.
    Refusal,
}

impl RecordKind {
    /// The number in the table and in the hash.
    pub const fn number(self) -> i16 {
        match self {
            Self::Opened => 1,
            Self::Closed => 2,
            Self::Call => 3,
            Self::Refusal => 4,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Call => "call",
            Self::Refusal => "refusal",
        }
    }
}

/// A record before it is written out.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) context: TenantContext,
    pub(crate) kind: RecordKind,
    /// Whole microseconds, as the database keeps them.
    pub(crate) at: DateTime<Utc>,
    pub(crate) action: AuditAction,
    pub(crate) resource: Option<AuditResource>,
    pub(crate) session: Option<SessionId>,
    pub(crate) client: AuditClient,
    pub(crate) category: GdprCategory,
    pub(crate) claimed: Option<Box<str>>,
    pub(crate) ending: Ending,
}

impl Event {
    /// SEED-T's `event_type`. What failed by a fault of ours or of a service is an error, whatever it was about.
    pub(crate) fn event_type(&self) -> &'static str {
        match self.ending {
            Ending::Done(AuditOutcome { error: Some(error), .. }) if error.http_status() >= 500 => "error",
            _ => self.action.event_type(),
        }
    }

    /// The event with its texts cut to [`LONGEST_TEXT`], so that the queue's places bound its memory.
    pub(crate) fn bounded(mut self) -> Self {
        self.resource = self.resource.map(AuditResource::bounded);
        self.claimed = self.claimed.map(bounded);
        for text in [&mut self.client.user_agent, &mut self.client.software].into_iter().flatten() {
            if let Some(shorter) = cut(text) {
                *text = shorter.into();
            }
        }
        self
    }
}

fn bounded(text: Box<str>) -> Box<str> {
    match cut(&text) {
        Some(shorter) => shorter.into(),
        None => text,
    }
}

/// What is left of a text that is too long.
fn cut(text: &str) -> Option<&str> {
    (text.len() > LONGEST_TEXT).then(|| &text[..text.floor_char_boundary(LONGEST_TEXT)])
}

/// How far a call has come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// Not ended.
    Pending,
    /// Dropped before it ended, after this long.
    Cancelled(Duration),
    /// Ended.
    Done(AuditOutcome),
}
