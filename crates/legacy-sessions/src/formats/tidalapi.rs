//! Session files of tidalapi: every value is `{"data": value}`. Its times are UTC, though they do not say so.

use serde_json::{Map, Value};
use stagedoor_domain::Provider;

use crate::error::ReadError;
use crate::fields::Fields;
use crate::note::Note;
use crate::session::Session;
use crate::versions::Stamp;

pub(crate) fn is(members: &Map<String, Value>) -> bool {
    let wrapped = |name: &str| members.get(name).is_some_and(|value| data(value).is_some());
    wrapped("access_token") || wrapped("refresh_token")
}

/// The object without the wraps.
pub(crate) fn unwrapped(members: Map<String, Value>) -> Map<String, Value> {
    let unwrap = |value: Value| match data(&value) {
        Some(data) => data.clone(),
        None => value,
    };
    members.into_iter().map(|(name, value)| (name, unwrap(value))).collect()
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Session, ReadError> {
    let expires_at = match fields.stamp("expiry_time") {
        None => None,
        Some(Stamp::Zoned(at)) => Some(at),
        Some(Stamp::Local(local)) => {
            fields.notes.push(Note::UtcTimes);
            Some(local.and_utc())
        }
    };
    Ok(Session {
        provider: Provider::Tidal,
        access_token: fields.token("access_token")?,
        refresh_token: fields.token("refresh_token")?,
        expires_at,
        authorized_at: None,
        consented_by: None,
        scopes: None,
        provider_user_id: fields.account_id("user_id")?,
        country_code: fields.country("country_code")?,
        client_id: fields.id("client_id")?,
    })
}

fn data(value: &Value) -> Option<&Value> {
    value.as_object().and_then(|wrap| wrap.get("data"))
}
