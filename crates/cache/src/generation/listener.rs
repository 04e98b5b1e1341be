//! A replica's ear: drops what another replica's bump has made old, and says so. A lost message or connection costs
//! writers time; nothing here is needed for an answer to be right.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stagedoor_redis_link::{Message, RedisLink, Subscription};
use tokio::time::sleep;

use super::leases::Leases;
use super::messages::{Acknowledgement, Bump, EVENTS, own_channel};
use super::waits::Waits;
use super::{Forget, Gone, ReplicaId};

/// Between two attempts to subscribe.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Acknowledgements on their way at a time; further ones wait for them.
const ACKNOWLEDGING: usize = 256;

#[derive(Debug)]
pub(super) struct Listener<'a> {
    pub(super) link: &'a RedisLink,
    pub(super) replica: ReplicaId,
    pub(super) leases: &'a Leases,
    pub(super) waits: &'a Waits,
    pub(super) forget: &'a Forget,
}

impl Listener<'_> {
    /// Listens, over lost connections. Never ends.
    pub(super) async fn listen(&self) {
        let channels = [EVENTS.to_owned(), own_channel(self.replica)];
        let mut warned = false;
        loop {
            match self.link.subscribe(&channels).await {
                Ok(mut subscription) => {
                    warned = false;
                    // What was said meanwhile was said to nobody here.
                    self.leases.drop_all();
                    self.forget.tell(Gone::Unheard);
                    tracing::debug!("listening to the other replicas");
                    self.hear(&mut subscription).await;
                    self.link.note_lost();
                    tracing::debug!("the connection to the other replicas was lost");
                }
                Err(error) => {
                    if !warned {
                        tracing::warn!(%error, cause = ?std::error::Error::source(&error),
                            "the other replicas cannot be heard; their writes wait until leases are over");
                    }
                    warned = true;
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Until the connection is lost.
    async fn hear(&self, subscription: &mut Subscription) {
        let mut acknowledging = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = acknowledging.next() => {}
                message = subscription.next(), if acknowledging.len() < ACKNOWLEDGING => {
                    let Some(message) = message else { return };
                    if let Some(bump) = self.take(&message) {
                        acknowledging.push(self.acknowledge(bump));
                    }
                }
            }
        }
    }

    /// Does what a message asks for. What is returned is to be acknowledged, now that the lease is gone.
    fn take(&self, message: &Message) -> Option<Bump> {
        let payload = std::str::from_utf8(&message.payload).ok()?;
        if message.channel != EVENTS {
            if let Ok(Acknowledgement { nonce, replica }) = payload.parse() {
                self.waits.acknowledge(nonce, replica);
            }
            return None;
        }
        let bump: Bump = payload.parse().ok()?;
        if bump.writer == self.replica {
            return None;
        }
        self.leases.drop_one(bump.person);
        if let Some(gone) = Gone::with(bump.person, bump.change) {
            self.forget.tell(gone);
        }
        bump.holders.contains(&self.replica).then_some(bump)
    }

    async fn acknowledge(&self, bump: Bump) {
        let message = Acknowledgement { nonce: bump.nonce, replica: self.replica };
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(own_channel(bump.writer)).arg(message.to_string());
        // One that is not sent costs the writer its wait; the link has counted and logged the failure.
        let _ =
            self.link.run(|mut connection| async move { publish.exec_async(&mut connection).await }).await;
    }
}
