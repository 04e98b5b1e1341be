//! What both token endpoints share: the form, who the client is, and which grant it asks for (RFC 6749 §4, §6).
//! How answers are written is each provider's.

use axum::http::HeaderMap;
use base64::Engine as _;
use http::header::AUTHORIZATION;
use stagedoor_domain::Provider;

use crate::exchange;
use crate::sandbox::Sandbox;
use crate::tokens::{Issued, TokenError};

/// The tokens that a form asks for.
pub(crate) fn issue(
    sandbox: &Sandbox,
    provider: Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Issued, TokenError> {
    let form = Form::read(body);
    let Client { id, secret } = Client::of(headers, &form)?;
    sandbox.check_client(provider, &id, secret.as_deref())?;
    match form.get("grant_type") {
        Some("client_credentials") if secret.is_none() => {
            Err(TokenError::new("invalid_client", "Invalid client secret"))
        }
        Some("client_credentials") => Ok(sandbox.issue_for_client(provider, &id)),
        Some("refresh_token") => sandbox.refresh(provider, &id, form.needs("refresh_token")?),
        Some("authorization_code") => {
            sandbox.check_proof(provider, &id, secret.as_deref())?;
            let (code, redirect_uri) = (form.needs("code")?, form.needs("redirect_uri")?);
            sandbox.exchange_code(provider, &id, code, redirect_uri, form.needs("code_verifier")?)
        }
        Some(_) => Err(TokenError::new("unsupported_grant_type", "grant_type parameter is not supported")),
        None => Err(TokenError::new("unsupported_grant_type", "grant_type parameter is missing")),
    }
}

/// Ends a token (RFC 7009 §2.1). One that is not known is as good as ended.
pub(crate) fn revoke(
    sandbox: &Sandbox,
    provider: Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), TokenError> {
    let form = Form::read(body);
    let client = Client::of(headers, &form)?;
    sandbox.check_client(provider, &client.id, client.secret.as_deref())?;
    sandbox.check_proof(provider, &client.id, client.secret.as_deref())?;
    sandbox.revoke_token(provider, &client.id, form.needs("token")?)
}

/// A form's fields, decoded. One without a value counts as left out (RFC 6749 §3.2).
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn read(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    fn needs(&self, name: &'static str) -> Result<&str, TokenError> {
        self.get(name).ok_or(TokenError::new(
            "invalid_request",
            match name {
                "refresh_token" => "refresh_token must be supplied",
                "code" => "code must be supplied",
                "redirect_uri" => "redirect_uri must be supplied",
                "code_verifier" => "code_verifier must be supplied",
                _ => "token must be supplied",
            },
        ))
    }
}

struct Client {
    id: String,
    secret: Option<String>,
}

impl Client {
    /// Basic authentication, or id and maybe secret in the body (RFC 6749 §2.3.1).
    fn of(headers: &HeaderMap, form: &Form) -> Result<Self, TokenError> {
        let Some(header) = exchange::header(headers, AUTHORIZATION.as_str()) else {
            let id =
                form.get("client_id").ok_or_else(|| TokenError::new("invalid_client", "Invalid client"))?;
            return Ok(Self { id: id.to_owned(), secret: form.get("client_secret").map(str::to_owned) });
        };
        basic(header).ok_or_else(|| TokenError::new("invalid_client", "Invalid authorization header"))
    }
}

fn basic(header: &str) -> Option<Client> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some(Client { id: id.to_owned(), secret: Some(secret.to_owned()) })
}
