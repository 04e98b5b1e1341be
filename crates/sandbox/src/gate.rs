//! What every provider request passes first and its answer last: the journal, the quota, idempotency (Tidal), the
//! faults.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use stagedoor_domain::Provider;

use crate::faults::{Effect, FaultId, Stage};
use crate::journal::LoggedRequest;
use crate::quota::OverQuota;
use crate::sandbox::Sandbox;
use crate::{spotify, tidal};

const MAX_REQUEST_BODY: usize = 1 << 20;
/// The fields of OAuth's requests that are no secrets.
const LOGGED_FIELDS: [&str; 7] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "code_challenge_method",
    "show_dialog",
    "decision",
];

/// Marks an answer that must not be sent: the server closes the connection instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloseConnection;

/// Who the request is for, as the middleware's state.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) sandbox: Sandbox,
    pub(crate) provider: Provider,
}

/// Journal, then quota, then idempotency, then faults around the work.
pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Gate { sandbox, provider } = gate;
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST_BODY).await else {
        return error(provider, StatusCode::PAYLOAD_TOO_LARGE);
    };
    let path = below(parts.uri.path());
    let pattern = parts.extensions.get::<MatchedPath>().map_or("*", MatchedPath::as_str);
    let pattern =
        below(pattern.strip_prefix("/spotify").or(pattern.strip_prefix("/tidal")).unwrap_or(pattern));
    let operation = format!("{} {pattern}", parts.method);
    let grant_type = grant_type(path, &body);
    if let Some(grant_type) = &grant_type {
        sandbox.journal().count_grant_type(provider, grant_type);
    }
    sandbox.journal().record(LoggedRequest {
        provider,
        operation: operation.clone(),
        method: parts.method.to_string(),
        path: path.to_owned(),
        query: parts.uri.query().map(|query| loggable(path, query.as_bytes(), None)),
        body: loggable(path, &body, grant_type.as_deref()),
        headers: parts.headers.keys().map(ToString::to_string).collect(),
    });
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let recording = sandbox.recorder().and_then(|recorder| {
        let mode = sandbox.bearer(provider, authorization).map(|bearer| bearer.mode).unwrap_or_default();
        recorder.begin((provider, mode), &operation, &parts, &body)
    });
    let over = sandbox.count_request(provider, authorization).err();
    let strike = || sandbox.faults().strike(provider, &operation, path, grant_type.as_deref());
    let struck = if over.is_none() { strike() } else { None };
    let genuine = struck.as_ref().is_none_or(|(_, _, effect)| effect.is_genuine());
    let answer = if let Some(OverQuota { retry_after }) = over {
        spoil(provider, Effect::Status { status: 429, retry_after }).await
    } else {
        let reservation = match provider {
            Provider::Tidal => tidal::reserve(&sandbox, &parts, &body),
            Provider::Spotify => tidal::Reservation::Free,
        };
        let work = reservation.run(next.run(Request::from_parts(parts, Body::from(body))));
        around(&sandbox, provider, struck, work).await
    };
    match recording {
        Some(recording) if genuine => recording.answered(answer).await,
        _ => answer,
    }
}

/// The work, with the fault that strikes before or after it.
async fn around(
    sandbox: &Sandbox,
    provider: Provider,
    struck: Option<(FaultId, Stage, Effect)>,
    work: impl Future<Output = Response>,
) -> Response {
    match struck {
        None => work.await,
        Some((_, Stage::BeforeWork, Effect::Delay { milliseconds })) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            work.await
        }
        Some((_, Stage::AfterWork, Effect::Delay { milliseconds })) => {
            let answer = work.await;
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            answer
        }
        Some((id, Stage::BeforeWork, Effect::Hold)) => {
            sandbox.faults().removed(id).await;
            work.await
        }
        Some((id, Stage::AfterWork, Effect::Hold)) => {
            let answer = work.await;
            sandbox.faults().removed(id).await;
            answer
        }
        Some((_, Stage::BeforeWork, Effect::RevokeConsents)) => {
            sandbox.revoke_all(provider);
            work.await
        }
        Some((_, Stage::AfterWork, Effect::RevokeConsents)) => {
            let answer = work.await;
            sandbox.revoke_all(provider);
            answer
        }
        Some((_, Stage::BeforeWork, effect)) => spoil(provider, effect).await,
        Some((_, Stage::AfterWork, effect)) => {
            drop(work.await);
            spoil(provider, effect).await
        }
    }
}

/// The path without the API's version, which both providers put first.
fn below(path: &str) -> &str {
    let bare = path.strip_prefix("/v1").or_else(|| path.strip_prefix("/v2")).unwrap_or(path);
    if bare.is_empty() { "/" } else { bare }
}

/// What the token endpoint is asked for; `None` elsewhere.
fn grant_type(path: &str, body: &[u8]) -> Option<String> {
    let named = || url::form_urlencoded::parse(body).find(|(name, _)| name == "grant_type");
    path.ends_with("/token").then(|| named().map(|(_, value)| value.into_owned()).unwrap_or_default())
}

/// A query or body as the log may hold it: of what belongs to OAuth, only what is no secret.
fn loggable(path: &str, text: &[u8], grant_type: Option<&str>) -> String {
    if let Some(grant_type) = grant_type {
        return format!("grant_type={grant_type}");
    }
    if !["/accounts/", "/login/", "/auth/"].iter().any(|place| path.starts_with(place)) {
        return String::from_utf8_lossy(text).into_owned();
    }
    let shown = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
        let value = if LOGGED_FIELDS.contains(&&*name) { value } else { Cow::Borrowed("*") };
        (name.into_owned(), value.into_owned())
    };
    let pairs = url::form_urlencoded::parse(text).map(shown);
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn spoil(provider: Provider, effect: Effect) -> Response {
    match effect {
        Effect::Status { status, retry_after } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = error(provider, status);
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            answer
        }
        Effect::Garbage => as_json(provider, Body::from("<html><body>upstream connect error</body></html>")),
        Effect::WrongShape => as_json(provider, Body::from(r#"{"unexpected":[1,{"shape":true}]}"#)),
        Effect::HugeBody { bytes } => as_json(provider, huge(bytes)),
        Effect::CloseConnection => {
            let mut answer = Body::from_stream(stream::once(async { Err::<Bytes, _>("closed on script") }))
                .into_response();
            answer.extensions_mut().insert(CloseConnection);
            answer
        }
        Effect::Hang | Effect::Hold | Effect::Delay { .. } | Effect::RevokeConsents => {
            std::future::pending().await
        }
    }
}

fn as_json(provider: Provider, body: Body) -> Response {
    let media_type = match provider {
        Provider::Spotify => "application/json; charset=utf-8",
        Provider::Tidal => tidal::MEDIA_TYPE,
    };
    ([(CONTENT_TYPE, media_type)], body).into_response()
}

fn huge(bytes: u64) -> Body {
    let block = Bytes::from(vec![b' '; 64 * 1024]);
    Body::from_stream(stream::unfold(bytes, move |left| {
        let length = left.min(block.len() as u64);
        let part = block.slice(..usize::try_from(length).unwrap_or(0));
        async move { (left > 0).then(|| (Ok::<_, std::io::Error>(part), left - length)) }
    }))
}

fn error(provider: Provider, status: StatusCode) -> Response {
    match provider {
        Provider::Spotify => spotify::Failure::of_status(status).into_response(),
        Provider::Tidal => tidal::Failure::of_status(status).into_response(),
    }
}
