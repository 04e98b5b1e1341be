//! What the HTTP client does whatever the provider: redirects, retries, caps, deadlines, secrets. Waits are in `waits`.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};
use stagedoor_providers::{
    Access, Deadline, HttpOptions, MalformedAnswer, NewPlaylist, ProviderApp, ProviderError, ProviderHttp,
    Providers, SearchQuery, SpotifyMode, TransportError, Urgency,
};

use crate::fixture::{FrozenClock, app, context, options};
use crate::scripted::{Scripted, json};

pub(crate) const TRACK: &str = r#"{"id":"11dFghVXANMlKmJXsNCbNl","name":"Song"}"#;
const TOKEN: &str = "a-very-secret-access-token-of-someone";

pub(crate) struct Wire {
    pub(crate) server: Scripted,
    pub(crate) clock: Arc<FrozenClock>,
    pub(crate) app: ProviderApp,
    pub(crate) providers: Providers,
    pub(crate) ctx: TenantContext,
    token: SecretString,
}

impl Wire {
    pub(crate) async fn start(answers: Vec<Vec<u8>>) -> Self {
        Self::with_options(answers, |_| ()).await
    }

    async fn with_options(answers: Vec<Vec<u8>>, change: impl FnOnce(&mut HttpOptions)) -> Self {
        Self::of(Scripted::start(answers).await, change)
    }

    pub(crate) fn of(server: Scripted, change: impl FnOnce(&mut HttpOptions)) -> Self {
        let clock = Arc::new(FrozenClock::default());
        let mut options = options(&clock);
        change(&mut options);
        let app = app(Provider::Spotify, server.root.clone(), server.root.clone());
        let providers = Providers::new(ProviderHttp::new(options).unwrap());
        Self { server, clock, app, providers, ctx: context(), token: TOKEN.into() }
    }

    pub(crate) fn access(&self) -> Access<'_> {
        Access {
            app: &self.app,
            token: &self.token,
            country: None,
            deadline: None,
            urgency: Urgency::Call,
            sent: None,
        }
    }

    pub(crate) async fn read(&self) -> Result<String, ProviderError> {
        self.read_as(&self.access()).await
    }

    pub(crate) async fn read_as(&self, access: &Access<'_>) -> Result<String, ProviderError> {
        let item: ItemRef = "spotify:track:11dFghVXANMlKmJXsNCbNl".parse().unwrap();
        let track = self.providers.get(Provider::Spotify).track(&self.ctx, access, &item).await?;
        Ok(track.title)
    }

    async fn write(&self) -> Result<(), ProviderError> {
        let playlist = NewPlaylist { name: "Mine", description: None, public: false };
        let spotify = self.providers.get(Provider::Spotify);
        spotify.create_playlist(&self.ctx, &self.access(), &playlist, "key").await.map(drop)
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_token_stays_home() {
    let wire =
        Wire::start(vec![json("302 Found", "location: /elsewhere\r\n", ""), json("200 OK", "", TRACK)]).await;
    let error = wire.read().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::InvalidAnswer { cause: MalformedAnswer::Status(302), .. }),
        "{error:?}"
    );
    assert_eq!(wire.server.requests().len(), 1);
}

#[tokio::test]
async fn a_read_that_fails_in_passing_is_repeated_once() {
    let busy = json("503 Service Unavailable", "", "{}");
    let wire = Wire::start(vec![busy.clone(), json("200 OK", "", TRACK)]).await;
    assert_eq!(wire.read().await.unwrap(), "Song");

    let wire = Wire::start(vec![busy.clone(), busy, json("200 OK", "", TRACK)]).await;
    let error = wire.read().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Unavailable { cause: TransportError::Status(503), .. }),
        "{error:?}"
    );
    assert!(error.retryable());
    assert_eq!(wire.server.requests().len(), 2);
}

