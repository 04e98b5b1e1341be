//! `POST /api/token`: client credentials and refresh, for confidential clients (Basic) and public ones (PKCE).

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use stagedoor_domain::Provider;

use super::{Failure, MEDIA_TYPE, ok};
use crate::exchange;
use crate::sandbox::Sandbox;
use crate::tokens::{Issued, TokenError};

pub(super) async fn token(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    if exchange::media_type(&headers).as_deref() != Some("application/x-www-form-urlencoded") {
        return Failure::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response();
    }
    match issue(&sandbox, Provider::Spotify, &headers, &body) {
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

/// The part of the token endpoint that both providers share (RFC 6749 §4.4, §6).
pub(crate) fn issue(
    sandbox: &Sandbox,
    provider: Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Issued, TokenError> {
    let form = Form(url::form_urlencoded::parse(body).into_owned().collect());
    let (client, secret) = credentials(headers, &form)?;
    sandbox.check_client(provider, &client, secret.as_deref())?;
    match form.get("grant_type") {
        Some("client_credentials") if secret.is_none() => {
            Err(TokenError::new("invalid_client", "Invalid client secret"))
        }
        Some("client_credentials") => Ok(sandbox.issue_for_client(provider)),
        Some("refresh_token") => {
            let token = form
                .get("refresh_token")
                .ok_or_else(|| TokenError::new("invalid_request", "refresh_token must be supplied"))?;
            sandbox.refresh(provider, &client, token)
        }
        Some(_) => Err(TokenError::new("unsupported_grant_type", "grant_type parameter is not supported")),
        None => Err(TokenError::new("unsupported_grant_type", "grant_type parameter is missing")),
    }
}

struct Form(Vec<(String, String)>);

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// Basic authentication, or id and maybe secret in the body (RFC 6749 §2.3.1).
fn credentials(headers: &HeaderMap, form: &Form) -> Result<(String, Option<String>), TokenError> {
    let Some(header) = exchange::header(headers, AUTHORIZATION.as_str()) else {
        let id = form.get("client_id").ok_or_else(|| TokenError::new("invalid_client", "Invalid client"))?;
        return Ok((id.to_owned(), form.get("client_secret").map(str::to_owned)));
    };
    basic(header).ok_or_else(|| TokenError::new("invalid_client", "Invalid authorization header"))
}

fn basic(header: &str) -> Option<(String, Option<String>)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), Some(secret.to_owned())))
}
