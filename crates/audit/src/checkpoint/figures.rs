//! What the checkpointer counts, for metrics and alerts, and what it says once instead of at each look.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::TenantId;
use stagedoor_domain::error::Chain as Causes;
use stagedoor_storage::StoreError;
use uuid::Uuid;

use super::ArchiveError;

/// Totals since the start, and how far behind it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointCounts {
    /// Checkpoints that this replica signed.
    pub written: u64,
    /// Looks that the store refused, and chains that could not be sealed when it was their turn; both are tried again.
    pub failures: u64,
    /// Checkpoints that this replica brought to the archive.
    pub archived: u64,
    /// Times that the archive took none, or has another checkpoint of that number.
    pub archive_failures: u64,
    /// Checkpoints that the archive lacked at the last look.
    pub archive_lag: u64,
    /// The age of the oldest record that no checkpoint covered at the last look.
    pub oldest_unsealed: Option<Duration>,
}

pub(super) struct Figures {
    pub(super) looks: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) archived: AtomicU64,
    pub(super) archive_failures: AtomicU64,
    pub(super) archive_lag: AtomicU64,
    oldest_unsealed: Mutex<Option<DateTime<Utc>>>,
    failing: AtomicBool,
    archive_failing: AtomicBool,
    /// The tenant that was the last one's turn at the archive.
    archive_place: Mutex<TenantId>,
}

impl Figures {
    pub(super) fn new() -> Self {
        Self {
            looks: AtomicU64::new(0),
            written: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            archived: AtomicU64::new(0),
            archive_failures: AtomicU64::new(0),
            archive_lag: AtomicU64::new(0),
            oldest_unsealed: Mutex::new(None),
            failing: AtomicBool::new(false),
            archive_failing: AtomicBool::new(false),
            archive_place: Mutex::new(TenantId(Uuid::nil())),
        }
    }

    pub(super) fn archive_place(&self) -> TenantId {
        *self.archive_place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_archive_place(&self, tenant: TenantId) {
        *self.archive_place.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
    }

    pub(super) fn counts(&self, now: DateTime<Utc>) -> CheckpointCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let oldest = *self.oldest_unsealed.lock().unwrap_or_else(PoisonError::into_inner);
        CheckpointCounts {
            written: read(&self.written),
            failures: read(&self.failures),
            archived: read(&self.archived),
            archive_failures: read(&self.archive_failures),
            archive_lag: read(&self.archive_lag),
            oldest_unsealed: oldest.map(|oldest| (now - oldest).to_std().unwrap_or_default()),
        }
    }

    pub(super) fn set_oldest_unsealed(&self, oldest: Option<DateTime<Utc>>) {
        *self.oldest_unsealed.lock().unwrap_or_else(PoisonError::into_inner) = oldest;
    }

    /// Logs when the store begins to fail and when it answers again, not each look between.
    pub(super) fn note_store(&self, error: Option<&StoreError>) {
        self.failures.fetch_add(error.is_some().into(), Ordering::Relaxed);
        if self.failing.swap(error.is_some(), Ordering::Relaxed) == error.is_some() {
            return;
        }
        if let Some(error) = error {
            tracing::warn!(error = %Causes(error), "the audit trail's chains are not sealed");
        } else {
            tracing::info!("the audit trail's chains are sealed again");
        }
    }

    pub(super) fn note_archive(&self, error: Option<&ArchiveError>) {
        if self.archive_failing.swap(error.is_some(), Ordering::Relaxed) == error.is_some() {
            return;
        }
        if let Some(error) = error {
            tracing::error!(error = %Causes(error), "checkpoints do not reach the archive; they are kept");
        } else {
            tracing::info!("checkpoints reach the archive again");
        }
    }
}
