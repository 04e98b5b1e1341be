//! One load at a time for each key: those behind it find what it loaded, or share its outage.

use std::sync::{Mutex, PoisonError};

use stagedoor_crypto::KekError;

use crate::error::StoreError;

/// Lets one call at a time load a key.
#[derive(Default)]
pub(super) struct Gate {
    turn: tokio::sync::Mutex<()>,
    outages: Mutex<Outages>,
}

#[derive(Default)]
struct Outages {
    count: u64,
    last: Option<Outage>,
}

/// What was out of reach, in a form that each of those who waited can be told.
#[derive(Debug, Clone)]
enum Outage {
    Database,
    KeyOutOfReach { what: &'static str, reason: String },
    KeyUnknown { what: &'static str, id: uuid::Uuid },
}

impl Gate {
    /// What `cached` finds once it is this call's turn, else what `load` brings. `load` is not begun if another call
    /// met an outage while this one waited.
    pub(super) async fn pass<T>(
        &self,
        cached: impl Fn() -> Option<T>,
        load: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let before = self.outages().count;
        let _turn = self.turn.lock().await;
        if let Some(found) = cached() {
            return Ok(found);
        }
        if let Some(outage) = self.since(before) {
            return Err(outage.into());
        }
        let outcome = load.await;
        if let Some(outage) = outcome.as_ref().err().and_then(Outage::of) {
            let mut outages = self.outages();
            outages.count += 1;
            outages.last = Some(outage);
        }
        outcome
    }

    fn since(&self, before: u64) -> Option<Outage> {
        let outages = self.outages();
        if outages.count == before { None } else { outages.last.clone() }
    }

    fn outages(&self) -> std::sync::MutexGuard<'_, Outages> {
        self.outages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outage {
    fn of(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::KeyUnavailable { what, source: KekError::Unreachable { reason, .. } } => {
                Some(Self::KeyOutOfReach { what, reason: reason.clone() })
            }
            StoreError::KeyUnavailable { what, source: KekError::UnknownKey(id) } => {
                Some(Self::KeyUnknown { what, id: *id })
            }
            error => error.is_transient().then_some(Self::Database),
        }
    }
}

impl From<Outage> for StoreError {
    fn from(outage: Outage) -> Self {
        match outage {
            Outage::Database => Self::TimedOut,
            Outage::KeyOutOfReach { what, reason } => {
                Self::KeyUnavailable { what, source: KekError::unreachable(reason) }
            }
            Outage::KeyUnknown { what, id } => {
                Self::KeyUnavailable { what, source: KekError::UnknownKey(id) }
            }
        }
    }
}
