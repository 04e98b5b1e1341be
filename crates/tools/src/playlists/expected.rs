//! `expected_version`: the version that a caller has planned its change for.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext};
use stagedoor_storage::playlist_versions::{self, Version};

use super::memory::{self, Seen, Subject};
use super::telling::changes;
use crate::desk::Desk;
use crate::records::store_failure;

/// How far back a version is searched by what the service calls it.
const SEARCHED: u32 = 200;

/// The number of a stored version, or what the service calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Expected {
    /// Ours.
    Number(u32),
    /// The service's; or ours, as a text.
    Text(String),
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpectedVisitor)
    }
}

struct ExpectedVisitor;

impl Visitor<'_> for ExpectedVisitor {
    type Value = Expected;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of a version, from 1, or what the service calls it, as a text")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Expected, E> {
        match u32::try_from(number) {
            Ok(number) if number > 0 => Ok(Expected::Number(number)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Expected, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Expected, E> {
        Ok(Expected::Text(text.to_owned()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_or_a_text_and_else_what_is_right_is_said() {
        let read = serde_json::from_str::<Expected>;
        assert_eq!(read("7").unwrap(), Expected::Number(7));
        assert_eq!(read("\"AAAB\"").unwrap(), Expected::Text("AAAB".to_owned()));
        for wrong in ["-1", "0", "1.5", "100000000000000000000", "4294967296", "true", "null", "[]", "{}"] {
            let told = read(wrong).unwrap_err().to_string();
            assert!(told.contains("expected the number of a version, from 1, or"), "{wrong}: {told}");
        }
    }
}
