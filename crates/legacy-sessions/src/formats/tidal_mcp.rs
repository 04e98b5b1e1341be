//! `~/.tidal-mcp/session.json` of tidal-mcp: flat JSON, times in local time without a zone, no client id.

use serde_json::{Map, Value};
use stagedoor_domain::Provider;

use crate::error::ReadError;
use crate::fields::Fields;
use crate::session::Session;
use crate::versions::zoned;
use crate::zone::Zone;

/// Tokens beside what only this program writes.
pub(crate) fn is(members: &Map<String, Value>) -> bool {
    let has = |name: &str| members.contains_key(name);
    (has("access_token") || has("refresh_token"))
        && (has("saved_at") || has("country_code") || has("user_id"))
}

pub(crate) fn read(fields: &mut Fields<'_>, zone: Zone) -> Result<Session, ReadError> {
    let (ends, saved) = (fields.stamp("expires_at"), fields.stamp("saved_at"));
    Ok(Session {
        provider: Provider::Tidal,
        access_token: fields.token("access_token")?,
        refresh_token: fields.token("refresh_token")?,
        expires_at: zoned("expires_at", ends, zone, &mut fields.notes),
        authorized_at: None,
        consented_by: zoned("saved_at", saved, zone, &mut fields.notes),
        scopes: None,
        provider_user_id: fields.account_id("user_id")?,
        country_code: fields.country("country_code")?,
        client_id: None,
    })
}
