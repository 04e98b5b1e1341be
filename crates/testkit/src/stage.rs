//! The servers of one test: PostgreSQL, Redis, the sandbox providers, the keys; all its own, all ending with it.
//! Tenants are in `tenants`, gateways in `gateway` and `process`.

use std::fmt;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ipnet::IpNet;
use stagedoor_bootstrap::config::{Config, SecretUrl};
use stagedoor_bootstrap::private_servers::{PrivatePostgres, PrivateRedis};
use stagedoor_bootstrap::tasks;
use stagedoor_crypto::{KeyEncryptionKeys, Peppers, SystemEntropy};
use stagedoor_domain::{Clock, Entropy, SystemClock};
use stagedoor_sandbox::{RefreshRotation, Sandbox, SandboxConfig};
use stagedoor_storage::{KeyVault, Purpose, Store, StoreOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::template::Claim;

/// The database of every stage.
pub(crate) const DATABASE: &str = "stagedoor";

/// 32 bytes in base64: the key-encryption key and the pepper of every stage.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// What a stage is made of.
#[derive(Debug, Clone)]
pub struct StageOptions {
    /// Whether there is a Redis.
    pub redis: bool,
    /// The clock of gateways in this process and of the sandbox.
    pub clock: Arc<dyn Clock>,
    /// How the sandbox rotates refresh tokens.
    pub rotation: RefreshRotation,
}

impl Default for StageOptions {
    /// With Redis, by the machine's clock, rotating.
    fn default() -> Self {
        Self { redis: true, clock: Arc::new(SystemClock::new()), rotation: RefreshRotation::Replace }
    }
}

/// Servers and keys for gateways to run on.
pub struct Stage {
    postgres: PrivatePostgres,
    redis: Option<PrivateRedis>,
    sandbox: Sandbox,
    sandbox_address: SocketAddr,
    clock: Arc<dyn Clock>,
    admin: Arc<KeyVault>,
    reader: Arc<KeyVault>,
    peppers: Peppers,
    _sandbox_stop: DropGuard,
    folder: TempDir,
    /// After the server in the order of dropping: the next to claim the cluster finds it stopped.
    _claim: Claim,
}

impl Stage {
    /// A stage with Redis, by the machine's clock.
    ///
    /// # Panics
    /// If a server cannot be started; the text says which package is missing.
    pub async fn start() -> Self {
        Self::start_with(StageOptions::default()).await
    }

    /// A stage.
    ///
    /// # Panics
    /// If a server cannot be started; the text says which package is missing.
    pub async fn start_with(options: StageOptions) -> Self {
        match Self::try_start(options).await {
            Ok(stage) => stage,
            Err(error) => panic!("the stage could not be set: {error:#}"),
        }
    }

    async fn try_start(options: StageOptions) -> anyhow::Result<Self> {
        show_warnings();
        stagedoor_bootstrap::tls::install_provider();
        let folder = tempfile::Builder::new().prefix("stagedoor-test-").tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        for name in ["key-encryption.key", "pepper.key"] {
            fs::write(folder.path().join(name), KEY)?;
        }
        let claim = Claim::any().await?;
        let postgres = claim.start().await?;
        let redis = if options.redis { Some(PrivateRedis::start(folder.path()).await?) } else { None };
        let sandbox = Sandbox::new(SandboxConfig {
            clock: Arc::clone(&options.clock),
            rotation: options.rotation,
            record: record(),
            ..SandboxConfig::default()
        });
        let (sandbox_address, sandbox_stop) = serve(&sandbox).await?;
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let admin =
            vault(&postgres, ("stagedoor_admin", Purpose::Provision), &options.clock, &entropy).await?;
        let reader = vault(&postgres, ("stagedoor_app", Purpose::Serve), &options.clock, &entropy).await?;
        Ok(Self {
            postgres,
            redis,
            sandbox,
            sandbox_address,
            clock: options.clock,
            admin,
            reader,
            peppers: Peppers::from_files([("1", KEY.as_bytes())]).context("the pepper")?,
            _sandbox_stop: sandbox_stop,
            folder,
            _claim: claim,
        })
    }

    /// The PostgreSQL server.
    pub fn postgres(&self) -> &PrivatePostgres {
        &self.postgres
    }

    /// The Redis server.
    ///
    /// # Panics
    /// On a stage without one.
    pub fn redis(&self) -> &PrivateRedis {
        self.redis.as_ref().expect("this stage was set without Redis")
    }

    /// The music services.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Where the music services listen.
    pub fn sandbox_address(&self) -> SocketAddr {
        self.sandbox_address
    }

    /// The clock of everything in this process.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// A folder that ends with the stage.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The vault of the role that makes tenants.
    pub fn admin(&self) -> &Arc<KeyVault> {
        &self.admin
    }

    /// A vault of the gateway's role that is no gateway's.
    pub fn reader(&self) -> &Arc<KeyVault> {
        &self.reader
    }

    /// The pepper of API keys.
    pub fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// The gateway's connection to the database.
    pub fn database_url(&self) -> String {
        self.postgres.url_for(DATABASE, "stagedoor_app")
    }

    /// The connection of whoever makes tenants.
    pub fn admin_url(&self) -> String {
        self.postgres.url_for(DATABASE, "stagedoor_admin")
    }

    /// The same through a proxy at `address`.
    pub fn database_url_at(&self, address: SocketAddr) -> String {
        let own = format!("127.0.0.1:{}", self.postgres.port());
        self.database_url().replace(&own, &address.to_string())
    }

    /// Runs SQL as the superuser, past every policy; answers with unaligned text.
    ///
    /// # Panics
    /// If the statement fails.
    pub async fn sql(&self, statement: &str) -> String {
        match self.postgres.sql(DATABASE, statement).await {
            Ok(text) => text,
            Err(error) => panic!("{statement}: {error}"),
        }
    }

    /// A gateway's configuration on this stage: free ports, no limit on networks, and patience with a busy machine.
    /// Peers on loopback may say whom they forward for, so that a test can come from several networks.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.ops.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.server.trusted_proxies = IpNet::new(Ipv4Addr::LOCALHOST.into(), 8).into_iter().collect();
        config.server.drain_grace_ms = 0;
        config.server.drain_finish_ms = 2_000;
        config.storage.database_url = SecretUrl::new(self.database_url());
        config.storage.acquire_timeout_ms = 5_000;
        // Logging in costs an unoptimised build tens of milliseconds of its only thread, for each connection.
        config.storage.max_connections = 4;
        config.encryption.key_file = Some(self.folder().join("key-encryption.key"));
        config.encryption.api_key_pepper_file = Some(self.folder().join("pepper.key"));
        config.providers.allow_plain_http_loopback = true;
        config.oauth.allow_http = true;
        config.oauth.allowed_networks = IpNet::new(Ipv4Addr::LOCALHOST.into(), 8).into_iter().collect();
        config.rate_limiting.per_ip_per_second = 1_000_000;
        config.rate_limiting.per_ip_burst = 1_000_000;
        if let Some(redis) = &self.redis {
            config.cache.redis_url = Some(SecretUrl::new(redis.url()));
            config.rate_limiting.redis_url = Some(SecretUrl::new(redis.url()));
        }
        // Nothing of a person is under way once a test has them deleted, unless it says so.
        config.privacy.settle_ms = 0;
        config.cache.command_timeout_ms = 2_000;
        config.rate_limiting.command_timeout_ms = 2_000;
        config
    }
}

