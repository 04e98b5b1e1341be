//! Requests to Spotify's Web API and the reading of its error bodies.

use reqwest::Method;
use serde::Deserialize;
use stagedoor_domain::Provider;

use crate::broker::Endpoint;
use crate::call::{Authorization, Call, Explanation, address};
use crate::error::{ForbiddenReason, MalformedAnswer, ProviderError};
use crate::text;
use crate::types::Access;

/// What else than tracks an answer may hold as what it is.
pub(super) const KINDS: (&str, &str) = ("additional_types", "track,episode");

pub(super) const READ_LIBRARY: &[&str] = &["user-library-read"];
pub(super) const MODIFY_LIBRARY: &[&str] = &["user-library-modify"];
pub(super) const READ_FOLLOWS: &[&str] = &["user-follow-read"];
pub(super) const MODIFY_FOLLOWS: &[&str] = &["user-follow-modify"];
pub(super) const READ_TOP: &[&str] = &["user-top-read"];
pub(super) const READ_PLAYED: &[&str] = &["user-read-recently-played"];
pub(super) const READ_PLAYER: &[&str] = &["user-read-playback-state"];
pub(super) const READ_QUEUE: &[&str] = &["user-read-currently-playing", "user-read-playback-state"];
pub(super) const COMMAND_PLAYER: &[&str] = &["user-modify-playback-state"];
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
        sent: access.sent,
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
    with_body(write(access, Method::POST, operation, segments, &[], scopes), body)
}

/// As `post`, with any method and nothing in it.
pub(super) fn write<'a>(
    access: &Access<'a>,
    method: Method,
    operation: &'static str,
    segments: &[&str],
    query: &[(&str, &str)],
    scopes: &'static [&'static str],
) -> Call<'a> {
    Call { method, repeatable: false, scopes, ..get(access, operation, segments, query) }
}

/// The call with a body of JSON.
pub(super) fn with_body<'a>(call: Call<'a>, body: &serde_json::Value) -> Call<'a> {
    Call { body: Some(("application/json", body.to_string().into_bytes())), ..call }
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

/// What a call that Spotify has no way to do fails with; `what` is the rest of a sentence.
pub(super) fn cannot(what: impl Into<String>) -> ProviderError {
    ProviderError::UnsupportedByProvider { provider: Provider::Spotify, what: what.into() }
}

/// The offset in a page token; no token is the start.
pub(super) fn offset(page: Option<&str>) -> Result<u32, ProviderError> {
    let Some(page) = page else { return Ok(0) };
    page.parse().map_err(|_| ProviderError::InvalidPage { provider: Provider::Spotify })
}

/// What is said of an app in development mode, whose owner needs Premium besides.
const APP_MODE: [&str; 5] =
    ["not registered", "not be registered", "developer dashboard", "development mode", "owner of the app"];

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
    let reason = error.reason.as_deref().unwrap_or_default();
    let forbidden = if says(&["scope", "permissions missing"]) {
        Some(ForbiddenReason::MissingScope(scopes))
    } else if says(&APP_MODE) {
        Some(ForbiddenReason::Mode)
    } else if reason == "PREMIUM_REQUIRED" || says(&["premium required"]) {
        Some(ForbiddenReason::Plan)
    } else if says(&["you don't own", "you do not own", "owner", "collaborator"]) {
        Some(ForbiddenReason::Ownership)
    } else {
        None
    };
    Explanation {
        forbidden,
        quota: reason == "QUOTA_EXCEEDED" || says(&["quota"]),
        no_device: reason == "NO_ACTIVE_DEVICE" || says(&["no active device", "device not found"]),
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
        assert_eq!(forbidden("Player command failed: Premium required"), Some(ForbiddenReason::Plan));
        assert_eq!(forbidden("Player command failed: Restriction violated"), None);
        assert_eq!(
            forbidden("Active premium subscription required for the owner of the app."),
            Some(ForbiddenReason::Mode)
        );
    }

    #[test]
    fn a_player_that_is_not_there_is_no_item_that_is_not_there() {
        for (body, expected) in [
            (
                r#"{"error":{"message":"Player command failed: No active device found","reason":"NO_ACTIVE_DEVICE"}}"#,
                true,
            ),
            (r#"{"error":{"message":"Device not found"}}"#, true),
            (r#"{"error":{"message":"Resource not found"}}"#, false),
        ] {
            assert_eq!(explain(body.as_bytes(), &[]).no_device, expected, "{body}");
        }
    }

    #[test]
    fn a_quota_is_not_a_burst() {
        assert!(explain(br#"{"error":{"status":429,"message":"x","reason":"QUOTA_EXCEEDED"}}"#, &[]).quota);
        assert!(!explain(br#"{"error":{"status":429,"message":"API rate limit exceeded"}}"#, &[]).quota);
        assert!(explain(b"<html>", &[]).message.is_none());
    }
}
