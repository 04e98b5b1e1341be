//! One part of the gateway at a time, made as its section of the configuration wants it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use stagedoor_bootstrap::config::Config;
use stagedoor_tools::{Beside, BesideOptions, LinkingOptions, PrivacyOptions};
use tokio_util::sync::CancellationToken;

use crate::client::TrustedProxies;
use crate::concurrency::Concurrency;
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

pub(super) fn privacy(config: &Config) -> PrivacyOptions {
    PrivacyOptions { public_url: config.server.public_url.clone(), settle: config.privacy.settle() }
}

/// How long a call waits for the job that it began; what is left of the deadline is for the answer.
pub(super) fn job_wait(config: &Config) -> Duration {
    Duration::from_secs(20).min(config.server.request_deadline() * 2 / 3)
}

/// What is fetched beside calls: nothing while the replica is busy.
pub(super) fn beside(config: &Config, concurrency: &Arc<Concurrency>) -> Arc<Beside> {
    let concurrency = Arc::clone(concurrency);
    Beside::new(BesideOptions {
        refetch: config.cache.enabled && config.cache.stale_while_revalidate_seconds > 0,
        prefetch: config.cache.enabled && config.cache.prefetch,
        busy: Arc::new(move || concurrency.is_busy()),
    })
}

/// Whether a connection of its own hears of changes at once: behind a pooler in transaction mode nothing would arrive.
pub(super) fn listens(config: &Config) -> bool {
    config.storage.listen && config.storage.statement_cache > 0
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
