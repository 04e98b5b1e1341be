//! Spotify's error object: `{"error": {"status", "message"}}`, with the sentences that its API uses.

use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::exchange::json;
use crate::tokens::BearerError;

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    /// A word for programs, which the player's errors have.
    reason: Option<&'static str>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), reason: None }
    }

    /// What a failing service says without knowing more.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let message = match status {
            StatusCode::UNAUTHORIZED => "The access token expired",
            StatusCode::FORBIDDEN => "Forbidden",
            StatusCode::NOT_FOUND => "Resource not found",
            StatusCode::TOO_MANY_REQUESTS => "API rate limit exceeded",
            other => other.canonical_reason().unwrap_or("Error"),
        };
        Self::new(status, message)
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// The player's refusal of a command.
    pub(super) fn of_player(status: StatusCode, message: &str, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::new(status, format!("Player command failed: {message}")) }
    }

    pub(super) fn missing_scope() -> Self {
        Self::forbidden("Insufficient client scope")
    }
}

impl From<BearerError> for Failure {
    fn from(error: BearerError) -> Self {
        let message = match error {
            BearerError::Missing => "No token provided",
            BearerError::Invalid => "Invalid access token",
            BearerError::Expired => "The access token expired",
        };
        Self::new(StatusCode::UNAUTHORIZED, message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": { "status": self.status.as_u16(), "message": self.message } });
        if let Some(reason) = self.reason {
            body["error"]["reason"] = json!(reason);
        }
        let mut response = json(self.status, super::MEDIA_TYPE, &body);
        let challenge = match self.status {
            StatusCode::UNAUTHORIZED => Some(format!(
                r#"Bearer realm="spotify", error="invalid_token", error_description="{}""#,
                self.message
            )),
            StatusCode::FORBIDDEN if self == Self::missing_scope() => {
                Some(r#"Bearer realm="spotify", error="insufficient_scope""#.to_owned())
            }
            _ => None,
        };
        if let Some(challenge) = challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
