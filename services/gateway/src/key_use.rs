//! When keys were last used, on its way into the store: collected in memory, written in batches, one write for each key in
//! ten minutes whatever the number of calls and replicas. Kept of a use is its time and nothing else.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{ApiKeyId, Clock, TenantId};
use stagedoor_storage::api_keys::KeyUse;
use stagedoor_storage::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// The time between two writes of one key: what is stored is older than the last use by this much at most, and the time
/// for which a key is remembered.
pub(crate) const GAP: Duration = Duration::from_mins(10);
/// How long a use waits for others at most.
const EVERY: Duration = Duration::from_secs(5);
/// Keys in one batch.
const BATCH: usize = 500;
/// Keys that wait at most, while the store does not take them; beyond it the next use of a key tells.
const MOST: usize = 200_000;

/// Uses that are not in the store yet.
pub struct KeyUses {
    store: Store,
    clock: Arc<dyn Clock>,
    waiting: Mutex<HashMap<(TenantId, ApiKeyId), Duration>>,
    /// Held while a flush is under way, so that the last one, at shutdown, does not miss what another holds.
    flushing: tokio::sync::Mutex<()>,
    written: AtomicU64,
}

impl KeyUses {
    /// Nothing used yet.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let (waiting, flushing) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { store, clock, waiting, flushing, written: AtomicU64::new(0) }
    }

    /// Notes that a key was used just now.
    pub fn note(&self, tenant: TenantId, key: ApiKeyId) {
        let now = self.clock.elapsed();
        let mut waiting = self.waiting();
        if waiting.len() < MOST {
            waiting.insert((tenant, key), now);
        }
    }

    /// Rows that were written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Writes what was used every few seconds until `until`.
    pub async fn run(self: Arc<Self>, until: CancellationToken) {
        let mut failing = false;
        while until.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            let outcome = self.flush().await;
            if let Err(error) = &outcome
                && !failing
            {
                tracing::warn!(error = %Chain(error), "when keys were last used waits to be written");
            }
            failing = outcome.is_err();
        }
    }

    /// Writes everything that waits; what the store cannot take now goes on waiting.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let _alone = self.flushing.lock().await;
        let mut uses: Vec<_> = std::mem::take(&mut *self.waiting()).into_iter().collect();
        while !uses.is_empty() {
            let batch = uses.split_off(uses.len().saturating_sub(BATCH));
            match self.store.note_key_use(&self.told(&batch), GAP).await {
                Ok(written) => {
                    self.written.fetch_add(written, Ordering::Relaxed);
                }
                Err(error) => {
                    let mut waiting = self.waiting();
                    for (key, at) in batch.into_iter().chain(uses) {
                        waiting.entry(key).or_insert(at);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn told(&self, uses: &[((TenantId, ApiKeyId), Duration)]) -> Vec<KeyUse> {
        let now = self.clock.elapsed();
        let told = uses.iter().map(|((tenant, key), at)| KeyUse {
            tenant: *tenant,
            key: key.clone(),
            ago: now.saturating_sub(*at),
        });
        told.collect()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<(TenantId, ApiKeyId), Duration>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyUses").field("waiting", &self.waiting().len()).finish_non_exhaustive()
    }
}
