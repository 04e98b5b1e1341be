//! The writer: takes what is queued, in batches, and keeps trying while the database is away. Also sees to the
//! trail's partitions and to the vault's promise to forget.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::NaiveDate;
use stagedoor_domain::TenantId;
use stagedoor_domain::error::Chain;
use stagedoor_storage::{KeyVault, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::bundle::Batch;
use crate::counters::{Counters, add};
use crate::event::Event;
use crate::log::Shared;

const PARTITION_CHECK: Duration = Duration::from_hours(1);
/// Yesterday, today and the next days: replicas' clocks differ, and a keeper may be late.
const PARTITION_DAYS: u8 = 5;
const FORGET_CHECK: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(1);
/// Tries again after an answer that is no outage, before the records are given up.
const REFUSALS: usize = 3;

/// What travels through the queue.
#[derive(Debug)]
pub(crate) enum Message {
    Event(Box<Event>),
    /// A closing record that was made ready and may or may not be in the database.
    Batch(Batch),
}

impl Message {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Event(_) => 1,
            Self::Batch(batch) => batch.len(),
        }
    }
}

/// The writer of an [`AuditLog`](crate::AuditLog).
#[derive(Debug)]
pub struct AuditWorker {
    // Weak, because the log holds the queue's sending half: the writer must not keep its own queue open.
    shared: Weak<Shared>,
    vault: Arc<KeyVault>,
    flush_interval: Duration,
    batch: usize,
    drain_timeout: Duration,
    queue: mpsc::Receiver<Message>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    /// Records taken from the queue and neither written nor given up.
    in_hand: AtomicUsize,
}

enum Wake {
    Records,
    Flush(oneshot::Sender<()>),
    Stop,
}

