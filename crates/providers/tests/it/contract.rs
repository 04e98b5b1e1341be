//! What the providers send, held against the published descriptions of both APIs: path, method, query parameters,
//! body. Skipped, visibly, where the descriptions are not at hand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::playback::RepeatMode;
use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{Edit, Entry, PlaybackCommand, SearchQuery, TopRange};
use stagedoor_sandbox::LoggedRequest;
use url::form_urlencoded;

use crate::every::{Method, Targets, common_word, insert, tracks};
use crate::fixture::Fixture;

#[tokio::test]
async fn spotify_is_asked_only_what_its_description_allows() {
    check(Provider::Spotify, "spotify-current.slim.json", &["/accounts/api/token"]).await;
}

#[tokio::test]
async fn tidal_is_asked_only_what_its_description_allows() {
    check(Provider::Tidal, "tidal-third-party.slice.json", &["/auth/v1/oauth2/token"]).await;
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
async fn check(provider: Provider, file: &str, token_paths: &[&str]) {
    let Some(description) = description(file) else {
        println!("SKIPPED: no shared/openapi/{file} above {}", env!("CARGO_MANIFEST_DIR"));
        return;
    };
    let fixture = Fixture::start(provider).await;
    send_everything(&fixture).await;
    let mut operations = BTreeSet::new();
    for request in fixture.sandbox.request_log() {
        if token_paths.contains(&request.path.as_str()) {
            continue;
        }
        match violation(&description, &request) {
            Some(violation) => {
                panic!("{} {}: {violation}", request.operation, request.query.unwrap_or_default())
            }
            None => operations.insert(request.operation),
        };
        let writes = request.method != "GET";
        let keyed = request.headers.iter().any(|name| name == "idempotency-key");
        assert_eq!(keyed, writes && provider == Provider::Tidal, "{}", request.path);
    }
    assert!(operations.len() >= 20, "{operations:?}");
}

/// Every method, later pages and inserting included.
async fn send_everything(fixture: &Fixture) {
    let targets = Targets::of(fixture).await;
    for method in Method::every(fixture.provider) {
        method.run(fixture, &targets).await.unwrap();
    }
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    insert(fixture, &targets.playlist, (&[], 0), &tracks(fixture, 111), "many").await.unwrap();
    let mut page = None;
    loop {
        let (_, items) = music.playlist(ctx, access, &targets.playlist, 50, page.as_deref()).await.unwrap();
        page = items.next;
        if page.is_none() {
            break;
        }
    }
    send_edits(fixture, &targets.playlist).await;
    send_library(fixture, &targets).await;
    match fixture.provider {
        Provider::Spotify => send_listening(fixture, &targets).await,
        Provider::Tidal => send_discovery(fixture, &targets).await,
    }
    let word = common_word(fixture);
    let query = SearchQuery { text: &word, kinds: EntityKindSet::all(), limit: 5, page: None };
    let found = music.search(ctx, access, &query).await.unwrap();
    for next in
        [found.tracks.next, found.albums.next, found.artists.next, found.playlists.next].into_iter().flatten()
    {
        music.search(ctx, access, &SearchQuery { page: Some(&next), ..query }).await.unwrap();
    }
}

/// Every edit of a playlist of more than a hundred entries, so that each takes several requests.
async fn send_edits(fixture: &Fixture, playlist: &ItemRef) {
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let names = |range: std::ops::Range<usize>| -> Vec<Box<str>> {
        tracks(fixture, range.end)[range].iter().map(|track| track.to_string().into()).collect()
    };
    let edits = [
        Edit::Insert { at: 1, names: names(200..310) },
        Edit::Insert { at: 221, names: names(310..320) },
        Edit::Remove((0..120).collect()),
        Edit::Remove(vec![0]),
        Edit::Move { start: 0, length: 50, before: 100 },
        Edit::Move { start: 0, length: 2, before: 110 },
        Edit::Replace(names(0..150)),
        Edit::Replace(Vec::new()),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let contents = music.playlist_contents(ctx, access, playlist, 1_000).await.unwrap();
        let current: Vec<Entry> = contents.items.iter().map(Entry::from).collect();
        let version = contents.playlist.version.as_deref();
        let (key, current) = (format!("edit-{number}"), (&current[..], version));
        let edited = music.edit_playlist(ctx, access, playlist, current, &edit, &key).await;
        edited.unwrap_or_else(|error| panic!("{edit:?}: {error:?}"));
    }
}

/// Every kind in the library, page by page, saved and removed in several batches.
async fn send_library(fixture: &Fixture, targets: &Targets) {
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let others = [targets.album.clone(), targets.artist.clone(), targets.playlist.clone()];
    let items = [&tracks(fixture, 60)[..], &others].concat();
    music.library_save(ctx, access, &items, "save-many").await.unwrap();
    for kind in [EntityKind::Track, EntityKind::Album, EntityKind::Artist, EntityKind::Playlist] {
        let first = music.library(ctx, access, kind, 50, None).await.unwrap();
        if let Some(next) = first.next.as_deref() {
            music.library(ctx, access, kind, 50, Some(next)).await.unwrap();
        }
    }
    music.library_remove(ctx, access, &items, "remove-many").await.unwrap();
}

/// What is like an item of each kind, radios, and later pages of all.
async fn send_discovery(fixture: &Fixture, targets: &Targets) {
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for item in [&targets.track, &targets.album, &targets.artist] {
        let first = music.similar(ctx, access, item, 50, None).await.unwrap();
        music.similar(ctx, access, item, 50, first.next.as_deref()).await.unwrap();
    }
    for item in [&targets.track, &targets.artist] {
        let first = music.radio(ctx, access, item, 50, None).await.unwrap();
        music.radio(ctx, access, item, 50, Some(&first.next.unwrap())).await.unwrap();
    }
}

/// What is listened to, later pages included, and every command to the player.
async fn send_listening(fixture: &Fixture, targets: &Targets) {
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    for range in [TopRange::Short, TopRange::Medium, TopRange::Long] {
        for kind in [EntityKind::Track, EntityKind::Artist] {
            let first = music.top(ctx, access, (kind, range), 50, None).await.unwrap();
            music.top(ctx, access, (kind, range), 50, Some(&first.next.unwrap())).await.unwrap();
        }
    }
    let first = music.recently_played(ctx, access, 5, None).await.unwrap();
    music.recently_played(ctx, access, 5, Some(&first.next.unwrap())).await.unwrap();
    let artists: BTreeSet<String> = fixture
        .sandbox
        .catalogue(Provider::Spotify)
        .tracks()
        .map(|track| format!("spotify:artist:{}", track.artist_ids[0]))
        .take(200)
        .collect();
    let artists: Vec<ItemRef> = artists.iter().map(|artist| artist.parse().unwrap()).collect();
    music.library_save(ctx, access, &artists, "artists").await.unwrap();
    let first = music.library(ctx, access, EntityKind::Artist, 5, None).await.unwrap();
    music.library(ctx, access, EntityKind::Artist, 5, Some(&first.next.unwrap())).await.unwrap();
    for (artist, page) in [(&targets.artist, None), (&artists[0], Some("0"))] {
        music.artist_albums(ctx, access, artist, 50, page).await.unwrap();
    }
    for command in [
        PlaybackCommand::Play { items: tracks(fixture, 3), position: Some(2) },
        PlaybackCommand::Play { items: vec![targets.album.clone()], position: Some(0) },
        PlaybackCommand::Pause,
        PlaybackCommand::Resume,
        PlaybackCommand::Next,
        PlaybackCommand::Previous,
        PlaybackCommand::Seek(Duration::from_secs(3)),
        PlaybackCommand::Volume(30),
        PlaybackCommand::Shuffle(true),
        PlaybackCommand::Repeat(RepeatMode::Context),
        PlaybackCommand::Transfer,
    ] {
        let device = targets.device.as_deref();
        let outcome = music.command_playback(ctx, access, &command, device).await;
        outcome.unwrap_or_else(|error| panic!("{command:?}: {error:?}"));
    }
}

fn description(file: &str) -> Option<Value> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found: PathBuf =
        above.map(|folder| folder.join("shared/openapi").join(file)).find(|path| path.exists())?;
    Some(serde_json::from_slice(&std::fs::read(found).unwrap()).unwrap())
}

