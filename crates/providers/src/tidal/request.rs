//! Requests to Tidal's API v2 and the reading of its error documents.

use reqwest::Method;
use serde::Deserialize;
use stagedoor_domain::Provider;

use crate::broker::Endpoint;
use crate::call::{Authorization, Call, Explanation, address};
use crate::error::{ForbiddenReason, MalformedAnswer, ProviderError};
use crate::text;
use crate::types::Access;

/// The media type of JSON:API.
const JSON_API: &str = "application/vnd.api+json";
/// Tidal takes 128 characters; what is left is for numbering the batches of one write.
const LONGEST_KEY: usize = 100;

pub(super) const SEARCH: &[&str] = &["search.read"];
pub(super) const READ_PLAYLISTS: &[&str] = &["playlists.read"];
pub(super) const WRITE_PLAYLISTS: &[&str] = &["playlists.write"];
pub(super) const READ_COLLECTION: &[&str] = &["collection.read"];
pub(super) const WRITE_COLLECTION: &[&str] = &["collection.write"];
pub(super) const READ_RECOMMENDATIONS: &[&str] = &["recommendations.read"];

/// A read, in the access's country.
pub(super) fn get<'a>(
    access: &Access<'a>,
    operation: &'static str,
    segments: &[&str],
    query: &[(&str, &str)],
) -> Call<'a> {
    let country = access.country.map(|country| ("countryCode", country));
    let query: Vec<_> = query.iter().copied().chain(country).collect();
    Call {
        app: access.app,
        endpoint: Endpoint::Api,
        operation,
        method: Method::GET,
        url: address(&access.app.api_base, segments, &query),
        authorization: Authorization::Bearer(access.token),
        accept: JSON_API,
        body: None,
        idempotency_key: None,
        repeatable: true,
        deadline: access.deadline,
        urgency: access.urgency,
        sent: access.sent,
        scopes: &[],
        forbidden: ForbiddenReason::Unknown,
        explain,
    }
}

/// A write with an idempotency key. Losing its answer leaves open whether it was done, because whoever comes back later
/// may come with another key.
pub(super) fn write<'a>(
    access: &Access<'a>,
    method: Method,
    operation: &'static str,
    segments: &[&str],
    body: Option<&serde_json::Value>,
    idempotency_key: &'a str,
) -> Call<'a> {
    // No write takes a country.
    let access = Access { country: None, ..*access };
    Call {
        method,
        body: body.map(|body| (JSON_API, body.to_string().into_bytes())),
        idempotency_key: Some(idempotency_key),
        repeatable: false,
        scopes: WRITE_PLAYLISTS,
        ..get(&access, operation, segments, &[])
    }
}

/// The key, if it can go into a header with room for a batch number.
pub(super) fn check_key(key: &str) -> Result<(), ProviderError> {
    if (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(unsupported(format!("use an idempotency key that is not 1-{LONGEST_KEY} visible ASCII characters")))
}

/// The error of something that Tidal does not do; `what` is the rest of a sentence.
pub(super) fn unsupported(what: impl Into<String>) -> ProviderError {
    ProviderError::UnsupportedByProvider { provider: Provider::Tidal, what: what.into() }
}

/// What a read that lacks a required part fails with.
pub(super) fn missing(part: &'static str) -> ProviderError {
    ProviderError::InvalidAnswer {
        provider: Provider::Tidal,
        uncertain: false,
        cause: MalformedAnswer::Missing(part),
    }
}

#[derive(Deserialize)]
struct ErrorDocument {
    errors: Vec<ErrorObject>,
}

/// JSON:API §11.
#[derive(Deserialize)]
struct ErrorObject {
    code: Option<String>,
    detail: Option<String>,
    title: Option<String>,
}

fn explain(body: &[u8], scopes: &'static [&'static str]) -> Explanation {
    let Ok(ErrorDocument { errors }) = serde_json::from_slice(body) else {
        return Explanation::default();
    };
    let Some(error) = errors.into_iter().next() else {
        return Explanation::default();
    };
    let message = error.detail.or(error.title).or_else(|| error.code.clone()).unwrap_or_default();
    let all = format!("{} {message}", error.code.unwrap_or_default()).to_lowercase();
    let forbidden = if all.contains("scope") {
        Some(ForbiddenReason::MissingScope(scopes))
    } else if all.contains("owner") || all.contains("collaborator") {
        Some(ForbiddenReason::Ownership)
    } else {
        None
    };
    Explanation {
        forbidden,
        quota: all.contains("quota"),
        message: text::message(&message),
        ..Explanation::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_is_missing_is_named() {
        let body =
            br#"{"errors":[{"status":"403","code":"INSUFFICIENT_SCOPE","detail":"Missing\u202e scope"}]}"#;
        let explained = explain(body, WRITE_PLAYLISTS);
        assert_eq!(explained.forbidden, Some(ForbiddenReason::MissingScope(WRITE_PLAYLISTS)));
        assert_eq!(explained.message.as_deref(), Some("Missing scope"));
    }

    #[test]
    fn other_bodies_explain_nothing() {
        for body in [&b"<html>"[..], b"{}", br#"{"errors":[]}"#, br#"{"errors":17}"#] {
            let explained = explain(body, &[]);
            assert!(explained.message.is_none() && explained.forbidden.is_none());
        }
    }

    #[test]
    fn a_key_must_fit_a_header() {
        assert!(check_key("018f-abc").is_ok());
        for key in ["", "a b", "a\nb", &"x".repeat(101)] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }
}
