//! JSON:API error objects (JSON:API 1.1 §"Error objects") as Tidal writes them.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use serde_json::json;

use crate::tokens::BearerError;

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The query parameter at fault.
    parameter: Option<String>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), parameter: None }
    }

    /// What the API says of this status when there is no more to say.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status.as_u16() {
            400 => ("INVALID_REQUEST", "Invalid request"),
            401 => ("UNAUTHORIZED", "The token has expired"),
            403 => ("FORBIDDEN", "Forbidden"),
            404 => ("NOT_FOUND", "Resource not found"),
            405 => ("METHOD_NOT_ALLOWED", "HTTP method not allowed"),
            406 => ("NOT_ACCEPTABLE", "No acceptable response media type"),
            413 => ("PAYLOAD_TOO_LARGE", "Request body too large"),
            415 => ("UNSUPPORTED_MEDIA_TYPE", "Unsupported request media type or encoding"),
            429 => ("TOO_MANY_REQUESTS", "Rate limit exceeded"),
            503 => ("SERVICE_UNAVAILABLE", "Service temporarily unavailable"),
            _ => ("INTERNAL_SERVER_ERROR", "Internal server error"),
        };
        Self::new(status, code, detail)
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", detail)
    }

    pub(super) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self { parameter: Some(name.to_owned()), ..Self::bad(detail) }
    }

    pub(super) fn not_found() -> Self {
        Self::of_status(StatusCode::NOT_FOUND)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", detail)
    }
}

impl From<BearerError> for Failure {
    fn from(error: BearerError) -> Self {
        let detail = match error {
            BearerError::Missing => "No token provided",
            BearerError::Invalid => "The token is not valid",
            BearerError::Expired => "The token has expired",
        };
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", detail)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut error = json!({ "status": self.status.as_str(), "code": self.code, "detail": self.detail });
        if let Some(parameter) = self.parameter {
            error["source"] = json!({ "parameter": parameter });
        }
        let mut response = super::document(self.status, &json!({ "errors": [error] }));
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer error="invalid_token""#));
        }
        response
    }
}
