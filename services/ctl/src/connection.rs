//! Where the admin API is and as whom it is called: flags before environment before context.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use secrecy::SecretString;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::command_line::GlobalOptions;
use crate::contexts::{self, ContextEntry, Contexts};
use crate::error::CtlError;
use crate::input_files::{read_certificates, read_secret, warn_if_others_can_read};
use crate::surroundings::Surroundings;

/// How long it may take to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent connection is looked at, so that an export does not wait for a server that is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// All that a connection needs.
pub(crate) struct Connection {
    pub(crate) server: Uri,
    pub(crate) key: Option<SecretString>,
    /// The tenant of commands that name none.
    pub(crate) tenant: Option<String>,
    ca_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

impl Connection {
    /// Puts flags, environment and context together.
    ///
    /// A context's key and tenant belong to its server: another server, named by a flag or the environment, does not
    /// get them.
    pub(crate) fn resolve(
        options: &GlobalOptions,
        surroundings: &mut Surroundings,
    ) -> Result<Self, CtlError> {
        let context = context(options, surroundings)?;
        let named = options.server.clone().or_else(|| surroundings.variable("STAGEDOOR_SERVER"));
        let context = context.filter(|context| named.as_ref().is_none_or(|named| *named == context.server));
        let server = named.or_else(|| context.as_ref().map(|context| context.server.clone())).ok_or_else(|| {
            CtlError::usage(
                "which server? Give --server, set STAGEDOOR_SERVER, or make a context: `stagedoorctl context add`",
            )
        })?;
        let insecure = options.insecure || context.as_ref().is_some_and(|context| context.insecure);
        let server = parse_server(&server, insecure)?;
        let tenant = surroundings.variable("STAGEDOOR_TENANT");
        let of_context = |file: fn(&ContextEntry) -> &Option<PathBuf>| {
            context.as_ref().and_then(|entry| file(entry).clone())
        };
        let certificate =
            options.client_certificate.clone().or_else(|| of_context(|entry| &entry.client_certificate));
        let client_key = options.client_key.clone().or_else(|| of_context(|entry| &entry.client_key));
        Ok(Self {
            server,
            tenant: tenant.or_else(|| context.as_ref().and_then(|context| context.tenant.clone())),
            ca_file: options.ca_file.clone().or_else(|| of_context(|entry| &entry.ca_file)),
            identity: certificate.zip(client_key),
            key: key(options, context.as_ref(), surroundings)?,
        })
    }

    /// A channel, which connects when it is used first.
    pub(crate) fn channel(&self) -> Result<Channel, CtlError> {
        let wrong =
            |error: tonic::transport::Error| CtlError::usage(format!("{}: {}", self.server, causes(&error)));
        let agent = concat!("stagedoorctl/", env!("CARGO_PKG_VERSION"));
        let mut endpoint = Endpoint::from(self.server.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .user_agent(agent)
            .map_err(wrong)?;
        if self.server.scheme() == Some(&http::uri::Scheme::HTTPS) {
            endpoint = endpoint.tls_config(self.tls()?).map_err(wrong)?;
        }
        Ok(endpoint.connect_lazy())
    }

    fn tls(&self) -> Result<ClientTlsConfig, CtlError> {
        let mut tls = match &self.ca_file {
            Some(path) => {
                let certificates = read_certificates("--ca-file", path)?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificates))
            }
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            let certificate = read_certificates("--client-certificate", certificate)?;
            let key = fs::read(key).map_err(CtlError::file_of("--client-key", key))?;
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        Ok(tls)
    }
}

/// An error with what caused it: transports hide the reason a few causes down.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn context(options: &GlobalOptions, surroundings: &Surroundings) -> Result<Option<ContextEntry>, CtlError> {
    let named = options.context.clone().or_else(|| surroundings.variable("STAGEDOOR_CONTEXT"));
    let path = match contexts::path(surroundings) {
        Ok(path) => path,
        // Nobody asked for a context, and there is no place for one.
        Err(_) if named.is_none() => return Ok(None),
        Err(error) => return Err(error),
    };
    let contexts = Contexts::load(&path)?;
    match named.or_else(|| contexts.current.clone()) {
        Some(name) => contexts.get(&name).cloned().map(Some),
        None => Ok(None),
    }
}

/// Names the file of the key where no flag does.
const KEY_FILE_VARIABLE: &str = "STAGEDOOR_ADMIN_KEY_FILE";

fn key(
    options: &GlobalOptions,
    context: Option<&ContextEntry>,
    surroundings: &mut Surroundings,
) -> Result<Option<SecretString>, CtlError> {
    if options.key_file.is_none()
        && let Some(key) = surroundings.variable("STAGEDOOR_ADMIN_KEY")
    {
        return Ok(Some(SecretString::from(key.trim().to_owned())));
    }
    let of_flag = options.key_file.clone().map(|file| ("--key-file", file));
    let of_variable =
        || surroundings.variable(KEY_FILE_VARIABLE).map(|file| (KEY_FILE_VARIABLE, PathBuf::from(file)));
    let of_context = || context.and_then(|context| context.key_file.clone());
    let of_context = || of_context().map(|file| ("--key-file of the context", file));
    match of_flag.or_else(of_variable).or_else(of_context) {
        Some((named_by, file)) => {
            let key = read_secret(named_by, &file.to_string_lossy(), surroundings)?;
            warn_if_others_can_read(&file, surroundings);
            Ok(Some(SecretString::from(key.trim().to_owned())))
        }
        None => Ok(context.and_then(|context| context.key.clone())),
    }
}

/// An address that may be used: https, or http where the key does not leave this machine.
pub(crate) fn parse_server(text: &str, insecure: bool) -> Result<Uri, CtlError> {
    let wrong = |what: &str| CtlError::usage(format!("the server's address {text:?} {what}"));
    let uri: Uri =
        text.parse().map_err(|_| wrong("is no URL; it looks like https://admin.example.org:7443"))?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("has a path; give scheme, host and port only"));
    }
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if insecure || is_loopback(host) => Ok(uri),
        Some("http") => Err(wrong(
            "is http:// and not of this machine: the key would travel in the open; use https://, or --insecure if the network is trusted",
        )),
        _ => Err(wrong("has to begin with https://")),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_travels_in_the_open_only_where_that_was_asked_for() {
        for fine in [
            "https://admin.example.org:7443",
            "http://127.0.0.1:7443",
            "http://localhost:1",
            "http://[::1]:7443/",
        ] {
            assert!(parse_server(fine, false).is_ok(), "{fine}");
        }
        for wrong in [
            "http://admin.example.org",
            "http://10.0.0.1:7443",
            "ftp://x",
            "admin:7443",
            "https://x/path",
            "",
            "http://127.0.0.1.example.org",
        ] {
            assert!(parse_server(wrong, false).is_err(), "{wrong}");
        }
        assert!(parse_server("http://10.0.0.1:7443", true).is_ok());
    }
}
