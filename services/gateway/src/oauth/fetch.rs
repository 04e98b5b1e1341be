//! Asking an issuer: where its keys are (RFC 8414, `OpenID` Connect Discovery 1.0), and for the keys. Bounded in time and
//! size, without redirects, proxies and cookies, and only to addresses that `egress` admits.

use std::time::Duration;

use bytes::BytesMut;
use http::header::ACCEPT;
use reqwest::{Certificate, Client, redirect};
use serde_json::Value;
use stagedoor_bootstrap::config::OauthConfig;
use stagedoor_domain::Issuer;
use url::Url;

use super::egress::Egress;
use super::key_set::KeySet;

/// Longer than any answer that is wanted.
const LONGEST_ANSWER: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The address leads where issuers may not be.
    #[error("{0} is no address that issuers may have")]
    Forbidden(String),
    /// The server did not answer as it should, or not at all.
    #[error("{0} could not be asked")]
    Unreachable(String, #[source] reqwest::Error),
    /// It answered with another status.
    #[error("{0} answered with status {1}")]
    Status(String, u16),
    /// What it answered is too long.
    #[error("the answer of {0} is longer than 256 KiB")]
    TooLong(String),
    /// What it answered is not what was asked for.
    #[error("the answer of {0} is {1}")]
    Malformed(String, &'static str),
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum FetchSetupError {
    /// The file with certificates cannot be read.
    #[error("oauth.ca_file cannot be read")]
    File(#[source] std::io::Error),
    /// The file has no certificates, or the system none that are trusted.
    #[error("the HTTP client for issuers cannot be built")]
    Client(#[source] reqwest::Error),
}

/// The client of all issuers.
#[derive(Debug)]
pub(super) struct IssuerHttp {
    client: Client,
    egress: Egress,
}

impl IssuerHttp {
    pub(super) fn new(config: &OauthConfig, egress: Egress) -> Result<Self, FetchSetupError> {
        let mut builder = Client::builder()
            .user_agent(concat!("stagedoor/", env!("CARGO_PKG_VERSION")))
            .timeout(config.fetch_timeout())
            .connect_timeout(config.fetch_timeout())
            // Keys are fetched every few minutes: a connection in between is of no use, and would outlive a change of name.
            .pool_idle_timeout(Duration::from_secs(5))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(!config.allow_http)
            .dns_resolver(egress.clone());
        if let Some(file) = &config.ca_file {
            let pem = std::fs::read(file).map_err(FetchSetupError::File)?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(FetchSetupError::Client)?;
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(Self { client: builder.build().map_err(FetchSetupError::Client)?, egress })
    }

    /// The keys that `issuer` publishes now.
    pub(super) async fn keys(&self, issuer: &str, jwks_uri: Option<&str>) -> Result<KeySet, FetchError> {
        let uri = match jwks_uri {
            Some(uri) => uri.to_owned(),
            None => self.discover(issuer).await?,
        };
        let document = self.json(&uri).await?;
        KeySet::read(&document).ok_or(FetchError::Malformed(uri, "no set of keys"))
    }

    /// Where the issuer says its keys are. Its word counts only if it calls itself what its tokens call it (RFC 8414 §3.3).
    async fn discover(&self, issuer: &str) -> Result<String, FetchError> {
        let mut failure = FetchError::Forbidden(issuer.to_owned());
        for address in metadata_addresses(issuer) {
            match self.json(&address).await {
                Ok(document) if document["issuer"] == issuer => {
                    let uri = document["jwks_uri"].as_str().filter(|uri| uri.len() <= Issuer::LONGEST_URL);
                    return uri
                        .map(str::to_owned)
                        .ok_or(FetchError::Malformed(address, "without `jwks_uri`"));
                }
                Ok(_) => failure = FetchError::Malformed(address, "that of another issuer"),
                // Most have one of the two documents.
                Err(error @ (FetchError::Status(..) | FetchError::Malformed(..))) => failure = error,
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }

    async fn json(&self, address: &str) -> Result<Value, FetchError> {
        let url = Url::parse(address).ok().filter(|url| self.egress.admits(url));
        let url = url.ok_or_else(|| FetchError::Forbidden(address.to_owned()))?;
        let broken = |error: reqwest::Error| FetchError::Unreachable(address.to_owned(), error.without_url());
        let request = self.client.get(url).header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(FetchError::Status(address.to_owned(), status));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(FetchError::TooLong(address.to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| FetchError::Malformed(address.to_owned(), "no JSON"))
    }
}

/// Where an issuer's description may be: RFC 8414 §3.1 puts the well-known name before its path, `OpenID` Connect Discovery
/// §4 behind it.
fn metadata_addresses(issuer: &str) -> Vec<String> {
    let Ok(url) = Url::parse(issuer) else { return Vec::new() };
    let path = url.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = url.clone();
        url.set_path(&path);
        String::from(url)
    };
    let mut addresses = vec![
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("{path}/.well-known/openid-configuration")),
    ];
    if !path.is_empty() {
        addresses.push(at(format!("/.well-known/openid-configuration{path}")));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_looked_for_where_either_specification_puts_it() {
        assert_eq!(
            metadata_addresses("https://login.example.com"),
            [
                "https://login.example.com/.well-known/oauth-authorization-server",
                "https://login.example.com/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            metadata_addresses("https://login.example.com/realms/a/"),
            [
                "https://login.example.com/.well-known/oauth-authorization-server/realms/a",
                "https://login.example.com/realms/a/.well-known/openid-configuration",
                "https://login.example.com/.well-known/openid-configuration/realms/a",
            ]
        );
    }
}
