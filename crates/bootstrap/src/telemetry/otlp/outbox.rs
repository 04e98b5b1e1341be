//! Where things wait for the collector: so many and no more, sent in batches by one task. What finds no room and what the
//! collector does not take is dropped and counted; whoever puts something in never waits.

use std::future::Future;
use std::time::Duration;

use stagedoor_domain::error::Chain;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::tally::{Loss, Signal};

/// About 4 MB of spans.
pub(super) const ROOM: usize = 4096;
pub(super) const BATCH: usize = 512;
/// How long something waits for others.
const PATIENCE: Duration = Duration::from_secs(1);

/// A handle by which what waits is sent at once.
#[derive(Debug)]
pub(in crate::telemetry) struct Outbox(mpsc::Sender<oneshot::Sender<()>>);

impl Outbox {
    /// Waits until everything that was put in before was sent, or dropped.
    pub(in crate::telemetry) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.0.send(done).await.is_ok() {
            // Without an answer the task has ended, and nothing waits.
            let _ = flushed.await;
        }
    }
}

/// Where things are put in.
#[derive(Debug)]
pub(super) struct Slot<T> {
    things: mpsc::Sender<T>,
    signal: Signal,
}

impl<T> Slot<T> {
    /// Leaves `thing` to be sent, if there is room.
    pub(super) fn put(&self, thing: T) {
        match self.things.try_send(thing) {
            Ok(()) => self.signal.tally().waits(1),
            Err(_) => self.signal.tally().lost(Loss::Full, 1),
        }
    }
}

/// An outbox whose batches go through `send`. Needs a runtime.
#[expect(clippy::disallowed_methods, reason = "it outlives `tasks`, whose last lines and spans it sends")]
pub(super) fn open<T, F, E>(
    signal: Signal,
    send: impl Fn(Vec<T>) -> F + Send + Sync + 'static,
) -> (Slot<T>, Outbox)
where
    T: Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::error::Error + Send + 'static,
{
    let (things, received) = mpsc::channel(ROOM);
    let (flushes, flush_requests) = mpsc::channel(4);
    tokio::spawn(run(signal, received, flush_requests, send));
    (Slot { things, signal }, Outbox(flushes))
}

async fn run<T, F, E>(
    signal: Signal,
    mut things: mpsc::Receiver<T>,
    mut flushes: mpsc::Receiver<oneshot::Sender<()>>,
    send: impl Fn(Vec<T>) -> F,
) where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + 'static,
{
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            received = things.recv_many(&mut batch, BATCH) => {
                if received == 0 {
                    return;
                }
                let ready = Instant::now() + PATIENCE;
                let mut flush = None;
                while batch.len() < BATCH && flush.is_none() {
                    let room = BATCH - batch.len();
                    tokio::select! {
                        more = timeout_at(ready, things.recv_many(&mut batch, room)) => {
                            if !matches!(more, Ok(1..)) {
                                break;
                            }
                        }
                        Some(done) = flushes.recv() => flush = Some(done),
                    }
                }
                deliver(signal, &mut batch, &send).await;
                if let Some(done) = flush {
                    drain(signal, &mut things, &mut batch, &send).await;
                    // Nobody may wait for it any more.
                    let _ = done.send(());
                }
            }
            Some(done) = flushes.recv() => {
                drain(signal, &mut things, &mut batch, &send).await;
                let _ = done.send(());
            }
        }
    }
}

/// Sends what waits now.
async fn drain<T, F, E>(
    signal: Signal,
    things: &mut mpsc::Receiver<T>,
    batch: &mut Vec<T>,
    send: &impl Fn(Vec<T>) -> F,
) where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + 'static,
{
    while let Ok(thing) = things.try_recv() {
        batch.push(thing);
        if batch.len() == BATCH {
            deliver(signal, batch, send).await;
        }
    }
    deliver(signal, batch, send).await;
}

async fn deliver<T, F, E>(signal: Signal, batch: &mut Vec<T>, send: &impl Fn(Vec<T>) -> F)
where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + 'static,
{
    let batch = std::mem::replace(batch, Vec::with_capacity(BATCH));
    let number = batch.len();
    if number == 0 {
        return;
    }
    signal.tally().waits(-i64::try_from(number).unwrap_or(i64::MAX));
    match send(batch).await {
        Ok(()) => {
            signal.tally().exported(number);
            signal.note(None);
        }
        Err(error) => {
            signal.tally().lost(Loss::Refused, number);
            signal.note(Some(&Chain(&error).to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use tokio::sync::{Semaphore, SemaphorePermit};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn things_go_in_batches_and_a_flush_waits_for_all_of_them() {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&sent);
        let (slot, outbox) = open(Signal::Logs, move |batch: Vec<usize>| {
            keep.lock().unwrap().push(batch.len());
            async { Ok::<_, Infallible>(()) }
        });
        for thing in 0..BATCH + 3 {
            slot.put(thing);
        }
        outbox.flush().await;
        assert_eq!(*sent.lock().unwrap(), [BATCH, 3]);
        slot.put(0);
        tokio::time::sleep(PATIENCE * 2).await;
        assert_eq!(*sent.lock().unwrap(), [BATCH, 3, 1], "a lonely one leaves by itself");
    }

    #[tokio::test]
    async fn a_collector_that_hangs_costs_what_there_is_no_room_for_and_no_more() {
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let (slot, outbox) = open(Signal::Metrics, move |_: Vec<usize>| {
            let held = Arc::clone(&held);
            async move { held.acquire().await.map(SemaphorePermit::forget) }
        });
        let tally = Signal::Metrics.tally();
        let before = (tally.full(), tally.taken());
        let all = 2 * ROOM + BATCH;
        for thing in 0..all {
            slot.put(thing);
            if thing % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let dropped = usize::try_from(tally.full() - before.0).unwrap();
        // One batch is on its way besides.
        assert!((all - ROOM - BATCH..=all - ROOM).contains(&dropped), "{dropped} of {all}");
        gate.add_permits(all);
        outbox.flush().await;
        let exported = usize::try_from(tally.taken() - before.1).unwrap();
        assert_eq!(exported + dropped, all, "each is either sent or counted");
    }
}
