//! The outermost layer: a token bucket for each client network before anything is looked at, and the check
//! of `Host` and `Origin` that keeps other people's web pages out (MCP, transports, "Security warning").

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use governor::middleware::NoOpMiddleware;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request};
use stagedoor_domain::network::client_network;
use stagedoor_domain::{ErrorCode, PublicError};
use tower_governor::GovernorLayer;
use tower_governor::errors::GovernorError;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use url::Url;

use crate::client::{self, TrustedProxies};
use crate::problem::Problem;

/// Takes the client's network as the key.
#[derive(Debug, Clone)]
pub struct ByNetwork(TrustedProxies);

impl KeyExtractor for ByNetwork {
    type Key = std::net::IpAddr;

    fn extract<T>(&self, request: &Request<T>) -> Result<Self::Key, GovernorError> {
        let peer = client::peer(request.extensions());
        Ok(client_network(self.0.client(peer, request.headers())))
    }
}

type Config = GovernorConfig<ByNetwork, NoOpMiddleware<governor::clock::QuantaInstant>>;

/// The per-network limiter.
#[derive(Clone)]
pub struct Shield(Arc<Config>);

impl Shield {
    /// Admits `burst` requests at once and `per_second` a second from each network.
    ///
    /// # Panics
    /// Never: neither number is zero.
    pub fn new(proxies: TrustedProxies, per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let config = GovernorConfigBuilder::default()
            .period(Duration::from_secs(1) / per_second.get())
            .burst_size(burst.get())
            .key_extractor(ByNetwork(proxies))
            .finish()
            .expect("neither the period nor the burst is zero");
        Self(Arc::new(config))
    }

    /// The layer.
    pub fn layer(&self) -> GovernorLayer<ByNetwork, NoOpMiddleware<governor::clock::QuantaInstant>, Body> {
        GovernorLayer::new(Arc::clone(&self.0)).error_handler(|error| refuse(&error))
    }

    /// Forgets networks that have been quiet, every minute, so that memory does not grow with the clients seen.
    pub async fn forget_the_quiet(self) {
        let mut tick = tokio::time::interval(Duration::from_mins(1));
        loop {
            tick.tick().await;
            self.0.limiter().retain_recent();
            self.0.limiter().shrink_to_fit();
        }
    }
}

impl fmt::Debug for Shield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").field("networks", &self.0.limiter().len()).finish()
    }
}

fn refuse(error: &GovernorError) -> Response {
    let wait = match error {
        GovernorError::TooManyRequests { wait_time, .. } => Duration::from_secs(*wait_time),
        GovernorError::UnableToExtractKey | GovernorError::Other { .. } => Duration::ZERO,
    };
    let error =
        PublicError::new(ErrorCode::RateLimited, "Too many requests from this network.").retry_after(wait);
    Problem::new(error).into_response()
}

/// The names that this endpoint answers to, and the web pages that may call it.
#[derive(Debug, Clone)]
pub struct Doors {
    hosts: Arc<[String]>,
    origins: Arc<[String]>,
}

impl Doors {
    /// `hosts` are host names, whose ports do not matter; empty allows any. `origins` are `scheme://host[:port]`.
    pub fn new(hosts: &[String], origins: Vec<String>) -> Self {
        Self { hosts: hosts.iter().map(|host| host_name(host).to_owned()).collect(), origins: origins.into() }
    }

    /// Refuses a request for another host, or from a page that is not allowed.
    pub fn check(&self, authority: Option<&str>, headers: &HeaderMap) -> Result<(), Box<Problem>> {
        self.check_host(authority, headers).map_err(|error| Box::new(error.into()))?;
        let host = host(authority, headers);
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        if self.allows_origin(origin, host) {
            return Ok(());
        }
        let message = format!("Pages of the origin {origin:?} may not call this server.");
        Err(Box::new(PublicError::new(ErrorCode::InvalidOrigin, message).into()))
    }

    /// Refuses a request for another host only: pages for people have a stricter rule of their own for `Origin`.
    pub fn check_host(&self, authority: Option<&str>, headers: &HeaderMap) -> Result<(), PublicError> {
        let name = host_name(host(authority, headers));
        if self.hosts.is_empty() || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let message = format!("This server does not answer for the host {name:?}.");
        Err(PublicError::new(ErrorCode::InvalidHost, message))
    }

    /// An origin on the list, or the server's own.
    fn allows_origin(&self, origin: &str, host: &str) -> bool {
        if self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let Ok(url) = Url::parse(origin) else { return false };
        let own = match (url.host_str(), url.port()) {
            (Some(name), Some(port)) => format!("{name}:{port}"),
            (Some(name), None) => name.to_owned(),
            (None, _) => return false,
        };
        !self.hosts.is_empty() && own.eq_ignore_ascii_case(host)
    }
}

/// The host that a request names.
fn host<'a>(authority: Option<&'a str>, headers: &'a HeaderMap) -> &'a str {
    let named = headers.get(HOST).map(|value| value.to_str().unwrap_or_default());
    named.or(authority).unwrap_or_default()
}

/// The name without its port; an IPv6 address keeps its brackets off.
fn host_name(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match authority.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> Result<(), &'static str> {
        let doors = Doors::new(
            &["127.0.0.1".to_owned(), "[::1]:8080".to_owned()],
            vec!["https://app.example".to_owned()],
        );
        let mut headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        doors.check(None, &headers).map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn strange_hosts_and_pages_stay_out() {
        assert_eq!(check("127.0.0.1:8080", None), Ok(()));
        assert_eq!(check("[::1]:8080", None), Ok(()));
        assert_eq!(check("evil.example", None), Err("invalid_host"));
        assert_eq!(check("127.0.0.1:8080", Some("https://app.example")), Ok(()));
        assert_eq!(check("127.0.0.1:8080", Some("http://127.0.0.1:8080")), Ok(()));
        assert_eq!(check("127.0.0.1:8080", Some("http://127.0.0.1:9")), Err("invalid_origin"));
        assert_eq!(check("127.0.0.1:8080", Some("null")), Err("invalid_origin"));
        assert_eq!(
            check("127.0.0.1:8080", Some("http://127.0.0.1:8080.evil.example")),
            Err("invalid_origin")
        );
    }
}
