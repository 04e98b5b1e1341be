//! Pauses that all replicas keep: what the broker wants of whoever shares them, and what a pause is about.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use stagedoor_domain::{Provider, TenantContext};

use url::Url;

use crate::call::Call;
use crate::types::ProviderApp;

/// Which of a provider's servers is meant. Each has pauses of its own, also where both are one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The API, with people's tokens or the client's own.
    Api,
    /// Where tokens are given out and taken back.
    Token,
}

impl Endpoint {
    /// The word for keys and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Token => "token",
        }
    }
}

/// What a provider counts calls by, inside one tenant: client id and server. Two tenants share nothing, so that one
/// that claims another's client id shuts nobody else out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QuotaKey {
    /// Whose limits they are.
    pub provider: Provider,
    /// Which server.
    pub endpoint: Endpoint,
    /// Scheme, host and port of it (RFC 6454 §6.2).
    pub origin: String,
    /// The tenant's client.
    pub client_id: String,
}

impl QuotaKey {
    pub(crate) fn of(call: &Call<'_>) -> Self {
        Self::new(call.app, call.endpoint, &call.url)
    }

    /// That of the app's calls to the API.
    pub(crate) fn api_of(app: &ProviderApp) -> Self {
        Self::new(app, Endpoint::Api, &app.api_base)
    }

    fn new(app: &ProviderApp, endpoint: Endpoint, url: &Url) -> Self {
        let origin = url.origin().ascii_serialization();
        Self { provider: app.provider, endpoint, origin, client_id: app.client_id.clone() }
    }
}

/// Where replicas tell each other of a provider's wish to be left alone. Asked once for each request to a provider.
/// Failures are the implementation's: it counts them and answers `None`, and the pause then holds in this replica only.
#[async_trait]
pub trait SharedPauses: Debug + Send + Sync {
    /// Lets no replica send calls of `key` for `wait` from now. Never shortens a pause.
    async fn pause(&self, ctx: &TenantContext, key: &QuotaKey, wait: Duration);

    /// What is left of a pause.
    async fn remaining(&self, ctx: &TenantContext, key: &QuotaKey) -> Option<Duration>;
}
