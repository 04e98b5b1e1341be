//! The sections of the configuration about what replicas share, and do alone where they share nothing: the cache of
//! answers and the limits of calls.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::SecretUrl;

const MIB: u64 = 1024 * 1024;

/// The cache of answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the file")]
pub struct CacheConfig {
    /// Whether answers are reused: true or false.
    pub enabled: bool,
    /// Bytes of answers kept in the process.
    #[schemars(range(max = 68_719_476_736_u64))]
    pub l1_max_bytes: u64,
    /// The evicting Redis that replicas share, such as `redis://cache:6379/`; without it each process caches alone. A secret.
    pub redis_url: Option<SecretUrl>,
    /// Whether `redis_url` is a Redis Cluster, of which it may name several servers with commas between: true or false.
    pub redis_cluster: bool,
    /// Milliseconds that a command of the shared cache may take.
    #[schemars(range(min = 1, max = 5_000))]
    pub command_timeout_ms: u64,
    /// Seconds after its life in which an answer is still given, while it is fetched again beside the call; 0 never does.
    #[schemars(range(max = 3_600))]
    pub stale_while_revalidate_seconds: u32,
    /// Seconds after its life in which an answer is given, marked as stale, when the provider fails; 0 never does.
    #[schemars(range(max = 604_800))]
    pub stale_if_error_seconds: u32,
    /// Whether the next page is fetched ahead for those who page on, within a budget: true or false.
    pub prefetch: bool,
    /// Whether a process that starts reads the most used answers from the shared cache: true or false.
    pub warm_up: bool,
}

milliseconds!(CacheConfig { command_timeout = command_timeout_ms });

impl CacheConfig {
    /// `stale_while_revalidate_seconds` as a duration.
    pub fn stale_while_revalidate(&self) -> Duration {
        Duration::from_secs(self.stale_while_revalidate_seconds.into())
    }

    /// `stale_if_error_seconds` as a duration.
    pub fn stale_if_error(&self) -> Duration {
        Duration::from_secs(self.stale_if_error_seconds.into())
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            l1_max_bytes: 100 * MIB,
            redis_url: None,
            redis_cluster: false,
            command_timeout_ms: 50,
            stale_while_revalidate_seconds: 60,
            stale_if_error_seconds: 86_400,
            prefetch: true,
            warm_up: true,
        }
    }
}

/// Limits of calls.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitingConfig {
    /// Whether quotas are enforced: true or false.
    pub enabled: bool,
    /// The Redis (`noeviction`) that replicas share, such as `redis://limits:6379/`; without it only one replica may run. A secret.
    pub redis_url: Option<SecretUrl>,
    /// Whether `redis_url` is a Redis Cluster, of which it may name several servers with commas between: true or false.
    pub redis_cluster: bool,
    /// Milliseconds that a command of the shared limiter may take.
    #[schemars(range(min = 1, max = 5_000))]
    pub command_timeout_ms: u64,
    /// Requests a second of one client address, before authentication.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_ip_per_second: u32,
    /// Requests of one client address at once, before authentication.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_ip_burst: u32,
    /// Tokens that a replica takes ahead from the shared limiter for a busy principal; 0 asks it at each call.
    #[schemars(range(max = 10_000))]
    pub lease_tokens: u32,
    /// Replicas among which a quota is divided at least while the shared limiter is out of reach.
    #[schemars(range(min = 1, max = 10_000))]
    pub minimum_replicas: u32,
}

milliseconds!(RateLimitingConfig { command_timeout = command_timeout_ms });

impl Default for RateLimitingConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            redis_url: None,
            redis_cluster: false,
            command_timeout_ms: 50,
            per_ip_per_second: 100,
            per_ip_burst: 200,
            lease_tokens: 100,
            minimum_replicas: 1,
        }
    }
}
