//! A sandbox behind a real socket, and a client that speaks to it.

use std::future::pending;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use stagedoor_domain::{Clock, Provider};
use stagedoor_sandbox::{Grant, Sandbox, SandboxConfig, serve};
use tokio::task::JoinHandle;

pub(crate) const SPOTIFY_SCOPES: &[&str] = &[
    "playlist-read-private",
    "playlist-modify-public",
    "playlist-modify-private",
    "user-read-private",
    "user-read-email",
    "user-library-read",
    "user-library-modify",
    "user-follow-read",
    "user-follow-modify",
    "user-top-read",
    "user-read-recently-played",
    "user-read-playback-state",
    "user-read-currently-playing",
    "user-modify-playback-state",
];
pub(crate) const TIDAL_SCOPES: &[&str] = &[
    "search.read",
    "playlists.read",
    "playlists.write",
    "user.read",
    "collection.read",
    "collection.write",
    "recommendations.read",
];

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct FrozenClock(Mutex<DateTime<Utc>>);

impl FrozenClock {
    pub(crate) fn advance(&self, by: TimeDelta) {
        let mut now = self.0.lock().unwrap();
        *now += by;
    }
}

impl Clock for FrozenClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.now().signed_duration_since(DateTime::UNIX_EPOCH).to_std().unwrap()
    }
}

/// A served sandbox with one app, one account and one grant at each provider.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Arc<FrozenClock>,
    pub(crate) client: Client,
    pub(crate) base: String,
    pub(crate) accounts: [String; 2],
    pub(crate) grants: [Grant; 2],
    server: JoinHandle<std::io::Result<()>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(SandboxConfig::default()).await
    }

    #[expect(clippy::disallowed_methods, reason = "a test may spawn its server")]
    pub(crate) async fn with(config: SandboxConfig) -> Self {
        static RUSTLS: Once = Once::new();
        RUSTLS.call_once(|| rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap());
        let start = DateTime::parse_from_rfc3339("2026-11-21T12:00:00Z").unwrap().to_utc();
        let clock = Arc::new(FrozenClock(Mutex::new(start)));
        // See `tests/contract`.
        let asked = std::env::var_os("STAGEDOOR_SANDBOX_RECORD").map(Into::into);
        let record = config.record.clone().or(asked);
        let sandbox = Sandbox::new(SandboxConfig { clock: clock.clone(), record, ..config });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(serve(sandbox.clone(), listener, pending()));
        let set_up = |provider, scopes| {
            sandbox.register_app(provider, "app", "secret");
            let account = sandbox.create_account(provider, "Ada", "SE");
            let grant = sandbox.grant(provider, &account, "app", scopes);
            (account, grant)
        };
        let (spotify, spotify_grant) = set_up(Provider::Spotify, SPOTIFY_SCOPES);
        let (tidal, tidal_grant) = set_up(Provider::Tidal, TIDAL_SCOPES);
        Self {
            client: Client::builder().build().unwrap(),
            accounts: [spotify, tidal],
            grants: [spotify_grant, tidal_grant],
            sandbox,
            clock,
            base,
            server,
        }
    }

    /// A request to Spotify's API with the grant's token.
    pub(crate) fn spotify(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/spotify/v1{path}", self.base))
            .bearer_auth(&self.grants[0].access_token)
    }

    /// A request to Tidal's API with the grant's token.
    pub(crate) fn tidal(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/tidal/v2{path}", self.base))
            .bearer_auth(&self.grants[1].access_token)
            .header("accept", "application/vnd.api+json")
    }

    /// A request to Tidal's API with a JSON:API body.
    pub(crate) fn tidal_body(&self, method: Method, path: &str, body: &Value) -> RequestBuilder {
        self.tidal(method, path).header("content-type", "application/vnd.api+json").body(body.to_string())
    }

    /// A form sent to a token endpoint.
    pub(crate) async fn token(&self, provider: Provider, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let path = match provider {
            Provider::Spotify => "/spotify/accounts/api/token",
            Provider::Tidal => "/tidal/auth/v1/oauth2/token",
        };
        send(self.client.post(format!("{}{path}", self.base)).form(form)).await
    }

    /// Tracks that can be played anywhere and have an ISRC.
    pub(crate) fn tracks(&self, provider: Provider, count: usize) -> Vec<stagedoor_sandbox::SampleTrack> {
        let playable =
            |track: &stagedoor_sandbox::SampleTrack| track.blocked_in.is_empty() && track.isrc.is_some();
        self.sandbox.catalogue(provider).tracks().filter(playable).take(count).collect()
    }
}

/// Status and body; an empty body is null.
pub(crate) async fn send(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
    (status, body)
}
