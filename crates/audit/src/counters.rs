//! What the writer counts, for metrics and alerts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the start, but for `parked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditCounts {
    /// Records handed to the queue.
    pub queued: u64,
    /// Records in the database, by either way.
    pub written: u64,
    /// Records lost: not written before the process ended.
    pub dropped: u64,
    /// Closing records of class A that failed at once and went to the queue instead.
    pub late_closings: u64,
    /// Writes by the writer that failed, each of which is tried again.
    pub retries: u64,
    /// Records that wait now because their chain could not be written; the one figure here that also falls.
    pub parked: u64,
    /// Calls that were refused because their tenant's log of the day had reached its size.
    pub log_full: u64,
    /// Times that a tenant's log of a day reached four fifths of its size.
    pub log_nearly_full: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) queued: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) late_closings: AtomicU64,
    pub(crate) retries: AtomicU64,
}

impl Counters {
    pub(crate) fn snapshot(&self, parked: usize) -> AuditCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AuditCounts {
            queued: read(&self.queued),
            written: read(&self.written),
            dropped: read(&self.dropped),
            late_closings: read(&self.late_closings),
            retries: read(&self.retries),
            parked: parked as u64,
            ..AuditCounts::default()
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
