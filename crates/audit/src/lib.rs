//! The audit trail: one call, one record, opened before the work and closed after it, in a hash chain for each tenant
//! and day that stays valid when a person is erased (SECURITY §7). Tables and SQL are in `storage`.
#![warn(missing_docs)]

mod action;
mod backlog;
mod bundle;
mod chain;
mod check;
mod checkpoint;
mod counters;
mod days;
mod entry;
mod error;
mod event;
mod export;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hex;
mod log;
mod parked;
mod payload;
mod query;
mod reader;
mod report;
mod retained;
mod sizes;
mod stored;
mod verify;
mod worker;

pub use action::{AuditAction, AuditClass, GdprCategory};
pub use checkpoint::{
    ArchiveError, Archived, Checkpoint, CheckpointArchive, CheckpointCounts, Checkpointer, SealError,
};
pub use counters::AuditCounts;
pub use days::DayRange;
pub use entry::AuditEntry;
pub use error::AuditError;
pub use event::{AuditClient, AuditOpening, AuditOutcome, AuditResource, RecordKind, Refusal};
pub use export::{ExportError, ExportSummary, export, verify_export};
pub use log::{AuditLog, AuditOptions};
pub use query::{
    AuditCursor, AuditFilter, AuditMatch, AuditOrder, AuditPage, InvalidCursor, LARGEST_PAGE, query,
};
pub use reader::{AuditView, PayloadView, read_records};
pub use report::{AuditFault, FaultKind, VerificationReport};
pub use verify::{ChainFault, ChainReport, VerifyError, verify_chain, verify_stored, verify_stored_against};
pub use worker::AuditWorker;
