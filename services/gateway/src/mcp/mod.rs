//! MCP over HTTP, both eras on one stateless path. Thin and our own, over rmcp's model types: one POST in,
//! one JSON answer or one event stream out, nothing kept in between. What is served is behind `Surface`.

mod admission;
mod body;
#[cfg(feature = "conformance-fixtures")]
pub mod fixtures;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod headers;
mod listen;
mod message;
mod methods;
pub mod music;
mod negotiate;
pub mod render;
pub mod revision;
mod spans;
mod stream;
pub mod surface;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use stagedoor_domain::TenantContext;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::listen::Subscription;
use self::message::{Malformed, Message, Meta, Request};
use self::render::{Rendered, ServerInfo};
use self::revision::Revision;
pub use self::spans::Arrival;
use self::surface::{Caller, Notifier, Reply, RpcError, Surface};
use stagedoor_bootstrap::telemetry::{self, RequestTrace};

use crate::access_log::RequestRecord;
use crate::client::Client;
use crate::concurrency::Permit;
use crate::input_sanitizer::{InputSanitizer, Verdict};
use crate::oauth::StepUp;
use crate::state::AppState;

/// Notifications that may wait for a slow reader before the call itself waits.
const STREAM_BUFFER: usize = 64;

/// The endpoint's settings and what it serves.
#[derive(Debug)]
pub struct Endpoint {
    /// What is served.
    pub surface: Arc<dyn Surface>,
    /// Who the server says it is.
    pub server_info: ServerInfo,
    /// The longest body, in bytes.
    pub body_limit: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Checks what agents send.
    pub input: InputSanitizer,
    /// How long a request may take.
    pub deadline: Duration,
    /// Ends the streams that would otherwise stay open.
    pub stop: CancellationToken,
}

/// Serves one POST of an authenticated caller.
pub async fn serve(
    state: &Arc<AppState>,
    ctx: TenantContext,
    (client, step_up): (Client, StepUp),
    parts: &Parts,
    body: Body,
) -> Response {
    let record = RequestRecord::new(ctx.clone());
    let seat = Seat { ctx, client, record: Arc::clone(&record), step_up };
    let mut response = respond(state, seat, parts, body).await;
    response.extensions_mut().insert(record);
    response
}

/// An authenticated caller, before it is known how it speaks.
struct Seat {
    ctx: TenantContext,
    client: Client,
    record: Arc<RequestRecord>,
    step_up: StepUp,
}

async fn respond(state: &Arc<AppState>, seat: Seat, parts: &Parts, body: Body) -> Response {
    let body = match receive(&state.mcp, parts, body).await {
        Ok(body) => body,
        Err(error) => {
            let mut response = refusal(None, Revision::NEWEST_WITH_HANDSHAKE, &error);
            // What is left of the body must not be taken for the next request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
    };
    match message::read(&body, state.mcp.input) {
        Ok(Message::Request(request)) => answer(state, seat, parts, &body, &request).await,
        Ok(Message::Notification { method }) => notification(&parts.headers, &method),
        Ok(Message::Response) => empty(StatusCode::ACCEPTED),
        Err(Malformed { id, error }) => refusal(id, Revision::NEWEST_WITH_HANDSHAKE, &error),
    }
}

async fn receive(endpoint: &Endpoint, parts: &Parts, body: Body) -> Result<Bytes, RpcError> {
    body::check_media_types(&parts.headers)?;
    body::read(body, endpoint.body_limit, endpoint.body_timeout).await
}

async fn answer(
    state: &Arc<AppState>,
    seat: Seat,
    parts: &Parts,
    body: &Bytes,
    request: &Request<'_>,
) -> Response {
    let trace = spans::begin(&seat.ctx, parts, request);
    if let Some(trace) = &trace {
        seat.record.report_trace(trace.trace_id());
    }
    let answered = traced_answer(state, (seat, trace.clone()), &parts.headers, body, request);
    telemetry::within(trace.as_deref(), answered).await
}

async fn traced_answer(
    state: &Arc<AppState>,
    (seat, trace): (Seat, Option<Arc<RequestTrace>>),
    headers: &HeaderMap,
    body: &Bytes,
    request: &Request<'_>,
) -> Response {
    let spoken = match negotiate::negotiate(headers, request) {
        Ok(spoken) => spoken,
        Err(error) => {
            spans::refused(trace.as_deref(), &error);
            return refusal(Some(request.id), Revision::V20260728, &error);
        }
    };
    let revision = spoken.revision;
    let caller = Caller {
        ctx: seat.ctx,
        revision,
        capabilities: spoken.capabilities,
        address: seat.client.address,
        user_agent: seat.client.user_agent,
        software: request.params.meta.as_ref().and_then(Meta::software),
        record: seat.record,
        trace,
        step_up: seat.step_up,
    };
    if revision.is_modern() {
        let schema = request.params.name.as_deref().and_then(|name| state.mcp.surface.header_schema(name));
        if let Err(error) = headers::agree(headers, request, schema.as_deref()) {
            spans::refused(caller.trace.as_deref(), &error);
            return refusal(Some(request.id), revision, &error);
        }
    }
    let (permit, extra) = match admission::admit(state, &caller, request).await {
        Ok(admitted) => admitted,
        Err(turned_away) => return *turned_away,
    };
    let mended = match state.mcp.input.check(request.raw_params) {
        Ok(Verdict::Fit) => return admitted(state, caller, headers, body, request, (permit, extra)).await,
        Ok(Verdict::ToMend) => state.mcp.input.mended(body),
        Err(error) => Err(error),
    };
    let body = match mended {
        Ok(body) => body,
        Err(error) => return admission::unfit(state, &caller, request, error, extra).await,
    };
    // Rare, so its state is not a part of every request's.
    match message::read(&body, state.mcp.input) {
        Ok(Message::Request(request)) => {
            Box::pin(admitted(state, caller, headers, &body, &request, (permit, extra))).await
        }
        Ok(_) | Err(_) => unreachable!("a mended request stays one"),
    }
}

/// Answers a request that may go on and can be read.
async fn admitted(
    state: &Arc<AppState>,
    caller: Caller,
    headers: &HeaderMap,
    body: &Bytes,
    request: &Request<'_>,
    (permit, extra): (Permit, HeaderMap),
) -> Response {
    spans::name(state, &caller, request).await;
    let revision = caller.revision;
    if revision.is_modern() && request.method == "subscriptions/listen" {
        return match admission::admit_listener(state, &caller, request, permit).await {
            Ok(permit) => listen(state, &caller, request, extra, permit),
            Err(turned_away) => *turned_away,
        };
    }
    let takes_stream = headers::accepts(headers, "text/event-stream");
    let wants_stream = request.params.meta.as_ref().is_some_and(|meta| meta.progress_token.is_some())
        || request.params.name.as_deref().is_some_and(|name| state.mcp.surface.streams(name));
    if takes_stream && wants_stream {
        return streamed(state, caller, request, body, extra, permit).await;
    }
    let reply = methods::answer_in_time(&state.mcp, &caller, request, &Notifier::silent()).await;
    finish(&state.mcp, request.id, &caller, reply, extra)
}

/// `subscriptions/listen`: acknowledged at once, then open until either side ends it.
fn listen(
    state: &Arc<AppState>,
    caller: &Caller,
    request: &Request<'_>,
    extra: HeaderMap,
    permit: Permit,
) -> Response {
    let capabilities = state.mcp.surface.capabilities();
    let subscription = match Subscription::agree(request.id, request.raw_params, &capabilities) {
        Ok(subscription) => subscription.only(|uri| state.mcp.surface.watches(caller, uri)),
        Err(error) => return refusal(Some(request.id), caller.revision, &error),
    };
    let events = state.mcp.surface.events(caller, subscription.resources());
    let acknowledgement = subscription.acknowledgement();
    let (sender, receiver) = mpsc::channel(STREAM_BUFFER);
    let (id, stop) = (request.id.to_owned(), state.mcp.stop.clone());
    let answer = Box::pin(async move {
        let _under_way = permit;
        subscription.run(events, sender, stop).await;
        let meta = Subscription::meta(&id);
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"complete\",\"_meta\":{meta}}}}}"
        )
        .into_bytes()
    });
    stream::response(Some(acknowledgement), receiver, answer, extra)
}

