//! `.env` and `.env.<profile>` of Spotify-MCP-Server: tokens beside the client's id and secret.

use serde_json::{Map, Value};
use stagedoor_domain::Provider;

use crate::error::ReadError;
use crate::fields::Fields;
use crate::note::Note;
use crate::session::Session;

pub(crate) fn is(members: &Map<String, Value>) -> bool {
    members.contains_key("SPOTIFY_ACCESS_TOKEN") || members.contains_key("SPOTIFY_REFRESH_TOKEN")
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Session, ReadError> {
    if fields.text("SPOTIFY_CLIENT_SECRET")?.is_some() {
        fields.notes.push(Note::ClientSecretLeftOut);
    }
    Ok(Session {
        provider: Provider::Spotify,
        access_token: fields.token("SPOTIFY_ACCESS_TOKEN")?,
        refresh_token: fields.token("SPOTIFY_REFRESH_TOKEN")?,
        expires_at: fields.epoch("SPOTIFY_TOKEN_EXPIRES_AT", 1),
        authorized_at: None,
        consented_by: None,
        scopes: None,
        provider_user_id: None,
        country_code: None,
        client_id: fields.id("SPOTIFY_CLIENT_ID")?,
    })
}
