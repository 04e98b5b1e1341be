//! `expected_version`: the version that a caller has planned its change for.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext};
use stagedoor_storage::playlist_versions::{self, Version};

use super::editing::changes;
use super::memory::{self, Seen, Subject};
use crate::desk::Desk;
use crate::records::store_failure;

/// How far back a version is searched by what the service calls it.
const SEARCHED: u32 = 200;

/// The number of a stored version, or what the service calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Expected {
    /// Ours.
    Number(u32),
    /// The service's; or ours, as a text.
    Text(String),
}

impl JsonSchema for Expected {
    fn schema_name() -> Cow<'static, str> {
        "Expected".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["integer", "string"] })
    }
}

impl Expected {
    /// Whether that is what the playlist is now.
    fn fits(&self, seen: &Seen) -> bool {
        let names_it = |text: &str| seen.playlist.version.as_deref() == Some(text);
        self.number() == Some(seen.number) || matches!(self, Self::Text(text) if names_it(text))
    }

    fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

/// Refuses, with what has changed since, if the playlist is not what the caller expects.
pub(super) async fn check(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    expected: &Expected,
    seen: &Seen,
) -> Result<(), PublicError> {
    if expected.fits(seen) {
        return Ok(());
    }
    let known = find(desk, ctx, of, expected).await?;
    // An older number, and the very same content since: nothing to refuse.
    if known.as_ref().is_some_and(|version| version.entries == seen.names() && version.head == seen.head) {
        return Ok(());
    }
    Err(refused(expected, known.as_ref(), seen))
}

async fn find(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    expected: &Expected,
) -> Result<Option<Version>, PublicError> {
    if let Some(number) = expected.number() {
        return memory::load(desk, ctx, of, number).await;
    }
    let Expected::Text(text) = expected else { return Ok(None) };
    let list = playlist_versions::list(desk.vault(), ctx, of.account.id, of.playlist, None, SEARCHED).await;
    let list = list.map_err(|error| store_failure(&error))?;
    match list.iter().find(|summary| summary.provider_version.as_ref() == Some(text)) {
        Some(summary) => memory::load(desk, ctx, of, summary.number).await,
        None => Ok(None),
    }
}

fn refused(expected: &Expected, known: Option<&Version>, seen: &Seen) -> PublicError {
    let since = known.map(|version| changes((&version.entries, &version.head), (&seen.names(), &seen.head)));
    let message = match &since {
        Some(since) => format!(
            "The playlist was changed since the version you expect: {}. It is version {} now; nothing was done.",
            since.in_words(),
            seen.number
        ),
        None => format!(
            "The playlist is not at the version you expect, which is not stored here; it is version {} now. Nothing \
             was done.",
            seen.number
        ),
    };
    PublicError::new(ErrorCode::Conflict, message)
        .hint("See what changed, and plan the change anew for the version that it is now.")
        .details(json!({
            "expected": expected,
            "version": seen.number,
            "provider_version": seen.playlist.version,
            "changed": since,
        }))
}
