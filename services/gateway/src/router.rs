//! Every route, and the layers around them in one visible order.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::Uri;
use http::header::{ALLOW, HeaderValue};
use stagedoor_bootstrap::metrics::AuthMethod;
use stagedoor_bootstrap::telemetry;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{CallId, ErrorCode, PrincipalKind, PublicError, Tenant};

use stagedoor_audit::{AuditAction, AuditClient, Refusal};

use crate::authn::Refused;
use crate::client::Client;
use crate::narrowing::Narrowing;
use crate::oauth::challenge::WELL_KNOWN;
use crate::oauth::{Objection, StepUp, metadata};
use crate::problem::Problem;
use crate::state::AppState;
use crate::{access_log, client, connect, health, leaked_keys, mcp, privacy, signing_keys, tenancy};

/// What agents and people reach.
pub fn public(state: &Arc<AppState>) -> Router {
    let router = Router::new()
        .route("/t/{tenant}/mcp", post(call).fallback(only_post))
        // The same with less to see than the key has.
        .route("/t/{tenant}/mcp/readonly", post(call_reading).fallback(only_post))
        .route("/t/{tenant}/mcp/x/{toolsets}", post(call_some).fallback(only_post))
        .route("/t/{tenant}/mcp/x/{toolsets}/readonly", post(call_some_reading).fallback(only_post))
        // For people, in a browser: the way of a link from the agent's question to the provider's answer.
        .route("/t/{tenant}/connect/{token}", connect::consent())
        .route("/t/{tenant}/connect/callback/{provider}", connect::callback())
        .route("/t/{tenant}/connect/done", connect::done())
        // For people too: a copy of their data, or its deletion.
        .route("/t/{tenant}/privacy/{token}", privacy::page())
        // For anyone who holds something that the tenant signed.
        .route("/t/{tenant}/.well-known/signing-keys", get(signing_keys::serve))
        // For whoever finds keys in public, such as a service that scans for secrets.
        .route("/leaked-keys", post(leaked_keys::report).fallback(only_post))
        // For clients that have no token yet: who issues them.
        .merge(resource_metadata(state.authenticator.tokens().resources().prefix()))
        .fallback(not_found)
        .with_state(Arc::clone(state));
    // From the outside in: the line about a request is written whatever becomes of it, then strangers are
    // slowed down before anything is parsed.
    let router = match &state.shield {
        Some(shield) => router.layer(shield.layer()),
        None => router,
    };
    router.layer(from_fn_with_state(Arc::clone(state), access_log::layer))
}

/// Metadata of every endpoint (RFC 9728 §3.1): with the endpoints' own path behind the well-known name, `prefix` being what
/// clients have before `/t`, whether a proxy takes that away or not.
fn resource_metadata(prefix: &str) -> Router<Arc<AppState>> {
    let one = || get(metadata::serve).options(metadata::preflight);
    let some = || get(metadata::serve_some).options(metadata::preflight);
    let mut router = Router::new();
    for prefix in if prefix.is_empty() { vec![""] } else { vec!["", prefix] } {
        let root = format!("{WELL_KNOWN}{prefix}/t/{{tenant}}/mcp");
        router = router
            .route(&root, one())
            .route(&format!("{root}/readonly"), one())
            .route(&format!("{root}/x/{{toolsets}}"), some())
            .route(&format!("{root}/x/{{toolsets}}/readonly"), some());
    }
    router
}

/// What operators and probes reach; never exposed with the public port.
pub fn ops(state: &Arc<AppState>) -> Router {
    let router = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/startupz", get(health::started));
    let router = if state.serves_metrics { router.route("/metrics", get(health::metrics)) } else { router };
    router.fallback(not_found).with_state(Arc::clone(state))
}

async fn call(State(state): State<Arc<AppState>>, Path(slug): Path<String>, request: Request) -> Response {
    serve(&state, &slug, Ok(Narrowing::default()), request).await
}

async fn call_reading(
    State(state): State<Arc<AppState>>,
    Path(slug): Path<String>,
    request: Request,
) -> Response {
    serve(&state, &slug, Narrowing::of_path(None, true), request).await
}

async fn call_some(
    State(state): State<Arc<AppState>>,
    Path((slug, toolsets)): Path<(String, String)>,
    request: Request,
) -> Response {
    serve(&state, &slug, Narrowing::of_path(Some(&toolsets), false), request).await
}

