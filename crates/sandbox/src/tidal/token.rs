//! `POST /v1/oauth2/token` and `/v1/oauth2/revoke`, with the members that Tidal adds to RFC 6749's answers.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use stagedoor_domain::Provider;

use crate::sandbox::Sandbox;
use crate::tokens::TokenError;
use crate::{exchange, token_endpoint};

const MEDIA_TYPE: &str = "application/json";

pub(super) async fn token(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = needs_form(&headers) {
        return refuse(refused);
    }
    match token_endpoint::issue(&sandbox, Provider::Tidal, &headers, &body) {
        Ok(issued) => {
            let mut answer = json!({
                "access_token": issued.access_token,
                "token_type": "Bearer",
                "expires_in": issued.expires_in,
                "scope": issued.scopes.join(" "),
            });
            if let Some(token) = issued.refresh_token {
                answer["refresh_token"] = json!(token);
            }
            if let Some(id) = issued.account_id.and_then(|id| id.parse::<u64>().ok()) {
                answer["user_id"] = json!(id);
            }
            exchange::json(StatusCode::OK, MEDIA_TYPE, &answer)
        }
        Err(refused) => refuse(refused),
    }
}

pub(super) async fn revoke(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    let revoked = needs_form(&headers)
        .and_then(|()| token_endpoint::revoke(&sandbox, Provider::Tidal, &headers, &body));
    match revoked {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refused) => refuse(refused),
    }
}

fn needs_form(headers: &HeaderMap) -> Result<(), TokenError> {
    if exchange::media_type(headers).as_deref() == Some("application/x-www-form-urlencoded") {
        return Ok(());
    }
    Err(TokenError {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ..TokenError::new("invalid_request", "The body must be a form")
    })
}

fn refuse(refused: TokenError) -> Response {
    let (status, sub_status) = match refused.error {
        "invalid_client" => (StatusCode::UNAUTHORIZED, 6001),
        "invalid_grant" => (refused.status, 11101),
        _ => (refused.status, 1002),
    };
    let body = json!({
        "status": status.as_u16(),
        "error": refused.error,
        "sub_status": sub_status,
        "error_description": refused.description,
    });
    exchange::json(status, MEDIA_TYPE, &body)
}
