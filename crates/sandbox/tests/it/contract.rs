//! The answers against the providers' own descriptions, where these are beside the checkout.

use std::path::{Path, PathBuf};

use jsonschema::{Draft, Validator};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};

use crate::common::{Stage, send};

#[tokio::test]
async fn spotifys_answers_satisfy_its_description() {
    let Some(contract) = Contract::load("spotify-current.slim.json") else { return };
    let stage = Stage::new().await;
    let track = stage.tracks(Provider::Spotify, 30).pop().unwrap();
    let blocked = stage
        .sandbox
        .catalogue(Provider::Spotify)
        .tracks()
        .find(|track| !track.blocked_in.is_empty())
        .unwrap();
    let (_, found) = send(stage.spotify(Method::GET, &format!("/tracks/{}", track.id))).await;
    let artist = found["artists"][0]["id"].as_str().unwrap();
    let (_, made) = send(stage.spotify(Method::POST, "/me/playlists").json(&json!({ "name": "n" }))).await;
    let playlist = made["id"].as_str().unwrap();
    let add =
        json!({ "uris": [format!("spotify:track:{}", track.id), format!("spotify:track:{}", blocked.id)] });
    let get = |path: &str| stage.spotify(Method::GET, path);
    let items = format!("/playlists/{playlist}/items");
    let reorder = json!({ "range_start": 0, "insert_before": 2 });
    let remove = json!({ "items": [{ "uri": format!("spotify:track:{}", track.id) }] });
    for (template, method, request) in [
        (
            "/search",
            "get",
            get("/search?q=blue&type=track,album,artist,playlist,show,episode,audiobook&limit=10"),
        ),
        ("/search", "get", get("/search?q=essentials&type=playlist&offset=2&limit=2")),
        ("/search", "get", get("/search?q=x&type=track&limit=50")),
        ("/tracks/{id}", "get", get(&format!("/tracks/{}", track.id))),
        ("/tracks/{id}", "get", get(&format!("/tracks/{}?market={}", blocked.id, blocked.blocked_in[0]))),
        ("/tracks/{id}", "get", get("/tracks/0000000000000000000000")),
        ("/albums/{id}", "get", get(&format!("/albums/{}", track.album_id))),
        ("/albums/{id}/tracks", "get", get(&format!("/albums/{}/tracks?limit=3&offset=3", track.album_id))),
        ("/artists/{id}", "get", get(&format!("/artists/{artist}"))),
        (
            "/artists/{id}/albums",
            "get",
            get(&format!("/artists/{artist}/albums?include_groups=album,single")),
        ),
        ("/me", "get", get("/me")),
        ("/me/playlists", "get", get("/me/playlists")),
        (
            "/me/playlists",
            "post",
            stage.spotify(Method::POST, "/me/playlists").json(&json!({ "name": "m", "description": "d" })),
        ),
        ("/playlists/{playlist_id}/items", "post", stage.spotify(Method::POST, &items).json(&add)),
        ("/playlists/{playlist_id}", "get", get(&format!("/playlists/{playlist}"))),
        ("/playlists/{playlist_id}/items", "get", get(&items)),
        ("/playlists/{playlist_id}/items", "put", stage.spotify(Method::PUT, &items).json(&reorder)),
        ("/playlists/{playlist_id}/items", "delete", stage.spotify(Method::DELETE, &items).json(&remove)),
        (
            "/playlists/{playlist_id}/items",
            "post",
            stage.spotify(Method::POST, &items).json(&json!({ "uris": ["x"] })),
        ),
        ("/me", "get", stage.client.get(format!("{}/spotify/v1/me", stage.base))),
    ] {
        contract.check(template, method, request).await;
    }
    for status in [429, 403, 401] {
        stage.sandbox.faults().push(FaultRule::new(Provider::Spotify, Effect::status(status)).times(1));
        contract.check("/me", "get", get("/me")).await;
    }
}