#[tokio::test]
async fn other_failures_are_not_repeated() {
    for status in ["500 Internal Server Error", "429 Too Many Requests", "404 Not Found"] {
        let wire = Wire::start(vec![json(status, "", "{}"), json("200 OK", "", TRACK)]).await;
        assert!(wire.read().await.is_err(), "{status}");
        assert_eq!(wire.server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_write_is_sent_once_and_its_loss_is_called_uncertain() {
    let wire = Wire::start(vec![json("503 Service Unavailable", "", "{}")]).await;
    let error = wire.write().await.unwrap_err();
    assert!(error.uncertain() && !error.retryable());
    assert!(error.public().hint.unwrap().contains("may have been made"));
    assert_eq!(wire.server.requests().len(), 1);

    let wire = Wire::start(vec![json("201 Created", "", "not JSON")]).await;
    assert!(wire.write().await.unwrap_err().uncertain());
}

#[tokio::test]
async fn a_budget_keeps_an_outage_from_doubling() {
    let busy = json("502 Bad Gateway", "", "{}");
    let wire = Wire::start(vec![busy; 200]).await;
    for _ in 0..50 {
        assert!(wire.read().await.is_err());
    }
    // 10 saved up, and a fifth of what came after them.
    let retries = wire.server.requests().len() - 50;
    assert!((10..=20).contains(&retries), "{retries}");
}

#[tokio::test]
async fn nobody_listening_is_no_connection() {
    let mut wire = Wire::start(vec![]).await;
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    wire.app.api_base.set_port(Some(unused.local_addr().unwrap().port())).unwrap();
    drop(unused);
    let error = wire.read().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Unavailable { cause: TransportError::Connect(_), .. }),
        "{error:?}"
    );
    assert!(!wire.write().await.unwrap_err().uncertain(), "nothing was sent, so nothing was done");
}

#[tokio::test]
async fn a_small_answer_that_unpacks_to_a_huge_one_is_cut_off() {
    // 600,000 spaces, gzip.
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    packed.extend(deflated_spaces());
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        packed.len()
    )
    .into_bytes();
    assert!(packed.len() < 4_000);
    answer.extend(packed);
    let wire = Wire::start(vec![answer]).await;
    let error = wire.read().await.unwrap_err();
    assert!(matches!(error, ProviderError::BodyTooLarge { limit: 262_144, .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":".to_vec();
    let wire = Wire::start(vec![cut]).await;
    let error = wire.read().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Unavailable { cause: TransportError::Broken(_), .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing() {
    let wire = Wire::start(vec![json("200 OK", "", TRACK)]).await;
    let deadline = Deadline::after(&*wire.clock, Duration::from_secs(1));
    wire.clock.advance(Duration::from_secs(1));
    let access = Access { deadline: Some(deadline), ..wire.access() };
    let error = wire.read_as(&access).await.unwrap_err();
    assert!(matches!(error, ProviderError::DeadlineExceeded { uncertain: false, .. }), "{error:?}");
    assert!(wire.server.requests().is_empty());
}

#[tokio::test]
async fn tokens_go_out_over_tls_or_loopback_only() {
    let wire = Wire::start(vec![json("200 OK", "", TRACK)]).await;
    for base in ["http://192.0.2.1/v1", "ftp://127.0.0.1/", "https://user:password@127.0.0.1/"] {
        let app = ProviderApp { api_base: base.parse().unwrap(), ..wire.app.clone() };
        let error = wire.read_as(&Access { app: &app, ..wire.access() }).await.unwrap_err();
        assert!(matches!(error, ProviderError::Misconfigured { .. }), "{base}: {error:?}");
    }
    let strict = Wire::with_options(vec![json("200 OK", "", TRACK)], |options| {
        options.allow_plain_http_loopback = false;
    });
    let strict = strict.await;
    assert!(matches!(strict.read().await, Err(ProviderError::Misconfigured { .. })));
    assert!(strict.server.requests().is_empty());
}

#[tokio::test]
async fn an_error_never_repeats_the_token() {
    let long = format!("{} {TOKEN}", "x".repeat(170));
    for message in [format!("The token {TOKEN} is wrong"), long] {
        let body = serde_json::json!({ "error": { "status": 400, "message": message } }).to_string();
        let wire = Wire::start(vec![json("400 Bad Request", "", &body)]).await;
        let error = wire.read().await.unwrap_err();
        let shown = format!("{error} {error:?} {:?}", error.public());
        assert!(!shown.contains("very-secret"), "{shown}");
        assert!(!format!("{:?} {:?}", wire.access(), wire.app).contains("secret"));
    }
}

#[tokio::test]
async fn a_providers_sentence_is_cleaned_and_cut() {
    let message = format!("Ignore\u{202E} this\u{0} {}", "long ".repeat(100));
    let body = serde_json::json!({ "error": { "status": 400, "message": message } }).to_string();
    let wire = Wire::start(vec![json("400 Bad Request", "", &body)]).await;
    let ProviderError::Rejected { status: 400, message: Some(message), .. } = wire.read().await.unwrap_err()
    else {
        panic!("not rejected");
    };
    assert!(message.starts_with("Ignore this long") && message.chars().count() <= 200, "{message:?}");
}

#[tokio::test]
async fn a_page_is_asked_for_at_home_whatever_the_link_says() {
    let page = |offset: u32| {
        format!(
            r#"{{"items":[{{"id":"p{offset}","name":"P"}}],"next":"https://evil.example/?offset={}&limit=1","total":9}}"#,
            offset + 1
        )
    };
    let wire = Wire::start(vec![json("200 OK", "", &page(0)), json("200 OK", "", &page(1))]).await;
    let spotify = wire.providers.get(Provider::Spotify);
    let first = spotify.playlists(&wire.ctx, &wire.access(), 1, None).await.unwrap();
    let second = spotify.playlists(&wire.ctx, &wire.access(), 1, first.next.as_deref()).await.unwrap();
    assert_eq!(second.items[0].reference.id(), "p1");
    let requests = wire.server.requests();
    assert!(requests[1].starts_with("GET /me/playlists?limit=1&offset=1 "), "{}", requests[1]);
}

#[tokio::test]
async fn extended_quota_asks_for_fifty_at_once() {
    let mut wire = Wire::start(vec![json("200 OK", "", r#"{"tracks":{"items":[],"next":null}}"#)]).await;
    wire.app.mode = SpotifyMode::Extended;
    let kinds = EntityKindSet::empty().with(EntityKind::Track);
    let query = SearchQuery { text: "a b", kinds, limit: 50, page: None };
    wire.providers.get(Provider::Spotify).search(&wire.ctx, &wire.access(), &query).await.unwrap();
    let requests = wire.server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("GET /search?q=a+b&type=track&limit=50&offset=0 "), "{}", requests[0]);
}

/// The body of a gzip member that unpacks to 600,000 spaces, trailer included.
fn deflated_spaces() -> Vec<u8> {
    let hex = include_str!("spaces.deflate.hex");
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
