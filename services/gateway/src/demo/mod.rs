//! `stagedoor demo`: everything on this machine. PostgreSQL is real but private, the music services are the
//! sandbox, the gateway is the same as in production. Data is kept from run to run.

mod greeting;
mod keeper;
mod provision;
mod secrets;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use stagedoor_bootstrap::config::{Config, EncryptionConfig, LoadOptions, Origin, SecretUrl};
use stagedoor_bootstrap::private_servers::{PrivatePostgres, PrivatePostgresOptions, default_data_dir};
use stagedoor_bootstrap::{ShutdownOptions, tasks, telemetry};
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::{Clock, Entropy, SystemClock, TenantSettings};
use stagedoor_sandbox::{Sandbox, SandboxConfig};
use tokio::net::TcpListener;
use url::Url;

use crate::assembly;
use greeting::Greeting;
use secrets::Secrets;

/// The database inside the private cluster.
const DATABASE: &str = "stagedoor";
/// The folder of the audit trail's checkpoints.
const CHECKPOINTS: &str = "checkpoints";

/// How to run the demo.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// The port of the endpoint; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The port of health checks and metrics; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    ops_port: u16,
    /// The port of the admin API; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
    /// Print one line of JSON instead of the greeting.
    #[arg(long)]
    json: bool,
    /// Begin anew: erase what earlier runs kept.
    #[arg(long)]
    reset: bool,
    /// Leave linking the person's accounts to you; counts when the demo begins anew.
    #[arg(long)]
    unlinked: bool,
    /// What the tenant overrides, as JSON: `{"policy_gates": {"spotify": {"transfer": true}}}`.
    #[arg(long, value_name = "JSON", value_parser = settings)]
    settings: Option<TenantSettings>,
    /// Where data is kept; /var/lib/stagedoor for root, else ~/.local/share/stagedoor.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// The folder of PostgreSQL's programs (initdb, postgres), if they are not found.
    #[arg(long)]
    postgres_bin: Option<PathBuf>,
    /// Further settings; the demo's own addresses and keys win over it.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Runs the demo until a signal.
pub async fn run(arguments: DemoArguments) -> anyhow::Result<()> {
    let mut config = Config::read(&LoadOptions::from_process(arguments.config.clone()))?;
    let telemetry = telemetry::init(&config.telemetry, "stagedoor-demo")?;
    let data_dir = arguments.data_dir.clone().unwrap_or_else(default_data_dir);
    if arguments.reset {
        PrivatePostgres::erase(&data_dir).await.context("the data of earlier runs could not be erased")?;
        secrets::erase(&data_dir)?;
        erase_checkpoints(&data_dir)?;
        keeper::erase(&data_dir)?;
    }
    let listeners = bind(&mut config, &arguments).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);

    let options = PrivatePostgresOptions {
        bin_dir: arguments.postgres_bin.clone(),
        ..PrivatePostgresOptions::durable(&data_dir)
    };
    let postgres = Arc::new(PrivatePostgres::start(options).await?);
    let ended =
        Box::pin(serve(&mut config, &arguments, &data_dir, listeners, &postgres, clock, entropy)).await;
    postgres.stop().await;
    telemetry.flush().await;
    ended
}

