//! Works on deletions that are due, of any tenant and wherever they were confirmed: has `stagedoor_tools::Privacy` do
//! their steps. A replica that dies leaves its claims to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stagedoor_audit::Checkpointer;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, Entropy};
use stagedoor_storage::privacy_requests::{self, Claim};
use stagedoor_storage::{Store, StoreError};
use stagedoor_tools::Privacy;
use tokio_util::sync::CancellationToken;

use crate::background::Background;
use crate::claims::Claims;
use crate::tenancy;

/// Deletions that one replica works on at a time.
const AT_A_TIME: usize = 2;
/// How often it is counted how many requests are open.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// How many requests of all tenants were open when they were last counted.
#[derive(Debug, Default)]
pub struct OpenRequests {
    open: AtomicU64,
    late: AtomicU64,
}

impl OpenRequests {
    /// All of them, and those that should have been answered by then.
    pub fn counts(&self) -> (u64, u64) {
        (self.open.load(Ordering::Relaxed), self.late.load(Ordering::Relaxed))
    }
}

/// One replica's worker.
#[derive(Debug)]
pub struct PrivacyWorker {
    pub(crate) store: Store,
    pub(crate) open: Arc<OpenRequests>,
    pub(crate) privacy: Arc<Privacy>,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) background: Background,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl PrivacyWorker {
    /// Works until `until`, which also has deletions under way given back after their step.
    pub async fn run(self: Arc<Self>, until: CancellationToken) {
        let claims = Claims {
            name: "deletion",
            at_a_time: AT_A_TIME,
            background: &self.background,
            entropy: self.entropy.as_ref(),
        };
        let work = |claim: Claim| {
            let (worker, until) = (Arc::clone(&self), until.clone());
            async move {
                if let Err(error) = Box::pin(worker.work(&claim, &until)).await {
                    // Its claim ends by itself, and it is tried again.
                    tracing::warn!(request = %claim.request, error = %Chain(&error), "a deletion could not be begun");
                }
            }
        };
        let claim = |most| privacy_requests::claim_due(&self.store, most);
        claims.run(claim, work, std::future::pending::<()>, &until).await;
    }

    /// Counts the requests that are open until `until`, for the metrics.
    pub async fn count(self: Arc<Self>, until: CancellationToken) {
        while !until.is_cancelled() {
            match privacy_requests::count_open(&self.store).await {
                Ok(counts) => {
                    self.open.open.store(counts.open, Ordering::Relaxed);
                    let before = self.open.late.swap(counts.late, Ordering::Relaxed);
                    if counts.late > before {
                        tracing::error!(late = counts.late, "requests of people for their data are late");
                    }
                }
                // The database check says what is wrong.
                Err(error) => tracing::debug!(error = %Chain(&error), "open requests could not be counted"),
            }
            tokio::select! {
                () = until.cancelled() => {}
                () = tokio::time::sleep(COUNT_EVERY) => {}
            }
        }
    }

    async fn work(&self, claim: &Claim, until: &CancellationToken) -> Result<(), StoreError> {
        let Some(tenant) = self.store.tenant_by_id(claim.tenant).await?.map(Arc::new) else { return Ok(()) };
        let ctx = tenancy::establish_job(tenant, "privacy", self.clock.as_ref(), self.entropy.as_ref());
        Box::pin(self.privacy.erase(&ctx, claim, &self.checkpointer, until)).await;
        Ok(())
    }
}
