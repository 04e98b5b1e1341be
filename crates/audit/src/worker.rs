//! The writer: takes what is queued, in batches, and keeps what the database did not take until it does. Also sees to
//! the trail's partitions and to the vault's promise to forget.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stagedoor_domain::error::Chain as Causes;
use stagedoor_storage::{KeyVault, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, Sleep, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backlog::{Backlog, Chain, Job, Message, Work};
use crate::bundle::Batch;
use crate::counters::add;
use crate::log::{Shared, Tallies};
use crate::sizes::Sizes;

const PARTITION_CHECK: Duration = Duration::from_hours(1);
/// Yesterday, today and the next days: replicas' clocks differ, and a keeper may be late.
const PARTITION_DAYS: u8 = 5;
const PARTITION_RETRY: Duration = Duration::from_secs(1);
const FORGET_CHECK: Duration = Duration::from_secs(5);
/// Between the tries of a parked chain while the process ends.
const LAST_CHANCE: Duration = Duration::from_millis(20);

/// The writer of an [`AuditLog`](crate::AuditLog).
#[derive(Debug)]
pub struct AuditWorker {
    vault: Arc<KeyVault>,
    tallies: Tallies,
    flush_interval: Duration,
    batch: usize,
    drain_timeout: Duration,
    queue: mpsc::Receiver<Message>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    backlog: Backlog,
    steps: FuturesUnordered<Pin<Box<dyn Future<Output = Step> + Send>>>,
    taken: Vec<Message>,
    /// Runs while records gather, so that a batch is worth its round trips.
    window: Option<Pin<Box<Sleep>>>,
    /// Who waits for which message to be written.
    waiters: Vec<(u64, oneshot::Sender<()>)>,
    /// The queue is closed and empty.
    ended: bool,
    draining: bool,
}

/// What ends outside of the writer's own turn.
enum Step {
    Tried(Job, Result<(), StoreError>),
    Rested(Chain),
}

impl AuditWorker {
    pub(crate) fn new(
        shared: &Shared,
        queue: mpsc::Receiver<Message>,
        flushes: mpsc::Receiver<oneshot::Sender<()>>,
    ) -> Self {
        let options = &shared.options;
        Self {
            vault: shared.vault.clone(),
            tallies: shared.tallies.clone(),
            flush_interval: options.flush_interval,
            batch: options.batch,
            drain_timeout: options.drain_timeout,
            queue,
            flushes,
            backlog: Backlog::new(options.batch, shared.tallies.parked.clone()),
            steps: FuturesUnordered::new(),
            taken: Vec::with_capacity(options.batch),
            window: None,
            waiters: Vec::new(),
            ended: false,
            draining: false,
        }
    }

    /// Writes until `shutdown`, then writes what is left and ends. Records of calls that are still open then, and
    /// those of parked chains, are waited for too, up to the drain timeout.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let upkeep = upkeep(self.vault.clone());
        let write = async {
            while !self.draining {
                self.turn(&shutdown).await;
            }
            self.drain(&shutdown).await;
        };
        tokio::select! {
            () = write => {}
            never = upkeep => match never {},
        }
    }

    async fn turn(&mut self, shutdown: &CancellationToken) {
        self.start_jobs();
        // What is more than a batch waits in the queue, where it holds its callers up.
        let taking = !self.ended && self.window.is_none() && self.backlog.healthy() < self.batch;
        tokio::select! {
            biased;
            () = shutdown.cancelled(), if !self.draining => self.begin_drain(),
            Some(step) = self.steps.next() => self.settle(step, shutdown),
            Some(reply) = self.flushes.recv() => self.begin_flush(reply),
            () = passed(&mut self.window) => {
                self.take_queued(self.batch);
                self.release();
            }
            count = self.queue.recv_many(&mut self.taken, self.batch), if taking => self.gather(count),
        }
    }

    fn start_jobs(&mut self) {
        while let Some(job) = self.backlog.next_job() {
            self.steps.push(Box::pin(attempt(self.vault.clone(), self.tallies.sizes.clone(), job)));
        }
    }

    fn gather(&mut self, count: usize) {
        for message in self.taken.drain(..) {
            self.backlog.add(message);
        }
        if count == 0 {
            self.ended = true;
            self.begin_drain();
        } else if count >= self.batch || self.draining {
            self.release();
        } else {
            self.window = Some(Box::pin(sleep(self.flush_interval)));
        }
    }

    fn take_queued(&mut self, limit: usize) {
        for _ in 0..limit {
            let Ok(message) = self.queue.try_recv() else { return };
            self.backlog.add(message);
        }
    }

    fn release(&mut self) {
        self.window = None;
        self.backlog.release();
    }

    fn settle(&mut self, step: Step, shutdown: &CancellationToken) {
        match step {
            Step::Rested(chain) => self.backlog.retry(chain),
            Step::Tried(job, Ok(())) => {
                add(&self.tallies.counters.written, job.len());
                if self.backlog.written(&job) {
                    let Chain { tenant, day } = job.chain;
                    tracing::info!(%tenant, %day, "audit records that had waited are written");
                }
                self.answer_waiters();
            }
            Step::Tried(job, Err(error)) => self.park(job, &error, shutdown),
        }
    }

    /// Nothing is given up, whatever the error: a key or a row that an operator mends lets the records be written, and
    /// until then the tenant's calls are refused, because its keys do not open or its room is used up.
    fn park(&mut self, job: Job, error: &StoreError, shutdown: &CancellationToken) {
        add(&self.tallies.counters.retries, 1);
        let (chain, records) = (job.chain, job.len());
        let (wait, newly) = self.backlog.park(job);
        if newly {
            let (Chain { tenant, day }, error) = (chain, Causes(error));
            tracing::warn!(%error, %tenant, %day, records, "audit records were not written; they are kept and tried again");
        }
        let shutdown = (!self.draining).then(|| shutdown.clone());
        self.steps.push(Box::pin(async move {
            match shutdown {
                Some(shutdown) => drop(shutdown.run_until_cancelled(sleep(wait)).await),
                None => sleep(LAST_CHANCE).await,
            }
            Step::Rested(chain)
        }));
    }

    fn begin_flush(&mut self, reply: oneshot::Sender<()>) {
        self.take_queued(self.queue.len());
        self.release();
        self.waiters.push((self.backlog.youngest(), reply));
        self.answer_waiters();
    }

    fn answer_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let oldest = self.backlog.oldest();
        let written = |(youngest, _): &mut (u64, _)| oldest.is_none_or(|oldest| oldest > *youngest);
        for (_, reply) in self.waiters.extract_if(.., written) {
            let _ = reply.send(());
        }
    }

    fn begin_drain(&mut self) {
        self.draining = true;
        self.queue.close();
        self.release();
    }

    async fn drain(&mut self, shutdown: &CancellationToken) {
        let patience = self.drain_timeout;
        let rest = async {
            while !self.ended || self.backlog.records() > 0 {
                self.turn(shutdown).await;
            }
        };
        if timeout(patience, rest).await.is_err() {
            self.take_queued(self.queue.len());
            let lost = self.backlog.records();
            tracing::error!(lost, "audit records were not written before the process ended");
            add(&self.tallies.counters.dropped, lost);
        }
    }
}

