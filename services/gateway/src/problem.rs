//! Errors of plain HTTP as problem+json (RFC 9457), and the challenges that go with 401 and 403 (RFC 6750).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use rmcp::model::ErrorCode as RpcErrorCode;
use serde_json::json;
use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::{ErrorCode, PublicError, ScopeSet};

use crate::mcp::surface::RpcError;

/// The name space of our problem types; `docs/errors.md` explains each (RFC 9457 §3.1.1).
const DOCUMENTATION: &str = "urn:stagedoor:error:";

/// An error as an HTTP answer.
#[derive(Debug)]
pub struct Problem {
    error: PublicError,
    status: StatusCode,
    headers: HeaderMap,
}

impl Problem {
    /// The answer to `error`.
    pub fn new(error: PublicError) -> Self {
        let status = StatusCode::from_u16(error.code.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { error, status, headers: HeaderMap::new() }
    }

    /// The answer with another status than the code's own: some codes are those of tool results first, which are sent with
    /// 200.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.error.code
    }

    /// No key, a wrong one, an expired one, another tenant's, and the same of tokens: one answer for all, so that none can
    /// be told apart.
    pub fn unauthenticated(challenge: HeaderValue) -> Self {
        Self::new(Self::unauthenticated_error()).challenging(challenge)
    }

    /// The problem with what a client may do about it (RFC 9110 §11.6.1).
    #[must_use]
    pub fn challenging(mut self, challenge: HeaderValue) -> Self {
        self.headers.insert(WWW_AUTHENTICATE, challenge);
        self
    }

    /// What that answer says.
    pub fn unauthenticated_error() -> PublicError {
        PublicError::new(
            ErrorCode::Unauthenticated,
            "A valid API key of this tenant is needed, or a token of an issuer that it knows.",
        )
        .hint(
            "Send it as `Authorization: Bearer sd_live_…`. A key works only at its own tenant's endpoint, and a token only \
             at the one that it was issued for.",
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
        let status = self.status;
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
        if let Some(details) = &self.error.details {
            body["details"] = (**details).clone();
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

/// The JSON-RPC error of a call that lacks a scope; `by_token` if whoever calls can ask for one by itself.
pub fn scope_needed(scopes: ScopeSet, by_token: bool) -> RpcError {
    let (credential, hint) = if by_token {
        ("token", "Ask the token's issuer for one with the scopes that `WWW-Authenticate` lists.")
    } else {
        ("key", "Ask the tenant's operator for a key with that scope.")
    };
    let message = format!("This {credential} lacks a scope; the call needs: {scopes}.");
    RpcError::new(
        RpcErrorCode::INVALID_REQUEST,
        PublicError::new(ErrorCode::InsufficientScope, message).hint(hint),
    )
}
