//! SEED-T's storage versions (§11.2) as a chain of forward migrations of the session record: 1.0 → 1.1 → 2.0.
//!
//! 1.0 is SEED-T §1.2: times may lack a zone, and nothing tells what the grant covers or when the person consented.
//! 1.1 adds `scopes` and `authorized_at`, and every time names its zone. 2.0 is the form that the database holds:
//! what only the old program's files needed is gone (`session_id`, `device_fingerprint`, `last_accessed`,
//! `rotation_due`, `backup_count`; an imported session gets its own), and it has no file form.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use secrecy::SecretString;
use stagedoor_domain::Provider;

use crate::note::Note;
use crate::session::Session;
use crate::zone::{Instant, Zone};

/// A version of the session schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchemaVersion {
    /// SEED-T §1.2.
    V1_0,
    /// With scopes, the time of consent, and zones.
    V1_1,
    /// What the database holds.
    V2_0,
}

/// Not a version that files have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "its schema version {0:?} has no file form that is known; known are 1.0 and 1.1 (2.0 is the database's own)"
)]
pub struct UnknownVersion(pub String);

/// A time as an old record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// With a zone.
    Zoned(DateTime<Utc>),
    /// Without one.
    Local(NaiveDateTime),
}

/// A record of schema 1.0.
pub struct RecordV1_0 {
    /// The service; SEED-T knows Tidal only.
    pub provider: Provider,
    /// The access token, unsealed.
    pub access_token: Option<SecretString>,
    /// The refresh token, unsealed.
    pub refresh_token: Option<SecretString>,
    /// When the access token ends.
    pub token_expires_at: Option<Stamp>,
    /// The provider's id of the account.
    pub user_id: Option<String>,
    /// The account's market.
    pub country_code: Option<String>,
    /// The client that the tokens were made for; not in SEED-T, kept where it is there.
    pub client_id: Option<String>,
    /// When the session began.
    pub created_at: Option<Stamp>,
    /// When it was last used.
    pub last_accessed: Option<Stamp>,
}

/// A record of schema 1.1.
pub struct RecordV1_1 {
    /// As in 1.0.
    pub provider: Provider,
    /// As in 1.0.
    pub access_token: Option<SecretString>,
    /// As in 1.0.
    pub refresh_token: Option<SecretString>,
    /// When the access token ends.
    pub token_expires_at: Option<DateTime<Utc>>,
    /// As in 1.0.
    pub user_id: Option<String>,
    /// As in 1.0.
    pub country_code: Option<String>,
    /// As in 1.0.
    pub client_id: Option<String>,
    /// What the grant covers; `None` if it was never recorded.
    pub scopes: Option<Vec<String>>,
    /// When the person consented.
    pub authorized_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_accessed: Option<DateTime<Utc>>,
}

/// A record of any version.
pub enum Record {
    /// Schema 1.0.
    V1_0(RecordV1_0),
    /// Schema 1.1.
    V1_1(RecordV1_1),
    /// Schema 2.0.
    V2_0(Session),
}

/// Brings old records to the version of this build, one version at a time.
#[derive(Debug, Clone, Copy)]
pub struct StorageVersionManager;

impl StorageVersionManager {
    /// The version that every chain ends at.
    pub const CURRENT: SchemaVersion = SchemaVersion::V2_0;

    /// The record at the current version. Times without a zone are of `zone`; what was done is noted.
    pub fn migrate(mut record: Record, zone: Zone, notes: &mut Vec<Note>) -> Session {
        loop {
            record = match record {
                Record::V1_0(old) => {
                    notes.push(Note::Migrated(SchemaVersion::V1_0, SchemaVersion::V1_1));
                    Record::V1_1(from_1_0_to_1_1(old, zone, notes))
                }
                Record::V1_1(old) => {
                    notes.push(Note::Migrated(SchemaVersion::V1_1, SchemaVersion::V2_0));
                    Record::V2_0(from_1_1_to_2_0(old))
                }
                Record::V2_0(session) => return session,
            }
        }
    }
}

/// 1.0 → 1.1: times get a zone. A 1.0 session began when the person consented, so that is the time of consent; what
/// the grant covers was not recorded.
pub fn from_1_0_to_1_1(old: RecordV1_0, zone: Zone, notes: &mut Vec<Note>) -> RecordV1_1 {
    RecordV1_1 {
        provider: old.provider,
        access_token: old.access_token,
        refresh_token: old.refresh_token,
        token_expires_at: zoned("token_expires_at", old.token_expires_at, zone, notes),
        user_id: old.user_id,
        country_code: old.country_code,
        client_id: old.client_id,
        scopes: None,
        authorized_at: zoned("created_at", old.created_at, zone, notes),
        last_accessed: zoned("last_accessed", old.last_accessed, zone, notes),
    }
}

/// 1.1 → 2.0: names as the database has them; the old program's own bookkeeping goes.
pub fn from_1_1_to_2_0(old: RecordV1_1) -> Session {
    Session {
        provider: old.provider,
        access_token: old.access_token,
        refresh_token: old.refresh_token,
        expires_at: old.token_expires_at,
        authorized_at: old.authorized_at,
        consented_by: old.last_accessed.or(old.authorized_at),
        scopes: old.scopes,
        provider_user_id: old.user_id,
        country_code: old.country_code,
        client_id: old.client_id,
    }
}

/// The instant of `stamp`, and a note where that is a guess.
pub(crate) fn zoned(
    field: &'static str,
    stamp: Option<Stamp>,
    zone: Zone,
    notes: &mut Vec<Note>,
) -> Option<DateTime<Utc>> {
    let local = match stamp? {
        Stamp::Zoned(at) => return Some(at),
        Stamp::Local(local) => local,
    };
    if !notes.contains(&Note::LocalTimes(zone)) {
        notes.push(Note::LocalTimes(zone));
    }
    match zone.instant(local) {
        Instant::Sure(at) => Some(at),
        Instant::Twice(at) => {
            notes.push(Note::TwiceInZone(field));
            Some(at)
        }
        Instant::Never(at) => {
            notes.push(Note::NeverInZone(field));
            Some(at)
        }
    }
}

impl SchemaVersion {
    /// As files and the database write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V2_0 => "2.0",
        }
    }
}

impl FromStr for SchemaVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text {
            "1.0" => Ok(Self::V1_0),
            "1.1" => Ok(Self::V1_1),
            other => Err(UnknownVersion(stagedoor_domain::text::clean(other, 20))),
        }
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
