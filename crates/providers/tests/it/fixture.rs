//! What every test needs: a clock and randomness that do as told, a tenant's context, a running sandbox with one
//! account at each provider.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use stagedoor_domain::{
    CallId, Clock, Entropy, Provider, ProviderAppId, Tenant, TenantContext, TenantId, TenantSettings,
    TenantStatus,
};
use stagedoor_providers::{
    Access, AuthorizationRequest, HttpOptions, MusicProvider, ProviderApp, ProviderHttp, Providers,
    SpotifyMode, Urgency,
};
use stagedoor_sandbox::{Sandbox, SandboxConfig};
use tokio::net::TcpListener;
use url::Url;
use uuid::Uuid;

pub(crate) const CLIENT_ID: &str = "0123456789abcdef0123456789abcdef";
const CLIENT_SECRET: &str = "sandbox-client-secret";
/// RFC 7636 Appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const STATE: &str = "state+of this try";

/// Where the sandbox sends people back to.
pub(crate) fn redirect_uri() -> Url {
    Url::parse("https://door.example/t/test/connect/callback?from=here").unwrap()
}

/// Every scope that a provider's calls need.
pub(crate) fn scopes(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Spotify => &[
            "playlist-read-private",
            "playlist-modify-public",
            "playlist-modify-private",
            "user-library-read",
            "user-library-modify",
            "user-follow-read",
            "user-follow-modify",
            "user-top-read",
            "user-read-recently-played",
            "user-read-playback-state",
            "user-read-currently-playing",
            "user-modify-playback-state",
        ],
        Provider::Tidal => &[
            "search.read",
            "playlists.read",
            "playlists.write",
            "user.read",
            "collection.read",
            "collection.write",
            "recommendations.read",
        ],
    }
}

/// A clock that stands still until told.
#[derive(Debug, Default)]
pub(crate) struct FrozenClock {
    elapsed: Mutex<Duration>,
}

impl FrozenClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.elapsed.lock().unwrap() += by;
    }
}

impl Clock for FrozenClock {
    fn now(&self) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(1_793_000_000, 0).unwrap();
        start + TimeDelta::from_std(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap()
    }
}

#[derive(Debug)]
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// Options for loopback servers, with limits that tests can reach.
pub(crate) fn options(clock: &Arc<FrozenClock>) -> HttpOptions {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    HttpOptions {
        body_limit: 256 * 1024,
        allow_plain_http_loopback: true,
        ..HttpOptions::new(Arc::clone(clock) as Arc<dyn Clock>, Arc::new(NoEntropy))
    }
}

#[expect(clippy::disallowed_methods, reason = "tests build the context that the gateway would")]
pub(crate) fn context() -> TenantContext {
    let tenant = Tenant {
        id: TenantId(Uuid::from_u128(1)),
        slug: "test".parse().unwrap(),
        status: TenantStatus::Active,
        settings: TenantSettings::default(),
    };
    TenantContext::for_job(Arc::new(tenant), "test", CallId(Uuid::from_u128(2)))
}

/// An app of `provider` at a server.
pub(crate) fn app(provider: Provider, api_base: Url, auth_base: Url) -> ProviderApp {
    ProviderApp {
        id: ProviderAppId(Uuid::from_u128(3)),
        provider,
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(CLIENT_SECRET.into()),
        api_base,
        auth_base,
        authorize_url: None,
        mode: SpotifyMode::Development,
    }
}

/// A parameter of the address that a browser is sent back to.
pub(crate) fn answer(back: &Url, name: &str) -> Option<String> {
    back.query_pairs().find(|(held, _)| held == name).map(|(_, value)| value.into_owned())
}

/// A running sandbox and one linked account.
pub(crate) struct Fixture {
    pub(crate) provider: Provider,
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Arc<FrozenClock>,
    pub(crate) ctx: TenantContext,
    pub(crate) app: ProviderApp,
    pub(crate) account: String,
    pub(crate) token: SecretString,
    pub(crate) refresh_token: SecretString,
    pub(crate) providers: Providers,
}

impl Fixture {
    #[expect(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
    pub(crate) async fn start(provider: Provider) -> Self {
        let clock = Arc::new(FrozenClock::default());
        let config = SandboxConfig {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            // See `tests/contract`.
            record: std::env::var_os("STAGEDOOR_SANDBOX_RECORD").map(Into::into),
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = Url::parse(&format!("http://{}/{provider}/", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(stagedoor_sandbox::serve(sandbox.clone(), listener, std::future::pending()));
        sandbox.register_app(provider, CLIENT_ID, CLIENT_SECRET);
        sandbox.register_redirect_uri(provider, CLIENT_ID, redirect_uri().as_str()).unwrap();
        let account = sandbox.create_account(provider, "Ada", "DE");
        let grant = sandbox.grant(provider, &account, CLIENT_ID, scopes(provider));
        let (api, auth) = match provider {
            Provider::Spotify => ("v1", "accounts"),
            Provider::Tidal => ("v2", "auth"),
        };
        let providers = Providers::new(ProviderHttp::new(options(&clock)).unwrap());
        Self {
            provider,
            sandbox,
            clock,
            ctx: context(),
            app: app(provider, root.join(api).unwrap(), root.join(auth).unwrap()),
            account,
            token: grant.access_token.into(),
            refresh_token: grant.refresh_token.into(),
            providers,
        }
    }

    /// Puts another HTTP client, with other options, in the place of the one in use.
    pub(crate) fn renew_client(&mut self, change: impl FnOnce(&mut HttpOptions)) {
        let mut options = options(&self.clock);
        change(&mut options);
        self.providers = Providers::new(ProviderHttp::new(options).unwrap());
    }

    pub(crate) fn music(&self) -> &dyn MusicProvider {
        self.providers.get(self.provider)
    }

    pub(crate) fn access(&self) -> Access<'_> {
        Access {
            app: &self.app,
            token: &self.token,
            country: Some("DE"),
            deadline: None,
            urgency: Urgency::Call,
            sent: None,
        }
    }

    /// A token of the same account with other scopes.
    pub(crate) fn token_with(&self, scopes: &[&str]) -> SecretString {
        self.sandbox.grant(self.provider, &self.account, CLIENT_ID, scopes).access_token.into()
    }

    /// A token of another account of the same app.
    pub(crate) fn stranger(&self) -> SecretString {
        let account = self.sandbox.create_account(self.provider, "Bob", "DE");
        self.sandbox.grant(self.provider, &account, CLIENT_ID, scopes(self.provider)).access_token.into()
    }

    /// Where a browser is sent for consent to `scopes`.
    pub(crate) fn authorize_url(&self, scopes: &[&str]) -> Url {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let request = AuthorizationRequest {
            redirect_uri: &redirect_uri(),
            scopes: &scopes,
            state: &STATE.into(),
            code_challenge: CHALLENGE,
        };
        self.music().authorize_url(&self.app, &request)
    }

    /// A code for every scope.
    pub(crate) fn code(&self) -> SecretString {
        let address = self.authorize_url(scopes(self.provider));
        let back = self.sandbox.authorize(self.provider, &self.account, &address).unwrap();
        answer(&back, "code").unwrap().into()
    }

    /// How many requests each operation got since the last look.
    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        let counts = self.sandbox.requests(self.provider);
        self.sandbox.reset_requests();
        counts
    }

    /// How many requests there were since the last look.
    pub(crate) fn request_count(&self) -> u64 {
        self.requests().values().sum()
    }
}
