//! From a valid configuration to a gateway that serves: opens the rooms in order and hands each what it needs.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use secrecy::SecretString;
use stagedoor_audit::{AuditLog, AuditOptions, AuditWorker};
use stagedoor_bootstrap::config::{Config, SecretUrl};
use stagedoor_bootstrap::health::Importance;
use stagedoor_bootstrap::metrics::ProviderOutcome;
use stagedoor_bootstrap::{Health, Metrics, Shutdown, ShutdownOptions, tasks};
use stagedoor_cache::{Cache, CacheOptions};
use stagedoor_crypto::KekProvider;
use stagedoor_domain::{Clock, Entropy};
use stagedoor_key_encryption::KeyRing;
use stagedoor_limits::{AttemptGuard, AttemptPolicy, LeaseOptions, Limiter, SharedOptions};
use stagedoor_providers::{AttemptOutcome, HttpOptions, Observer, ProviderHttp, Providers};
use stagedoor_redis_link::{RedisLink, RedisOptions};
use stagedoor_storage::{KeyVault, Store, StoreOptions};
use stagedoor_tools::{Desk, DeskOptions, Dispatcher, LinkingOptions, SessionsInUse};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::authn::Authenticator;
use crate::background::Background;
use crate::client::TrustedProxies;
use crate::connect::LinkPages;
use crate::gauges::Gauges;
use crate::keys;
use crate::mcp::Endpoint;
use crate::mcp::music::{self, MusicSurface};
use crate::mcp::render::ServerInfo;
use crate::mcp::surface::Surface;
use crate::quota::Quota;
use crate::router;
use crate::server::{self, Bounds};
use crate::shield::{Doors, Shield};
use crate::state::AppState;

/// A gateway, ready to serve.
#[derive(Debug)]
pub struct Gateway {
    state: Arc<AppState>,
    store: Store,
    vault: Arc<KeyVault>,
    sessions: Arc<SessionsInUse>,
    keys: Arc<KeyRing>,
    audit_writer: AuditWorker,
    stop_streams: CancellationToken,
    bounds: Bounds,
}

/// The sockets of a gateway.
#[derive(Debug)]
pub struct Listeners {
    /// What agents reach.
    pub public: TcpListener,
    /// What operators reach.
    pub ops: TcpListener,
}

