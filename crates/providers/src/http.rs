//! The one HTTP client: a turn for each request, one retry of reads, what a 429 means. Knows status codes and no provider's
//! shapes; those come in as `Call::explain`. The wire is `exchange`'s.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode, redirect};
use serde::de::DeserializeOwned;
use stagedoor_domain::{Clock, Entropy, Provider, TenantContext};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use url::{Host, Url};

use crate::answer::{Answer, failure};
use crate::broker::{Broker, BrokerOptions, SharedPauses, Turn, jitter};
use crate::call::Call;
use crate::error::{MalformedAnswer, ProviderError, TransportError};
use crate::exchange::{Head, TimeLimit};
use crate::observer::{AttemptOutcome, Observer};
use crate::retry::RetryBudget;

/// How the HTTP client behaves.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// How long a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// How long one request may take, body included; a nearer deadline shortens it.
    pub request_timeout: Duration,
    /// Longest answer in bytes, after decompression.
    pub body_limit: usize,
    /// The `User-Agent`.
    pub user_agent: String,
    /// Whether base URLs may be plain `http` on a loopback host; for the sandbox.
    pub allow_plain_http_loopback: bool,
    /// For deadlines and waits.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Told of every request that was sent, and of those that the broker kept back.
    pub observer: Option<Observer>,
    /// How many requests go out, and wait, at a time.
    pub broker: BrokerOptions,
    /// Where replicas share pauses; `None` keeps them here.
    pub shared_pauses: Option<Arc<dyn SharedPauses>>,
}

impl HttpOptions {
    /// 3 s to connect, 10 s a request, 4 MiB a body, TLS only.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
            body_limit: 4 * 1024 * 1024,
            user_agent: concat!("stagedoor/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow_plain_http_loopback: false,
            clock,
            entropy,
            observer: None,
            broker: BrokerOptions::default(),
            shared_pauses: None,
        }
    }
}

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The process has installed no cipher suite provider for TLS.
    #[error("no default rustls crypto provider is installed in this process")]
    NoCryptoProvider,
    /// The client cannot be built, for one because the system has no trusted certificates.
    #[error("the HTTP client for providers cannot be built")]
    Client(#[source] reqwest::Error),
}

/// The HTTP client that both providers share.
#[derive(Debug)]
pub struct ProviderHttp {
    client: Client,
    options: HttpOptions,
    broker: Broker,
    spotify_retries: RetryBudget,
    tidal_retries: RetryBudget,
}

