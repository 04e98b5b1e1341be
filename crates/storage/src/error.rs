//! What can go wrong in the store, in two halves: what an agent is told, and the cause for the log.

use stagedoor_crypto::{KekError, OpenError};
use stagedoor_domain::{ErrorCode, PublicError};

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL is out of reach, stopping, full, or refused more connections. Nothing was done, except that the
    /// answer to a commit may have got lost.
    #[error("the store is out of reach")]
    Unavailable(#[source] sqlx::Error),
    /// No connection or no answer within the time allowed.
    #[error("the store did not answer in time")]
    TimedOut,
    /// The role of the connection has rights that this process must not have.
    #[error("refusing to run as database role {role:?}: it {reason}; connect as {instead}")]
    RefusedRole {
        /// The role.
        role: String,
        /// What is wrong with it.
        reason: &'static str,
        /// The role to connect as.
        instead: &'static str,
    },
    /// The schema is not there.
    #[error("the database has no Stagedoor schema; run the migrations first")]
    NotMigrated,
    /// The data was written by a version that this build does not know.
    #[error("the database holds data of storage version {found:?}; this build knows {known:?}")]
    UnknownVersion {
        /// The version that is there.
        found: String,
        /// The versions that would do.
        known: &'static [&'static str],
    },
    /// The connection's URL is wrong.
    #[error("the database URL is not usable")]
    InvalidUrl(#[source] sqlx::Error),
    /// Something of that name or kind is there already.
    #[error("{0} exists already")]
    AlreadyExists(&'static str),
    /// A row that must be there is not.
    #[error("no such {0}")]
    Missing(&'static str),
    /// Someone else wrote in between; nothing was written.
    #[error("{0} were changed meanwhile")]
    Changed(&'static str),
    /// Something of what was asked for cannot be; nothing was written.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which field of it.
        field: &'static str,
        /// Why, for whoever asked.
        problem: String,
    },
    /// What is there does not allow it, whatever is asked for; nothing was written.
    #[error("{0}")]
    Impossible(&'static str),
    /// What the database says to its listeners does not arrive, as behind a pooler in transaction mode.
    #[error(
        "nothing that the database says to its listeners arrives; is there a pooler in transaction mode?"
    )]
    Deaf,
    /// There is no partition for that day of the audit trail.
    #[error("the audit trail has no partition for that day")]
    NoAuditPartition,
    /// There is no partition for that day of the figures of usage.
    #[error("usage has no partition for that day")]
    NoUsagePartition,
    /// A sealed value does not open.
    #[error("{what} does not open")]
    Unreadable {
        /// Which value.
        what: &'static str,
        /// Why.
        source: OpenError,
    },
    /// A stored value that is no secret does not open, or is not what it says it is.
    #[error("the stored {what} is damaged")]
    Damaged {
        /// Which value.
        what: &'static str,
        /// What an agent is told that it means.
        code: ErrorCode,
        /// What is wrong with it.
        source: Box<StoreError>,
    },
    /// A key that seals or opens is not to be had: its key-encryption key is out of reach or unknown, or its wrap does
    /// not open. Says nothing about what is sealed under it.
    #[error("{what} is not available")]
    KeyUnavailable {
        /// Which key.
        what: &'static str,
        /// Why.
        source: KekError,
    },
    /// The session was set aside because it did not open; linking the account again replaces it.
    #[error("the session is in quarantine")]
    Quarantined,
    /// The link attempt ended while the provider's answer was on its way; nothing was stored.
    #[error("the link attempt ended before it could be finished")]
    LinkEnded,
    /// A stored value is none that this build understands.
    #[error("{what} holds {found:?}, which this version does not understand")]
    NotUnderstood {
        /// Which column.
        what: &'static str,
        /// What it holds.
        found: String,
    },
    /// Anything else the database refused: a fault of ours.
    #[error("the database refused a query")]
    Query(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the same call can succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut)
            || matches!(self, Self::KeyUnavailable { source, .. } if source.may_pass())
    }

    /// What an agent is told.
    pub fn public(&self) -> PublicError {
        match self {
            Self::Unavailable(_) | Self::TimedOut => {
                PublicError::new(ErrorCode::StoreUnavailable, "The gateway's database is out of reach.")
                    .hint("Try again in a few seconds.")
                    .retry_after(std::time::Duration::from_secs(2))
            }
            Self::Unreadable { .. } => PublicError::new(
                ErrorCode::SessionUnreadable,
                "A stored secret of this account could not be opened.",
            )
            .hint("Link the account again with account_link; an operator may be able to restore it."),
            Self::Damaged { what, code, .. } => {
                PublicError::new(*code, format!("The stored {what} was damaged and cannot be opened."))
                    .hint("Tell the operator, who may be able to restore it.")
            }
            Self::Quarantined => PublicError::new(
                ErrorCode::SessionUnreadable,
                "The stored session of this account could not be opened and was set aside.",
            )
            .hint("Link the account again with account_link; an operator may be able to restore it."),
            Self::LinkEnded => {
                PublicError::new(ErrorCode::LinkExpired, "This link ended before it could be finished.")
                    .hint("Ask for a new link with account_link.")
            }
            Self::Changed(what) => {
                PublicError::new(ErrorCode::Conflict, format!("Someone changed {what} meanwhile; nothing was done."))
                    .hint("Read again, then repeat the change with the new revision.")
            }
            Self::KeyUnavailable { source, .. } => {
                let told = PublicError::new(
                    ErrorCode::KeyUnavailable,
                    "A key that this tenant's secrets are sealed with is out of reach; nothing was done.",
                );
                // What is sealed anew needs the keys that are out of reach, but not one whose own seal was damaged.
                let hint = "Tell the operator: the gateway's log names the key.";
                let told = match source {
                    KekError::Altered => told.hint(hint),
                    _ => told.hint(format!("{hint} Linking again does not help.")),
                };
                if self.is_transient() { told.retry_after(std::time::Duration::from_secs(10)) } else { told }
            }
            Self::Invalid { field, problem } => {
                PublicError::new(ErrorCode::InvalidArguments, format!("{field}: {problem}."))
            }
            Self::Impossible(why) => PublicError::new(ErrorCode::Conflict, format!("Nothing was done: {why}.")),
            Self::Missing("data key") => PublicError::new(
                ErrorCode::KeyUnavailable,
                "The key that this secret was sealed with was destroyed or is gone; nothing was done.",
            )
            .hint("Tell the operator. If it belongs to an account, linking that again seals it under a key that is there."),
            _ => PublicError::internal(),
        }
    }

    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }

    pub(crate) fn unreadable(what: &'static str) -> impl FnOnce(OpenError) -> Self {
        move |source| Self::Unreadable { what, source }
    }

    /// The error with damage told as damage of `what`, which is no secret.
    pub(crate) fn or_damaged(what: &'static str, code: ErrorCode) -> impl Fn(Self) -> Self {
        move |error| match error {
            Self::Unreadable { .. } | Self::NotUnderstood { .. } | Self::Missing(_) => {
                Self::Damaged { what, code, source: Box::new(error) }
            }
            error => error,
        }
    }

    pub(crate) fn key_unavailable(what: &'static str) -> impl FnOnce(KekError) -> Self {
        move |source| Self::KeyUnavailable { what, source }
    }

    pub(crate) fn not_understood(what: &'static str, found: impl Into<String>) -> Self {
        Self::NotUnderstood { what, found: found.into() }
    }

    /// The error with a broken reference told as `what` not being there.
    pub(crate) fn or_missing(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| {
            let dangling =
                error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation);
            if dangling { Self::Missing(what) } else { error.into() }
        }
    }

    /// The error with a broken uniqueness told as `what` being there already.
    pub(crate) fn or_exists(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| {
            let duplicate =
                error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
            if duplicate { Self::AlreadyExists(what) } else { error.into() }
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as Cause;
        match &error {
            Cause::PoolTimedOut => Self::TimedOut,
            Cause::Io(_) | Cause::Tls(_) | Cause::PoolClosed | Cause::WorkerCrashed | Cause::BeginFailed => {
                Self::Unavailable(error)
            }
            Cause::Database(cause) if cause.code().is_some_and(|code| is_outage(&code)) => {
                Self::Unavailable(error)
            }
            _ => Self::Query(error),
        }
    }
}

/// SQLSTATEs of a server that cannot serve now (PostgreSQL appendix A): connection exceptions, lack of resources,
/// operator intervention (shutdown, statement timeout), system errors, lock and idle timeouts, lost races
/// (serialization, deadlock), read-only standby.
fn is_outage(code: &str) -> bool {
    matches!(&code[..2.min(code.len())], "08" | "53" | "57" | "58")
        || matches!(code, "55P03" | "25P03" | "25006" | "40001" | "40P01")
}
