//! Why a call cannot be audited, which means that it is not done.

use std::time::Duration;

use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_storage::StoreError;

/// Why a record could not be opened or kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The record of a call that changes something could not be written.
    #[error("the audit record could not be written")]
    NotWritten(#[source] StoreError),
    /// The key that the record would be sealed under does not open.
    #[error("the audit record could not be sealed")]
    NotSealable(#[source] StoreError),
    /// A flush took longer than the drain timeout; the records are kept and tried again.
    #[error("audit records still wait to be written")]
    StillWaiting,
    /// The queue stayed full for as long as a call may wait, or as many of the tenant's records are parked as may be.
    #[error("the audit queue is full")]
    QueueFull,
    /// The tenant's log of the day has reached its size: nothing of class B is recorded any more.
    #[error("the tenant's audit log of the day has reached its size")]
    LogFull {
        /// Until the next day's log begins, at most an hour.
        retry_after: Duration,
    },
    /// The writer has stopped, as it does when the process ends.
    #[error("the audit writer has stopped")]
    Stopped,
}

impl AuditError {
    /// What an agent is told.
    pub fn public(&self) -> PublicError {
        // What keeps a record from being sealed keeps everything else of the tenant from being opened: say that.
        if let Self::NotSealable(cause @ StoreError::KeyUnavailable { .. })
        | Self::NotWritten(cause @ StoreError::KeyUnavailable { .. }) = self
        {
            return cause.public();
        }
        if let Self::LogFull { retry_after } = self {
            return PublicError::new(
                ErrorCode::AuditLogFull,
                "This tenant's audit log has reached its size for today, so reads cannot be recorded and are not done.",
            )
            .hint("A new log begins at midnight UTC; an operator can raise audit.max_log_size_bytes.")
            .retry_after(*retry_after);
        }
        PublicError::new(ErrorCode::AuditUnavailable, "The call cannot be recorded now, so it was not done.")
            .hint("Try again in a few seconds.")
            .retry_after(Duration::from_secs(2))
    }
}