impl ProviderHttp {
    /// A client with no redirects, no proxies and no cookies.
    pub fn new(options: HttpOptions) -> Result<Self, HttpSetupError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(HttpSetupError::NoCryptoProvider);
        }
        let client = Client::builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .gzip(true)
            .build()
            .map_err(HttpSetupError::Client)?;
        let (clock, entropy) = (Arc::clone(&options.clock), Arc::clone(&options.entropy));
        let broker = Broker::new(options.broker, options.shared_pauses.clone(), clock, entropy);
        Ok(Self {
            client,
            options,
            broker,
            spotify_retries: RetryBudget::default(),
            tidal_retries: RetryBudget::default(),
        })
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Sends `call` and reads its JSON answer.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        ctx: &TenantContext,
        call: &Call<'_>,
    ) -> Result<T, ProviderError> {
        read(call, &self.send(ctx, call).await?)
    }

    /// As `json`, where an answer without content says that there is nothing.
    pub(crate) async fn json_or_nothing<T: DeserializeOwned>(
        &self,
        ctx: &TenantContext,
        call: &Call<'_>,
    ) -> Result<Option<T>, ProviderError> {
        let answer = self.send(ctx, call).await?;
        if answer.status == StatusCode::NO_CONTENT { Ok(None) } else { read(call, &answer).map(Some) }
    }

    /// Sends `call`, whose answer holds nothing but whether it was done.
    pub(crate) async fn acknowledged(
        &self,
        ctx: &TenantContext,
        call: &Call<'_>,
    ) -> Result<(), ProviderError> {
        let answer = self.send(ctx, call).await?;
        if answer.status.is_success() { Ok(()) } else { Err(failure(call, &answer)) }
    }

    /// One request, and a second one if the first was a read that failed in passing, or a write with an idempotency key
    /// whose answer was lost, and the budget allows. The second waits for a turn like any other.
    async fn send(&self, ctx: &TenantContext, call: &Call<'_>) -> Result<Answer, ProviderError> {
        let provider = call.app.provider;
        self.check_base(provider, &call.url)?;
        let turn = self.turn(ctx, call).await?;
        let budget = match provider {
            Provider::Spotify => &self.spotify_retries,
            Provider::Tidal => &self.tidal_retries,
        };
        budget.earn();
        let mut outcome = self.attempt_in(turn, call, 0).await;
        let mut retried = false;
        if can_repeat(call, &outcome)
            && budget.spend()
            && self.pause(call).await
            && let Ok(turn) = self.turn(ctx, call).await
        {
            retried = true;
            let second = self.attempt_in(turn, call, 1).await;
            // Of a write whose first outcome nobody knows, anything but a success says nothing: a refusal may be of the
            // repetition alone.
            if !may_be_done(call, &outcome) || second.as_ref().is_ok_and(|answer| answer.status.is_success())
            {
                outcome = second;
            }
        }
        tracing::debug!(
            tenant = %ctx.tenant_id(),
            call = %ctx.call(),
            %provider,
            operation = call.operation,
            status = outcome.as_ref().ok().map(|answer| answer.status.as_u16()),
            retried,
            "provider request"
        );
        outcome
    }

    async fn turn<'a>(&'a self, ctx: &'a TenantContext, call: &Call<'_>) -> Result<Turn<'a>, ProviderError> {
        let turn = self.broker.turn(ctx, call).await;
        if turn.is_err() {
            self.observe(call.app.provider, AttemptOutcome::KeptBack, Duration::ZERO);
        }
        turn
    }

    /// One request, and what its answer means for those behind it.
    async fn attempt_in(
        &self,
        turn: Turn<'_>,
        call: &Call<'_>,
        resend: u32,
    ) -> Result<Answer, ProviderError> {
        if let Some(sent) = call.sent {
            sent.add();
        }
        let span = attempt_span(call, resend);
        let attempt = async {
            let started = self.options.clock.elapsed();
            let result = self.attempt(turn, call).await;
            let duration = self.options.clock.elapsed().saturating_sub(started);
            let outcome = AttemptOutcome::of(result.as_ref().map(|answer| answer.status.as_u16()));
            self.observe(call.app.provider, outcome, duration);
            (result, outcome)
        };
        let (result, outcome) = attempt.instrument(span.clone()).await;
        conclude(&span, outcome);
        result
    }

    async fn attempt(&self, turn: Turn<'_>, call: &Call<'_>) -> Result<Answer, ProviderError> {
        let clock = &*self.options.clock;
        let time = TimeLimit::of(call, self.options.request_timeout, clock)?;
        let head = time.hold(call, Head::of(&self.client, call, clock)).await?;
        let (status, retry_after) = (head.status, head.retry_after);
        let body = time.hold(call, head.body(call, self.options.body_limit));
        if status == StatusCode::TOO_MANY_REQUESTS {
            // The wait begins with the head, and holds whatever becomes of the body, which only explains it.
            let (pause, body) = tokio::join!(turn.refused(retry_after), body);
            return Ok(Answer { status, retry_after, pause, body: body.unwrap_or_default() });
        }
        let body = body.await?;
        turn.answered();
        Ok(Answer { status, retry_after, pause: Duration::ZERO, body })
    }

    fn observe(&self, provider: Provider, outcome: AttemptOutcome, duration: Duration) {
        if let Some(observer) = &self.options.observer {
            observer.call(provider, outcome, duration);
        }
    }

    /// Waits a moment before a retry; false if there is no time for it.
    async fn pause(&self, call: &Call<'_>) -> bool {
        let wait = Duration::from_millis(50) + jitter(Duration::from_millis(200), &*self.options.entropy);
        let in_time = call.deadline.is_none_or(|deadline| deadline.remaining(&*self.options.clock) > wait);
        if in_time {
            tokio::time::sleep(wait).await;
        }
        in_time
    }

    fn check_base(&self, provider: Provider, url: &Url) -> Result<(), ProviderError> {
        let plain_allowed = self.options.allow_plain_http_loopback && is_loopback(url);
        let what = match url.scheme() {
            "https" => None,
            "http" if plain_allowed => None,
            _ => Some("its base URL must be https"),
        };
        let credentials = !url.username().is_empty() || url.password().is_some();
        match what.or(credentials.then_some("its base URL must not hold a user name or password")) {
            Some(what) => Err(ProviderError::Misconfigured { provider, what }),
            None => Ok(()),
        }
    }
}

