//! Messages of channels, on a connection of their own that commands do not share. A lost connection ends the
//! stream; to subscribe again is the listener's business, and so is what it has missed.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use redis::aio::PubSub;
use redis::{Client, ConnectionInfo, RedisError};

use crate::connection::CONNECT_PATIENCE;

/// The channels could not be subscribed to.
#[derive(Debug, thiserror::Error)]
pub enum NotSubscribed {
    /// No answer in time.
    #[error("Redis did not take the subscription in time")]
    Timeout,
    /// The connection or the server failed.
    #[error("Redis did not take the subscription")]
    Failed(#[source] RedisError),
}

/// One message of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The channel it came on.
    pub channel: String,
    /// What was published.
    pub payload: Vec<u8>,
}

/// The messages of some channels, in the order in which this connection was given them.
pub struct Subscription(PubSub);

impl Subscription {
    /// The next message; `None` once the connection is lost.
    pub async fn next(&mut self) -> Option<Message> {
        let message = self.0.on_message().next().await?;
        Some(Message {
            channel: message.get_channel_name().to_owned(),
            payload: message.get_payload_bytes().to_owned(),
        })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// Where to subscribe. Every node of a cluster passes on what is published at any of them.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) attempts: AtomicUsize,
}

impl Listening {
    pub(crate) async fn subscribe(&self, channels: &[String]) -> Result<Subscription, NotSubscribed> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let node = self.nodes[attempt % self.nodes.len()].clone();
        let subscribe = async {
            let mut connection = Client::open(node)?.get_async_pubsub().await?;
            connection.subscribe(channels).await?;
            Ok(Subscription(connection))
        };
        let outcome = tokio::time::timeout(CONNECT_PATIENCE, subscribe).await;
        outcome.map_err(|_| NotSubscribed::Timeout)?.map_err(NotSubscribed::Failed)
    }
}
