//! Spotify's API as a client meets it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stagedoor_domain::Provider;

use crate::common::{SPOTIFY_SCOPES, Stage, send};

#[tokio::test]
async fn the_catalogue_is_large_deterministic_and_imperfect() {
    let stage = Stage::new().await;
    let again = stagedoor_sandbox::Sandbox::new(stagedoor_sandbox::SandboxConfig::default());
    for provider in [Provider::Spotify, Provider::Tidal] {
        let tracks: Vec<_> = stage.sandbox.catalogue(provider).tracks().collect();
        assert!(tracks.len() >= 3000, "{provider}: {}", tracks.len());
        assert!(tracks.iter().eq(again.catalogue(provider).tracks().collect::<Vec<_>>().iter()));
        assert!(tracks.iter().any(|track| !track.blocked_in.is_empty()));
        assert!(
            tracks
                .iter()
                .any(|track| track.version.as_deref().is_some_and(|version| version.contains("Live")))
        );
        let ids: std::collections::HashSet<_> = tracks.iter().map(|track| &track.id).collect();
        assert_eq!(ids.len(), tracks.len());
    }
    let isrcs = |provider| -> std::collections::HashSet<String> {
        stage.sandbox.catalogue(provider).tracks().filter_map(|track| track.isrc).collect()
    };
    let (spotify, tidal) = (isrcs(Provider::Spotify), isrcs(Provider::Tidal));
    assert!(spotify.intersection(&tidal).count() >= 2500);
    assert!(spotify.difference(&tidal).count() > 50 && tidal.difference(&spotify).count() > 50);
    let tracks: Vec<_> = stage.sandbox.catalogue(Provider::Spotify).tracks().collect();
    let without = tracks.iter().filter(|track| track.isrc.is_none()).count();
    assert!(without > 20);
    assert!(spotify.len() + without < tracks.len(), "some recordings must be on two releases");
}

