//! One shared, multiplexed connection to Redis or a Redis Cluster: connects lazily, reconnects by itself, gives every
//! command a time limit and stops trying for half a second after a failure. `cache` and `limits` build their commands
//! on it; which keys and scripts there are is their business, not this crate's.
#![warn(missing_docs)]

mod breaker;
mod connection;
mod facts;
mod scan;
mod subscription;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult};
use secrecy::SecretString;
use stagedoor_domain::Clock;

use crate::breaker::{Breaker, Pass};
use crate::subscription::Listening;

pub use crate::connection::Connection;
pub use crate::facts::ServerFacts;
pub use crate::scan::ScanPlace;
pub use crate::subscription::{Message, NotSubscribed, Subscription};

/// Where Redis is and how long a command may take.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://` or, over TLS, `rediss://[user:password@]host[:port][/database]`, or `redis+unix:///path`; may
    /// hold a password. Of a cluster, some of its nodes, separated by commas.
    pub url: SecretString,
    /// The most that one command may take, the wait for a connection included.
    pub command_timeout: Duration,
    /// Whether it is a Redis Cluster.
    pub cluster: bool,
    /// What it is for, such as `cache`; in log lines.
    pub purpose: &'static str,
}

impl RedisOptions {
    /// The time limit that SECURITY §9 promises for a frozen Redis.
    pub const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

    /// One server at `url` with the default time limit.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self { url: url.into(), command_timeout: Self::COMMAND_TIMEOUT, cluster: false, purpose: "any" }
    }
}

/// The address is not one that this build can connect to.
#[derive(Debug, thiserror::Error)]
#[error("the Redis address is not usable")]
pub struct InvalidRedisUrl(#[source] RedisError);

/// Why a command gave no answer. The state changes are logged here, so callers only fall back.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// A failure less than half a second ago; nothing was sent.
    #[error("Redis failed a moment ago and is not tried again yet")]
    BreakerOpen,
    /// No answer in time. The command may still have been done.
    #[error("Redis did not answer in time")]
    Timeout,
    /// The connection or the server failed.
    #[error("Redis failed")]
    Failed(#[source] RedisError),
}

/// The shared connection.
pub struct RedisLink {
    connection: Connection,
    listening: Listening,
    breaker: Breaker,
    purpose: &'static str,
    command_timeout: Duration,
    clock: Arc<dyn Clock>,
    trips: AtomicU64,
    failures: AtomicU64,
    lost: AtomicU64,
    /// Microseconds since the clock's start; 0 means never.
    last_failure: AtomicU64,
}

impl RedisLink {
    /// A link that connects when it is first used, so that a start does not hang on Redis. Must be called
    /// inside a Tokio runtime, where the connection's own task runs.
    pub fn new(options: &RedisOptions, clock: Arc<dyn Clock>) -> Result<Self, InvalidRedisUrl> {
        let nodes = connection::nodes(options).map_err(InvalidRedisUrl)?;
        Ok(Self {
            connection: Connection::open(options).map_err(InvalidRedisUrl)?,
            listening: Listening { nodes, attempts: AtomicUsize::new(0) },
            breaker: Breaker::default(),
            purpose: options.purpose,
            command_timeout: options.command_timeout,
            clock,
            trips: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            last_failure: AtomicU64::new(0),
        })
    }

    /// Runs one command (one round trip) within the time limit, unless the breaker is open.
    pub async fn run<T, F>(&self, command: impl FnOnce(Connection) -> F + Send) -> Result<T, Unavailable>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        if self.breaker.pass(self.clock.elapsed()) == Pass::Open {
            return Err(Unavailable::BreakerOpen);
        }
        self.trips.fetch_add(1, Ordering::Relaxed);
        let outcome = match tokio::time::timeout(self.command_timeout, command(self.connection.clone())).await
        {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Unavailable::Failed(error)),
            Err(_) => Err(Unavailable::Timeout),
        };
        self.note(&outcome);
        outcome
    }

    /// Subscribes to `channels` on a connection of its own, within a second. Neither the breaker nor the counts know
    /// of it.
    pub async fn subscribe(&self, channels: &[String]) -> Result<Subscription, NotSubscribed> {
        self.listening.subscribe(channels).await
    }

    /// Round trips begun since the start.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// Commands without an answer since the start; refusals by the breaker are not counted.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Those of [`Self::failures`] that met no server, or one that did not answer: a refusal by a server that is well
    /// (a command that it does not allow, a script's error) is not among them.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether the last attempt failed and no probe has succeeded since.
    pub fn is_down(&self) -> bool {
        self.breaker.is_open()
    }

    /// For how long every attempt has failed; `None` while the last one was answered.
    pub fn down_for(&self) -> Option<Duration> {
        self.breaker.open_for(self.clock.elapsed())
    }

    /// Whether a command failed, or a connection was noted as lost, at most that long ago.
    pub fn failed_within(&self, time: Duration) -> bool {
        let last = self.last_failure.load(Ordering::Acquire);
        last != 0 && self.clock.elapsed().saturating_sub(Duration::from_micros(last)) <= time
    }

    /// Notes that a subscription was lost, which says as much of the server as a failed command.
    pub fn note_lost(&self) {
        let now = u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last_failure.store(now.max(1), Ordering::Release);
    }

    fn note<T>(&self, outcome: &Result<T, Unavailable>) {
        let Err(error) = outcome else {
            return self.note_answer();
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        if matches!(error, Unavailable::Failed(error) if is_answer(error)) {
            tracing::warn!(redis = self.purpose, %error, cause = ?std::error::Error::source(error), "Redis refused a command");
            return self.note_answer();
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.note_lost();
        if self.breaker.fail(self.clock.elapsed()) {
            tracing::warn!(redis = self.purpose, %error, cause = ?std::error::Error::source(error), "Redis is out of reach");
        }
    }

    fn note_answer(&self) {
        if self.breaker.succeed() {
            tracing::info!(redis = self.purpose, "Redis answers again");
        }
    }
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink")
            .field("purpose", &self.purpose)
            .field("down", &self.is_down())
            .finish_non_exhaustive()
    }
}

/// A refusal by a server that is well is an answer: it came in time, so waiting would not help.
fn is_answer(error: &RedisError) -> bool {
    !error.is_io_error() && !error.is_unrecoverable_error() && matches!(error.kind(), ErrorKind::Server(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stagedoor_domain::SystemClock;

    #[tokio::test]
    async fn plain_and_encrypted_addresses_are_usable_and_others_are_not() {
        let link =
            |url: &str| RedisLink::new(&RedisOptions::new(url.to_owned()), Arc::new(SystemClock::new()));
        assert!(link("redis://cache.example:6379").is_ok());
        assert!(link("rediss://user:secret@cache.example:6380/1").is_ok());
        assert!(link("http://cache.example").is_err());
        assert!(link("redis://a.example,redis://b.example").is_err(), "one server has one address");
    }
}
