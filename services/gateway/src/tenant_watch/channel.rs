//! Hears the database say that something was changed, and has it asked for at once. Without the channel the same is seen
//! by asking again and again; a replica that lost it knows, says so once, and opens it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_storage::{ChangeChannel, Heard, Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a new channel may take to show that it hears, and how long it may be silent before it has to show life.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pauses between two tries to open one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The channel's own state.
#[derive(Default)]
pub(super) struct Channel {
    woken: Notify,
    /// Shared queues have ears of their own.
    queues: Arc<Notify>,
    open: AtomicBool,
    heard: AtomicU64,
    losses: AtomicU64,
}

/// What is known of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelCounts {
    /// Whether it is open.
    pub open: bool,
    /// Times that something was heard.
    pub heard: u64,
    /// Times that it was lost.
    pub losses: u64,
}

impl Channel {
    /// Waits until something was heard that nobody has asked for since.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Is notified when a shared queue was changed.
    pub(super) fn queues(&self) -> Arc<Notify> {
        Arc::clone(&self.queues)
    }

    pub(super) fn counts(&self) -> ChannelCounts {
        ChannelCounts {
            open: self.open.load(Ordering::Relaxed),
            heard: self.heard.load(Ordering::Relaxed),
            losses: self.losses.load(Ordering::Relaxed),
        }
    }

    /// Listens until `until`.
    pub(super) async fn run(&self, store: &Store, until: &CancellationToken) {
        let (mut pause, mut told) = (FIRST_PAUSE, false);
        loop {
            let listening = self.listen(store, &mut pause, &mut told);
            let Some(Err(error)) = until.run_until_cancelled(Box::pin(listening)).await else { break };
            if self.open.swap(false, Ordering::Relaxed) {
                self.losses.fetch_add(1, Ordering::Relaxed);
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(error = %Chain(&error), "changes are not heard of at once for now; they are asked for");
            }
            if until.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.open.store(false, Ordering::Relaxed);
    }

    /// Opens a channel and listens until it fails.
    async fn listen(
        &self,
        store: &Store,
        pause: &mut Duration,
        told: &mut bool,
    ) -> Result<std::convert::Infallible, StoreError> {
        let mut channel = store.change_channel(PATIENCE).await?;
        self.open.store(true, Ordering::Relaxed);
        if std::mem::replace(told, false) {
            tracing::info!("changes are heard of at once again");
        }
        *pause = FIRST_PAUSE;
        // What was said before is asked for.
        self.woken.notify_one();
        loop {
            self.hear(&mut channel).await?;
        }
    }

    async fn hear(&self, channel: &mut ChangeChannel) -> Result<(), StoreError> {
        let heard = channel.hear(PATIENCE).await?;
        if heard == Heard::Nothing {
            return Ok(());
        }
        let (change, queues) = channel.drain();
        if change || heard == Heard::Change {
            self.heard.fetch_add(1, Ordering::Relaxed);
            self.woken.notify_one();
        }
        if queues || heard == Heard::SharedQueues {
            self.queues.notify_one();
        }
        Ok(())
    }
}
