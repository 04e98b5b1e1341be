//! The way from a call to the store: counted at once, written by one task within seconds of the minute's end, and by
//! whoever ends the process. While the store is away lines wait, a bounded number of them; what is lost is counted.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{CallId, Clock, Entropy, Tenant, TenantContext};
use stagedoor_storage::usage::{self, MinuteLine};
use stagedoor_storage::{Store, StoreError, TenantTransaction};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::call::CallRecord;
use crate::counting::{Bounds, Counting};
use crate::pending::{Lines, Pending};

/// How often it is looked whether a minute is over.
const EVERY: Duration = Duration::from_secs(1);
/// Lines that are written at once, about 300 bytes each.
const BATCH: usize = 500;
/// Lines that wait at most: about 30 MB.
const WAITING: usize = 100_000;
const BOUNDS: Bounds = Bounds { of_tenant: 2_000, in_all: 20_000 };

/// What agents' calls came to and is not in the store yet.
pub struct UsageLog {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Stands for this process.
    replica: Uuid,
    counting: Counting,
    pending: Pending,
    /// Held while a flush is under way, so that the last one, at shutdown, does not miss what another holds.
    flushing: Mutex<()>,
    recorded: AtomicU64,
    overflowed: AtomicU64,
    lost: AtomicU64,
}

/// What is counted of the counting. Calls and refusals are counted alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageCounts {
    /// In the store.
    pub recorded: u64,
    /// Counted without their names, because there were too many series within the minute.
    pub overflowed: u64,
    /// Not in the store and never will be: too many waited for it, or it would not have them.
    pub lost: u64,
    /// Series of the minute that is going on.
    pub series: u64,
    /// Lines of minutes that are over and wait to be written.
    pub waiting: u64,
}

impl UsageLog {
    /// Nothing counted yet.
    pub fn new(store: Store, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let replica = stagedoor_domain::ids::uuid_v7(clock.as_ref(), entropy.as_ref());
        Self {
            store,
            clock,
            entropy,
            replica,
            counting: Counting::new(BOUNDS),
            pending: Pending::default(),
            flushing: Mutex::new(()),
            recorded: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Counts a call; under its person and principal only if `named`.
    pub fn record(&self, ctx: &TenantContext, named: bool, call: &CallRecord) {
        if !self.counting.add(ctx, self.clock.now(), named, call) {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts credentials that were refused at a tenant's endpoint.
    pub fn refused_credentials(&self, tenant: Arc<Tenant>) {
        let call = CallId::generate(self.clock.as_ref(), self.entropy.as_ref());
        #[expect(clippy::disallowed_methods, reason = "nobody was let in, and the tenant learns of it")]
        let ctx = TenantContext::for_job(tenant, "usage", call);
        self.counting.refuse(&ctx, self.clock.now());
    }

    /// What is counted of the counting.
    pub fn counts(&self) -> UsageCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        UsageCounts {
            recorded: read(&self.recorded),
            overflowed: read(&self.overflowed),
            lost: read(&self.lost),
            series: self.counting.series() as u64,
            waiting: self.pending.len() as u64,
        }
    }

    /// Writes minutes that are over until `until`.
    pub async fn run(self: Arc<Self>, until: CancellationToken) {
        let (mut failing, mut told) = (false, self.counts());
        while until.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            // A write is never broken off in the middle.
            let outcome = self.flush(false).await;
            match &outcome {
                Err(error) if !failing => {
                    tracing::warn!(error = %Chain(error), "figures of usage wait to be written");
                }
                Ok(()) if failing => tracing::info!("figures of usage are written again"),
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
            told = self.tell(told);
        }
    }

    /// Writes what waits: of minutes that are over, or with `all` of the present one too. What the store cannot take now
    /// goes on waiting.
    pub async fn flush(&self, all: bool) -> Result<(), StoreError> {
        let _alone = self.flushing.lock().await;
        for closed in self.counting.take(self.clock.now(), all) {
            for (ctx, lines) in closed.into_lines() {
                let lost = self.pending.push(Lines { ctx, lines }, WAITING);
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
        while let Some(lines) = self.pending.pop(BATCH) {
            match self.write(&lines).await {
                Ok(true) => {
                    self.recorded.fetch_add(lines.events(), Ordering::Relaxed);
                }
                // The tenant is being deleted, and its figures with it.
                Ok(false) => {}
                Err(error) if error.is_transient() => {
                    self.pending.push_front(lines);
                    return Err(error);
                }
                Err(error) => {
                    self.lost.fetch_add(lines.events(), Ordering::Relaxed);
                    tracing::error!(error = %Chain(&error), "figures of usage could not be written");
                }
            }
        }
        Ok(())
    }

    async fn write(&self, lines: &Lines) -> Result<bool, StoreError> {
        for batch in lines.lines.chunks(BATCH) {
            let written = match self.append(&lines.ctx, batch).await {
                Err(StoreError::NoUsagePartition) => {
                    let days: BTreeSet<_> = batch.iter().map(|line| line.starts_at.date_naive()).collect();
                    for day in days {
                        usage::ensure_partitions(&self.store, day, 1).await?;
                    }
                    self.append(&lines.ctx, batch).await
                }
                outcome => outcome,
            };
            if !written? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn append(&self, ctx: &TenantContext, lines: &[MinuteLine]) -> Result<bool, StoreError> {
        let write = async |tx: &mut TenantTransaction| usage::append(tx, self.replica, lines).await;
        self.store.with_tenant(ctx, write).await
    }

    /// Says what went wrong since `before`, once a second at most, and answers how it stands now.
    fn tell(&self, before: UsageCounts) -> UsageCounts {
        let now = self.counts();
        if now.overflowed > before.overflowed {
            tracing::warn!(
                calls = now.overflowed - before.overflowed,
                "more keys and tools were used within a minute than are counted apart"
            );
        }
        if now.lost > before.lost {
            tracing::error!(calls = now.lost - before.lost, "calls are missing from the figures of usage");
        }
        now
    }
}

impl fmt::Debug for UsageLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageLog").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
