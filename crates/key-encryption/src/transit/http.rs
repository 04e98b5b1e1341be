//! Requests to the key service as its HTTP API wants them: headers, bounded answers, what its status codes mean.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, Method, Url, redirect};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stagedoor_crypto::KekError;

use super::options::{TransitError, TransitOptions};

/// Longer than any answer that is wanted.
const LONGEST_ANSWER: usize = 256 * 1024;
/// As much of the service's own words as is repeated.
const LONGEST_REASON: usize = 200;

/// What the service answered, as far as all its endpoints agree.
#[derive(Debug)]
pub(super) enum Refusal {
    /// 400: its words.
    Invalid(String),
    /// 403: the token is not accepted, or not for this.
    Denied(String),
    /// 404.
    NotFound,
    /// Out of reach, sealed, in standby, broken.
    Unreachable(KekError),
}

/// The client of one server.
#[derive(Debug)]
pub(super) struct VaultHttp {
    client: Client,
    address: Url,
    namespace: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

impl VaultHttp {
    pub(super) fn new(options: &TransitOptions) -> Result<Self, TransitError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(TransitError::NoCryptoProvider);
        }
        let mut builder = Client::builder()
            .user_agent(concat!("stagedoor/", env!("CARGO_PKG_VERSION")))
            .timeout(options.timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false);
        if let Some(file) = &options.ca_file {
            builder = builder.tls_certs_only(certificates(file)?);
        }
        let namespace = options
            .namespace
            .as_ref()
            .map(|name| HeaderValue::from_str(name).map_err(|_| TransitError::Name(name.clone())));
        Ok(Self {
            client: builder.build().map_err(TransitError::Client)?,
            address: options.address.clone(),
            namespace: namespace.transpose()?,
        })
    }

    /// `GET /v1/{path}`.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        path: &[&str],
        token: Option<&SecretString>,
    ) -> Result<T, Refusal> {
        self.send(Method::GET, path, token, None).await
    }

    /// `POST /v1/{path}`.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        path: &[&str],
        token: Option<&SecretString>,
        body: &Value,
    ) -> Result<T, Refusal> {
        self.send(Method::POST, path, token, Some(body)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        token: Option<&SecretString>,
        body: Option<&Value>,
    ) -> Result<T, Refusal> {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        // Agents and proxies may insist on this header, against forged requests of browsers.
        let mut request = self.client.request(method, url).header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
                Refusal::Unreachable(KekError::unreachable("the key service's token is no header value"))
            })?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let mut answer = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if answer.len() + chunk.len() > LONGEST_ANSWER {
                return Err(strange("an answer without end"));
            }
            answer.extend_from_slice(&chunk);
        }
        if (200..300).contains(&status) {
            return serde_json::from_slice(&answer).map_err(|_| strange("an answer that is not its API's"));
        }
        Err(refusal(status, &answer))
    }
}

/// What the status codes of Vault's HTTP API mean, those of its health included: proxies answer with them.
fn refusal(status: u16, answer: &[u8]) -> Refusal {
    let words = words(answer);
    match status {
        400 if words.is_some() => Refusal::Invalid(words.unwrap_or_default()),
        403 => Refusal::Denied(words.unwrap_or_default()),
        404 => Refusal::NotFound,
        300..=399 => strange("a redirect; give the address of a node that answers itself"),
        _ => {
            let state = match status {
                429 | 472 | 473 => " (it is in standby)",
                503 => " (it is sealed or in maintenance)",
                _ => "",
            };
            let words = words.map(|words| format!(": {words}")).unwrap_or_default();
            Refusal::Unreachable(KekError::unreachable(format!(
                "the key service answers with status {status}{state}{words}"
            )))
        }
    }
}

fn words(answer: &[u8]) -> Option<String> {
    let errors = serde_json::from_slice::<Errors>(answer).ok()?.errors;
    let words = errors.join("; ");
    Some(words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect())
}

fn strange(what: &str) -> Refusal {
    Refusal::Unreachable(KekError::unreachable(format!("the key service gave {what}")))
}

fn broken(error: reqwest::Error) -> Refusal {
    let reason = if error.is_timeout() {
        "the key service did not answer in time"
    } else if error.is_connect() {
        "the key service cannot be connected to"
    } else {
        "the connection to the key service broke"
    };
    let source = Box::new(error.without_url());
    Refusal::Unreachable(KekError::Unreachable { reason: reason.to_owned(), source: Some(source) })
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, TransitError> {
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| TransitError::Certificates {
        path: file.to_owned(),
        source,
    };
    let pem = std::fs::read(file).map_err(|error| unusable(error.into()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.into()))?;
    if certificates.is_empty() {
        Err(unusable("there is no certificate in it".into()))
    } else {
        Ok(certificates)
    }
}

/// Bytes as the API carries them.
pub(super) fn encode(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(bytes))
}

/// Bytes as the API carries them.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(text).ok().map(Zeroizing::new)
}
