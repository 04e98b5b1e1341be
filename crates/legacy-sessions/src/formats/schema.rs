//! SEED-T's session schema, versions 1.0 and 1.1: a JSON object with `schema_version`. Its tokens are plain or sealed
//! with Fernet one by one; the file may be sealed as a whole.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use stagedoor_domain::Provider;

use crate::detect::Reading;
use crate::error::ReadError;
use crate::fields::Fields;
use crate::note::Note;
use crate::session::Session;
use crate::versions::{
    Record, RecordV1_0, RecordV1_1, SchemaVersion, Stamp, StorageVersionManager, UnknownVersion,
};

/// The version that a file names; `None` if it names none.
pub(crate) fn version(members: &Map<String, Value>) -> Option<Result<SchemaVersion, UnknownVersion>> {
    match members.get("schema_version")? {
        Value::String(text) => Some(text.parse()),
        other => Some(other.to_string().parse()),
    }
}

pub(crate) fn read<'a>(
    fields: &mut Fields<'a>,
    version: SchemaVersion,
    reading: &Reading<'a>,
) -> Result<Session, ReadError> {
    fields.key = reading.key;
    let record = match version {
        SchemaVersion::V1_0 => Record::V1_0(v1_0(fields, reading)?),
        SchemaVersion::V1_1 => Record::V1_1(v1_1(fields, reading)?),
        SchemaVersion::V2_0 => return Err(UnknownVersion(version.to_string()).into()),
    };
    Ok(StorageVersionManager::migrate(record, reading.zone, &mut fields.notes))
}

fn v1_0(fields: &mut Fields<'_>, reading: &Reading<'_>) -> Result<RecordV1_0, ReadError> {
    Ok(RecordV1_0 {
        provider: provider(fields, reading)?,
        access_token: fields.sealed_token("access_token")?,
        refresh_token: fields.sealed_token("refresh_token")?,
        token_expires_at: fields.stamp("token_expires_at"),
        user_id: fields.account_id("user_id")?,
        country_code: fields.country("country_code")?,
        client_id: fields.id("client_id")?,
        created_at: fields.stamp("created_at"),
        last_accessed: fields.stamp("last_accessed"),
    })
}

fn v1_1(fields: &mut Fields<'_>, reading: &Reading<'_>) -> Result<RecordV1_1, ReadError> {
    Ok(RecordV1_1 {
        provider: provider(fields, reading)?,
        access_token: fields.sealed_token("access_token")?,
        refresh_token: fields.sealed_token("refresh_token")?,
        token_expires_at: with_zone(fields, "token_expires_at"),
        user_id: fields.account_id("user_id")?,
        country_code: fields.country("country_code")?,
        client_id: fields.id("client_id")?,
        scopes: fields.scopes("scopes")?,
        authorized_at: with_zone(fields, "authorized_at"),
        last_accessed: with_zone(fields, "last_accessed"),
    })
}

/// What the file says, else what the reader knows, else Tidal, which SEED-T was written for.
fn provider(fields: &Fields<'_>, reading: &Reading<'_>) -> Result<Provider, ReadError> {
    let Some(name) = fields.text("provider")? else {
        return Ok(reading.provider.unwrap_or(Provider::Tidal));
    };
    let problem = "names a service that is neither spotify nor tidal";
    name.parse().map_err(|_| ReadError::Damaged { format: fields.format, field: "provider", problem })
}

fn with_zone(fields: &mut Fields<'_>, field: &'static str) -> Option<DateTime<Utc>> {
    match fields.stamp(field)? {
        Stamp::Zoned(at) => Some(at),
        Stamp::Local(_) => {
            fields.notes.push(Note::TimeWithoutZone(field));
            None
        }
    }
}
