//! What the providers send, held against the published descriptions of both APIs: path, method, query parameters,
//! body. Skipped, visibly, where the descriptions are not at hand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_domain::reference::EntityKindSet;
use stagedoor_providers::SearchQuery;
use stagedoor_sandbox::LoggedRequest;
use url::form_urlencoded;

use crate::every::{Method, Targets, common_word, tracks};
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
    assert!(operations.len() >= 9, "{operations:?}");
}

/// Every method, later pages and inserting included.
async fn send_everything(fixture: &Fixture) {
    let targets = Targets::of(fixture).await;
    for method in Method::API.into_iter().chain(Method::TOKEN) {
        method.run(fixture, &targets).await.unwrap();
    }
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let items = tracks(fixture, 110);
    music.add_to_playlist(ctx, access, &targets.playlist, &items, Some(1), "many").await.unwrap();
    let mut page = None;
    loop {
        let (_, items) = music.playlist(ctx, access, &targets.playlist, 50, page.as_deref()).await.unwrap();
        page = items.next;
        if page.is_none() {
            break;
        }
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
    let content = operation["requestBody"]["content"].as_object();
    let Some((_, content)) = content.and_then(|content| content.iter().next()) else {
        return (!request.body.is_empty()).then(|| "a body that is not described".to_owned());
    };
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