/// What is wrong with the request, if anything.
fn violation(description: &Value, request: &LoggedRequest) -> Option<String> {
    let paths = description["paths"].as_object().unwrap();
    let Some((_, methods)) = paths.iter().find(|(template, _)| fits(template, &request.path)) else {
        return Some(format!("no such path: {}", request.path));
    };
    let operation = &methods[request.method.to_ascii_lowercase()];
    if operation.is_null() {
        return Some(format!("no such method: {}", request.method));
    }
    let empty = Vec::new();
    let declared =
        operation["parameters"].as_array().unwrap_or(&empty).iter().map(|found| resolve(description, found));
    let declared: Vec<&Value> = declared.filter(|found| found["in"] == "query").collect();
    let sent: Vec<(String, String)> =
        form_urlencoded::parse(request.query.as_deref().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    for (name, value) in &sent {
        let Some(parameter) = declared.iter().find(|found| found["name"] == name.as_str()) else {
            return Some(format!("no such query parameter: {name}"));
        };
        if !allows(&parameter["schema"], value) {
            return Some(format!("{name}={value} is not {}", parameter["schema"]));
        }
    }
    let required = declared.iter().filter(|found| found["required"] == true);
    let missing = required
        .map(|found| found["name"].as_str().unwrap())
        .find(|name| sent.iter().all(|(sent, _)| sent != name));
    if let Some(missing) = missing {
        return Some(format!("{missing} is missing"));
    }
    body_violation(description, operation, request)
}

fn body_violation(description: &Value, operation: &Value, request: &LoggedRequest) -> Option<String> {
    if request.body.is_empty() && operation["requestBody"]["required"] != true {
        return None;
    }
    let content = operation["requestBody"]["content"].as_object();
    let Some((_, content)) = content.and_then(|content| content.iter().next()) else {
        return (!request.body.is_empty()).then(|| "a body that is not described".to_owned());
    };
    if request.body.is_empty() {
        return (operation["requestBody"]["required"] == true).then(|| "no body".to_owned());
    }
    let mut schema = json!({ "allOf": [content["schema"]] });
    schema["components"] = json!({ "schemas": description["components"]["schemas"] });
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let body: Value = serde_json::from_str(&request.body).unwrap();
    validator.iter_errors(&body).next().map(|error| error.to_string())
}

fn resolve<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(pointer) => description.pointer(pointer.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(part, sent)| part == sent || (part.starts_with('{') && !sent.is_empty()))
}

