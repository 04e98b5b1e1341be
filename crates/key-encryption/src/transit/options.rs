//! Where the key service is and how it is asked; what can be wrong with that before the first request.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

/// How Vault's or OpenBao's transit engine is reached.
#[derive(Debug, Clone)]
pub struct TransitOptions {
    /// The server's address, such as `https://vault.example.com:8200`.
    pub address: Url,
    /// Where the transit engine is mounted, such as `transit`.
    pub mount: String,
    /// The key's name.
    pub key: String,
    /// The namespace, where the server has such.
    pub namespace: Option<String>,
    /// Certificates in PEM to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Who we are there.
    pub login: TransitLogin,
    /// How long one request may take.
    pub timeout: Duration,
    /// Whether new keys are wrapped here; if not, the service need only decrypt.
    pub wraps: bool,
}

/// Who we are to the key service.
#[derive(Debug, Clone)]
pub enum TransitLogin {
    /// A proxy or agent at the address adds the token.
    Proxy,
    /// A file with a token, which an agent may replace at any time.
    TokenFile(PathBuf),
    /// Kubernetes authentication.
    Kubernetes {
        /// Where the method is mounted, such as `kubernetes`.
        mount: String,
        /// The role to log in as.
        role: String,
        /// The service account's token, which the kubelet replaces.
        token_file: PathBuf,
    },
}

/// Why the key service cannot be used. Shows no token.
#[derive(Debug, thiserror::Error)]
pub enum TransitError {
    /// The process has installed no cipher suite provider for TLS.
    #[error("no default rustls crypto provider is installed in this process")]
    NoCryptoProvider,
    /// A name that would lead to another path of the server.
    #[error("{0:?} is no name of a mount or key")]
    Name(String),
    /// The certificates cannot be read.
    #[error("{path} holds no usable certificates")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client cannot be built.
    #[error("the HTTP client for the key service cannot be built")]
    Client(#[source] reqwest::Error),
    /// The service did not do what was asked of it.
    #[error("the key service does not do what is needed of it")]
    Service(#[source] stagedoor_crypto::KekError),
    /// There is no such key.
    #[error(
        "the key service has no key {0:?} there, or its policy hides it; make it first: it is not made by itself"
    )]
    NoSuchKey(String),
    /// The key does not bind what it encrypts to its place.
    #[error(
        "the transit key is of type {0:?}; wanted: aes256-gcm96 or chacha20-poly1305, neither derived nor convergent"
    )]
    KeyType(String),
    /// The service ignores `associated_data`.
    #[error("the key service does not bind what it encrypts to `associated_data`; Vault does from 1.9 on")]
    NotBound,
}