/// A call that may send notifications: an event stream if it does, plain JSON if it ends without one.
async fn streamed(
    state: &Arc<AppState>,
    caller: Caller,
    request: &Request<'_>,
    body: &Bytes,
    extra: HeaderMap,
    permit: Permit,
) -> Response {
    let meta = request.params.meta.as_ref();
    let token =
        meta.and_then(|meta| meta.progress_token).and_then(|raw| serde_json::from_str(raw.get()).ok());
    let takes_logs = !caller.revision.is_modern() || meta.is_some_and(|meta| meta.log_level.is_some());
    let (sender, mut receiver) = mpsc::channel(STREAM_BUFFER);
    let notifier = Notifier::new(token, takes_logs, sender);
    let trace = caller.trace.clone();
    let answer = owned_answer(Arc::clone(state), caller, body.clone(), notifier, permit);
    let answer = Box::pin(telemetry::within(trace.as_deref(), answer));
    match stream::first(answer, &mut receiver).await {
        stream::First::Ended(rendered) => render::response(rendered, extra),
        stream::First::Streaming(first, answer) => {
            let body = Box::pin(async move { answer.await.body });
            stream::response(Some(first), receiver, body, extra)
        }
    }
}

/// Answers from the body itself, so that the stream may outlive the handler that began it.
async fn owned_answer(
    state: Arc<AppState>,
    caller: Caller,
    body: Bytes,
    notifier: Notifier,
    _under_way: Permit,
) -> Rendered {
    match message::read(&body, state.mcp.input) {
        Ok(Message::Request(request)) => {
            let reply = methods::answer_in_time(&state.mcp, &caller, &request, &notifier).await;
            spans::conclude(&caller, &reply);
            render::message(request.id, &caller, &state.mcp.server_info, reply)
        }
        // The same bytes were read as a request before the stream began.
        Ok(_) | Err(_) => unreachable!("a body that was a request stays one"),
    }
}

fn finish(endpoint: &Endpoint, id: &RawValue, caller: &Caller, reply: Reply, extra: HeaderMap) -> Response {
    spans::conclude(caller, &reply);
    render::response(render::message(id, caller, &endpoint.server_info, reply), extra)
}

fn notification(headers: &HeaderMap, method: &str) -> Response {
    let checked = negotiate::of_notification(headers).and_then(|revision| {
        if revision.is_modern() { headers::method_agrees(headers, method) } else { Ok(()) }
    });
    match checked {
        Ok(()) => empty(StatusCode::ACCEPTED),
        Err(error) => refusal(None, Revision::V20260728, &error),
    }
}

fn refusal(id: Option<&RawValue>, revision: Revision, error: &RpcError) -> Response {
    render::response(render::refusal(id, revision, error), HeaderMap::new())
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
