//! Each forward migration by itself, and the chain.

use stagedoor_domain::Provider;
use stagedoor_legacy_sessions::versions::{
    Record, RecordV1_0, RecordV1_1, Stamp, StorageVersionManager, from_1_0_to_1_1, from_1_1_to_2_0,
};
use stagedoor_legacy_sessions::{Note, ReadError, SchemaVersion, Zone};

use crate::{read_in_berlin, utc};

fn berlin() -> Zone {
    "Europe/Berlin".parse().unwrap()
}

fn v1_0() -> RecordV1_0 {
    RecordV1_0 {
        provider: Provider::Tidal,
        access_token: Some("a".into()),
        refresh_token: None,
        token_expires_at: Some(Stamp::Local("2026-07-01T12:00:00".parse().unwrap())),
        user_id: Some("7".to_owned()),
        country_code: Some("US".to_owned()),
        client_id: None,
        created_at: Some(Stamp::Zoned("2026-06-01T12:00:00Z".parse().unwrap())),
        last_accessed: None,
    }
}

#[test]
fn from_1_0_to_1_1_times_get_their_zone_and_the_beginning_becomes_the_consent() {
    let mut notes = Vec::new();
    let new = from_1_0_to_1_1(v1_0(), berlin(), &mut notes);
    assert_eq!(new.token_expires_at, Some(utc("2026-07-01T10:00:00Z")));
    assert_eq!(new.authorized_at, Some(utc("2026-06-01T12:00:00Z")));
    assert_eq!(new.last_accessed, None);
    assert!(new.scopes.is_none() && new.access_token.is_some() && new.refresh_token.is_none());
    assert_eq!((new.user_id.as_deref(), new.country_code.as_deref()), (Some("7"), Some("US")));
    assert_eq!(notes, [Note::LocalTimes(berlin())]);
}

#[test]
fn from_1_1_to_2_0_nothing_is_lost_that_a_session_needs() {
    let new = from_1_1_to_2_0(RecordV1_1 {
        provider: Provider::Spotify,
        access_token: Some("a".into()),
        refresh_token: Some("r".into()),
        token_expires_at: Some(utc("2026-07-01T10:00:00Z")),
        user_id: Some("7".to_owned()),
        country_code: Some("US".to_owned()),
        client_id: Some("c".to_owned()),
        scopes: Some(vec!["s".to_owned()]),
        authorized_at: Some(utc("2026-06-01T12:00:00Z")),
        last_accessed: Some(utc("2026-06-30T12:00:00Z")),
    });
    assert_eq!(new.provider, Provider::Spotify);
    assert_eq!(new.expires_at, Some(utc("2026-07-01T10:00:00Z")));
    assert_eq!(new.authorized_at, Some(utc("2026-06-01T12:00:00Z")));
    assert_eq!(new.consented_by, Some(utc("2026-06-30T12:00:00Z")));
    assert_eq!(new.provider_user_id.as_deref(), Some("7"));
    assert_eq!(new.missing(), []);
}

#[test]
fn the_chain_goes_through_every_version() {
    let mut notes = Vec::new();
    let session = StorageVersionManager::migrate(Record::V1_0(v1_0()), berlin(), &mut notes);
    assert_eq!(session.expires_at, Some(utc("2026-07-01T10:00:00Z")));
    let steps: Vec<_> = notes.iter().filter(|note| matches!(note, Note::Migrated(..))).collect();
    assert_eq!(
        steps,
        [
            &Note::Migrated(SchemaVersion::V1_0, SchemaVersion::V1_1),
            &Note::Migrated(SchemaVersion::V1_1, StorageVersionManager::CURRENT),
        ]
    );
    let mut notes = Vec::new();
    let same = StorageVersionManager::migrate(Record::V2_0(session), berlin(), &mut notes);
    assert_eq!((same.expires_at, notes), (Some(utc("2026-07-01T10:00:00Z")), Vec::new()));
}

#[test]
fn versions_without_a_file_form_are_refused_with_those_that_have_one() {
    for version in ["\"2.0\"", "\"2.1\"", "\"1.2\"", "\"\"", "3", "1.0", "null", "{}"] {
        let file = format!(r#"{{"schema_version":{version},"access_token":"a","user_id":"7"}}"#);
        let outcome = read_in_berlin(file.as_bytes());
        if version == "1.0" {
            assert!(outcome.is_ok(), "a version written as a number is meant all the same");
            continue;
        }
        let error = outcome.unwrap_err();
        assert!(matches!(error, ReadError::UnknownVersion(_)), "{version}: {error}");
        assert!(error.to_string().contains("1.0 and 1.1"), "{error}");
    }
}