/// Opens everything that `config` names. Fails, with the reason, rather than start half-working.
pub async fn assemble(
    config: &Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> anyhow::Result<Gateway> {
    let store = open_store(config).await?;
    let (keys, peppers) = keys::open(&config.encryption, &clock, &*entropy).await?;
    let provider: Arc<dyn KekProvider> = Arc::<KeyRing>::clone(&keys);
    let vault = Arc::new(KeyVault::new(store.clone(), provider, Arc::clone(&clock), Arc::clone(&entropy)));
    let limits_link =
        redis_link(config.rate_limiting.redis_url.as_ref(), config.rate_limiting.command_timeout(), &clock)?;
    let limiter = Arc::new(limiter(config, limits_link.clone(), &clock));
    let cache = Arc::new(cache(config, &vault, &clock)?);
    if !config.audit.enabled {
        tracing::warn!("audit.enabled is false: no call is recorded");
    }
    let (audit, audit_writer) = AuditLog::new(
        Arc::clone(&vault),
        AuditOptions {
            enabled: config.audit.enabled,
            flush_interval: config.audit.flush_interval(),
            queue_capacity: config.audit.queue_capacity,
            ..AuditOptions::default()
        },
    );
    let sessions = Arc::new(SessionsInUse::new(Arc::clone(&cache), Arc::clone(&clock)));
    let gauges = Gauges {
        cache: Arc::clone(&cache),
        limiter: Arc::clone(&limiter),
        audit: audit.clone(),
        sessions: Arc::clone(&sessions),
        store: store.clone(),
        keys: Arc::clone(&keys),
    };
    let metrics = Arc::new(Metrics::with(|registry| registry.register_collector(Box::new(gauges))));
    let background = Background::default();
    let stop_streams = CancellationToken::new();
    let desk = Desk::new(DeskOptions {
        vault: Arc::clone(&vault),
        providers: providers(config, &clock, &entropy, &metrics)?,
        cache: Arc::clone(&cache),
        reuse_answers: config.cache.enabled,
        limiter: Arc::clone(&limiter),
        audit: audit.clone(),
        sessions: Arc::clone(&sessions),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        spawn: background.spawner(),
        render: music::render,
    });
    let dispatcher = Arc::new(Dispatcher::new(desk, audit.clone(), linking(config, &stop_streams)));
    let link_pages = LinkPages::new(
        store.clone(),
        Arc::clone(dispatcher.linking()),
        &config.server.public_url,
        config.server.body_timeout(),
        config.server.request_deadline(),
    );
    let surface: Arc<dyn Surface> = Arc::new(MusicSurface::new(
        Arc::clone(&dispatcher),
        audit.clone(),
        background.clone(),
        Arc::clone(&metrics),
    ));
    #[cfg(feature = "conformance-fixtures")]
    let surface: Arc<dyn Surface> =
        Arc::new(crate::mcp::fixtures::FixtureSurface::new(surface, entropy.as_ref()));
    let attempts = match limits_link {
        Some(link) => AttemptGuard::redis(link, AttemptPolicy::default(), Arc::clone(&clock)),
        None => AttemptGuard::local(AttemptPolicy::default(), Arc::clone(&clock)),
    };
    let proxies = TrustedProxies::new(config.server.trusted_proxies.clone());
    let state = AppState {
        doors: doors(config),
        shield: shield(config, &proxies)?,
        proxies,
        authenticator: Authenticator::new(store.clone(), Arc::new(peppers), attempts, Arc::clone(&clock)),
        quota: Quota::new(config.rate_limiting.enabled.then_some(limiter)),
        mcp: Endpoint {
            surface,
            server_info: ServerInfo::of_this_build(),
            body_limit: config.server.body_limit_bytes,
            body_timeout: config.server.body_timeout(),
            max_depth: config.server.max_depth,
            deadline: config.server.request_deadline(),
            stop: stop_streams.clone(),
        },
        link_pages,
        dispatcher,
        audit,
        background,
        metrics,
        serves_metrics: config.metrics.enabled,
        traces: config.telemetry.otlp_endpoint.is_some(),
        health: Health::new(),
        clock,
        entropy,
    };
    let bounds = Bounds {
        header_timeout: config.server.body_timeout(),
        drain: config.server.drain_finish(),
        ..Bounds::default()
    };
    Ok(Gateway { state: Arc::new(state), store, vault, sessions, keys, audit_writer, stop_streams, bounds })
}

/// Binds the ports, so that a taken one is said before anything else starts.
pub async fn bind(config: &Config) -> anyhow::Result<Listeners> {
    let listen = async |address: std::net::SocketAddr, key: &str| {
        TcpListener::bind(address).await.with_context(|| format!("{key}: {address} cannot be listened on"))
    };
    Ok(Listeners {
        public: listen(config.server.listen, "server.listen").await?,
        ops: listen(config.ops.listen, "ops.listen").await?,
    })
}

/// How the configuration wants a gateway to end.
pub fn shutdown_options(config: &Config) -> ShutdownOptions {
    ShutdownOptions { grace: config.server.drain_grace(), finish: config.server.drain_finish() }
}

impl Gateway {
    /// The shared state, for tests that look inside.
    pub fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    /// The plan of this gateway's end.
    pub fn shutdown(&self, options: ShutdownOptions) -> Shutdown {
        Shutdown::new(options, self.state.health.clone())
    }

    /// Serves until the plan ends it.
    pub async fn run(self, listeners: Listeners, mut shutdown: Shutdown) {
        let tokens = shutdown.tokens();
        let audit = self.state.audit.clone();
        let (background, patience) = (self.state.background.clone(), self.bounds.drain);
        shutdown.on_flush("background", async move {
            if !background.finish(patience).await {
                tracing::error!("a write or a token refresh was cut off");
            }
        });
        shutdown.on_flush("audit", async move {
            if let Err(error) = audit.flush().await {
                tracing::error!(
                    error = %stagedoor_domain::error::Chain(&error),
                    "the last audit records were not written"
                );
            }
        });
        self.start_helpers(&tokens.finished);
        tasks::spawn("audit", self.audit_writer.run(tokens.finished.clone()));
        let stop_streams = self.stop_streams.clone();
        let begun = tokens.begun.clone();
        tasks::spawn("end of streams", async move {
            begun.cancelled().await;
            stop_streams.cancel();
        });
        let public = server::serve(
            listeners.public,
            router::public(&self.state),
            self.bounds.clone(),
            self.state.proxies.clone(),
            tokens.stop_accepting.clone(),
        );
        let ops = server::serve(
            listeners.ops,
            router::ops(&self.state),
            self.bounds,
            self.state.proxies.clone(),
            tokens.finished.clone(),
        );
        tasks::spawn("ops", ops);
        self.state.health.started();
        tracing::info!("serving");
        shutdown.run(public).await;
        self.store.close().await;
    }

    /// What runs beside the requests: database check, tidying.
    fn start_helpers(&self, until: &CancellationToken) {
        keys::watch(&self.keys, self.state.health.register("keys", Importance::Informative), until);
        let check = self.state.health.register("postgres", Importance::Required);
        let (store, vault) = (self.store.clone(), Arc::clone(&self.vault));
        let sessions = Arc::clone(&self.sessions);
        tasks::spawn(
            "database check",
            until.clone().run_until_cancelled_owned(async move {
                loop {
                    match store.ping().await {
                        Ok(()) => check.pass(),
                        Err(error) => check.fail(error.to_string()),
                    }
                    vault.forget_expired();
                    sessions.forget_expired();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }),
        );
        if let Some(shield) = &self.state.shield {
            let tidy = until.clone().run_until_cancelled_owned(shield.clone().forget_the_quiet());
            tasks::spawn("shield", tidy);
        }
    }
}

fn linking(config: &Config, stop: &CancellationToken) -> LinkingOptions {
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

fn redis_link(
    url: Option<&SecretUrl>,
    command_timeout: Duration,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Option<Arc<RedisLink>>> {
    let Some(url) = url else { return Ok(None) };
    let options = RedisOptions { url: SecretString::from(url.expose()), command_timeout };
    let link = RedisLink::new(&options, Arc::clone(clock)).context("rate_limiting.redis_url")?;
    Ok(Some(Arc::new(link)))
}

fn limiter(config: &Config, link: Option<Arc<RedisLink>>, clock: &Arc<dyn Clock>) -> Limiter {
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

fn cache(config: &Config, vault: &Arc<KeyVault>, clock: &Arc<dyn Clock>) -> anyhow::Result<Cache> {
    let redis = config.cache.redis_url.as_ref().map(|url| RedisOptions {
        url: SecretString::from(url.expose()),
        command_timeout: config.cache.command_timeout(),
    });
    let options = CacheOptions { l1_max_bytes: config.cache.l1_max_bytes, redis };
    let sealer = Arc::new(crate::sealer::VaultSealer::new(Arc::clone(vault)));
    Cache::new(&options, Some(sealer), Arc::clone(clock)).context("cache.redis_url")
}

fn providers(
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

fn doors(config: &Config) -> Doors {
    let own = config.server.public_url.host_str().map(str::to_owned);
    let hosts: Vec<String> = own.into_iter().chain(config.server.allowed_hosts.iter().cloned()).collect();
    Doors::new(&hosts, config.server.allowed_origins.clone())
}

fn shield(config: &Config, proxies: &TrustedProxies) -> anyhow::Result<Option<Shield>> {
    if !config.rate_limiting.enabled {
        return Ok(None);
    }
    let positive =
        |value: u32, key: &str| NonZeroU32::new(value).with_context(|| format!("{key} must not be 0"));
    let per_second = positive(config.rate_limiting.per_ip_per_second, "rate_limiting.per_ip_per_second")?;
    let burst = positive(config.rate_limiting.per_ip_burst, "rate_limiting.per_ip_burst")?;
    Ok(Some(Shield::new(proxies.clone(), per_second, burst)))
}
