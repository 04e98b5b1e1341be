//! Every format, whole and damaged, from fixtures; and any bytes at all.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, helpers included")]

mod damaged;
mod formats;
mod properties;
mod steps;

use chrono::{DateTime, Utc};
use stagedoor_crypto::fernet::FernetKey;
use stagedoor_legacy_sessions::{Found, ReadError, Reading, read};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/", $name)).as_slice()
    };
}
pub(crate) use fixture;

/// Every whole fixture that needs no key.
pub(crate) const PLAIN: &[&[u8]] = &[
    fixture!("tidal-mcp.json"),
    fixture!("spotify.env"),
    fixture!("spotipy.cache"),
    fixture!("tidalapi.json"),
    fixture!("spotify-config.json"),
    fixture!("schema-1.0.json"),
    fixture!("schema-1.1.json"),
];

/// What stands in the fixtures and must stand nowhere else.
pub(crate) const SECRETS: &[&str] = &["access-fixture", "refresh-fixture", "secret-fixture"];

/// Reads as if the file came from Berlin, with the fixtures' key.
pub(crate) fn read_in_berlin(bytes: &[u8]) -> Result<Found, ReadError> {
    let key = FernetKey::parse(fixture!("session.key")).unwrap();
    read(bytes, &Reading { zone: "Europe/Berlin".parse().unwrap(), key: Some(&key), provider: None })
}

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