#[tokio::test]
async fn tidals_answers_satisfy_its_description() {
    let Some(contract) = Contract::load("tidal-third-party.slice.json") else { return };
    let stage = Stage::new().await;
    let track = stage.tracks(Provider::Tidal, 30).pop().unwrap();
    let (id, album) = (&track.id, &track.album_id);
    let get = |path: &str| stage.tidal(Method::GET, path);
    let (_, found) = send(get(&format!("/tracks/{id}?include=artists"))).await;
    let artist = found["included"][0]["id"].as_str().unwrap();
    let (_, search) = send(get("/searchResults?filter[query]=blue")).await;
    let search = search["data"][0]["id"].as_str().unwrap();
    let create = json!({ "data": { "type": "playlists", "attributes": { "name": "n", "description": "d", "accessType": "PUBLIC" } } });
    let (_, made) = send(stage.tidal_body(Method::POST, "/playlists", &create)).await;
    let playlist = made["data"]["id"].as_str().unwrap();
    let items = format!("/playlists/{playlist}/relationships/items");
    let add = json!({ "data": [{ "type": "tracks", "id": id }, { "type": "tracks", "id": "1" }, { "type": "tracks", "id": id }] });
    let (_, added) = send(stage.tidal_body(Method::POST, &items, &add)).await;
    let update = json!({ "data": { "type": "playlists", "id": playlist, "attributes": { "name": "m" } } });
    let body = |method, path: &str, body: &Value| stage.tidal_body(method, path, body);
    let collect =
        json!({ "data": [{ "type": "playlists", "id": playlist }, { "type": "playlists", "id": "none" }] });
    let collection = "/userCollectionPlaylists/me/relationships/items";
    for (template, method, request) in [
        (
            "/searchResults",
            "get",
            get(
                "/searchResults?filter[query]=blue&include=tracks.artists,tracks.albums,albums,artists,playlists,topHits,videos",
            ),
        ),
        ("/searchResults", "get", get("/searchResults")),
        (
            "/searchResults/{id}/relationships/tracks",
            "get",
            get(&format!("/searchResults/{search}/relationships/tracks?include=tracks")),
        ),
        (
            "/searchResults/{id}/relationships/topHits",
            "get",
            get(&format!("/searchResults/{search}/relationships/topHits?include=topHits")),
        ),
        (
            "/searchResults/{id}/relationships/videos",
            "get",
            get(&format!("/searchResults/{search}/relationships/videos")),
        ),
        (
            "/tracks",
            "get",
            get(&format!("/tracks?filter[id]={id}&include=albums,artists,lyrics,usageRules,replacement")),
        ),
        ("/tracks", "get", get("/tracks?filter[nothing]=1")),
        ("/tracks/{id}", "get", get(&format!("/tracks/{id}?include=albums.items.artists"))),
        ("/tracks/{id}", "get", get("/tracks/1")),
        (
            "/tracks/{id}/relationships/artists",
            "get",
            get(&format!("/tracks/{id}/relationships/artists?include=artists")),
        ),
        ("/albums", "get", get(&format!("/albums?filter[barcodeId]={}&include=artists", track.upc))),
        (
            "/albums/{id}",
            "get",
            get(&format!("/albums/{album}?include=items.artists,artists,coverArt,usageRules")),
        ),
        (
            "/albums/{id}/relationships/items",
            "get",
            get(&format!("/albums/{album}/relationships/items?include=items")),
        ),
        ("/artists", "get", get(&format!("/artists?filter[id]={artist}"))),
        ("/artists/{id}", "get", get(&format!("/artists/{artist}?include=albums.artists,tracks,biography"))),
        (
            "/artists/{id}/relationships/albums",
            "get",
            get(&format!("/artists/{artist}/relationships/albums?include=albums")),
        ),
        ("/playlists", "get", get("/playlists?filter[owners.id]=me&include=items,owners")),
        ("/playlists", "post", body(Method::POST, "/playlists", &create)),
        ("/playlists", "post", body(Method::POST, "/playlists", &json!({ "data": { "type": "tracks" } }))),
        ("/playlists/{id}", "get", get(&format!("/playlists/{playlist}?include=items.albums"))),
        ("/playlists/{id}", "patch", body(Method::PATCH, &format!("/playlists/{playlist}"), &update)),
        ("/playlists/{id}/relationships/items", "post", body(Method::POST, &items, &add)),
        (
            "/playlists/{id}/relationships/items",
            "get",
            get(&format!("{items}?include=items.artists&sort=-addedAt")),
        ),
        (
            "/playlists/{id}/relationships/items",
            "patch",
            body(Method::PATCH, &items, &json!({ "data": [added["data"][1]] })),
        ),
        (
            "/playlists/{id}/relationships/items",
            "delete",
            body(Method::DELETE, &items, &json!({ "data": [added["data"][0]] })),
        ),
        ("/users/{id}", "get", get("/users/me")),
        (
            "/userCollectionPlaylists/{id}/relationships/items",
            "post",
            body(Method::POST, collection, &collect),
        ),
        ("/userCollectionPlaylists/{id}", "get", get("/userCollectionPlaylists/me?include=items,owners")),
        (
            "/userCollectionPlaylists/{id}/relationships/items",
            "get",
            get(&format!("{collection}?include=items")),
        ),
        (
            "/userCollectionPlaylists/{id}/relationships/items",
            "delete",
            body(Method::DELETE, collection, &collect),
        ),
        ("/users/{id}", "get", get("/users/me").header("accept", "text/html")),
        ("/playlists", "post", stage.tidal(Method::POST, "/playlists").json(&create)),
        ("/playlists/{id}", "delete", stage.tidal(Method::DELETE, &format!("/playlists/{playlist}"))),
    ] {
        contract.check(template, method, request).await;
    }
    let keyed =
        |body: &Value| stage.tidal_body(Method::POST, "/playlists", body).header("idempotency-key", "k");
    contract.check("/playlists", "post", keyed(&create)).await;
    let other = json!({ "data": { "type": "playlists", "attributes": { "name": "other" } } });
    contract.check("/playlists", "post", keyed(&other)).await;
    for status in [429, 500, 503] {
        stage.sandbox.faults().push(FaultRule::new(Provider::Tidal, Effect::status(status)).times(1));
        contract.check("/users/{id}", "get", get("/users/me")).await;
    }
}

