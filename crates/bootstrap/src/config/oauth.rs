//! The section of tokens: how the keys of issuers are fetched. Which issuers there are is data of the tenants.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens of issuers that tenants have registered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OauthConfig {
    /// Whether an issuer's address, or that of its keys, may be plain `http`: true or false. For tests and for issuers
    /// within a network that nobody else reaches.
    pub allow_http: bool,
    /// Networks besides the public internet in which issuers may be, such as `10.20.0.0/16`; addresses in other private,
    /// local or reserved networks are never asked.
    #[schemars(with = "Vec<String>")]
    pub allowed_networks: Vec<IpNet>,
    /// A file with PEM certificates of authorities that issuers' certificates may be of besides the system's, such as
    /// `/etc/stagedoor/issuers-ca.pem`.
    pub ca_file: Option<PathBuf>,
    /// Milliseconds that one request to an issuer may take.
    #[schemars(range(min = 100, max = 30_000))]
    pub fetch_timeout_ms: u64,
    /// Seconds after which an issuer's keys are fetched again, beside a call that uses them.
    #[schemars(range(min = 5, max = 86_400))]
    pub refresh_seconds: u32,
    /// Seconds for which known keys of an issuer that cannot be reached stay in use.
    #[schemars(range(min = 60, max = 604_800))]
    pub outage_seconds: u32,
}

milliseconds!(OauthConfig { fetch_timeout = fetch_timeout_ms });

impl OauthConfig {
    /// `refresh_seconds` as a duration.
    pub fn refresh(&self) -> Duration {
        Duration::from_secs(self.refresh_seconds.into())
    }

    /// `outage_seconds` as a duration.
    pub fn outage(&self) -> Duration {
        Duration::from_secs(self.outage_seconds.into())
    }
}

impl Default for OauthConfig {
    fn default() -> Self {
        Self {
            allow_http: false,
            allowed_networks: Vec::new(),
            ca_file: None,
            fetch_timeout_ms: 3_000,
            refresh_seconds: 300,
            outage_seconds: 21_600,
        }
    }
}
