//! The section of the Kubernetes operator.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Kubernetes operator: which installation it manages, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorConfig {
    /// Where the admin API is, such as `https://stagedoor-admin.music.svc:9443`; http only on loopback, unless
    /// `operator.admin_insecure`. Required.
    pub admin_url: String,
    /// Whether `admin_url` may be http beyond loopback, for whoever ends TLS beside it: true or false.
    pub admin_insecure: bool,
    /// The file of the admin key, of a platform operator; read at each call, so that it can be replaced. Required.
    pub admin_key_file: Option<PathBuf>,
    /// The file of the authorities that the admin API's certificate is checked with, in PEM; read anew when it changes.
    /// Required where `admin_url` is https.
    pub admin_ca_file: Option<PathBuf>,
    /// The file of the operator's own certificate, in PEM, where the admin API asks for one; read anew when it changes.
    pub admin_client_certificate_file: Option<PathBuf>,
    /// The file of that certificate's private key, in PEM.
    pub admin_client_key_file: Option<PathBuf>,
    /// Milliseconds that a call of the admin API may take.
    #[schemars(range(min = 100, max = 600_000))]
    pub admin_timeout_ms: u64,
    /// Calls of the admin API a second, of all objects together.
    #[schemars(range(min = 1, max = 10_000))]
    pub calls_per_second: u32,
    /// The installation's name, which tells apart the operators of several installations in one cluster: an object belongs to
    /// the one that its `spec.installation` names, else to the one that came to it first, and no other touches it. 1 to 63
    /// lower-case letters, digits, hyphens and dots, such as `music.stagedoor`. It must not change while there are objects.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub installation: String,
    /// The only namespace whose objects are looked at; all if it is not set.
    pub namespace: Option<String>,
    /// Namespaces whose objects may have done what only a platform operator does: take over tenants that were made elsewhere,
    /// and reach music services at other addresses; `*` for all.
    pub platform_namespaces: Vec<String>,
    /// The namespace of the lease by which replicas agree on who acts; the pod's own if it is not set.
    pub lease_namespace: Option<String>,
    /// The name of that lease.
    pub lease_name: String,
    /// Seconds after which a lease that was not renewed is anyone's. Whoever cannot renew it stops after two thirds of that.
    #[schemars(range(min = 3, max = 600))]
    pub lease_seconds: u32,
    /// Seconds after which an object is looked at again although nothing changed, with up to a fifth more.
    #[schemars(range(min = 5, max = 86_400))]
    pub resync_seconds: u32,
    /// Milliseconds before the first new attempt for an object; twice as long before each further one, at random between
    /// half and all of that.
    #[schemars(range(min = 1, max = 60_000))]
    pub retry_base_ms: u64,
    /// Seconds between attempts at most.
    #[schemars(range(min = 1, max = 3_600))]
    pub retry_max_seconds: u32,
    /// Objects of each kind that are worked on at a time.
    #[schemars(range(min = 1, max = 256))]
    pub concurrency: u16,
}

milliseconds!(OperatorConfig { admin_timeout = admin_timeout_ms, retry_base = retry_base_ms });

impl OperatorConfig {
    /// Whether `installation` is a name that objects can hold.
    pub fn has_installation_name(&self) -> bool {
        let name = self.installation.as_bytes();
        let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        name.len() <= 63
            && name.first().is_some_and(is_plain)
            && name.last().is_some_and(is_plain)
            && name.iter().all(|byte| is_plain(byte) || matches!(byte, b'-' | b'.'))
    }

    /// `lease_seconds` as a duration.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.into())
    }

    /// `resync_seconds` as a duration.
    pub fn resync(&self) -> Duration {
        Duration::from_secs(self.resync_seconds.into())
    }

    /// `retry_max_seconds` as a duration.
    pub fn retry_max(&self) -> Duration {
        Duration::from_secs(self.retry_max_seconds.into())
    }
}

impl Default for OperatorConfig {
    fn default() -> Self {
        Self {
            admin_url: String::new(),
            admin_insecure: false,
            admin_key_file: None,
            admin_ca_file: None,
            admin_client_certificate_file: None,
            admin_client_key_file: None,
            admin_timeout_ms: 30_000,
            calls_per_second: 20,
            installation: "stagedoor".to_owned(),
            namespace: None,
            platform_namespaces: Vec::new(),
            lease_namespace: None,
            lease_name: "stagedoor-operator".to_owned(),
            lease_seconds: 15,
            resync_seconds: 600,
            retry_base_ms: 500,
            retry_max_seconds: 300,
            concurrency: 8,
        }
    }
}
