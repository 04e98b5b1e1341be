//! Requests to Spotify's Web API and the reading of its error bodies.

use reqwest::Method;
use serde::Deserialize;
use stagedoor_domain::Provider;

use crate::broker::Endpoint;
use crate::call::{Authorization, Call, Explanation, address};
use crate::error::{ForbiddenReason, MalformedAnswer, ProviderError};
use crate::text;
use crate::types::Access;

pub(super) const READ_PLAYLISTS: &[&str] = &["playlist-read-private"];
pub(super) const MODIFY_PUBLIC: &[&str] = &["playlist-modify-public"];
pub(super) const MODIFY_PRIVATE: &[&str] = &["playlist-modify-private"];
pub(super) const MODIFY_ANY: &[&str] = &["playlist-modify-public", "playlist-modify-private"];

/// A read.
pub(super) fn get<'a>(
    access: &Access<'a>,
    operation: &'static str,
    segments: &[&str],
    query: &[(&str, &str)],
) -> Call<'a> {
    Call {
        app: access.app,
        endpoint: Endpoint::Api,
        operation,
        method: Method::GET,
        url: address(&access.app.api_base, segments, query),
        authorization: Authorization::Bearer(access.token),
        accept: "application/json",
        body: None,
        idempotency_key: None,
        repeatable: true,
        deadline: access.deadline,
        urgency: access.urgency,
        scopes: &[],
        forbidden: ForbiddenReason::Unknown,
        explain,
    }
}

/// A write. Spotify has no idempotency keys, so it must not be sent twice.
pub(super) fn post<'a>(
    access: &Access<'a>,
    operation: &'static str,
    segments: &[&str],
    body: &serde_json::Value,
    scopes: &'static [&'static str],
) -> Call<'a> {
    Call {
        method: Method::POST,
        body: Some(("application/json", body.to_string().into_bytes())),
        repeatable: false,
        scopes,
        ..get(access, operation, segments, &[])
    }
}

/// The `market` parameter, if the access has a country.
pub(super) fn market<'a>(access: &Access<'a>) -> Option<(&'static str, &'a str)> {
    access.country.map(|country| ("market", country))
}

/// What a read that lacks a required part fails with.
pub(super) fn missing(part: &'static str) -> ProviderError {
    ProviderError::InvalidAnswer {
        provider: Provider::Spotify,
        uncertain: false,
        cause: MalformedAnswer::Missing(part),
    }
}

/// The offset in a page token; no token is the start.
pub(super) fn offset(page: Option<&str>) -> Result<u32, ProviderError> {
    let Some(page) = page else { return Ok(0) };
    page.parse().map_err(|_| ProviderError::InvalidPage { provider: Provider::Spotify })
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorObject,
}

#[derive(Deserialize)]
struct ErrorObject {
    message: Option<String>,
    reason: Option<String>,
}

/// `ErrorObject`: prose, and only sometimes a `reason`, so the prose is what tells causes apart.
fn explain(body: &[u8], scopes: &'static [&'static str]) -> Explanation {
    let Ok(ErrorAnswer { error }) = serde_json::from_slice(body) else {
        return Explanation::default();
    };
    let message = error.message.unwrap_or_default();
    let lower = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let forbidden = if says(&["scope", "permissions missing"]) {
        Some(ForbiddenReason::MissingScope(scopes))
    } else if says(&["not registered", "not be registered", "developer dashboard", "development mode"]) {
        Some(ForbiddenReason::Mode)
    } else if says(&["you don't own", "you do not own", "owner", "collaborator"]) {
        Some(ForbiddenReason::Ownership)
    } else {
        None
    };
    Explanation {
        forbidden,
        quota: error.reason.as_deref() == Some("QUOTA_EXCEEDED") || says(&["quota"]),
        message: text::message(&message),
        ..Explanation::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden(message: &str) -> Option<ForbiddenReason> {
        let body = serde_json::json!({"error": {"status": 403, "message": message}}).to_string();
        explain(body.as_bytes(), MODIFY_ANY).forbidden
    }

    #[test]
    fn the_reasons_of_a_403_are_told_apart() {
        assert_eq!(forbidden("Insufficient client scope"), Some(ForbiddenReason::MissingScope(MODIFY_ANY)));
        assert_eq!(forbidden("Permissions missing"), Some(ForbiddenReason::MissingScope(MODIFY_ANY)));
        assert_eq!(
            forbidden("Check settings on developer.spotify.com/dashboard, the user may not be registered."),
            Some(ForbiddenReason::Mode)
        );
        assert_eq!(
            forbidden("You cannot add tracks to a playlist you don't own."),
            Some(ForbiddenReason::Ownership)
        );
        assert_eq!(forbidden("Forbidden"), None);
    }

    #[test]
    fn a_quota_is_not_a_burst() {
        assert!(explain(br#"{"error":{"status":429,"message":"x","reason":"QUOTA_EXCEEDED"}}"#, &[]).quota);
        assert!(!explain(br#"{"error":{"status":429,"message":"API rate limit exceeded"}}"#, &[]).quota);
        assert!(explain(b"<html>", &[]).message.is_none());
    }
}