impl AuditWorker {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        queue: mpsc::Receiver<Message>,
        flushes: mpsc::Receiver<oneshot::Sender<()>>,
    ) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            vault: shared.vault.clone(),
            flush_interval: shared.options.flush_interval,
            batch: shared.options.batch,
            drain_timeout: shared.options.drain_timeout,
            queue,
            flushes,
            in_hand: AtomicUsize::new(0),
        }
    }

    /// Writes until `shutdown`, then writes what is left and ends. Records of calls that are still open then are
    /// waited for too, up to the drain timeout.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let upkeep = upkeep(self.vault.clone());
        let write = async {
            let mut taken = Vec::with_capacity(self.batch);
            loop {
                let wake = self.next(&mut taken, &shutdown).await;
                match wake {
                    Wake::Records => self.write(&mut taken, &shutdown).await,
                    Wake::Flush(reply) => {
                        self.write_queued(&mut taken, &shutdown).await;
                        let _ = reply.send(());
                    }
                    Wake::Stop => return self.drain(&mut taken, &shutdown).await,
                }
            }
        };
        tokio::select! {
            () = write => {}
            never = upkeep => match never {},
        }
    }

    /// Waits for a reason to write, and then for the flush interval, so that a batch is worth its round trips.
    async fn next(&mut self, taken: &mut Vec<Message>, shutdown: &CancellationToken) -> Wake {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Wake::Stop,
            Some(reply) = self.flushes.recv() => return Wake::Flush(reply),
            received = self.queue.recv_many(taken, self.batch) => {
                if received == 0 {
                    return Wake::Stop;
                }
            }
        }
        if taken.len() < self.batch {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Wake::Stop,
                Some(reply) = self.flushes.recv() => return Wake::Flush(reply),
                () = sleep(self.flush_interval) => {}
            }
            self.take_queued(taken);
        }
        Wake::Records
    }

    fn take_queued(&mut self, taken: &mut Vec<Message>) {
        while taken.len() < self.batch
            && let Ok(message) = self.queue.try_recv()
        {
            taken.push(message);
        }
    }

    async fn write_queued(&mut self, taken: &mut Vec<Message>, shutdown: &CancellationToken) {
        loop {
            self.take_queued(taken);
            if taken.is_empty() {
                return;
            }
            self.write(taken, shutdown).await;
        }
    }

    async fn drain(&mut self, taken: &mut Vec<Message>, shutdown: &CancellationToken) {
        self.queue.close();
        let patience = self.drain_timeout;
        let rest = async {
            self.write_queued(taken, shutdown).await;
            while self.queue.recv_many(taken, self.batch).await > 0 {
                self.write(taken, shutdown).await;
            }
        };
        if timeout(patience, rest).await.is_err() {
            let mut lost =
                self.in_hand.load(Ordering::Relaxed) + taken.iter().map(Message::len).sum::<usize>();
            while let Ok(message) = self.queue.try_recv() {
                lost += message.len();
            }
            tracing::error!(lost, "audit records were not written before the process ended");
            self.count(|counters| add(&counters.dropped, lost));
        }
    }

    /// Writes what was taken, tenant by tenant and day by day, each in its order.
    async fn write(&self, taken: &mut Vec<Message>, shutdown: &CancellationToken) {
        while !taken.is_empty() {
            let count = first_group(taken);
            let mut batch = None;
            let mut events: Vec<Event> = Vec::with_capacity(count);
            for message in taken.drain(..count) {
                match message {
                    Message::Event(event) => events.push(*event),
                    Message::Batch(ready) => batch = Some(ready),
                }
            }
            let records = batch.as_ref().map_or(events.len(), Batch::len);
            self.in_hand.store(records, Ordering::Relaxed);
            self.insist(shutdown, records, &mut batch, &events).await;
            self.in_hand.store(0, Ordering::Relaxed);
        }
    }

    /// Writes the batch, which is made once: trying the same one again cannot write its records twice.
    async fn attempt(&self, batch: &mut Option<Batch>, events: &[Event]) -> Result<(), StoreError> {
        let ready = match batch.take() {
            Some(ready) => ready,
            None => Batch::prepare(&self.vault, events).await?,
        };
        batch.insert(ready).append(&self.vault).await
    }

    /// Tries until it works; gives up after a few tries on an error that later ones would meet again.
    async fn insist(
        &self,
        shutdown: &CancellationToken,
        records: usize,
        batch: &mut Option<Batch>,
        events: &[Event],
    ) {
        let mut wait = FIRST_RETRY;
        let mut refusals = 0;
        loop {
            match self.attempt(batch, events).await {
                Ok(()) => return self.count(|counters| add(&counters.written, records)),
                Err(error) if error.is_transient() || refusals < REFUSALS => {
                    refusals += usize::from(!error.is_transient());
                    if wait == FIRST_RETRY {
                        let error = Chain(&error);
                        tracing::warn!(%error, records, "audit records wait for the database");
                    }
                    self.count(|counters| add(&counters.retries, 1));
                    sleep(if shutdown.is_cancelled() { FIRST_RETRY } else { wait }).await;
                    wait = (wait * 2).min(LAST_RETRY);
                }
                Err(error) => {
                    let error = Chain(&error);
                    tracing::error!(%error, records, "audit records were refused by the database and are lost");
                    return self.count(|counters| add(&counters.dropped, records));
                }
            }
        }
    }

    fn count(&self, count: impl FnOnce(&Counters)) {
        if let Some(shared) = self.shared.upgrade() {
            count(&shared.counters);
        }
    }
}

/// Moves the records that share the first one's tenant and day to the front, and answers how many they are.
fn first_group(taken: &mut [Message]) -> usize {
    let Some(first) = taken.first().and_then(event).map(chain_of) else { return 1 };
    taken.sort_by_key(|message| event(message).map(chain_of) != Some(first));
    taken.iter().take_while(|message| event(message).map(chain_of) == Some(first)).count()
}

fn event(message: &Message) -> Option<&Event> {
    match message {
        Message::Event(event) => Some(event),
        Message::Batch(_) => None,
    }
}

fn chain_of(event: &Event) -> (TenantId, NaiveDate) {
    (event.context.tenant_id(), event.at.date_naive())
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
                    let error = Chain(&error);
                    tracing::warn!(%error, "the audit trail's partitions were not checked");
                    partitions.reset_after(LAST_RETRY);
                }
            }
            _ = forget.tick() => vault.forget_expired(),
        }
    }
}