async fn attempt(vault: Arc<KeyVault>, sizes: Arc<Sizes>, mut job: Job) -> Step {
    if let Work::Events(events) = &job.work {
        match Batch::prepare(&vault, events).await {
            Ok(batch) => job.work = Work::Batch(batch),
            Err(error) => return Step::Tried(job, Err(error)),
        }
    }
    let outcome = match &job.work {
        Work::Batch(batch) => batch.append(&vault, &sizes).await,
        Work::Events(_) => Ok(()),
    };
    Step::Tried(job, outcome)
}

/// Ends when the window does; never without one.
async fn passed(window: &mut Option<Pin<Box<Sleep>>>) {
    match window {
        Some(window) => window.await,
        None => std::future::pending().await,
    }
}

async fn upkeep(vault: Arc<KeyVault>) -> std::convert::Infallible {
    let mut partitions = interval(PARTITION_CHECK);
    let mut forget = interval(FORGET_CHECK);
    partitions.set_missed_tick_behavior(MissedTickBehavior::Delay);
    forget.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = partitions.tick() => {
                let today = vault.clock().now().date_naive();
                let first = today.pred_opt().unwrap_or(today);
                if let Err(error) = vault.store().ensure_audit_partitions(first, PARTITION_DAYS).await {
                    let error = Causes(&error);
                    tracing::warn!(%error, "the audit trail's partitions were not checked");
                    partitions.reset_after(PARTITION_RETRY);
                }
            }
            _ = forget.tick() => vault.forget_expired(),
        }
    }
}
