//! The sections of the configuration: fields, defaults, ranges. Their doc comments are the schema's descriptions
//! and the advice in error messages. Rules that join several fields are in `validate`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::secret::SecretUrl;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The public endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port of the public endpoint, such as `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// The address that clients use, such as `https://music.example.com`; it is in the resource metadata.
    #[schemars(with = "String", url)]
    pub public_url: Url,
    /// More values of `Host` to accept than that of `public_url`, such as `stagedoor.internal:8080`.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` to accept from browsers, such as `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// Networks whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Longest request body in bytes.
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub body_limit_bytes: usize,
    /// Milliseconds in which a request's head and body must arrive.
    #[schemars(range(min = 100, max = 600_000))]
    pub body_timeout_ms: u64,
    /// Milliseconds that a connection is kept without a request. Longer than clients, proxies and load balancers keep theirs, or now and then
    /// a request meets a connection that is just being closed: many keep them for 60 or 90 seconds, some for 600.
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub idle_timeout_ms: u64,
    /// Milliseconds that a call may take.
    #[schemars(range(min = 100, max = 600_000))]
    pub request_deadline_ms: u64,
    /// Deepest nesting of a JSON body.
    #[schemars(range(min = 8, max = 120))]
    pub max_depth: usize,
    /// Requests under way at a time in one process, open streams among them; one more is refused at once.
    #[schemars(range(min = 4, max = 1_000_000))]
    pub max_in_flight: u32,
    /// The share of these, in percent, that one tenant may have under way; a tenant's own `concurrent_calls` goes first.
    #[schemars(range(min = 1, max = 100))]
    pub tenant_share_percent: u32,
    /// Milliseconds between "not ready" and closing the listener, for load balancers to notice.
    #[schemars(range(max = 120_000))]
    pub drain_grace_ms: u64,
    /// Milliseconds that running calls get to finish after the listener is closed.
    #[schemars(range(max = 600_000))]
    pub drain_finish_ms: u64,
}

milliseconds!(ServerConfig {
    body_timeout = body_timeout_ms,
    idle_timeout = idle_timeout_ms,
    request_deadline = request_deadline_ms,
    drain_grace = drain_grace_ms,
    drain_finish = drain_finish_ms,
});

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: Url::parse("http://127.0.0.1:8080").expect("a constant address"),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            body_limit_bytes: MIB,
            body_timeout_ms: 10_000,
            idle_timeout_ms: 120_000,
            request_deadline_ms: 30_000,
            max_depth: 64,
            max_in_flight: 1_024,
            tenant_share_percent: 25,
            drain_grace_ms: 5_000,
            drain_finish_ms: 20_000,
        }
    }
}

/// The port of health checks and metrics.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OpsConfig {
    /// Address and port of `/livez`, `/readyz`, `/startupz` and `/metrics`, such as `0.0.0.0:9090`.
    pub listen: SocketAddr,
}

impl Default for OpsConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)) }
    }
}

/// PostgreSQL.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// The service's connection, such as `postgres://stagedoor_app:…@db:5432/stagedoor`. A secret.
    pub database_url: SecretUrl,
    /// The owner's connection, for migrations only, such as `postgres://stagedoor_owner:…@db:5432/stagedoor`. A secret.
    pub owner_database_url: Option<SecretUrl>,
    /// Provisioning's connection, for commands that delete tenants only, such as
    /// `postgres://stagedoor_admin:…@db:5432/stagedoor`. A secret.
    pub admin_database_url: Option<SecretUrl>,
    /// The keeper's own connection, past any pooler in transaction mode, such as
    /// `postgres://stagedoor_keeper:…@db:5432/stagedoor`. A secret.
    pub keeper_database_url: Option<SecretUrl>,
    /// The connection with which the keeper reads what it backs up, such as
    /// `postgres://stagedoor_backup:…@db:5432/stagedoor`. A secret.
    pub backup_database_url: Option<SecretUrl>,
    /// Connections of one process.
    #[schemars(range(min = 1, max = 1000))]
    pub max_connections: u32,
    /// Milliseconds to wait for a free connection before the call is refused.
    #[schemars(range(min = 1, max = 60_000))]
    pub acquire_timeout_ms: u64,
    /// Prepared statements kept per connection; 0 behind PgBouncer in transaction mode.
    #[schemars(range(max = 10_000))]
    pub statement_cache: usize,
    /// Whether the gateway has the database tell it of changes at once, by one connection more: true or false. Off where
    /// `statement_cache` is 0; changes are asked for twice a second in any case.
    pub listen: bool,
}

milliseconds!(StorageConfig { acquire_timeout = acquire_timeout_ms });

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            database_url: SecretUrl::default(),
            owner_database_url: None,
            admin_database_url: None,
            keeper_database_url: None,
            backup_database_url: None,
            max_connections: 10,
            acquire_timeout_ms: 250,
            statement_cache: 100,
            listen: true,
        }
    }
}

/// The audit trail.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Whether calls are recorded: true or false.
    pub enabled: bool,
    /// Milliseconds after which the records of reads are written at the latest.
    #[schemars(range(min = 1, max = 200))]
    pub flush_interval_ms: u64,
    /// Records of reads that wait in memory; a full queue slows calls down, then refuses them.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub queue_capacity: usize,
    /// Bytes of records of one tenant and UTC day; at that size its reads are refused until the next day, while what
    /// changes something goes on. 0 knows no such size; a tenant's own `audit.max_log_size_bytes` goes first.
    pub max_log_size_bytes: u64,
    /// Seconds between signed checkpoints of a chain that grew.
    #[schemars(range(min = 1, max = 3_600))]
    pub checkpoint_interval_seconds: u32,
    /// The object store that keeps checkpoints apart from the database, such as `s3://bucket/audit`, `gs://…`, `az://…`
    /// or `file:///var/lib/stagedoor/checkpoints`; without it they are in the database only.
    #[schemars(with = "Option<String>", url)]
    pub checkpoint_url: Option<Url>,
}

