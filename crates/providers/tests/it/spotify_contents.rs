//! Whole Spotify playlists that change while they are read, which takes a server that answers on script.

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_providers::{Access, Contents, ProviderError};

use crate::fixture::{Fixture, app};
use crate::scripted::{Scripted, json as answer};

/// An entry: a track with this number.
fn entry(number: usize) -> Value {
    json!({ "item": { "id": format!("t{number}"), "name": "x", "type": "track" } })
}

/// A playlist of 101 entries at a version, with the first 100 of them.
fn whole(version: &str) -> Value {
    let items: Vec<Value> = (0..100).map(entry).collect();
    json!({ "id": "p", "name": "x", "snapshot_id": version, "items": { "items": items, "total": 101 } })
}

/// The last page, with so many entries.
fn page(length: usize) -> Value {
    json!({ "items": (100..100 + length).map(entry).collect::<Vec<_>>(), "total": 101, "next": null })
}

fn head(version: &str) -> Value {
    json!({ "id": "p", "name": "x", "snapshot_id": version, "items": { "total": 101 } })
}

/// What comes of reading the playlist, and the requests that it took.
async fn read(answers: &[Value]) -> (Result<Contents, ProviderError>, Vec<String>) {
    let answers = answers.iter().map(|body| answer("200 OK", "", &body.to_string())).collect();
    let server = Scripted::start(answers).await;
    let fixture = Fixture::start(Provider::Spotify).await;
    let app = app(Provider::Spotify, server.root.clone(), server.root.clone());
    let access = Access { app: &app, ..fixture.access() };
    let playlist = "spotify:playlist:p".parse().unwrap();
    let outcome = fixture.music().playlist_contents(&fixture.ctx, &access, &playlist, 10_000).await;
    (outcome, server.requests())
}

#[tokio::test]
async fn a_playlist_that_changed_while_it_was_read_is_read_once_more() {
    let answers = [whole("A"), page(1), head("B"), whole("B"), page(1), head("B")];
    let (outcome, requests) = read(&answers).await;
    let contents = outcome.unwrap();
    assert_eq!((contents.items.len(), contents.playlist.version.as_deref()), (101, Some("B")));
    assert_eq!(requests.len(), 6);
    assert!(requests[1].starts_with("GET /playlists/p/items?limit=50&offset=100&"), "{}", requests[1]);
}

#[tokio::test]
async fn a_playlist_that_keeps_changing_is_said_to() {
    for answers in [
        [whole("A"), page(1), head("B"), whole("B"), page(1), head("C")],
        // Another length than was told, whatever the version says.
        [whole("A"), page(0), head("A"), whole("A"), page(2), head("A")],
    ] {
        let (outcome, requests) = read(&answers).await;
        assert!(matches!(outcome, Err(ProviderError::Changed { .. })), "{outcome:?}");
        assert_eq!(requests.len(), 6);
    }
}

#[tokio::test]
async fn a_playlist_without_a_version_is_not_taken_for_unchanged() {
    let mut nameless = whole("A");
    nameless["snapshot_id"] = Value::Null;
    let (outcome, _) = read(&[nameless, page(1), head("A")]).await;
    assert!(matches!(outcome, Err(ProviderError::InvalidAnswer { .. })), "{outcome:?}");
}
