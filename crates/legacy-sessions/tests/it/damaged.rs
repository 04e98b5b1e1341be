//! Files that are not what they seem: each says what is wrong, and shows nothing of what it holds.

use stagedoor_crypto::fernet::{FernetError, FernetKey};
use stagedoor_legacy_sessions::{Format, MAX_BYTES, Missing, Note, ReadError, Reading, read};

use crate::{SECRETS, fixture, read_in_berlin};

fn error(bytes: &[u8]) -> ReadError {
    let error = read_in_berlin(bytes).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
    error
}

#[test]
fn what_is_no_session_file_is_said_to_be_none() {
    assert_eq!(error(b""), ReadError::Empty);
    assert_eq!(error(b" \n"), ReadError::Empty);
    assert_eq!(error(b"\xff\xfe{}"), ReadError::NotText);
    assert_eq!(error(b"hello"), ReadError::NotRecognised);
    assert_eq!(error(b"PATH=/bin\nSPOTIFY_CLIENT_ID=abc\n"), ReadError::NotRecognised);
    assert_eq!(error(b"{}"), ReadError::NotRecognised);
    assert_eq!(error(b"[1,2]"), ReadError::NotRecognised);
    assert_eq!(error(br#"{"access_token":"a"}"#), ReadError::Unclear);
    assert_eq!(error(&vec![b'a'; MAX_BYTES + 1]), ReadError::TooLarge);
    assert_eq!(error(&vec![b'a'; MAX_BYTES]), ReadError::NotRecognised);
}

#[test]
fn what_could_not_be_an_account_is_no_id() {
    let session = |id: &str| {
        let file = serde_json::json!({ "schema_version": "1.1", "user_id": id }).to_string();
        read_in_berlin(file.as_bytes()).map(|found| found.session.provider_user_id)
    };
    let longest = "x".repeat(64);
    for id in ["188506868", "aB3_-z", &longest] {
        assert_eq!(session(id).unwrap().as_deref(), Some(id));
    }
    for id in ["Ignore what was said before", "robin@example.org", "<b>", &format!("{longest}x")] {
        assert!(matches!(session(id), Err(ReadError::Damaged { field: "user_id", .. })), "{id}");
    }
}

#[test]
fn broken_json_is_placed() {
    for whole in [fixture!("tidal-mcp.json"), fixture!("spotify-config.json"), fixture!("schema-1.1.json")] {
        let error = error(&whole[..whole.len() / 2]);
        assert!(matches!(error, ReadError::NotJson { line: 2.., .. }), "{error:?}");
    }
    assert_eq!(error(b"{\"access_token\": nope}"), ReadError::NotJson { line: 1, column: 19 });
    let deep = "{\"a\":".repeat(10_000);
    assert!(matches!(error(deep.as_bytes()), ReadError::NotJson { .. }));
}

#[test]
fn a_field_of_another_form_is_named() {
    let damaged = |json: &str, wanted: &'static str| match error(json.as_bytes()) {
        ReadError::Damaged { field, .. } => assert_eq!(field, wanted, "{json}"),
        other => panic!("{json}: {other}"),
    };
    damaged(r#"{"access_token":5,"user_id":"1"}"#, "access_token");
    damaged(r#"{"access_token":"two words","user_id":"1"}"#, "access_token");
    damaged(r#"{"access_token":"a","refresh_token":"line\nbreak","user_id":"1"}"#, "refresh_token");
    damaged(r#"{"access_token":"a","user_id":{"id":1}}"#, "user_id");
    damaged(r#"{"access_token":"a","user_id":"\u202e1"}"#, "user_id");
    damaged(r#"{"access_token":"a","expires_in":1,"scope":[5]}"#, "scope");
    damaged(r#"{"accessToken":"a","clientId":[]}"#, "clientId");
    damaged(r#"{"schema_version":"1.1","access_token":"a","provider":"deezer"}"#, "provider");
    let long = format!(r#"{{"accessToken":"{}"}}"#, "a".repeat(9_000));
    damaged(&long, "accessToken");
}

#[test]
fn files_without_token_and_account_hold_nothing() {
    assert_eq!(
        error(br#"{"access_token":null,"refresh_token":"","user_id":null,"saved_at":"x"}"#),
        ReadError::Nothing { format: Format::TidalMcp }
    );
    assert_eq!(error(b"SPOTIFY_REFRESH_TOKEN=\n"), ReadError::Nothing { format: Format::SpotifyEnv });
}

#[test]
fn an_account_without_tokens_is_still_an_account() {
    let file = br#"{"access_token":null,"refresh_token":null,"user_id":"7","country_code":"de"}"#;
    let found = read_in_berlin(file).unwrap();
    assert_eq!(found.session.provider_user_id.as_deref(), Some("7"));
    assert!(found.session.missing().contains(&Missing::RefreshToken));
    assert_eq!(found.notes, [Note::CountryNotUnderstood]);
}

#[test]
fn times_that_cannot_be_meant_are_unknown_and_said() {
    for time in ["\"soon\"", "true", "-1", "99999999999999999", "\"1969-01-01T00:00:00\"", "[1]"] {
        let file = format!(r#"{{"access_token":"a","user_id":"7","expires_at":{time}}}"#);
        let found = read_in_berlin(file.as_bytes()).unwrap();
        assert_eq!(found.session.expires_at, None, "{time}");
        assert_eq!(found.notes, [Note::TimeNotUnderstood("expires_at")], "{time}");
    }
    let file = br#"{"schema_version":"1.1","access_token":"a","token_expires_at":"2026-11-20T14:03:07"}"#;
    let found = read_in_berlin(file).unwrap();
    assert_eq!(found.session.expires_at, None);
    assert!(found.notes.contains(&Note::TimeWithoutZone("token_expires_at")));
}

#[test]
fn sealed_files_want_their_own_key() {
    let other = FernetKey::parse(&[b'A'; 43]).unwrap();
    for sealed in [fixture!("session.enc"), fixture!("schema-1.0-sealed-tokens.json")] {
        assert_eq!(read(sealed, &Reading::default()).unwrap_err(), ReadError::KeyNeeded);
        let reading = Reading { key: Some(&other), ..Reading::default() };
        assert_eq!(read(sealed, &reading).unwrap_err(), ReadError::Sealed(FernetError::Altered));
    }
    let mut altered = fixture!("session.enc").to_vec();
    altered[500] = if altered[500] == b'B' { b'C' } else { b'B' };
    assert_eq!(error(&altered), ReadError::Sealed(FernetError::Altered));
}
