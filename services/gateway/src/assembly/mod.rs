//! From a valid configuration to a gateway that serves: opens the rooms in order and hands each what it needs.

mod admin;
mod audit;
mod parts;
mod run;

use std::sync::{Arc, OnceLock};

use stagedoor_assembly::music::{cache, limiter, limits_link, providers};
use stagedoor_assembly::{keys, open_store};
use stagedoor_audit::{AuditWorker, Checkpointer};
use stagedoor_bootstrap::config::{Config, OtlpSignal};
use stagedoor_bootstrap::{Health, Metrics};
use stagedoor_cache::Cache;
use stagedoor_crypto::KekProvider;
use stagedoor_domain::{Clock, Entropy};
use stagedoor_key_encryption::KeyRing;
use stagedoor_limits::{AttemptGuard, AttemptPolicy, Replicas};
use stagedoor_storage::{KeyVault, Purpose, Store};
use stagedoor_tools::{Desk, DeskOptions, Dispatcher, SessionsInUse};
use stagedoor_usage::UsageLog;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::parts::{beside, doors, job_wait, linking, listens, privacy, shield};
use crate::admin::AdminApi;
use crate::authn::Authenticator;
use crate::background::Background;
use crate::client::TrustedProxies;
use crate::concurrency::Concurrency;
use crate::gauges::Gauges;
use crate::heartbeat::Heartbeat;
use crate::input_sanitizer::InputSanitizer;
use crate::job_worker::JobWorker;
use crate::key_use::KeyUses;
use crate::leaked_keys::LeakReports;
use crate::mcp::Endpoint;
use crate::mcp::music::{self, MusicSurface};
use crate::mcp::render::ServerInfo;
use crate::mcp::surface::Surface;
use crate::oauth::Tokens;
use crate::pages::Pages;
use crate::privacy::worker::{OpenRequests, PrivacyWorker};
use crate::queue_watch::QueueWatch;
use crate::quota::Quota;
use crate::server::Bounds;
use crate::signing_keys::SigningKeys;
use crate::state::AppState;
use crate::tenant_watch::TenantWatch;
use crate::violations::Violations;
use crate::vital_signs::VitalSigns;
use crate::warm_up::WarmUp;

pub use run::{bind, shutdown_options};

/// A gateway, ready to serve.
#[derive(Debug)]
pub struct Gateway {
    state: Arc<AppState>,
    store: Store,
    vault: Arc<KeyVault>,
    sessions: Arc<SessionsInUse>,
    keys: Arc<KeyRing>,
    cache: Arc<Cache>,
    warm_up: Option<WarmUp>,
    jobs: Arc<JobWorker>,
    deletions: Arc<PrivacyWorker>,
    replicas: Option<Replicas>,
    heartbeat: Option<Heartbeat>,
    signs: Arc<VitalSigns>,
    requests: Arc<OpenRequests>,
    tenants: Arc<TenantWatch>,
    queues: Arc<QueueWatch>,
    key_uses: Arc<KeyUses>,
    audit_writer: AuditWorker,
    checkpointer: Checkpointer,
    stop_streams: CancellationToken,
    bounds: Bounds,
    admin: Option<Arc<AdminApi>>,
}

/// The sockets of a gateway.
#[derive(Debug)]
pub struct Listeners {
    /// What agents reach.
    pub public: TcpListener,
    /// What probes and collectors reach.
    pub ops: TcpListener,
    /// What operators reach, if anything.
    pub admin: Option<TcpListener>,
}

