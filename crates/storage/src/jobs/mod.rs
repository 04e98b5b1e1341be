//! Work that outlives its call: what a job is. Making and reading one is in `row`, who works on it in `claims`, what a
//! worker writes in `steps`, its big contents in `parts`. What a document says and what a step does are `tools`' to say.

mod claims;
mod parts;
mod row;
mod seal;
mod steps;

use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::{ApiKeyId, JobId, LinkedAccountId, Principal, ScopeSet, ToolsetSet, UserId};

pub use claims::{
    CLAIMED, Claim, Ended, Held, claim_due, claim_one, end, hold, postpone, release, request_cancel,
};
pub use parts::load_parts;
pub use row::{create, load, under_way};
pub use steps::{Step, decide, save};

use crate::error::StoreError;

/// How long a job is kept after its last step, by the database's clock.
pub const KEPT: Duration = Duration::from_hours(7 * 24);

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for a worker.
    Queued,
    /// A worker is on it, or has died on it.
    Running,
    /// Waits for a decision of whoever began it.
    Waiting,
    /// Done.
    Done,
    /// Ended by an error.
    Failed,
    /// Ended because it was asked to.
    Cancelled,
}

/// A piece of a job's contents, sealed and written apart from the others.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number within the job.
    pub number: u32,
    /// What it holds.
    pub content: Vec<u8>,
}

/// A job to make.
#[derive(Clone, Copy)]
pub struct NewJob<'a> {
    /// Its id.
    pub id: JobId,
    /// What it does: 1–32 characters of `[a-z_]`.
    pub kind: &'a str,
    /// The person whose accounts it works on.
    pub user: UserId,
    /// Who begins it, with the rights that it may use.
    pub begun_by: &'a Principal,
    /// The accounts that it works on. Unlinking one of them deletes it.
    pub accounts: [Option<LinkedAccountId>; 2],
    /// What it has to do; rewritten as a whole.
    pub document: &'a [u8],
    /// What is too big to be rewritten at each step.
    pub parts: &'a [Part],
    /// How many things there are to do, if known.
    pub total: Option<u64>,
    /// What to tell of it.
    pub message: Option<&'a str>,
}

/// Who began a job, and with which rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunBy {
    /// The principal, as the audit trail names it.
    pub label: String,
    /// Its API key, if it had one.
    pub api_key: Option<ApiKeyId>,
    /// What it was allowed.
    pub scopes: ScopeSet,
    /// Which tools it was shown.
    pub toolsets: ToolsetSet,
    /// Whether tools that write were withheld.
    pub read_only: bool,
    /// When it stops being valid.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A job, opened, but for its parts.
#[derive(Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: String,
    /// The person whose accounts it works on.
    pub user: UserId,
    /// Who began it.
    pub begun_by: BegunBy,
    /// The accounts that it works on.
    pub accounts: [Option<LinkedAccountId>; 2],
    /// How it stands.
    pub state: State,
    /// Raised by each step and each decision.
    pub revision: i64,
    /// How many things are done.
    pub done: u64,
    /// How many things there are to do, if known.
    pub total: Option<u64>,
    /// What to tell of it.
    pub message: Option<String>,
    /// Whether it was asked to end.
    pub cancel_requested: bool,
    /// How often a worker took it.
    pub claims: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its last step was stored.
    pub updated_at: DateTime<Utc>,
    /// When it is forgotten unless a step comes first.
    pub expires_at: DateTime<Utc>,
    /// What it has to do and has done.
    pub document: Vec<u8>,
}

impl State {
    /// Whether it stays like this.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::str::FromStr for State {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let all = [Self::Queued, Self::Running, Self::Waiting, Self::Done, Self::Failed, Self::Cancelled];
        let found = all.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| StoreError::not_understood("jobs.state", text))
    }
}

fn as_bigint(count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::not_understood("a job's progress", count.to_string()))
}

impl std::fmt::Debug for NewJob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewJob").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({}, {} bytes)", self.number, self.content.len())
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
