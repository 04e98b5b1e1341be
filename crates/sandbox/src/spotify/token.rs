//! `POST /api/token`: authorization codes, client credentials and refresh, in Spotify's words.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use stagedoor_domain::Provider;

use super::{Failure, MEDIA_TYPE, ok};
use crate::sandbox::Sandbox;
use crate::{exchange, token_endpoint};

pub(super) async fn token(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    if exchange::media_type(&headers).as_deref() != Some("application/x-www-form-urlencoded") {
        return Failure::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response();
    }
    match token_endpoint::issue(&sandbox, Provider::Spotify, &headers, &body) {
        Ok(issued) => {
            let mut answer = json!({
                "access_token": issued.access_token,
                "token_type": "Bearer",
                "expires_in": issued.expires_in,
            });
            if issued.account_id.is_some() {
                answer["scope"] = json!(issued.scopes.join(" "));
            }
            if let Some(token) = issued.refresh_token {
                answer["refresh_token"] = json!(token);
            }
            ok(StatusCode::OK, &answer)
        }
        Err(refused) => {
            let body = json!({ "error": refused.error, "error_description": refused.description });
            exchange::json(refused.status, MEDIA_TYPE, &body)
        }
    }
}