async fn serve(
    config: &mut Config,
    arguments: &DemoArguments,
    data_dir: &Path,
    listeners: assembly::Listeners,
    postgres: &Arc<PrivatePostgres>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> anyhow::Result<()> {
    let secrets = Secrets::load_or_make(data_dir, entropy.as_ref())?;
    let (sandbox, sandbox_listener) = sandbox(data_dir, &clock).await?;
    let sandbox_url = Url::parse(&format!("http://{}", sandbox_listener.local_addr()?))?;
    point_at(config, postgres, &secrets);
    keep_checkpoints(config, data_dir)?;
    config.validate()?;
    let music = provision::MusicServices {
        sandbox: &sandbox,
        sandbox_url: &sandbox_url,
        public_url: &config.server.public_url,
    };
    let wishes = provision::Wishes { linked: !arguments.unlinked, settings: arguments.settings.clone() };
    let demo = provision::provision(postgres, &secrets, (&music, &wishes), &clock, &entropy).await?;

    let gateway = Box::pin(assembly::assemble(config, clock, entropy)).await?;
    let shutdown = gateway.shutdown(ShutdownOptions::immediate());
    shutdown.listen_for_signals()?;
    let tokens = shutdown.tokens();
    tasks::spawn("postgres", Arc::clone(postgres).keep_running(tokens.begun.clone()));
    let stop = tokens.finished.clone().cancelled_owned();
    tasks::spawn("sandbox", async move {
        if let Err(error) = stagedoor_sandbox::serve(sandbox, sandbox_listener, stop).await {
            tracing::error!(error = %error, "the sandbox ended");
        }
    });
    let keeper = keeper::write(data_dir, config, postgres)?;
    let greeting = Greeting::new(&listeners, &demo, &keeper, config.rate_limiting.redis_url.is_some())?;
    greeting.print(arguments.json);
    gateway.run(listeners, shutdown).await;
    Ok(())
}

/// Settings that are to be set are read in full: what the gateway would pass over is an error here.
fn settings(text: &str) -> Result<TenantSettings, String> {
    let value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let (settings, problems) = TenantSettings::read(&value);
    if problems.is_empty() {
        return Ok(settings);
    }
    Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

async fn bind(config: &mut Config, arguments: &DemoArguments) -> anyhow::Result<assembly::Listeners> {
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    config.ops.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.ops_port));
    config.admin.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.admin_port)));
    let listeners =
        assembly::bind(config).await.context("another program may be listening there: try --port 0")?;
    let address = listeners.public.local_addr()?;
    config.server.public_url = Url::parse(&format!("http://{address}"))?;
    config.server.allowed_hosts.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()]);
    Ok(listeners)
}

fn point_at(config: &mut Config, postgres: &PrivatePostgres, secrets: &Secrets) {
    config.storage.database_url = SecretUrl::new(postgres.url_for(DATABASE, "stagedoor_app"));
    config.storage.admin_database_url = Some(SecretUrl::new(postgres.url_for(DATABASE, "stagedoor_admin")));
    // Nobody else waits for a slow laptop's database, so a call would rather wait than fail.
    config.storage.acquire_timeout_ms = config.storage.acquire_timeout_ms.max(5_000);
    config.encryption = EncryptionConfig {
        key_file: Some(secrets.key.clone()),
        api_key_pepper_file: Some(secrets.pepper.clone()),
        ..EncryptionConfig::default()
    };
    config.providers.allow_plain_http_loopback = true;
    if config.origin("privacy.settle_ms") == Origin::Default {
        // The only replica, whose database is beside it, and a visitor who watches the page.
        config.privacy.settle_ms = 2_000;
    }
}

fn erase_checkpoints(data_dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(data_dir.join(CHECKPOINTS)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Checkpoints beside the database, as an object store would have them.
fn keep_checkpoints(config: &mut Config, data_dir: &Path) -> anyhow::Result<()> {
    if config.audit.checkpoint_url.is_some() {
        return Ok(());
    }
    let folder = std::path::absolute(data_dir.join(CHECKPOINTS))?;
    let cannot = || format!("{} cannot be made", folder.display());
    std::fs::create_dir_all(&folder).with_context(cannot)?;
    config.audit.checkpoint_url = Url::from_directory_path(&folder).ok();
    Ok(())
}

async fn sandbox(data_dir: &Path, clock: &Arc<dyn Clock>) -> anyhow::Result<(Sandbox, TcpListener)> {
    let sandbox = Sandbox::new(SandboxConfig {
        state_file: Some(data_dir.join("sandbox.json")),
        clock: Arc::clone(clock),
        ..SandboxConfig::default()
    });
    Ok((sandbox, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?))
}
