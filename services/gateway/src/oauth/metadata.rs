//! What a client that has no token yet learns of a tenant's endpoint (RFC 9728): who issues tokens for it, and which scopes
//! there are. A tenant without issuers has the answer of one that does not exist, after the same look-up: only those who
//! want to be found this way are.

use std::sync::Arc;

use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderValue,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError, ScopeSet, TenantSlug, TenantStatus};

use super::challenge::{WELL_KNOWN, scope_values};
use super::registered::Registrations;
use crate::narrowing::Narrowing;
use crate::problem::Problem;
use crate::state::AppState;

/// `GET …/t/{tenant}/mcp` and `…/mcp/readonly` behind the well-known name.
pub async fn serve(state: State<Arc<AppState>>, Path(slug): Path<String>, uri: OriginalUri) -> Response {
    answer(&state, &slug, None, &uri).await
}

/// `GET …/t/{tenant}/mcp/x/{toolsets}`, with `/readonly` or without.
pub async fn serve_some(
    state: State<Arc<AppState>>,
    Path((slug, toolsets)): Path<(String, String)>,
    uri: OriginalUri,
) -> Response {
    answer(&state, &slug, Some(&toolsets), &uri).await
}

/// Browsers ask first whether a page of another origin may read it with the headers that MCP clients send. Anyone may.
pub async fn preflight() -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("mcp-protocol-version, accept"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn answer(state: &AppState, slug: &str, toolsets: Option<&str>, uri: &OriginalUri) -> Response {
    let Ok(slug) = slug.parse::<TenantSlug>() else { return not_found().into_response() };
    if Narrowing::of_path(toolsets, false).is_err() {
        return not_found().into_response();
    }
    let tokens = state.authenticator.tokens();
    let found = match tokens.registered.of(&slug).await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(error = %Chain(&*error), "a tenant's issuers could not be looked up");
            return Problem::new(error.public()).into_response();
        }
    };
    let served = found.filter(|known| {
        !known.issuers.is_empty() && tokens.registered.newest_tenant(known).status == TenantStatus::Active
    });
    // The name of the resource is what stands behind the well-known part (RFC 9728 §3.3), without our own prefix.
    let path = uri.path().strip_prefix(WELL_KNOWN).unwrap_or_default();
    let path = path.strip_prefix(tokens.resources.prefix()).unwrap_or(path);
    let (Some(known), Some(resource)) = (served, tokens.resources.at(path)) else {
        return not_found().into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=60")),
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    (headers, document(&known, &resource).to_string()).into_response()
}

fn document(known: &Registrations, resource: &str) -> Value {
    json!({
        "resource": resource,
        "resource_name": known.name,
        "authorization_servers": known.issuers.iter().map(|issuer| &issuer.url).collect::<Vec<_>>(),
        "scopes_supported": scope_values(&known.issuers, ScopeSet::all()),
        "bearer_methods_supported": ["header"],
    })
}

/// Pages of other origins may see that there is nothing, too.
fn not_found() -> Response {
    let error = PublicError::new(ErrorCode::NotFound, "No issuer of tokens is known for this endpoint.")
        .hint("Use an API key of the tenant: `Authorization: Bearer sd_live_…`.");
    let mut response = Problem::new(error).into_response();
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
