//! What the broker counts, by provider.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::types::Urgency;

/// What the broker did for one provider since the start, and what it is like now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BrokerCounters {
    /// Calls that had to wait in line.
    pub queued: u64,
    /// Calls refused because their turn would have come, or came, too late.
    pub refused: u64,
    /// Background work refused because the client was under pressure.
    pub refused_background: u64,
    /// Calls refused while they were in line: a pause began, or the line was full and theirs the longest part of it.
    pub given_way: u64,
    /// 429s.
    pub pauses: u64,
    /// Pauses learned from another replica.
    pub shared_pauses: u64,
    /// Calls in line now.
    pub waiting: u64,
    /// Requests under way now.
    pub in_flight: u64,
    /// Client ids with a pace now.
    pub paced: u64,
    /// Client ids that are left alone now.
    pub paused: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    queued: AtomicU64,
    refused: AtomicU64,
    refused_background: AtomicU64,
    given_way: AtomicU64,
    pauses: AtomicU64,
    shared_pauses: AtomicU64,
}

impl Tally {
    pub(super) fn queued(&self) {
        add(&self.queued);
    }

    pub(super) fn refuse(&self, urgency: Urgency) {
        add(match urgency {
            Urgency::Call => &self.refused,
            Urgency::Background => &self.refused_background,
        });
    }

    pub(super) fn given_way(&self) {
        add(&self.given_way);
    }

    pub(super) fn pauses(&self) {
        add(&self.pauses);
    }

    pub(super) fn shared_pauses(&self) {
        add(&self.shared_pauses);
    }

    /// The counters; what is the case now is left at 0.
    pub(super) fn read(&self) -> BrokerCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BrokerCounters {
            queued: read(&self.queued),
            refused: read(&self.refused),
            refused_background: read(&self.refused_background),
            given_way: read(&self.given_way),
            pauses: read(&self.pauses),
            shared_pauses: read(&self.shared_pauses),
            ..BrokerCounters::default()
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
