//! The connection: where the admin API is, whose certificates are trusted, and the key, all read from mounted files that may be
//! replaced while the operator runs.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use stagedoor_bootstrap::config::OperatorConfig;
use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How long it may take to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent connection is looked at.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Why there is no connection to try.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// A file cannot be read.
    #[error("operator.{field}: {} cannot be read", path.display())]
    File {
        /// The field of the configuration that names it.
        field: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key's file holds no key.
    #[error("operator.admin_key_file: {} holds no admin key; wanted: one line, `sd_admin_…`", .0.display())]
    NoKey(PathBuf),
    /// The configuration names no file of a key.
    #[error("operator.admin_key_file: it is required")]
    NoKeyFile,
    /// The address or the certificates are wrong.
    #[error("operator.admin_url, operator.admin_ca_file or the client certificate is not usable")]
    Transport(#[from] tonic::transport::Error),
}

impl ConnectionError {
    /// Whether it is the key that is missing.
    pub(super) fn is_of_the_key(&self) -> bool {
        match self {
            Self::NoKey(_) | Self::NoKeyFile => true,
            Self::File { field, .. } => *field == KEY_FIELD,
            Self::Transport(_) => false,
        }
    }
}

const KEY_FIELD: &str = "admin_key_file";

/// All that one call needs.
pub(super) struct Link {
    pub(super) channel: Channel,
    pub(super) authorization: MetadataValue<Ascii>,
    pub(super) timeout: Duration,
}

/// The files of certificates, as they were when the channel was made.
#[derive(PartialEq, Eq)]
struct Certificates {
    authorities: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Where the admin API is and as whom it is called.
pub(super) struct Connection {
    endpoint: Endpoint,
    tls: bool,
    timeout: Duration,
    key_file: Option<PathBuf>,
    authorities_file: Option<PathBuf>,
    identity_files: Option<(PathBuf, PathBuf)>,
    made: Mutex<Option<(Certificates, Channel)>>,
}

impl Connection {
    pub(super) fn new(config: &OperatorConfig) -> Result<Self, ConnectionError> {
        let agent = concat!("stagedoor-operator/", env!("CARGO_PKG_VERSION"));
        let endpoint = Endpoint::from_shared(config.admin_url.clone())?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .user_agent(agent)?;
        let files = (config.admin_client_certificate_file.clone(), config.admin_client_key_file.clone());
        Ok(Self {
            tls: endpoint.uri().scheme_str() == Some("https"),
            endpoint,
            timeout: config.admin_timeout(),
            key_file: config.admin_key_file.clone(),
            authorities_file: config.admin_ca_file.clone(),
            identity_files: files.0.zip(files.1),
            made: Mutex::default(),
        })
    }

    /// The channel and the key as the files have them now.
    pub(super) async fn link(&self) -> Result<Link, ConnectionError> {
        let authorization = self.authorization().await?;
        let certificates = self.certificates().await?;
        let mut made = self.made.lock().await;
        let channel = match &*made {
            Some((seen, channel)) if *seen == certificates => channel.clone(),
            before => {
                if before.is_some() {
                    tracing::info!("certificates for the admin API were replaced; connecting anew");
                }
                let channel = self.channel(&certificates)?;
                *made = Some((certificates, channel.clone()));
                channel
            }
        };
        Ok(Link { channel, authorization, timeout: self.timeout })
    }

    fn channel(&self, certificates: &Certificates) -> Result<Channel, ConnectionError> {
        if !self.tls {
            return Ok(self.endpoint.connect_lazy());
        }
        let mut tls = ClientTlsConfig::new();
        if let Some(authorities) = &certificates.authorities {
            tls = tls.ca_certificate(Certificate::from_pem(authorities));
        }
        if let Some((certificate, key)) = &certificates.identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        Ok(self.endpoint.clone().tls_config(tls)?.connect_lazy())
    }

    async fn authorization(&self) -> Result<MetadataValue<Ascii>, ConnectionError> {
        let path = self.key_file.as_deref().ok_or(ConnectionError::NoKeyFile)?;
        let no_key = || ConnectionError::NoKey(path.to_owned());
        let key = String::from_utf8(read(KEY_FIELD, path).await?).map_err(|_| no_key())?;
        let key = SecretString::from(key);
        let trimmed = key.expose_secret().trim();
        if trimmed.is_empty() || trimmed.contains(char::is_whitespace) {
            return Err(no_key());
        }
        let mut value = MetadataValue::try_from(format!("Bearer {trimmed}")).map_err(|_| no_key())?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn certificates(&self) -> Result<Certificates, ConnectionError> {
        let mut certificates = Certificates { authorities: None, identity: None };
        if !self.tls {
            return Ok(certificates);
        }
        if let Some(path) = &self.authorities_file {
            certificates.authorities = Some(read("admin_ca_file", path).await?);
        }
        if let Some((certificate, key)) = &self.identity_files {
            let certificate = read("admin_client_certificate_file", certificate).await?;
            certificates.identity = Some((certificate, read("admin_client_key_file", key).await?));
        }
        Ok(certificates)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("server", self.endpoint.uri()).finish_non_exhaustive()
    }
}

async fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, ConnectionError> {
    let failed = |source| ConnectionError::File { field, path: path.to_owned(), source };
    tokio::fs::read(path).await.map_err(failed)
}
