//! One part of the gateway at a time, made as its section of the configuration wants it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use secrecy::SecretString;
use stagedoor_bootstrap::Metrics;
use stagedoor_bootstrap::config::{Config, SecretUrl};
use stagedoor_bootstrap::metrics::ProviderOutcome;
use stagedoor_cache::{Cache, CacheOptions};
use stagedoor_domain::{Clock, Entropy};
use stagedoor_limits::{LeaseOptions, Limiter, SharedOptions};
use stagedoor_providers::{AttemptOutcome, HttpOptions, Observer, ProviderHttp, Providers};
use stagedoor_redis_link::{RedisLink, RedisOptions};
use stagedoor_storage::{KeyVault, Store, StoreOptions};
use stagedoor_tools::LinkingOptions;
use tokio_util::sync::CancellationToken;

use crate::client::TrustedProxies;
use crate::shield::{Doors, Shield};

pub(super) fn linking(config: &Config, stop: &CancellationToken) -> LinkingOptions {
    LinkingOptions {
        public_url: config.server.public_url.clone(),
        // What is left of the deadline is for the answer.
        wait: config.linking.wait().min(config.server.request_deadline() * 2 / 3),
        attempt_life: TimeDelta::minutes(config.linking.attempt_minutes.into()),
        stop: stop.clone(),
    }
}

/// The store that `config` names, as the gateway's role.
pub(crate) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let storage = &config.storage;
    let options = StoreOptions {
        max_connections: storage.max_connections,
        acquire_timeout: storage.acquire_timeout(),
        statement_cache: storage.statement_cache > 0,
        application_name: "stagedoor-gateway".to_owned(),
        ..StoreOptions::new(storage.database_url.expose())
    };
    Store::connect(&options).await.context("storage.database_url")
}

pub(super) fn redis_link(
    url: Option<&SecretUrl>,
    command_timeout: Duration,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Option<Arc<RedisLink>>> {
    let Some(url) = url else { return Ok(None) };
    let options = RedisOptions { url: SecretString::from(url.expose()), command_timeout };
    let link = RedisLink::new(&options, Arc::clone(clock)).context("rate_limiting.redis_url")?;
    Ok(Some(Arc::new(link)))
}

pub(super) fn limiter(config: &Config, link: Option<Arc<RedisLink>>, clock: &Arc<dyn Clock>) -> Limiter {
    if !config.rate_limiting.enabled {
        tracing::warn!("rate_limiting.enabled is false: no tenant has a limit");
    }
    let Some(link) = link else {
        tracing::info!("no Redis for limits: this must be the only replica");
        return Limiter::local(Arc::clone(clock));
    };
    let leases = LeaseOptions::of(config.rate_limiting.lease_tokens);
    Limiter::redis(link, SharedOptions { leases, ..SharedOptions::default() }, Arc::clone(clock))
}

pub(super) fn cache(config: &Config, vault: &Arc<KeyVault>, clock: &Arc<dyn Clock>) -> anyhow::Result<Cache> {
    let redis = config.cache.redis_url.as_ref().map(|url| RedisOptions {
        url: SecretString::from(url.expose()),
        command_timeout: config.cache.command_timeout(),
    });
    let options = CacheOptions { l1_max_bytes: config.cache.l1_max_bytes, redis };
    let sealer = Arc::new(crate::sealer::VaultSealer::new(Arc::clone(vault)));
    Cache::new(&options, Some(sealer), Arc::clone(clock)).context("cache.redis_url")
}

pub(super) fn providers(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Providers> {
    let options = HttpOptions {
        connect_timeout: config.providers.connect_timeout(),
        request_timeout: config.providers.request_timeout(),
        body_limit: config.providers.body_limit_bytes,
        allow_plain_http_loopback: config.providers.allow_plain_http_loopback,
        observer: Some(provider_observer(Arc::clone(metrics))),
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

pub(super) fn doors(config: &Config) -> Doors {
    let own = config.server.public_url.host_str().map(str::to_owned);
    let hosts: Vec<String> = own.into_iter().chain(config.server.allowed_hosts.iter().cloned()).collect();
    Doors::new(&hosts, config.server.allowed_origins.clone())
}

pub(super) fn shield(config: &Config, proxies: &TrustedProxies) -> anyhow::Result<Option<Shield>> {
    if !config.rate_limiting.enabled {
        return Ok(None);
    }
    let positive =
        |value: u32, key: &str| NonZeroU32::new(value).with_context(|| format!("{key} must not be 0"));
    let per_second = positive(config.rate_limiting.per_ip_per_second, "rate_limiting.per_ip_per_second")?;
    let burst = positive(config.rate_limiting.per_ip_burst, "rate_limiting.per_ip_burst")?;
    Ok(Some(Shield::new(proxies.clone(), per_second, burst)))
}
