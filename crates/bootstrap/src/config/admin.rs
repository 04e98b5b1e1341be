//! The section of the admin API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The port of operators: gRPC, and the same as JSON over HTTP.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Address and port of the admin API, such as `0.0.0.0:9443`; without it, it is not served. It needs
    /// `storage.admin_database_url`.
    pub listen: Option<SocketAddr>,
    /// The file of its certificate and those above it, in PEM; without it, it is served in the clear, which is for loopback
    /// and for whoever ends TLS in front of it.
    pub certificate_file: Option<PathBuf>,
    /// The file of the certificate's private key, in PEM.
    pub private_key_file: Option<PathBuf>,
    /// The file of the authorities whose client certificates are asked for, in PEM; without it, nobody is asked for one.
    pub client_authority_file: Option<PathBuf>,
    /// The issuer of tokens with which operators may call in place of keys, exactly as `iss` names it, such as
    /// `https://login.example.com`; its keys are found by discovery, as `oauth` says, in a private network too.
    pub issuer_url: Option<String>,
    /// What its tokens must name in `aud`, such as `https://admin.example.com:9443`; required where there is an issuer.
    pub issuer_audience: Option<String>,
    /// The claim that says what a token is for: `platform_operator`, `tenant_admin` or `auditor`.
    pub issuer_role_claim: String,
    /// The claim that names the only tenant that a token is for, by its name in URLs.
    pub issuer_tenant_claim: String,
    /// Milliseconds that a call may take; a caller's own deadline counts if it is nearer.
    #[schemars(range(min = 100, max = 600_000))]
    pub request_deadline_ms: u64,
    /// Connections to the database.
    #[schemars(range(min = 1, max = 100))]
    pub database_connections: u32,
}

milliseconds!(AdminConfig { request_deadline = request_deadline_ms });

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: None,
            certificate_file: None,
            private_key_file: None,
            client_authority_file: None,
            issuer_url: None,
            issuer_audience: None,
            issuer_role_claim: "stagedoor_role".to_owned(),
            issuer_tenant_claim: "stagedoor_tenant".to_owned(),
            request_deadline_ms: 30_000,
            database_connections: 4,
        }
    }
}
