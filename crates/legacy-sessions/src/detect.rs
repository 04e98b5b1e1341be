//! Which format a file is, by its content; unsealing of files that are sealed as a whole.

use serde_json::{Map, Value};
use stagedoor_crypto::fernet::{FernetKey, looks_sealed};
use stagedoor_domain::Provider;

use crate::MAX_BYTES;
use crate::error::ReadError;
use crate::fields::Fields;
use crate::formats::{dotenv, schema, spotify_config, spotify_env, spotipy, tidal_mcp, tidalapi};
use crate::note::Note;
use crate::session::{Format, Session};
use crate::zone::Zone;

/// What a file does not tell by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading<'a> {
    /// The zone of times that name none.
    pub zone: Zone,
    /// Opens what is sealed with Fernet.
    pub key: Option<&'a FernetKey>,
    /// The service, where a file does not tell.
    pub provider: Option<Provider>,
}

/// What a file turned out to be.
#[derive(Debug, Clone)]
pub struct Found {
    /// The format.
    pub format: Format,
    /// What it holds.
    pub session: Session,
    /// What to know about how it was read.
    pub notes: Vec<Note>,
}

/// Reads one file. Any bytes are a `Found` or a `ReadError`, never a panic.
pub fn read(bytes: &[u8], reading: &Reading<'_>) -> Result<Found, ReadError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    if !looks_sealed(bytes) {
        return read_plain(bytes, reading);
    }
    let opened = reading.key.ok_or(ReadError::KeyNeeded)?.open(bytes).map_err(ReadError::Sealed)?;
    let mut found = read_plain(opened.trim_ascii(), reading)?;
    found.notes.insert(0, Note::Unsealed);
    Ok(found)
}

fn read_plain(bytes: &[u8], reading: &Reading<'_>) -> Result<Found, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ReadError::NotText)?;
    if !text.starts_with('{') {
        let members = dotenv::parse(text);
        return if spotify_env::is(&members) {
            finish(Format::SpotifyEnv, &members, reading)
        } else {
            Err(ReadError::NotRecognised)
        };
    }
    let members: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| ReadError::NotJson { line: error.line(), column: error.column() })?;
    if tidalapi::is(&members) {
        return finish(Format::Tidalapi, &tidalapi::unwrapped(members), reading);
    }
    finish(json_format(&members)?, &members, reading)
}

fn json_format(members: &Map<String, Value>) -> Result<Format, ReadError> {
    if let Some(version) = schema::version(members) {
        return Ok(Format::Schema(version?));
    }
    if spotify_config::is(members) {
        return Ok(Format::SpotifyConfig);
    }
    if spotipy::is(members) {
        return Ok(Format::Spotipy);
    }
    if tidal_mcp::is(members) {
        return Ok(Format::TidalMcp);
    }
    let has_tokens = ["access_token", "refresh_token"].iter().any(|name| members.contains_key(*name));
    Err(if has_tokens { ReadError::Unclear } else { ReadError::NotRecognised })
}

fn finish<'a>(
    format: Format,
    members: &'a Map<String, Value>,
    reading: &Reading<'a>,
) -> Result<Found, ReadError> {
    let mut fields = Fields::new(format, members);
    let session = match format {
        Format::TidalMcp => tidal_mcp::read(&mut fields, reading.zone)?,
        Format::SpotifyEnv => spotify_env::read(&mut fields)?,
        Format::Spotipy => spotipy::read(&mut fields)?,
        Format::Tidalapi => tidalapi::read(&mut fields)?,
        Format::SpotifyConfig => spotify_config::read(&mut fields)?,
        Format::Schema(version) => schema::read(&mut fields, version, reading)?,
    };
    if session.access_token.is_none() && session.refresh_token.is_none() && session.provider_user_id.is_none()
    {
        return Err(ReadError::Nothing { format });
    }
    Ok(Found { format, session, notes: fields.notes })
}