/// Opens everything that `config` names. Fails, with the reason, rather than start half-working.
pub async fn assemble(
    config: &Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> anyhow::Result<Gateway> {
    let store = open_store(config, Purpose::Serve).await?;
    let (keys, peppers) = keys::open(&config.encryption, &clock, &*entropy).await?;
    let peppers = Arc::new(peppers);
    let provider: Arc<dyn KekProvider> = Arc::<KeyRing>::clone(&keys);
    let vault = KeyVault::new(store.clone(), provider, Arc::clone(&clock), Arc::clone(&entropy));
    let vault = Arc::new(vault.with_memory(config.encryption.opened_key()));
    let limits_link = limits_link(config, &clock)?;
    let limiter = Arc::new(limiter(config, limits_link.clone(), &clock));
    let replicas = limiter.replicas(&*entropy);
    let cache = Arc::new(cache(config, &vault, &clock, &entropy)?);
    let concurrency =
        Arc::new(Concurrency::new(config.server.max_in_flight, config.server.tenant_share_percent));
    let tenants = Arc::new(TenantWatch::new(store.clone(), Arc::clone(&clock), listens(config)));
    let key_uses = Arc::new(KeyUses::new(store.clone(), Arc::clone(&clock)));
    let violations = Arc::new(Violations::new(store.clone(), Arc::clone(&clock)));
    let usage = Arc::new(UsageLog::new(store.clone(), Arc::clone(&clock), Arc::clone(&entropy)));
    let (audit, audit_writer) = audit::log(config, &vault);
    let checkpointer = audit::checkpointer(config, &vault)?;
    let sessions = Arc::new(SessionsInUse::new(Arc::clone(&cache), Arc::clone(&clock)));
    let beside = beside(config, &concurrency);
    // The providers count into the metrics, which show what the providers' broker counts.
    let brokers = Arc::new(OnceLock::new());
    let requests = Arc::<OpenRequests>::default();
    let signs = Arc::new(VitalSigns::new(config.doctor.database_gib));
    let gauges = Gauges {
        signs: Arc::clone(&signs),
        vault: Arc::clone(&vault),
        requests: Arc::clone(&requests),
        cache: Arc::clone(&cache),
        beside: Arc::clone(&beside),
        limiter: Arc::clone(&limiter),
        concurrency: Arc::clone(&concurrency),
        violations: Arc::clone(&violations),
        tenants: Arc::clone(&tenants),
        key_uses: Arc::clone(&key_uses),
        providers: Arc::clone(&brokers),
        usage: Arc::clone(&usage),
        audit: audit.clone(),
        checkpointer: checkpointer.clone(),
        sessions: Arc::clone(&sessions),
        store: store.clone(),
        keys: Arc::clone(&keys),
    };
    let metrics = Arc::new(Metrics::with(|registry| registry.register_collector(Box::new(gauges))));
    let providers = providers(config, &clock, &entropy, Some(&metrics), limits_link.as_ref())?;
    let providers = brokers.get_or_init(|| providers).clone();
    let background = Background::default();
    let stop_streams = CancellationToken::new();
    let desk = Desk::new(DeskOptions {
        vault: Arc::clone(&vault),
        providers,
        cache: Arc::clone(&cache),
        reuse_answers: config.cache.enabled,
        beside,
        limiter: Arc::clone(&limiter),
        audit: audit.clone(),
        usage,
        sessions: Arc::clone(&sessions),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        spawn: background.spawner(),
        stop: stop_streams.clone(),
        job_wait: job_wait(config),
        render: music::render,
        illustrate: music::illustrate,
    });
    let linking = linking(config, &stop_streams);
    let dispatcher = Arc::new(Dispatcher::new(desk, audit.clone(), linking, privacy(config)));
    tenants.tell(Arc::clone(&dispatcher));
    let pages = Pages::new(
        store.clone(),
        &config.server.public_url,
        config.server.body_timeout(),
        config.server.request_deadline(),
    );
    let queues = Arc::new(QueueWatch::new(store.clone(), Arc::clone(&tenants), Arc::clone(&clock)));
    let surface: Arc<dyn Surface> = Arc::new(MusicSurface::new(
        Arc::clone(&dispatcher),
        audit.clone(),
        background.clone(),
        Arc::clone(&metrics),
        Arc::clone(&queues),
    ));
    #[cfg(feature = "conformance-fixtures")]
    let surface: Arc<dyn Surface> =
        Arc::new(crate::mcp::fixtures::FixtureSurface::new(surface, entropy.as_ref()));
    let attempts = match limits_link {
        Some(link) => AttemptGuard::redis(link, AttemptPolicy::default(), Arc::clone(&clock)),
        None => AttemptGuard::local(AttemptPolicy::default(), Arc::clone(&clock)),
    };
    let warm_up = (config.cache.enabled && config.cache.warm_up).then(|| WarmUp {
        cache: Arc::clone(&cache),
        l1_max_bytes: config.cache.l1_max_bytes,
        store: store.clone(),
        concurrency: Arc::clone(&concurrency),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    });
    let jobs = Arc::new(JobWorker {
        vault: Arc::clone(&vault),
        dispatcher: Arc::clone(&dispatcher),
        background: background.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    });
    let deletions = Arc::new(PrivacyWorker {
        store: store.clone(),
        open: Arc::clone(&requests),
        checkpointer: checkpointer.clone(),
        privacy: Arc::clone(dispatcher.privacy()),
        background: background.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    });
    let tokens = Tokens::new(
        config,
        store.clone(),
        Arc::clone(&tenants),
        (audit.clone(), background.clone()),
        (Arc::clone(&clock), Arc::clone(&entropy)),
    )?;
    let proxies = TrustedProxies::new(config.server.trusted_proxies.clone());
    let heartbeat = Heartbeat::new(
        config,
        store.clone(),
        Arc::clone(&keys),
        Arc::clone(&peppers),
        Arc::clone(&signs),
        Arc::clone(&clock),
        entropy.as_ref(),
    );
    let state = AppState {
        doors: doors(config),
        shield: shield(config, &proxies)?,
        proxies,
        authenticator: Authenticator::new(
            store.clone(),
            Arc::clone(&peppers),
            attempts,
            Arc::clone(&clock),
            Arc::clone(&tenants),
            background.clone(),
            (Arc::clone(&key_uses), tokens),
        ),
        concurrency: Arc::clone(&concurrency),
        quota: Quota::new(config.rate_limiting.enabled.then_some(limiter), Arc::clone(&violations)),
        violations,
        mcp: Endpoint {
            surface,
            server_info: ServerInfo::of_this_build(),
            body_limit: config.server.body_limit_bytes,
            body_timeout: config.server.body_timeout(),
            input: InputSanitizer::new(config.server.max_depth),
            deadline: config.server.request_deadline(),
            stop: stop_streams.clone(),
        },
        pages,
        leaks: LeakReports::new(store.clone(), Arc::clone(&peppers)),
        signing_keys: SigningKeys::new(store.clone(), Arc::clone(&peppers)),
        dispatcher,
        audit,
        background,
        metrics,
        serves_metrics: config.metrics.enabled,
        traces: config.telemetry.exports(OtlpSignal::Traces),
        health: Health::new(),
        clock,
        entropy,
    };
    let bounds = Bounds {
        header_timeout: config.server.body_timeout(),
        idle_timeout: config.server.idle_timeout(),
        drain: config.server.drain_finish(),
        ..Bounds::default()
    };
    let state = Arc::new(state);
    let admin = admin::open(config, &state, &vault, &keys, (&peppers, &checkpointer)).await?;
    Ok(Gateway {
        state,
        store,
        vault,
        sessions,
        keys,
        cache,
        warm_up,
        jobs,
        deletions,
        replicas,
        heartbeat: Some(heartbeat),
        signs,
        requests,
        tenants,
        queues,
        key_uses,
        audit_writer,
        checkpointer,
        stop_streams,
        bounds,
        admin,
    })
}