milliseconds!(AuditConfig { flush_interval = flush_interval_ms });

impl AuditConfig {
    /// `checkpoint_interval_seconds` as a duration.
    pub fn checkpoint_interval(&self) -> Duration {
        Duration::from_secs(self.checkpoint_interval_seconds.into())
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            flush_interval_ms: 100,
            queue_capacity: 8_192,
            max_log_size_bytes: 1_073_741_824,
            checkpoint_interval_seconds: 60,
            checkpoint_url: None,
        }
    }
}

/// Metrics.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether `/metrics` is served: true or false.
    pub enabled: bool,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// Protobuf over HTTP, usually on port 4318.
    #[default]
    Http,
    /// gRPC, usually on port 4317.
    Grpc,
}

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtlpSignal {
    /// One trace for each call.
    Traces,
    /// What `/metrics` shows, every 15 seconds.
    Metrics,
    /// The log lines that are written.
    Logs,
}

/// Logs, and what a collector gets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The collector's address, such as `http://collector:4318`; without it nothing is exported.
    #[schemars(with = "Option<String>", url)]
    pub otlp_endpoint: Option<Url>,
    /// `http` (protobuf over HTTP, usually port 4318) or `grpc` (usually port 4317).
    pub otlp_protocol: OtlpProtocol,
    /// What the gateway exports: `traces`, `metrics`, `logs`. The figures of the keeper's jobs are exported in any case.
    pub otlp_signals: Vec<OtlpSignal>,
    /// A file with headers for the collector, such as `authorization: Bearer …`; one a line.
    pub otlp_headers_file: Option<PathBuf>,
    /// Milliseconds that the collector has to take a batch, repetitions included.
    #[schemars(range(min = 100, max = 60_000))]
    pub otlp_timeout_ms: u64,
    /// The share of traces kept that no caller decided on; 1 keeps all.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sampling_ratio: f64,
    /// `auto` (pretty on a terminal, else JSON), `json` or `pretty`.
    pub log_format: LogFormat,
    /// Which log lines are written, such as `info,stagedoor_providers=debug`.
    pub log_filter: String,
}

milliseconds!(TelemetryConfig { otlp_timeout = otlp_timeout_ms });

impl TelemetryConfig {
    /// Whether there is a collector that gets `signal`.
    pub fn exports(&self, signal: OtlpSignal) -> bool {
        self.otlp_endpoint.is_some() && self.otlp_signals.contains(&signal)
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_protocol: OtlpProtocol::Http,
            otlp_signals: vec![OtlpSignal::Traces],
            otlp_headers_file: None,
            otlp_timeout_ms: 5_000,
            sampling_ratio: 1.0,
            log_format: LogFormat::Auto,
            log_filter: "info,rmcp=warn,sqlx=warn,hyper=warn,reqwest=warn,opentelemetry=warn".to_owned(),
        }
    }
}

/// Linking people's accounts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkingConfig {
    /// Milliseconds that a call may wait for a person who is on the link page; two thirds of
    /// `server.request_deadline_ms` at most count.
    #[schemars(range(max = 600_000))]
    pub wait_ms: u64,
    /// Minutes that a person has to finish a link.
    #[schemars(range(min = 1, max = 60))]
    pub attempt_minutes: u32,
}

milliseconds!(LinkingConfig { wait = wait_ms });

impl Default for LinkingConfig {
    fn default() -> Self {
        Self { wait_ms: 20_000, attempt_minutes: 10 }
    }
}

/// Copies and deletion of people's data.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacyConfig {
    /// Milliseconds after a deletion was confirmed before its last step, which searches Redis and signs the receipt:
    /// `server.request_deadline_ms` and the 30 s for which a replica without a database may know a key, or more.
    #[schemars(range(max = 600_000))]
    pub settle_ms: u64,
}

milliseconds!(PrivacyConfig { settle = settle_ms });

impl Default for PrivacyConfig {
    fn default() -> Self {
        Self { settle_ms: 60_000 }
    }
}

/// Calls to Spotify and Tidal.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProvidersConfig {
    /// Milliseconds that a connection may take.
    #[schemars(range(min = 10, max = 60_000))]
    pub connect_timeout_ms: u64,
    /// Milliseconds that a provider's whole answer may take.
    #[schemars(range(min = 10, max = 600_000))]
    pub request_timeout_ms: u64,
    /// Longest answer in bytes.
    #[schemars(range(min = 1024, max = 268_435_456))]
    pub body_limit_bytes: usize,
    /// Requests under way at a time to one client id of a tenant, of all its people together.
    #[schemars(range(min = 1, max = 1_024))]
    pub in_flight_per_client: usize,
    /// Calls that may wait for their turn at one client id of a tenant; one more is refused at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub queue_per_client: usize,
    /// Whether tenants' apps may name plain `http` addresses on this machine: for the sandbox only, true or false.
    pub allow_plain_http_loopback: bool,
}

milliseconds!(ProvidersConfig { connect_timeout = connect_timeout_ms, request_timeout = request_timeout_ms });

impl Default for ProvidersConfig {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 2_000,
            request_timeout_ms: 10_000,
            body_limit_bytes: 4 * MIB,
            in_flight_per_client: 16,
            queue_per_client: 1_024,
            allow_plain_http_loopback: false,
        }
    }
}
