//! What is read from a whole file of each format.

use secrecy::{ExposeSecret, SecretString};
use stagedoor_domain::Provider;
use stagedoor_legacy_sessions::{Format, Missing, Note, Reading, SchemaVersion, Zone, read};

use crate::{PLAIN, SECRETS, fixture, read_in_berlin, utc};

const SPOTIFY: (&str, &str) = ("BQ-spotify_access-fixture", "AQ-spotify_refresh-fixture");
const TIDAL: (&str, &str) = ("tidal-access-fixture", "tidal-refresh-fixture");
const CLIENT: &str = "0123456789abcdef0123456789abcdef";

fn shown(token: Option<&SecretString>) -> &str {
    token.map_or("none", |token| token.expose_secret())
}

fn berlin() -> Zone {
    "Europe/Berlin".parse().unwrap()
}

#[test]
fn tidal_mcp_in_local_time() {
    let found = read_in_berlin(fixture!("tidal-mcp.json")).unwrap();
    assert_eq!(found.format, Format::TidalMcp);
    let session = found.session;
    assert_eq!(session.provider, Provider::Tidal);
    assert_eq!((shown(session.access_token.as_ref()), shown(session.refresh_token.as_ref())), TIDAL);
    assert_eq!(session.expires_at, Some(utc("2026-11-20T13:03:07.123456Z")));
    assert_eq!(session.consented_by, Some(utc("2026-11-20T09:03:07.123999Z")));
    assert_eq!(session.provider_user_id.as_deref(), Some("206488123"));
    assert_eq!(session.country_code.as_deref(), Some("DE"));
    assert_eq!(session.missing(), [Missing::ClientId, Missing::Scopes, Missing::ConsentTime]);
    assert_eq!(found.notes, [Note::LocalTimes(berlin())]);
}

#[test]
fn the_zone_decides_when_a_tidal_mcp_session_ends() {
    let read_in = |zone: &str| {
        let reading = Reading { zone: zone.parse().unwrap(), ..Reading::default() };
        read(fixture!("tidal-mcp.json"), &reading).unwrap().session.expires_at
    };
    assert_eq!(read_in("UTC"), Some(utc("2026-11-20T14:03:07.123456Z")));
    assert_eq!(read_in("America/Los_Angeles"), Some(utc("2026-11-20T22:03:07.123456Z")));
    assert_eq!(read_in("+05:30"), Some(utc("2026-11-20T08:33:07.123456Z")));
}

