//! What calls of music services go through: the quotas and the cache with their Redis, and the services themselves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use stagedoor_bootstrap::Metrics;
use stagedoor_bootstrap::config::{Config, SecretUrl};
use stagedoor_bootstrap::metrics::ProviderOutcome;
use stagedoor_cache::{Cache, CacheOptions};
use stagedoor_domain::{Clock, Entropy};
use stagedoor_limits::{LeaseOptions, Limiter, ProviderPauses, SharedOptions};
use stagedoor_providers::{
    AttemptOutcome, BrokerOptions, HttpOptions, Observer, ProviderHttp, Providers, SharedPauses,
};
use stagedoor_redis_link::{RedisLink, RedisOptions};
use stagedoor_storage::KeyVault;

use crate::pauses::SharedProviderPauses;
use crate::sealer::VaultSealer;

/// The connection to the limits' Redis, which failed log-ins and providers' pauses share.
pub fn limits_link(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Option<Arc<RedisLink>>> {
    let limits = &config.rate_limiting;
    let options = redis("limits", limits.redis_url.as_ref(), limits.command_timeout(), limits.redis_cluster);
    let Some(options) = options else { return Ok(None) };
    let link = RedisLink::new(&options, Arc::clone(clock)).context("rate_limiting.redis_url")?;
    Ok(Some(Arc::new(link)))
}

fn redis(
    purpose: &'static str,
    url: Option<&SecretUrl>,
    command_timeout: Duration,
    cluster: bool,
) -> Option<RedisOptions> {
    url.map(|url| RedisOptions { url: SecretString::from(url.expose()), command_timeout, cluster, purpose })
}

/// The quotas: over Redis, or of this process alone.
pub fn limiter(config: &Config, link: Option<Arc<RedisLink>>, clock: &Arc<dyn Clock>) -> Limiter {
    let limits = &config.rate_limiting;
    if !limits.enabled {
        tracing::warn!("rate_limiting.enabled is false: no tenant has a limit");
    }
    let Some(link) = link else {
        tracing::info!("no Redis for limits: this must be the only replica");
        return Limiter::local(Arc::clone(clock));
    };
    let leases = LeaseOptions::of(limits.lease_tokens);
    let options = SharedOptions { leases, minimum_replicas: limits.minimum_replicas };
    Limiter::redis(link, options, Arc::clone(clock))
}

/// Answers that may be given again.
pub fn cache(
    config: &Config,
    vault: &Arc<KeyVault>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> anyhow::Result<Cache> {
    let cache = &config.cache;
    let options = CacheOptions {
        l1_max_bytes: cache.l1_max_bytes,
        redis: redis("cache", cache.redis_url.as_ref(), cache.command_timeout(), cache.redis_cluster),
        stale_while_revalidate: cache.stale_while_revalidate(),
        stale_if_error: cache.stale_if_error(),
    };
    let sealer = Arc::new(VaultSealer::new(Arc::clone(vault)));
    Cache::new(&options, Some(sealer), Arc::clone(clock), Arc::clone(entropy)).context("cache.redis_url")
}

/// The music services, with what they answer counted into `metrics`, and the waits that they ask for told to all replicas.
pub fn providers(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    metrics: Option<&Arc<Metrics>>,
    limits_link: Option<&Arc<RedisLink>>,
) -> anyhow::Result<Providers> {
    let providers = &config.providers;
    let shared_pauses = limits_link.map(|link| -> Arc<dyn SharedPauses> {
        let pauses = ProviderPauses::redis(Arc::clone(link), Arc::clone(clock));
        Arc::new(SharedProviderPauses::new(Arc::new(pauses)))
    });
    let options = HttpOptions {
        connect_timeout: providers.connect_timeout(),
        request_timeout: providers.request_timeout(),
        body_limit: providers.body_limit_bytes,
        allow_plain_http_loopback: providers.allow_plain_http_loopback,
        broker: BrokerOptions {
            in_flight: providers.in_flight_per_client,
            queue: providers.queue_per_client,
        },
        shared_pauses,
        observer: metrics.map(|metrics| provider_observer(Arc::clone(metrics))),
        ..HttpOptions::new(Arc::clone(clock), Arc::clone(entropy))
    };
    Ok(Providers::new(ProviderHttp::new(options)?))
}

fn provider_observer(metrics: Arc<Metrics>) -> Observer {
    Observer::new(move |provider, outcome, duration| {
        let outcome = match outcome {
            AttemptOutcome::Status(200..=299) => ProviderOutcome::Success,
            AttemptOutcome::Status(401 | 403) => ProviderOutcome::Denied,
            AttemptOutcome::Status(429) => ProviderOutcome::Limited,
            AttemptOutcome::Status(400..=499) => ProviderOutcome::Rejected,
            AttemptOutcome::Status(500..=599) => ProviderOutcome::Failed,
            AttemptOutcome::Status(_) | AttemptOutcome::Garbage => ProviderOutcome::Garbage,
            AttemptOutcome::TimedOut => ProviderOutcome::TimedOut,
            AttemptOutcome::Unreachable => ProviderOutcome::Unreachable,
            AttemptOutcome::KeptBack => ProviderOutcome::CircuitOpen,
        };
        metrics.provider_requests.count(provider, outcome);
        if outcome != ProviderOutcome::CircuitOpen {
            metrics.provider_duration.record(provider, duration);
        }
    })
}
