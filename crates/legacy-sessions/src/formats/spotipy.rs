//! `.cache` and `.cache-<user>` of spotipy: the token endpoint's answer with `expires_at` added.

use chrono::TimeDelta;
use serde_json::{Map, Value};
use stagedoor_domain::Provider;

use crate::error::ReadError;
use crate::fields::Fields;
use crate::session::Session;

/// Tokens beside what a token endpoint answers, and nothing that a Tidal program adds.
pub(crate) fn is(members: &Map<String, Value>) -> bool {
    let has = |name: &str| members.contains_key(name);
    let tidal = ["user_id", "country_code", "saved_at", "session_id", "is_pkce"].into_iter().any(has);
    (has("access_token") || has("refresh_token")) && (has("expires_in") || has("scope")) && !tidal
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Session, ReadError> {
    let expires_at = fields.epoch("expires_at", 1);
    let lifetime = fields.members.get("expires_in").and_then(Value::as_u64);
    let lifetime = lifetime.and_then(|seconds| TimeDelta::try_seconds(seconds.try_into().ok()?));
    Ok(Session {
        provider: Provider::Spotify,
        access_token: fields.token("access_token")?,
        refresh_token: fields.token("refresh_token")?,
        expires_at,
        authorized_at: None,
        consented_by: expires_at.zip(lifetime).and_then(|(ends, life)| ends.checked_sub_signed(life)),
        scopes: fields.scopes("scope")?,
        provider_user_id: None,
        country_code: None,
        client_id: None,
    })
}