#[test]
fn hours_that_clocks_repeat_or_skip_are_said() {
    let with = |time: &str| {
        let file = format!(r#"{{"refresh_token":"r","user_id":"1","expires_at":"{time}"}}"#);
        let found = read_in_berlin(file.as_bytes()).unwrap();
        (found.session.expires_at, found.notes)
    };
    let (at, notes) = with("2026-10-25T02:30:00");
    assert_eq!(at, Some(utc("2026-10-25T00:30:00Z")));
    assert_eq!(notes, [Note::LocalTimes(berlin()), Note::TwiceInZone("expires_at")]);
    let (at, notes) = with("2026-03-29T02:30:00");
    assert_eq!(at, Some(utc("2026-03-29T00:30:00Z")));
    assert_eq!(notes, [Note::LocalTimes(berlin()), Note::NeverInZone("expires_at")]);
    let (at, notes) = with("2026-10-25T02:30:00+01:00");
    assert_eq!((at, notes), (Some(utc("2026-10-25T01:30:00Z")), Vec::new()));
}

#[test]
fn an_env_file_of_spotify_mcp_server() {
    let found = read_in_berlin(fixture!("spotify.env")).unwrap();
    assert_eq!(found.format, Format::SpotifyEnv);
    let session = found.session;
    assert_eq!(session.provider, Provider::Spotify);
    assert_eq!((shown(session.access_token.as_ref()), shown(session.refresh_token.as_ref())), SPOTIFY);
    assert_eq!(session.expires_at, Some(utc("2026-11-20T14:03:07Z")));
    assert_eq!(session.client_id.as_deref(), Some(CLIENT));
    assert_eq!(session.missing(), [Missing::AccountId, Missing::Scopes, Missing::ConsentTime]);
    assert_eq!(found.notes, [Note::ClientSecretLeftOut]);
}

#[test]
fn a_cache_of_spotipy() {
    let found = read_in_berlin(fixture!("spotipy.cache")).unwrap();
    assert_eq!(found.format, Format::Spotipy);
    let session = found.session;
    assert_eq!((shown(session.access_token.as_ref()), shown(session.refresh_token.as_ref())), SPOTIFY);
    assert_eq!(session.expires_at, Some(utc("2026-11-20T14:03:07Z")));
    assert_eq!(session.consented_by, Some(utc("2026-11-20T13:03:07Z")));
    assert_eq!(session.scopes.unwrap(), ["playlist-read-private", "user-library-read"]);
    assert_eq!(found.notes, []);
}

#[test]
fn a_wrapped_session_of_tidalapi_is_in_utc() {
    let found = read_in_berlin(fixture!("tidalapi.json")).unwrap();
    assert_eq!(found.format, Format::Tidalapi);
    let session = found.session;
    assert_eq!(session.provider, Provider::Tidal);
    assert_eq!((shown(session.access_token.as_ref()), shown(session.refresh_token.as_ref())), TIDAL);
    assert_eq!(session.expires_at, Some(utc("2026-11-20T14:03:07.123456Z")));
    assert_eq!(found.notes, [Note::UtcTimes]);
}

#[test]
fn a_spotify_config_counts_in_milliseconds() {
    let found = read_in_berlin(fixture!("spotify-config.json")).unwrap();
    assert_eq!(found.format, Format::SpotifyConfig);
    let session = found.session;
    assert_eq!((shown(session.access_token.as_ref()), shown(session.refresh_token.as_ref())), SPOTIFY);
    assert_eq!(session.expires_at, Some(utc("2026-11-20T14:03:07Z")));
    assert_eq!(session.client_id.as_deref(), Some(CLIENT));
    assert_eq!(found.notes, [Note::ClientSecretLeftOut]);
}

#[test]
fn schema_1_0_plain_and_with_sealed_tokens() {
    let plain = read_in_berlin(fixture!("schema-1.0.json")).unwrap();
    let sealed = read_in_berlin(fixture!("schema-1.0-sealed-tokens.json")).unwrap();
    for found in [&plain, &sealed] {
        assert_eq!(found.format, Format::Schema(SchemaVersion::V1_0));
        let session = &found.session;
        assert_eq!(session.provider, Provider::Tidal);
        assert_eq!((shown(session.access_token.as_ref()), shown(session.refresh_token.as_ref())), TIDAL);
        assert_eq!(session.expires_at, Some(utc("2026-11-20T13:03:07Z")));
        assert_eq!(session.authorized_at, Some(utc("2026-10-25T00:30:00Z")), "when the session began");
        assert_eq!(session.missing(), [Missing::ClientId, Missing::Scopes]);
        assert!(found.notes.contains(&Note::TwiceInZone("created_at")));
    }
    assert!(sealed.notes.contains(&Note::Unsealed) && !plain.notes.contains(&Note::Unsealed));
}

#[test]
fn schema_1_1_plain_and_sealed_as_a_whole() {
    let plain = read_in_berlin(fixture!("schema-1.1.json")).unwrap();
    let sealed = read_in_berlin(fixture!("session.enc")).unwrap();
    for found in [&plain, &sealed] {
        assert_eq!(found.format, Format::Schema(SchemaVersion::V1_1));
        let session = &found.session;
        assert_eq!(session.provider, Provider::Spotify);
        assert_eq!((shown(session.access_token.as_ref()), shown(session.refresh_token.as_ref())), SPOTIFY);
        assert_eq!(session.expires_at, Some(utc("2026-11-20T13:03:07Z")));
        assert_eq!(session.authorized_at, Some(utc("2026-09-01T08:00:00Z")));
        assert_eq!(session.scopes.as_deref().unwrap(), ["playlist-read-private", "user-library-read"]);
        assert_eq!(session.provider_user_id.as_deref(), Some("robin"));
        assert_eq!(session.missing(), []);
    }
    assert_eq!(plain.notes, [Note::Migrated(SchemaVersion::V1_1, SchemaVersion::V2_0)]);
    assert_eq!(sealed.notes[0], Note::Unsealed);
}

#[test]
fn a_provider_given_counts_only_where_the_file_is_silent() {
    let provider_of = |bytes: &[u8]| {
        let reading = Reading { provider: Some(Provider::Spotify), ..Reading::default() };
        read(bytes, &reading).unwrap().session.provider
    };
    assert_eq!(provider_of(fixture!("schema-1.0.json")), Provider::Spotify);
    assert_eq!(provider_of(fixture!("tidal-mcp.json")), Provider::Tidal);
}

#[test]
fn no_debug_output_and_no_note_shows_a_secret() {
    for bytes in PLAIN {
        let found = read_in_berlin(bytes).unwrap();
        let notes = found.notes.iter().map(ToString::to_string).collect::<String>();
        let shown = format!("{found:?} {found:#?} {notes}");
        assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
}