fn allows(schema: &Value, text: &str) -> bool {
    match schema["type"].as_str() {
        Some("array") => text.split(',').all(|part| allows(&schema["items"], part)),
        Some("boolean") => matches!(text, "true" | "false"),
        Some("integer") => {
            text.parse::<i64>().is_ok_and(|number| jsonschema::is_valid(schema, &json!(number)))
        }
        _ => jsonschema::is_valid(schema, &json!(text)),
    }
}

#[test]
fn a_request_that_is_not_described_is_caught() {
    let description = json!({ "paths": { "/tracks/{id}": { "get": { "parameters": [
        { "name": "limit", "in": "query", "schema": { "type": "integer", "maximum": 10 } }
    ] } } } });
    let request = |method: &str, path: &str, query: &str| LoggedRequest {
        provider: Provider::Spotify,
        operation: path.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        query: Some(query.to_owned()),
        body: String::new(),
        headers: Vec::new(),
    };
    assert!(violation(&description, &request("GET", "/tracks/1", "limit=10")).is_none());
    for (method, path, query) in [
        ("GET", "/tracks", ""),
        ("GET", "/tracks/", ""),
        ("POST", "/tracks/1", ""),
        ("GET", "/tracks/1", "limit=11"),
        ("GET", "/tracks/1", "market=DE"),
    ] {
        assert!(violation(&description, &request(method, path, query)).is_some(), "{method} {path} {query}");
    }
}
