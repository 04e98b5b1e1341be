//! Who calls and whether the exchange speaks JSON:API: token, `Accept`, `Content-Type`, country.

use axum::extract::FromRequestParts;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::Value;
use stagedoor_domain::Provider;

use super::{Failure, MEDIA_TYPE};
use crate::exchange::{self, Query, header};
use crate::model::Account;
use crate::sandbox::Sandbox;
use crate::tokens::Bearer;

/// The holder of a good access token, and the country whose catalogue is meant.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) bearer: Bearer,
    /// `countryCode`, or the account's country, or `US`.
    pub(super) country: String,
}

impl Caller {
    /// The person; the application's own token stands for none.
    pub(super) fn account(&self) -> Result<&Account, Failure> {
        self.bearer
            .account
            .as_ref()
            .ok_or_else(|| Failure::forbidden("This operation needs the authorization of a user"))
    }

    pub(super) fn needs(&self, scope: &str) -> Result<(), Failure> {
        if self.bearer.has_scope(scope) {
            Ok(())
        } else {
            Err(Failure::forbidden(format!("Insufficient scope, requires {scope}")))
        }
    }

    /// Needs `scope` of a person; the application's own token needs none.
    pub(super) fn needs_of_people(&self, scope: &str) -> Result<(), Failure> {
        if self.bearer.account.is_some() { self.needs(scope) } else { Ok(()) }
    }
}

impl FromRequestParts<Sandbox> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, sandbox: &Sandbox) -> Result<Self, Failure> {
        let bearer = sandbox.bearer(Provider::Tidal, header(&parts.headers, AUTHORIZATION.as_str()))?;
        let acceptable = |accept: &str| {
            let types = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
            types.into_iter().any(|part| ["*/*", "application/*", MEDIA_TYPE].contains(&part))
        };
        if !header(&parts.headers, ACCEPT.as_str()).is_none_or(acceptable) {
            return Err(Failure::of_status(StatusCode::NOT_ACCEPTABLE));
        }
        let sends_body = parts.method != Method::GET && parts.headers.contains_key(CONTENT_TYPE);
        let needs_body = matches!(parts.method, Method::POST | Method::PATCH);
        if (sends_body || needs_body) && exchange::media_type(&parts.headers).as_deref() != Some(MEDIA_TYPE) {
            return Err(Failure::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let query = Query::of(&parts.uri);
        let country = match query.get("countryCode") {
            Some(code) if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                code.to_owned()
            }
            Some(_) => {
                return Err(Failure::parameter("countryCode", "countryCode must be ISO 3166-1 alpha-2"));
            }
            None => {
                bearer.account.as_ref().map_or_else(|| "US".to_owned(), |account| account.country.clone())
            }
        };
        Ok(Self { bearer, country })
    }
}

/// Refuses filters that the operation does not have.
pub(super) fn allow_filters(query: &Query, allowed: &[&str]) -> Result<(), Failure> {
    let unknown = |name: &&str| name.starts_with("filter") && !allowed.contains(name);
    match query.0.iter().map(|(name, _)| name.as_str()).find(unknown) {
        Some(name) => Err(Failure::parameter(name, format!("Unknown filter: {name}"))),
        None => Ok(()),
    }
}

/// The body's `data`, and the whole body.
pub(super) fn payload(body: &[u8]) -> Result<Value, Failure> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Failure::bad("The body is not valid JSON"))?;
    if body["data"].is_object() || body["data"].is_array() {
        Ok(body)
    } else {
        Err(Failure::bad("data is required"))
    }
}

/// `data` as a list of `least` to `most` identifiers of one of `kinds`.
pub(super) fn identifiers<'a>(
    body: &'a Value,
    most: usize,
    kinds: &[&str],
) -> Result<Vec<(&'a Value, &'a str)>, Failure> {
    let listed = body["data"].as_array().ok_or_else(|| Failure::bad("data must be an array"))?;
    if listed.is_empty() || listed.len() > most {
        return Err(Failure::bad(format!("data must hold 1 to {most} items")));
    }
    listed
        .iter()
        .map(|item| {
            let kind = item["type"].as_str().unwrap_or_default();
            if !kinds.contains(&kind) {
                return Err(Failure::bad(format!("data.type must be one of {}", kinds.join(", "))));
            }
            item["id"].as_str().map(|id| (item, id)).ok_or_else(|| Failure::bad("data.id is required"))
        })
        .collect()
}
