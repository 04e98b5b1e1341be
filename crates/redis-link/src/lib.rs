//! One shared, multiplexed connection to Redis: connects lazily, reconnects by itself, gives every command a
//! time limit and stops trying for half a second after a failure. `cache` and `limits` build their commands
//! on it; which keys and scripts there are is their business, not this crate's.
#![warn(missing_docs)]

mod breaker;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, ErrorKind, IntoConnectionInfo, RedisError, RedisResult};
use secrecy::{ExposeSecret, SecretString};
use stagedoor_domain::Clock;

use crate::breaker::{Breaker, Pass};

/// Where Redis is and how long a command may take.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://` or, over TLS, `rediss://[user:password@]host[:port][/database]`, or `redis+unix:///path`; may
    /// hold a password.
    pub url: SecretString,
    /// The most that one command may take, the wait for a connection included.
    pub command_timeout: Duration,
}

impl RedisOptions {
    /// The time limit that SECURITY §9 promises for a frozen Redis.
    pub const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

    /// `url` with the default time limit.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self { url: url.into(), command_timeout: Self::COMMAND_TIMEOUT }
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
    manager: ConnectionManager,
    breaker: Breaker,
    command_timeout: Duration,
    clock: Arc<dyn Clock>,
    trips: AtomicU64,
    failures: AtomicU64,
}

impl RedisLink {
    /// A link that connects when it is first used, so that a start does not hang on Redis. Must be called
    /// inside a Tokio runtime, where the connection's own task runs.
    pub fn new(options: &RedisOptions, clock: Arc<dyn Clock>) -> Result<Self, InvalidRedisUrl> {
        let info = options.url.expose_secret().into_connection_info().map_err(InvalidRedisUrl)?;
        let client = Client::open(info.set_tcp_settings(tcp_settings())).map_err(InvalidRedisUrl)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(None)
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(100))
            .set_pipeline_buffer_size(1_024);
        Ok(Self {
            manager: ConnectionManager::new_lazy_with_config(client, config).map_err(InvalidRedisUrl)?,
            breaker: Breaker::default(),
            command_timeout: options.command_timeout,
            clock,
            trips: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// Runs one command (one round trip) within the time limit, unless the breaker is open.
    pub async fn run<T, F>(
        &self,
        command: impl FnOnce(ConnectionManager) -> F + Send,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        if self.breaker.pass(self.clock.elapsed()) == Pass::Open {
            return Err(Unavailable::BreakerOpen);
        }
        self.trips.fetch_add(1, Ordering::Relaxed);
        let outcome = match tokio::time::timeout(self.command_timeout, command(self.manager.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Unavailable::Failed(error)),
            Err(_) => Err(Unavailable::Timeout),
        };
        self.note(&outcome);
        outcome
    }

    /// Round trips begun since the start.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// Commands without an answer since the start; refusals by the breaker are not counted.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether the last attempt failed and no probe has succeeded since.
    pub fn is_down(&self) -> bool {
        self.breaker.is_open()
    }

    fn note<T>(&self, outcome: &Result<T, Unavailable>) {
        let Err(error) = outcome else {
            return self.note_answer();
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        if matches!(error, Unavailable::Failed(error) if is_answer(error)) {
            tracing::warn!(%error, cause = ?std::error::Error::source(error), "Redis refused a command");
            return self.note_answer();
        }
        if self.breaker.fail(self.clock.elapsed()) {
            tracing::warn!(%error, cause = ?std::error::Error::source(error), "Redis is out of reach");
        }
    }

    fn note_answer(&self) {
        if self.breaker.succeed() {
            tracing::info!("Redis answers again");
        }
    }
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("down", &self.is_down()).finish_non_exhaustive()
    }
}

/// A refusal by a server that is well is an answer: it came in time, so waiting would not help.
fn is_answer(error: &RedisError) -> bool {
    !error.is_io_error() && !error.is_unrecoverable_error() && matches!(error.kind(), ErrorKind::Server(_))
}

fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    // A connection that a firewall drops silently would otherwise hang until the kernel gives up on it,
    // after a quarter of an hour.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    let settings = settings.set_user_timeout(Duration::from_secs(2));
    settings
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
    }
}