/// The span of one request (OpenTelemetry's semantic conventions for HTTP clients). It names the operation: an address has ids
/// and words in it. The services are told nothing of the trace.
fn attempt_span(call: &Call<'_>, resend: u32) -> Span {
    tracing::info_span!(
        "provider",
        "otel.name" = call.method.as_str(),
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "error.type" = Empty,
        "http.request.method" = call.method.as_str(),
        "http.request.resend_count" = (resend > 0).then_some(i64::from(resend)),
        "http.response.status_code" = Empty,
        "server.address" = call.url.host_str(),
        "server.port" = call.url.port_or_known_default().map(i64::from),
        "stagedoor.operation" = call.operation,
        "stagedoor.provider" = call.app.provider.as_str(),
    )
}

fn conclude(span: &Span, outcome: AttemptOutcome) {
    if span.is_disabled() {
        return;
    }
    let failure = match outcome {
        AttemptOutcome::Status(status) => {
            span.record("http.response.status_code", i64::from(status));
            if status < 400 {
                return;
            }
            status.to_string()
        }
        AttemptOutcome::TimedOut => "timed_out".to_owned(),
        AttemptOutcome::Unreachable => "unreachable".to_owned(),
        AttemptOutcome::Garbage => "garbage".to_owned(),
        AttemptOutcome::KeptBack => "kept_back".to_owned(),
    };
    span.record("error.type", failure);
    span.record("otel.status_code", "ERROR");
}

/// Whether to send the request again: a read that failed in passing, or a write that its key keeps from being done twice.
fn can_repeat(call: &Call<'_>, outcome: &Result<Answer, ProviderError>) -> bool {
    let lost = matches!(outcome, Err(ProviderError::Unavailable { cause: TransportError::Broken(_), .. }));
    (call.method == Method::GET && is_passing(outcome))
        || (call.idempotency_key.is_some() && (lost || is_passing(outcome)))
}

/// Whether a request that failed in passing may have been done all the same.
fn may_be_done(call: &Call<'_>, outcome: &Result<Answer, ProviderError>) -> bool {
    let unsent = matches!(outcome, Err(ProviderError::Unavailable { cause: TransportError::Connect(_), .. }));
    call.method != Method::GET && !unsent
}

/// What a successful answer holds.
fn read<T: DeserializeOwned>(call: &Call<'_>, answer: &Answer) -> Result<T, ProviderError> {
    if !answer.status.is_success() {
        return Err(failure(call, answer));
    }
    serde_json::from_slice(&answer.body).map_err(|error| ProviderError::InvalidAnswer {
        provider: call.app.provider,
        uncertain: !call.repeatable,
        cause: MalformedAnswer::from(&error),
    })
}

/// Whether a repeated read can succeed at once.
fn is_passing(outcome: &Result<Answer, ProviderError>) -> bool {
    match outcome {
        Ok(answer) => matches!(answer.status.as_u16(), 502..=504),
        Err(ProviderError::Unavailable { cause: TransportError::Connect(_), .. }) => true,
        Err(_) => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_decided_by_the_host_alone() {
        for (text, expected) in [
            ("http://127.0.0.1:9/", true),
            ("http://[::1]:9/", true),
            ("http://localhost/", true),
            ("http://127.0.0.1.evil.example/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(text).unwrap()), expected, "{text}");
        }
    }
}
