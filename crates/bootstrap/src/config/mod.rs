//! The configuration: one YAML file, `STAGEDOOR_SECTION__KEY` overrides, `…_FILE` for secrets. Everything is
//! checked before it is used, and every problem is told at once.

macro_rules! milliseconds {
    ($section:ident { $($method:ident = $field:ident),+ $(,)? }) => {
        impl $section {
            $(#[doc = concat!("`", stringify!($field), "` as a duration.")]
            pub const fn $method(&self) -> Duration {
                Duration::from_millis(self.$field)
            })+
        }
    };
}

mod admin;
mod backup;
mod doctor;
mod encryption;
mod environment;
mod error;
mod layers;
mod oauth;
mod operator;
mod retention;
mod schema;
mod secret;
mod sections;
mod shared;
mod validate;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use admin::AdminConfig;
pub use backup::BackupConfig;
pub use doctor::DoctorConfig;
pub use encryption::{EncryptionConfig, KubernetesLoginConfig, TransitConfig, WrapWith};
pub(crate) use environment::{data_home, home_directory, search_path};
pub use environment::{environment, variable};
pub use error::{ConfigError, ConfigErrors, Origin};
pub use oauth::OauthConfig;
pub use operator::OperatorConfig;
pub use retention::RetentionConfig;
pub use secret::SecretUrl;
pub use sections::{
    AuditConfig, LinkingConfig, LogFormat, MetricsConfig, OpsConfig, OtlpProtocol, OtlpSignal, PrivacyConfig,
    ProvidersConfig, ServerConfig, StorageConfig, TelemetryConfig,
};
pub use shared::{CacheConfig, RateLimitingConfig};

use layers::Layers;
use schema::ConfigSchema;

/// The variable that names the configuration file where no flag does.
pub const FILE_VARIABLE: &str = "STAGEDOOR_CONFIG";

/// Sections in which processes of one installation may differ.
const OF_ONE_PROCESS: &[&str] = &["admin", "doctor", "metrics", "operator", "ops", "telemetry"];

/// The configuration of a service.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The public endpoint.
    pub server: ServerConfig,
    /// The port of health checks and metrics.
    pub ops: OpsConfig,
    /// The port of operators.
    pub admin: AdminConfig,
    /// PostgreSQL.
    pub storage: StorageConfig,
    /// Where the keys are.
    pub encryption: EncryptionConfig,
    /// The cache of answers.
    pub cache: CacheConfig,
    /// Limits of calls.
    pub rate_limiting: RateLimitingConfig,
    /// The audit trail.
    pub audit: AuditConfig,
    /// Backups.
    pub backup: BackupConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Calls to Spotify and Tidal.
    pub providers: ProvidersConfig,
    /// Linking people's accounts.
    pub linking: LinkingConfig,
    /// Copies and deletion of people's data.
    pub privacy: PrivacyConfig,
    /// Tokens of issuers that tenants have registered.
    pub oauth: OauthConfig,
    /// What the keeper's `doctor` is to know of the machines.
    pub doctor: DoctorConfig,
    /// The Kubernetes operator.
    pub operator: OperatorConfig,
    /// How long what is kept.
    pub retention: RetentionConfig,
    #[serde(skip)]
    origins: BTreeMap<String, Origin>,
}

/// Where a configuration is loaded from.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The YAML file; without it, the one that [`FILE_VARIABLE`] names, if any.
    pub file: Option<PathBuf>,
    /// Environment variables, see [`environment`].
    pub environment: BTreeMap<String, String>,
}

impl LoadOptions {
    /// A file and the process's own environment.
    pub fn from_process(file: Option<PathBuf>) -> Self {
        Self { file, environment: environment().collect() }
    }
}

impl Config {
    /// Loads and validates.
    ///
    /// # Errors
    /// Every problem that was found: first those of single keys, and only without any, those between keys.
    pub fn load(options: &LoadOptions) -> Result<Self, ConfigErrors> {
        let config = Self::read(options)?;
        config.validate()?;
        Ok(config)
    }

    /// Loads without the rules between keys, for callers that fill in what is missing and then [`Self::validate`].
    ///
    /// # Errors
    /// Every problem of a single key that was found.
    pub fn read(options: &LoadOptions) -> Result<Self, ConfigErrors> {
        let schema = ConfigSchema::new();
        let mut layers = Layers::new(&schema);
        let named =
            || options.environment.get(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(file) = options.file.clone().or_else(named) {
            layers.add_file(&file);
        }
        layers.add_environment(&options.environment);
        layers.finish().map_err(ConfigErrors)
    }

    /// Checks ranges and the rules between fields; for configurations that were made in code.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let problems = validate::problems(self, &ConfigSchema::new());
        if problems.is_empty() { Ok(()) } else { Err(ConfigErrors(problems)) }
    }

    /// Checks what the operator uses: ranges, and its own section's rules. It has no use for a database or keys.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn validate_operator(&self) -> Result<(), ConfigErrors> {
        let problems = validate::operator_problems(self, &ConfigSchema::new());
        if problems.is_empty() { Ok(()) } else { Err(ConfigErrors(problems)) }
    }

    /// The JSON schema of the file (JSON Schema 2020-12).
    pub fn schema() -> Value {
        ConfigSchema::new().into_value()
    }

    /// The configuration in force as YAML, each value with its origin; no secrets.
    pub fn show(&self) -> String {
        let mut text = String::new();
        for (section, keys) in self.tree() {
            let _ = writeln!(text, "{section}:");
            for (key, value) in keys {
                // A JSON value is a YAML value too.
                let _ = writeln!(text, "  {key}: {value}  # {}", self.origin(&format!("{section}.{key}")));
            }
        }
        text
    }

    /// What replicas of one installation must have in common, as text without secrets, and equal where that is equal:
    /// all but where a process listens and what it tells of itself.
    pub fn in_common(&self) -> String {
        let mut text = String::new();
        for (section, keys) in self.tree() {
            if OF_ONE_PROCESS.contains(&&*section) {
                continue;
            }
            // The URLs of further roles are only where a process needs that role.
            let alike = |key: &str| key != "listen" && !key.ends_with("_database_url");
            for (key, value) in keys.iter().filter(|(key, _)| alike(key)) {
                let _ = writeln!(text, "{section}.{key}: {value}");
            }
        }
        text
    }

    /// Every value by section and key, without secrets.
    fn tree(&self) -> BTreeMap<String, BTreeMap<String, Value>> {
        let mut tree = serde_json::to_value(self).expect("the configuration is plain data");
        secret::hide(&mut tree);
        serde_json::from_value(tree).expect("every section is a mapping")
    }

    /// Where the value of `section.key` came from.
    pub fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::Default)
    }
}
