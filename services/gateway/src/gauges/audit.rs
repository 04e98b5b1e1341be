//! The audit trail: what is written, what waits, what is not under a checkpoint yet.

use std::fmt;
use std::time::Duration;

use super::{Gauges, Page};

pub(super) fn write(page: &mut Page<'_, '_>, gauges: &Gauges) -> fmt::Result {
    let audit = gauges.audit.counts();
    let checkpoints = gauges.checkpointer.counts();
    let counters = [
        ("audit_queued", "Audit records handed to the queue", audit.queued),
        ("audit_written", "Audit records in the store", audit.written),
        ("audit_dropped", "Audit records lost", audit.dropped),
        ("audit_late_closings", "Closing records that failed at once and were queued", audit.late_closings),
        ("audit_retries", "Batches of audit records tried again", audit.retries),
        ("audit_log_full", "Calls refused because their tenant's log of the day was full", audit.log_full),
        ("audit_log_nearly_full", "Tenants' days seen at 80 % of their size", audit.log_nearly_full),
        ("audit_checkpoints", "Checkpoints of the audit trail in the store", checkpoints.written),
        ("audit_checkpoint_failures", "Checkpoints that could not be made or stored", checkpoints.failures),
        ("audit_checkpoints_archived", "Checkpoints brought to the archive", checkpoints.archived),
        (
            "audit_archive_failures",
            "Times that the archive did not take a checkpoint",
            checkpoints.archive_failures,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    let figures = [
        ("audit_parked", "Audit records that the store did not take yet", audit.parked),
        ("audit_archive_lag", "Checkpoints that the archive lacks", checkpoints.archive_lag),
        (
            "audit_unsealed_seconds",
            "Age of the oldest audit record that no checkpoint covers",
            checkpoints.oldest_unsealed.as_ref().map_or(0, Duration::as_secs),
        ),
    ];
    for (name, help, value) in figures {
        page.gauge(name, help, value)?;
    }
    Ok(())
}
