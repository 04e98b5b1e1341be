//! One request on the wire: head first, then a body under a cap, both within one time limit. Knows no turns and no
//! retries; those are `http`'s.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret;
use stagedoor_domain::Clock;
use tokio::time::{Instant, timeout_at};

use crate::call::{Authorization, Call};
use crate::error::{ProviderError, TransportError};

/// Until when a request may take, all of it together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimit {
    length: Duration,
    ends: Instant,
    /// Whether it is the call's deadline that ends it.
    is_deadline: bool,
}

impl TimeLimit {
    /// From now on: `longest`, or what is left until the call's deadline. Fails if nothing is.
    pub(crate) fn of(call: &Call<'_>, longest: Duration, clock: &dyn Clock) -> Result<Self, ProviderError> {
        let left = call.deadline.map(|deadline| deadline.remaining(clock));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ProviderError::DeadlineExceeded { provider: call.app.provider, uncertain: false });
        }
        let length = left.map_or(longest, |left| left.min(longest));
        let is_deadline = left.is_some_and(|left| left <= longest);
        Ok(Self { length, ends: Instant::now() + length, is_deadline })
    }

    /// What comes of `work`, a part of `call`, if it is done in time.
    pub(crate) async fn hold<T>(
        self,
        call: &Call<'_>,
        work: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let (provider, uncertain) = (call.app.provider, !call.repeatable);
        match timeout_at(self.ends, work).await {
            Ok(outcome) => outcome,
            Err(_) if self.is_deadline => Err(ProviderError::DeadlineExceeded { provider, uncertain }),
            Err(_) => {
                let cause = TransportError::TimedOut(self.length);
                Err(ProviderError::Unavailable { provider, uncertain, cause })
            }
        }
    }
}

/// An answer whose body has not come yet.
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// What the provider asked for.
    pub(crate) retry_after: Option<Duration>,
    response: Response,
}

impl Head {
    /// Sends `call` and waits for the status and the headers of its answer.
    pub(crate) async fn of(
        client: &Client,
        call: &Call<'_>,
        clock: &dyn Clock,
    ) -> Result<Self, ProviderError> {
        let response = request(client, call).send().await.map_err(|error| broken(call, error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers(), clock));
        Ok(Self { status, retry_after, response })
    }

    /// The body, of at most `limit` bytes after decompression.
    pub(crate) async fn body(mut self, call: &Call<'_>, limit: usize) -> Result<Bytes, ProviderError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.response.chunk().await.map_err(|error| broken(call, error))? {
            if body.len() + chunk.len() > limit {
                let (provider, uncertain) = (call.app.provider, !call.repeatable);
                return Err(ProviderError::BodyTooLarge { provider, uncertain, limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

fn request(client: &Client, call: &Call<'_>) -> RequestBuilder {
    let mut request = client.request(call.method.clone(), call.url.clone()).header(ACCEPT, call.accept);
    request = match &call.authorization {
        Authorization::Bearer(token) => request.bearer_auth(token.expose_secret()),
        Authorization::Basic { user, password } => request.basic_auth(user, Some(password.expose_secret())),
        Authorization::None => request,
    };
    if let Some(key) = call.idempotency_key {
        request = request.header("Idempotency-Key", key);
    }
    if let Some((content_type, content)) = &call.body {
        request = request.header(CONTENT_TYPE, *content_type).body(content.clone());
    } else if matches!(call.method, Method::POST | Method::PUT | Method::PATCH) {
        // RFC 9110 §8.6: said of a method that content is expected with; without it servers answer 411.
        request = request.header(CONTENT_LENGTH, 0);
    }
    request
}

/// Seconds or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - clock.now()).to_std().unwrap_or_default())
}

fn broken(call: &Call<'_>, error: reqwest::Error) -> ProviderError {
    let error = error.without_url();
    let connect = error.is_connect();
    ProviderError::Unavailable {
        provider: call.app.provider,
        uncertain: !connect && !call.repeatable,
        cause: if connect { TransportError::Connect(error) } else { TransportError::Broken(error) },
    }
}
