//! `spotify-config.json`: camelCase members, `expiresAt` in milliseconds, client id and secret beside the tokens.

use serde_json::{Map, Value};
use stagedoor_domain::Provider;

use crate::error::ReadError;
use crate::fields::Fields;
use crate::note::Note;
use crate::session::Session;

pub(crate) fn is(members: &Map<String, Value>) -> bool {
    members.contains_key("accessToken") || members.contains_key("refreshToken")
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Session, ReadError> {
    if fields.text("clientSecret")?.is_some() {
        fields.notes.push(Note::ClientSecretLeftOut);
    }
    Ok(Session {
        provider: Provider::Spotify,
        access_token: fields.token("accessToken")?,
        refresh_token: fields.token("refreshToken")?,
        expires_at: fields.epoch("expiresAt", 1_000),
        authorized_at: None,
        consented_by: None,
        scopes: None,
        provider_user_id: None,
        country_code: None,
        client_id: fields.id("clientId")?,
    })
}