/// Writes warnings where the test runner shows them if the test fails; `RUST_LOG` asks for more.
fn show_warnings() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    // Tests of one process share the first one's.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

/// Where `STAGEDOOR_SANDBOX_RECORD` asks for every exchange with the music services to be written; see `tests/contract`.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration of a service")]
pub(crate) fn record() -> Option<PathBuf> {
    std::env::var("STAGEDOOR_SANDBOX_RECORD").ok().filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Serves a sandbox on a free port until the guard is dropped.
pub(crate) async fn serve(sandbox: &Sandbox) -> anyhow::Result<(SocketAddr, DropGuard)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let serving = stagedoor_sandbox::serve(sandbox.clone(), listener, stop.clone().cancelled_owned());
    tasks::spawn("sandbox", serving);
    Ok((address, stop.drop_guard()))
}

pub(crate) async fn vault(
    postgres: &PrivatePostgres,
    (role, purpose): (&str, Purpose),
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> anyhow::Result<Arc<KeyVault>> {
    let options = StoreOptions {
        purpose,
        max_connections: 4,
        acquire_timeout: Duration::from_secs(10),
        transaction_timeout: Duration::from_secs(10),
        ..StoreOptions::new(postgres.url_for(DATABASE, role))
    };
    let store = Store::connect(&options).await?;
    let keys = KeyEncryptionKeys::from_files([("1", KEY.as_bytes())]).context("the key")?;
    Ok(Arc::new(KeyVault::new(store, Arc::new(keys), Arc::clone(clock), Arc::clone(entropy))))
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}
