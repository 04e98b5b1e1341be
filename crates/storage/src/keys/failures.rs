//! Counts what did not open or could not be sealed, for the alerts: one is a reason to look.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::StoreError;

/// What failed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VaultFailures {
    /// Sealed values that did not open: altered, or belonging elsewhere. What a caller brings back, such as a cursor, is
    /// among them.
    pub unreadable: u64,
    /// Times that a key was not to be had, to seal or to open.
    pub keys_unavailable: u64,
}

#[derive(Debug, Default)]
pub(super) struct FailureCounter {
    unreadable: AtomicU64,
    keys_unavailable: AtomicU64,
}

impl FailureCounter {
    pub(super) fn note<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        match &outcome {
            Err(StoreError::Unreadable { .. }) => self.unreadable.fetch_add(1, Ordering::Relaxed),
            Err(StoreError::KeyUnavailable { .. }) => self.keys_unavailable.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        outcome
    }

    pub(super) fn read(&self) -> VaultFailures {
        VaultFailures {
            unreadable: self.unreadable.load(Ordering::Relaxed),
            keys_unavailable: self.keys_unavailable.load(Ordering::Relaxed),
        }
    }
}
