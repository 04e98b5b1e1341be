//! The audit trail: one call, one record, opened before the work and closed after it, in a hash chain for each tenant
//! and day that stays valid when a person is erased (SECURITY §7). Tables and SQL are in `storage`.
#![warn(missing_docs)]

mod backlog;
mod bundle;
mod chain;
mod counters;
mod entry;
mod error;
mod event;
mod log;
mod parked;
mod payload;
mod reader;
mod worker;

pub use chain::{ChainFault, ChainReport, FaultKind, verify_chain};
pub use counters::AuditCounts;
pub use entry::AuditEntry;
pub use error::AuditError;
pub use event::{
    AuditAction, AuditClass, AuditClient, AuditOpening, AuditOutcome, AuditResource, GdprCategory,
    RecordKind, Refusal,
};
pub use log::{AuditLog, AuditOptions};
pub use reader::{AuditView, PayloadView, read_records};
pub use worker::AuditWorker;
