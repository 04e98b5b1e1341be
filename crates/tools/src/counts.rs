//! What is counted of sessions, for metrics and alerts.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a refresh of a person's tokens ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// New tokens were stored.
    Refreshed,
    /// Another replica's refresh was stored first, and counts.
    Superseded,
    /// The provider no longer accepts the grant.
    Refused,
    /// The provider failed, or its answer was lost; the grant is as it was.
    Failed,
    /// It was not tried, because it could not be audited.
    Unrecorded,
    /// New tokens came and could not be stored.
    Lost,
}

impl RefreshOutcome {
    /// Every outcome; one's place is its index.
    pub const ALL: [Self; 6] =
        [Self::Refreshed, Self::Superseded, Self::Refused, Self::Failed, Self::Unrecorded, Self::Lost];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refreshed => "refreshed",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unrecorded => "unrecorded",
            Self::Lost => "lost",
        }
    }
}

/// Totals since the start, but for `in_memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionCounts {
    /// Sessions opened from the database.
    pub opened_cold: u64,
    /// Uses of a session that was in memory.
    pub opened_memory: u64,
    /// Refreshes, by [`RefreshOutcome::ALL`].
    pub refreshes: [u64; RefreshOutcome::ALL.len()],
    /// Sessions that got a new id and a new seal.
    pub rotations: u64,
    /// Sessions that did not open and were set aside.
    pub quarantines: u64,
    /// Devices that were new to an account.
    pub devices_new: u64,
    /// Times that an account was used from more devices at a time than the tenant wants.
    pub devices_exceeded: u64,
    /// Calls that were refused because of the device.
    pub devices_refused: u64,
    /// Handles that were used by someone whom they do not belong to.
    pub hijack_attempts: u64,
    /// Opened sessions in memory now; the one figure here that also falls.
    pub in_memory: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) opened_cold: Counter,
    pub(crate) opened_memory: Counter,
    refreshes: [Counter; RefreshOutcome::ALL.len()],
    pub(crate) rotations: Counter,
    pub(crate) quarantines: Counter,
    pub(crate) devices_new: Counter,
    pub(crate) devices_exceeded: Counter,
    pub(crate) devices_refused: Counter,
    pub(crate) hijack_attempts: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn refresh(&self, outcome: RefreshOutcome) {
        self.refreshes[outcome as usize].add();
    }

    pub(crate) fn snapshot(&self, in_memory: usize) -> SessionCounts {
        SessionCounts {
            opened_cold: self.opened_cold.get(),
            opened_memory: self.opened_memory.get(),
            refreshes: self.refreshes.each_ref().map(Counter::get),
            rotations: self.rotations.get(),
            quarantines: self.quarantines.get(),
            devices_new: self.devices_new.get(),
            devices_exceeded: self.devices_exceeded.get(),
            devices_refused: self.devices_refused.get(),
            hijack_attempts: self.hijack_attempts.get(),
            in_memory: in_memory as u64,
        }
    }
}