#[test]
fn the_check_itself_refuses_what_the_contract_refuses() {
    let Some(spotify) = Contract::load("spotify-current.slim.json") else { return };
    let track = spotify.validator(&json!({ "$ref": "#/components/schemas/TrackObject" }));
    assert!(track.is_valid(&json!({ "name": "n" })));
    assert!(!track.is_valid(&json!({ "name": 5 })));
    assert!(!track.is_valid(&json!({ "album": { "name": "an album needs more than that" } })));
    let Some(tidal) = Contract::load("tidal-third-party.slice.json") else { return };
    let document =
        tidal.validator(&json!({ "$ref": "#/components/schemas/Tracks_Single_Resource_Data_Document" }));
    let with = |included: Value| json!({ "data": { "id": "1", "type": "tracks" }, "links": { "self": "/" }, "included": [included] });
    assert!(document.is_valid(&with(
        json!({ "id": "1", "type": "artists", "attributes": { "name": "n", "popularity": 0.5 } })
    )));
    assert!(
        !document
            .is_valid(&with(json!({ "id": "1", "type": "artists", "attributes": { "popularity": 0.5 } })))
    );
    assert!(!document.is_valid(&with(json!({ "id": "1", "type": "ghosts" }))));
    assert!(!document.is_valid(&json!({ "data": { "id": "1", "type": "tracks" } })));
}

/// An OpenAPI 3.0 description, its schemas rewritten as JSON Schema.
struct Contract {
    document: Value,
}

impl Contract {
    fn load(name: &str) -> Option<Self> {
        let Some(file) = find(name) else {
            println!(
                "SKIPPED: no shared/openapi/{name} beside the checkout, so its contract was not checked"
            );
            return None;
        };
        let mut document = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        rewrite(&mut document);
        Some(Self { document })
    }

    /// Sends the request, and holds status and body against what the operation may answer.
    async fn check(&self, template: &str, method: &str, request: RequestBuilder) {
        let (status, body) = send(request).await;
        let what = format!("{method} {template} -> {status}");
        let responses = &self.document["paths"][template][method]["responses"];
        assert!(responses.is_object(), "{what}: not an operation of the contract");
        let mut response = &responses[status.as_str()];
        if response.is_null() && ["400", "404", "415"].contains(&status.as_str()) {
            // The Spotify description lists no client errors; their shape is the same as that of the others.
            response = &responses["403"];
        }
        assert!(!response.is_null(), "{what}: the contract knows no such status: {body}");
        if let Some(reference) = response["$ref"].as_str() {
            response = self.document.pointer(reference.trim_start_matches('#')).unwrap();
        }
        let Some(content) = response["content"].as_object() else {
            assert!(body.is_null(), "{what}: the contract has no body");
            return;
        };
        let schema = &content.values().next().unwrap()["schema"];
        let errors: Vec<String> = self
            .validator(schema)
            .iter_errors(&body)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{what}:\n{}\n{body:#}", errors.join("\n"));
    }

    fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({ "allOf": [schema], "components": self.document["components"] });
        jsonschema::options().with_draft(Draft::Draft4).should_validate_formats(true).build(&whole).unwrap()
    }
}

/// `shared/openapi/NAME` in the nearest folder above that has it.
fn find(name: &str) -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/openapi").join(name)).find(|file| file.is_file())
}

/// `nullable` becomes a type union, and a discriminated union the schema that the discriminator picks.
fn rewrite(node: &mut Value) {
    match node {
        Value::Array(values) => values.iter_mut().for_each(rewrite),
        Value::Object(object) => {
            object.values_mut().for_each(rewrite);
            if object.remove("nullable") == Some(Value::Bool(true))
                && let Some(Value::String(kind)) = object.get("type").cloned()
            {
                object.insert("type".to_owned(), json!([kind, "null"]));
            }
            pick_by_discriminator(object);
        }
        _ => {}
    }
}

fn pick_by_discriminator(object: &mut Map<String, Value>) {
    let Some(discriminator) = object.remove("discriminator") else { return };
    let (Some(property), Some(mapping)) =
        (discriminator["propertyName"].as_str(), discriminator["mapping"].as_object())
    else {
        return;
    };
    object.remove("oneOf");
    let known: Vec<&String> = mapping.keys().collect();
    let mut all = vec![json!({ "required": [property], "properties": { property: { "enum": known } } })];
    for (value, target) in mapping {
        let other = json!({ "not": { "properties": { property: { "enum": [value] } } } });
        all.push(json!({ "anyOf": [other, { "$ref": target }] }));
    }
    object.insert("allOf".to_owned(), Value::Array(all));
}
