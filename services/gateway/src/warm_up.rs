//! A replica that starts reads the answers that are asked for most from Redis, beside its first requests: bounded in
//! bytes and time, and given up when the replica has better things to do. No provider is called.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_cache::{Cache, WarmBudget, Warmed};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, Entropy, TenantStatus};
use stagedoor_storage::Store;

use crate::concurrency::Concurrency;
use crate::tenancy;

/// All of it, the look-ups of tenants included.
const TIME: Duration = Duration::from_secs(2);
const TENANTS: usize = 32;
const ENTRIES_OF_A_TENANT: usize = 100;
const TIME_OF_A_TENANT: Duration = Duration::from_millis(250);
/// The part of level 1 that is filled at most.
const PART: u64 = 10;

/// What a warm-up needs.
#[derive(Debug)]
pub struct WarmUp {
    /// What is filled.
    pub cache: Arc<Cache>,
    /// The size of level 1 in bytes.
    pub l1_max_bytes: u64,
    /// Who the tenants are.
    pub store: Store,
    /// How busy the replica is.
    pub concurrency: Arc<Concurrency>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl WarmUp {
    /// Warms up within [`TIME`].
    pub async fn run(self) {
        let mut warmed = Warmed::default();
        let ended = tokio::time::timeout(TIME, self.fill(&mut warmed)).await.is_ok();
        if warmed.entries > 0 {
            tracing::info!(entries = warmed.entries, bytes = warmed.bytes, ended, "level 1 is warmed up");
        }
    }

    async fn fill(&self, warmed: &mut Warmed) {
        let most = self.l1_max_bytes / PART;
        for id in self.cache.popular_tenants(TENANTS).await {
            let left = most.saturating_sub(warmed.bytes);
            if left == 0 || self.concurrency.is_busy() {
                return;
            }
            let tenant = match self.store.tenant_by_id(id).await {
                Ok(Some(tenant)) if tenant.status == TenantStatus::Active => Arc::new(tenant),
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(error = %Chain(&error), "the warm-up ended early");
                    return;
                }
            };
            let ctx = tenancy::establish_job(tenant, "warm-up", &*self.clock, &*self.entropy);
            let budget = WarmBudget { entries: ENTRIES_OF_A_TENANT, bytes: left, time: TIME_OF_A_TENANT };
            let done = self.cache.warm(&ctx, budget).await;
            warmed.entries += done.entries;
            warmed.bytes += done.bytes;
        }
    }
}