#[tokio::test]
async fn search_finds_by_words_fields_and_codes() {
    let stage = Stage::new().await;
    let wanted = stage.tracks(Provider::Spotify, 40).pop().unwrap();
    let search = async |q: &str| {
        send(stage.spotify(Method::GET, "/search").query(&[("q", q), ("type", "track"), ("limit", "10")]))
            .await
            .1
    };
    let ids = |body: &Value| -> Vec<String> {
        let items = body["tracks"]["items"].as_array().unwrap();
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let found = search(&format!("{} {}", wanted.title, wanted.artists[0])).await;
    assert!(ids(&found).contains(&wanted.id), "{wanted:?} in {found}");
    let found = search(&format!("track:\"{}\" artist:\"{}\"", wanted.title, wanted.artists[0])).await;
    assert!(ids(&found).contains(&wanted.id));
    let isrc = wanted.isrc.clone().unwrap();
    let found = search(&format!("isrc:{isrc}")).await;
    assert!(ids(&found).contains(&wanted.id));
    for item in found["tracks"]["items"].as_array().unwrap() {
        assert_eq!(item["external_ids"]["isrc"], *isrc);
    }
    assert_eq!(search("qqqxyzzy").await["tracks"]["total"], 0);
    let (_, albums) =
        send(stage.spotify(Method::GET, &format!("/search?q=upc:{}&type=album", wanted.upc))).await;
    assert_eq!(albums["albums"]["items"][0]["id"], wanted.album_id);
}

#[tokio::test]
async fn search_refuses_what_development_mode_refuses() {
    let stage = Stage::new().await;
    for (query, message) in [
        ("q=x&type=track&limit=11", "Invalid limit"),
        ("q=x&type=track&limit=0", "Invalid limit"),
        ("q=x&type=track&offset=1001", "Invalid offset"),
        ("q=&type=track", "No search query"),
        ("q=x", "Missing parameter type"),
        ("q=x&type=song", "Bad search type field"),
    ] {
        let (status, body) = send(stage.spotify(Method::GET, &format!("/search?{query}"))).await;
        assert_eq!(
            (status, body["error"]["message"].as_str()),
            (StatusCode::BAD_REQUEST, Some(message)),
            "{query}"
        );
    }
    for path in ["/tracks?ids=a,b", "/artists/1/top-tracks", "/browse/new-releases", "/users/x/playlists"] {
        assert_eq!(send(stage.spotify(Method::GET, path)).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(send(stage.spotify(Method::GET, "/tracks/not-an-id")).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_search_can_be_paged_to_its_end() {
    let stage = Stage::new().await;
    let mut next = Some(format!("{}/spotify/v1/search?q=blue&type=track%2Cartist&limit=10", stage.base));
    let (mut seen, mut total) = (std::collections::HashSet::new(), 0);
    while let Some(url) = next {
        let (status, body) = send(stage.client.get(&url).bearer_auth(&stage.grants[0].access_token)).await;
        assert_eq!(status, StatusCode::OK);
        total = usize::try_from(body["tracks"]["total"].as_u64().unwrap()).unwrap();
        for item in body["tracks"]["items"].as_array().unwrap() {
            assert!(seen.insert(item["id"].as_str().unwrap().to_owned()), "twice: {item}");
        }
        next = body["tracks"]["next"].as_str().map(str::to_owned);
    }
    assert!(total > 20);
    assert_eq!(seen.len(), total);
}

#[tokio::test]
async fn a_playlist_lives_through_its_whole_life() {
    let stage = Stage::new().await;
    let uris: Vec<String> = stage
        .tracks(Provider::Spotify, 120)
        .iter()
        .map(|track| format!("spotify:track:{}", track.id))
        .collect();
    let (status, made) = send(
        stage.spotify(Method::POST, "/me/playlists").json(&json!({ "name": "Night Drive", "public": false })),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED);
    let id = made["id"].as_str().unwrap();
    let items = format!("/playlists/{id}/items");
    let (status, first) =
        send(stage.spotify(Method::POST, &items).json(&json!({ "uris": uris[..100] }))).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_ne!(first["snapshot_id"], made["snapshot_id"]);
    let (status, body) =
        send(stage.spotify(Method::POST, &items).json(&json!({ "uris": uris[..101] }))).await;
    assert_eq!((status, &body["error"]["status"]), (StatusCode::BAD_REQUEST, &400.into()));
    let (_, second) =
        send(stage.spotify(Method::POST, &items).json(&json!({ "uris": [uris[110]], "position": 0 }))).await;
    let (_, page) = send(stage.spotify(Method::GET, &format!("{items}?limit=2&offset=0"))).await;
    assert_eq!((&page["total"], &page["items"][0]["item"]["uri"]), (&101.into(), &uris[110].clone().into()));
    assert_eq!(page["items"][1]["item"]["uri"], *uris[0]);

    let moved = |snapshot: &Value| json!({ "range_start": 0, "insert_before": 2, "snapshot_id": snapshot });
    let (status, body) = send(stage.spotify(Method::PUT, &items).json(&moved(&first["snapshot_id"]))).await;
    assert_eq!((status, &body["error"]["message"]), (StatusCode::BAD_REQUEST, &"Invalid snapshot id".into()));
    let moved = moved(&second["snapshot_id"]);
    assert_eq!(send(stage.spotify(Method::PUT, &items).json(&moved)).await.0, StatusCode::OK);
    let (_, page) =
        send(stage.spotify(Method::GET, &format!("{items}?limit=1&offset=1&fields=items(item(uri))"))).await;
    assert_eq!(page, json!({ "items": [{ "item": { "uri": uris[110] } }] }));

    let gone = json!({ "items": [{ "uri": uris[0] }] });
    assert_eq!(send(stage.spotify(Method::DELETE, &items).json(&gone)).await.0, StatusCode::OK);
    let replaced = json!({ "uris": [uris[3], uris[3]] });
    assert_eq!(send(stage.spotify(Method::PUT, &items).json(&replaced)).await.0, StatusCode::OK);
    let renamed = json!({ "name": "Later", "description": "d" });
    assert_eq!(
        send(stage.spotify(Method::PUT, &format!("/playlists/{id}")).json(&renamed)).await,
        (StatusCode::OK, Value::Null)
    );
    let (_, read) = send(stage.spotify(Method::GET, &format!("/playlists/{id}"))).await;
    assert_eq!((&read["name"], &read["items"]["total"]), (&"Later".into(), &2.into()));
    let (_, mine) = send(stage.spotify(Method::GET, "/me/playlists")).await;
    assert_eq!((&mine["total"], &mine["items"][0]["id"]), (&1.into(), &read["id"]));
}

#[tokio::test]
async fn bad_items_change_nothing() {
    let stage = Stage::new().await;
    let (_, made) = send(stage.spotify(Method::POST, "/me/playlists").json(&json!({ "name": "n" }))).await;
    let items = format!("/playlists/{}/items", made["id"].as_str().unwrap());
    for (body, status) in [
        (json!({ "uris": ["spotify:track:short"] }), StatusCode::BAD_REQUEST),
        (json!({ "uris": ["spotify:track:0000000000000000000000"] }), StatusCode::NOT_FOUND),
        (json!({ "uris": [] }), StatusCode::BAD_REQUEST),
        (json!({ "uris": "x" }), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(send(stage.spotify(Method::POST, &items).json(&body)).await.0, status, "{body}");
    }
    let (status, _) = send(stage.spotify(Method::POST, &items).body("{")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, page) = send(stage.spotify(Method::GET, &items)).await;
    assert_eq!(page["total"], 0);
}

#[tokio::test]
async fn items_are_for_owner_and_collaborators_only() {
    let stage = Stage::new().await;
    let (_, found) = send(stage.spotify(Method::GET, "/search?q=essentials&type=playlist")).await;
    let house = found["playlists"]["items"][0]["id"].as_str().unwrap();
    assert_eq!(
        send(stage.spotify(Method::GET, &format!("/playlists/{house}/items"))).await.0,
        StatusCode::FORBIDDEN
    );
    let (status, read) = send(stage.spotify(Method::GET, &format!("/playlists/{house}"))).await;
    assert_eq!((status, read.get("items")), (StatusCode::OK, None));

    let other = stage.sandbox.create_account(Provider::Spotify, "Bo", "NO");
    let grant = stage.sandbox.grant(Provider::Spotify, &other, "app", SPOTIFY_SCOPES);
    let (_, made) =
        send(stage.spotify(Method::POST, "/me/playlists").json(&json!({ "name": "n", "public": false })))
            .await;
    let id = made["id"].as_str().unwrap();
    let read = || {
        stage
            .client
            .get(format!("{}/spotify/v1/playlists/{id}/items", stage.base))
            .bearer_auth(&grant.access_token)
    };
    assert_eq!(send(read()).await.0, StatusCode::NOT_FOUND);
    assert!(stage.sandbox.add_collaborator(Provider::Spotify, id, &other));
    assert_eq!(send(read()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_market_decides_what_is_playable() {
    let stage = Stage::new().await;
    let blocked =
        stage.sandbox.catalogue(Provider::Spotify).tracks().find(|track| track.blocked_in == ["US"]).unwrap();
    let path = format!("/tracks/{}", blocked.id);
    let (_, here) = send(stage.spotify(Method::GET, &path)).await;
    assert_eq!(here["is_playable"], true);
    let (_, there) = send(stage.spotify(Method::GET, &format!("{path}?market=US"))).await;
    assert_eq!((&there["is_playable"], &there["restrictions"]["reason"]), (&false.into(), &"market".into()));
}