async fn call_some_reading(
    State(state): State<Arc<AppState>>,
    Path((slug, toolsets)): Path<(String, String)>,
    request: Request,
) -> Response {
    serve(&state, &slug, Narrowing::of_path(Some(&toolsets), true), request).await
}

/// One POST of an agent: who is it, whose is it, what does it want to see, then MCP.
async fn serve(
    state: &Arc<AppState>,
    slug: &str,
    of_path: Result<Narrowing, PublicError>,
    request: Request,
) -> Response {
    let began = state.traces.then(telemetry::moment);
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if let Err(problem) = state.doors.check(authority, &parts.headers) {
        return problem.closing().into_response();
    }
    let client = client::of(&state.proxies, &parts.extensions, &parts.headers);
    let sign_in =
        match state.authenticator.sign_in(slug, parts.uri.path(), &parts.headers, client.address).await {
            Ok(sign_in) => sign_in,
            Err(refused) => return refuse(state, refused, client, (slug, &parts.uri)).await,
        };
    let method = method(&sign_in.principal.kind);
    state.metrics.auth_successes.count(method);
    if let Some(began) = began {
        parts.extensions.insert(mcp::Arrival { began, signed_in: telemetry::moment(), method });
    }
    // After the key: strangers learn nothing from it.
    let narrowing = match of_path.and_then(|of_path| of_path.and_headers(&parts.headers)) {
        Ok(narrowing) => narrowing,
        Err(error) => return Problem::new(error).closing().into_response(),
    };
    let step_up = StepUp {
        resources: Arc::clone(state.authenticator.tokens().resources()),
        uri: parts.uri.clone(),
        issuer: sign_in.issuer.clone(),
    };
    let ctx = tenancy::establish(sign_in, narrowing, state.clock.as_ref(), state.entropy.as_ref());
    Box::pin(mcp::serve(state, ctx, (client, step_up), &parts, body)).await
}

fn method(kind: &PrincipalKind) -> AuthMethod {
    match kind {
        PrincipalKind::Jwt { .. } => AuthMethod::Token,
        _ => AuthMethod::ApiKey,
    }
}

async fn refuse(state: &AppState, refused: Refused, client: Client, called: (&str, &Uri)) -> Response {
    let (slug, uri) = called;
    let (tokens, objection) = (state.authenticator.tokens(), refused.objection());
    // Who has nothing yet is told what to ask for; for whoever guesses, nothing is looked up.
    let issuers = tokens.issuers_of(slug, objection == Objection::Missing).await;
    let challenge = tokens.resources().unauthenticated(uri.path(), &issuers, objection);
    let problem = refused.problem(challenge).closing();
    match refused {
        Refused::Unverifiable(_) => {}
        Refused::Unavailable(error) => {
            tracing::error!(error = %Chain(&*error), "a key could not be looked up");
        }
        Refused::Invalid { tenant, reason, error } => {
            state.metrics.auth_failures.count(reason);
            if let Some(tenant) = tenant {
                record_refusal(state, tenant, error.code, client).await;
            }
        }
    }
    problem.into_response()
}

/// The tenant learns that someone tried one of its keys and failed.
async fn record_refusal(state: &AppState, tenant: Arc<Tenant>, error: ErrorCode, client: Client) {
    let refusal = Refusal {
        call: CallId::generate(state.clock.as_ref(), state.entropy.as_ref()),
        action: AuditAction::Authenticate,
        resource: None,
        claimed: None,
        error,
        response_code: error.http_status(),
        client: AuditClient { address: Some(client.address), user_agent: client.user_agent, software: None },
    };
    state.dispatcher.desk().usage().refused_credentials(Arc::clone(&tenant));
    if let Err(error) = state.audit.refuse(tenant, refusal).await {
        tracing::error!(error = %Chain(&error), "a refusal was not recorded");
    }
}

/// GET streams and DELETE of sessions ended with the sessions (2026-07-28); before it, 405 was always allowed.
async fn only_post() -> Response {
    let error = PublicError::new(ErrorCode::MethodNotAllowed, "Only POST is served here.")
        .hint("There are no sessions and no GET streams; every request is a POST of its own.");
    let mut response = Problem::new(error).into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

pub(crate) async fn not_found() -> Problem {
    let error = PublicError::new(ErrorCode::NotFound, "There is nothing at this path.").hint(
        "A tenant's endpoint is POST /t/{tenant}/mcp; /readonly and /x/{toolsets} behind it show less.",
    );
    Problem::new(error)
}
