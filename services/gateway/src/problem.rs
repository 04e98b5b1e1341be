//! Errors of plain HTTP as problem+json (RFC 9457), and the challenges that go with 401 and 403 (RFC 6750).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use rmcp::model::ErrorCode as RpcErrorCode;
use serde_json::json;
use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::{ErrorCode, PublicError, Scope, ScopeSet};

use crate::mcp::surface::RpcError;

/// The name space of our problem types; `docs/errors.md` explains each (RFC 9457 §3.1.1).
const DOCUMENTATION: &str = "urn:stagedoor:error:";

/// An error as an HTTP answer.
#[derive(Debug)]
pub struct Problem {
    error: PublicError,
    headers: HeaderMap,
}

impl Problem {
    /// The answer to `error`.
    pub fn new(error: PublicError) -> Self {
        Self { error, headers: HeaderMap::new() }
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.error.code
    }

    /// No key, a wrong one, an expired one, another tenant's: one answer for all, so that none can be told apart.
    pub fn unauthenticated() -> Self {
        let scopes: ScopeSet = Scope::ALL.iter().copied().collect();
        let challenge = format!("Bearer realm=\"stagedoor\", error=\"invalid_token\", scope=\"{scopes}\"");
        let mut problem = Self::new(Self::unauthenticated_error());
        problem.headers.insert(WWW_AUTHENTICATE, header(challenge));
        problem
    }

    /// What that answer says.
    pub fn unauthenticated_error() -> PublicError {
        PublicError::new(ErrorCode::Unauthenticated, "A valid API key of this tenant is needed.").hint(
            "Send it as `Authorization: Bearer sd_live_…`. A key works only at its own tenant's endpoint.",
        )
    }

    /// The problem as the last answer on its connection: the request's body was not read, and what is left of it
    /// must not be taken for the next request.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }
}

impl From<PublicError> for Problem {
    fn from(error: PublicError) -> Self {
        Self::new(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = json!({
            "type": format!("{DOCUMENTATION}{}", self.error.code),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.error.message,
            "code": self.error.code,
        });
        if let Some(hint) = &self.error.hint {
            body["hint"] = json!(hint);
        }
        if let Some(limit) = &self.error.limit {
            body["limit"] = json!(limit);
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.error.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(ceil_seconds(wait)));
        }
        response
    }
}

/// The JSON-RPC error of a call that lacks a scope.
pub fn scope_needed(scopes: ScopeSet) -> RpcError {
    let message = format!("This key lacks a scope; the call needs: {scopes}.");
    let error = PublicError::new(ErrorCode::InsufficientScope, message)
        .hint("Ask the tenant's operator for a key with that scope.");
    RpcError::new(RpcErrorCode::INVALID_REQUEST, error)
}

/// The challenge of a 403 that a further scope would lift (RFC 6750 §3.1).
pub fn scope_challenge(scopes: ScopeSet) -> HeaderValue {
    header(format!("Bearer realm=\"stagedoor\", error=\"insufficient_scope\", scope=\"{scopes}\""))
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}
