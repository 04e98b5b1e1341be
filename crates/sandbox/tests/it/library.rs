//! What people save, what they listen to, and what a service finds for them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{AppMode, Other};

use crate::common::{Stage, send};

#[tokio::test]
async fn spotifys_library_keeps_what_is_saved_newest_first() {
    let stage = Stage::new().await;
    let tracks = stage.tracks(Provider::Spotify, 25);
    let uris = |part: std::ops::Range<usize>| -> String {
        tracks[part].iter().map(|track| format!("spotify:track:{}", track.id)).collect::<Vec<_>>().join(",")
    };
    let library = |method, uris: &str| stage.spotify(method, "/me/library").query(&[("uris", uris)]);
    assert_eq!(send(library(Method::PUT, &uris(0..20))).await, (StatusCode::OK, Value::Null));
    stage.clock.advance(chrono::TimeDelta::minutes(1));
    assert_eq!(send(library(Method::PUT, &uris(20..22))).await.0, StatusCode::OK);
    // Again: nothing moves.
    assert_eq!(send(library(Method::PUT, &uris(0..1))).await.0, StatusCode::OK);
    let (_, page) = send(stage.spotify(Method::GET, "/me/tracks?limit=2&offset=1")).await;
    let ids: Vec<&str> =
        page["items"].as_array().unwrap().iter().map(|item| item["track"]["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &page["total"]), (vec![&*tracks[20].id, &tracks[19].id], &22.into()));
    assert_eq!(page["items"][0]["added_at"], "2026-11-21T12:01:00Z");

    let contains = stage.spotify(Method::GET, "/me/library/contains").query(&[("uris", uris(19..24))]);
    assert_eq!(send(contains).await.1, json!([true, true, true, false, false]));
    assert_eq!(send(library(Method::DELETE, &uris(19..24))).await, (StatusCode::OK, Value::Null));
    assert_eq!(send(stage.spotify(Method::GET, "/me/tracks")).await.1["total"], 19);

    for (uris, status, message) in [
        ("spotify:track:short", 400, "Invalid uri: spotify:track:short"),
        ("spotify:show:0000000000000000000000", 400, "Unsupported uri: spotify:show:0000000000000000000000"),
        ("spotify:track:0000000000000000000000", 404, "Resource not found"),
        ("", 400, "Missing required parameter: uris"),
        (&vec![uris(0..1); 41].join(","), 400, "Too many uris requested"),
    ] {
        let (found, body) = send(library(Method::PUT, uris)).await;
        assert_eq!((found.as_u16(), body["error"]["message"].as_str()), (status, Some(message)));
    }
}

#[tokio::test]
async fn artists_are_followed_page_by_page() {
    let stage = Stage::new().await;
    let artists: std::collections::BTreeSet<String> =
        stage.tracks(Provider::Spotify, 60).into_iter().map(|track| track.artist_ids[0].clone()).collect();
    let artists: Vec<String> = artists.into_iter().take(5).collect();
    for artist in &artists {
        let uri = format!("spotify:artist:{artist}");
        let request = stage.spotify(Method::PUT, "/me/library").query(&[("uris", uri)]);
        assert_eq!(send(request).await.0, StatusCode::OK);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/me/following?type=artist&limit=2{after}");
        let page = send(stage.spotify(Method::GET, &path)).await.1["artists"].take();
        assert_eq!(page["total"], 5);
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["cursors"]["after"].as_str() else { break };
        assert!(page["next"].as_str().unwrap().contains(cursor));
        after = format!("&after={cursor}");
    }
    seen.reverse();
    assert_eq!(seen, artists);
}

#[tokio::test]
async fn a_deleted_playlist_can_be_brought_back_and_a_strangers_followed() {
    let stage = Stage::new().await;
    let other = stage.sandbox.create_account(Provider::Spotify, "Bo", "NO");
    let own = stage.sandbox.make_playlist(Provider::Spotify, &stage.accounts[0], "Mine", &[]);
    let theirs = stage.sandbox.make_playlist(Provider::Spotify, &other, "Theirs", &[]);
    let listed = async || {
        let (_, page) = send(stage.spotify(Method::GET, "/me/playlists")).await;
        let names = page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    };
    let change = async |method, id: &str| {
        let uri = format!("spotify:playlist:{id}");
        send(stage.spotify(method, "/me/library").query(&[("uris", uri)])).await.0
    };
    assert_eq!(listed().await, ["Mine"]);
    assert_eq!(change(Method::DELETE, &own).await, StatusCode::OK);
    assert_eq!(change(Method::PUT, &theirs).await, StatusCode::OK);
    assert_eq!(listed().await, ["Theirs"]);
    assert_eq!(send(stage.spotify(Method::GET, &format!("/playlists/{own}"))).await.0, StatusCode::OK);
    assert_eq!(change(Method::PUT, &own).await, StatusCode::OK);
    assert_eq!(change(Method::DELETE, &theirs).await, StatusCode::OK);
    assert_eq!(listed().await, ["Mine"]);
}

#[tokio::test]
async fn an_app_in_extended_mode_may_do_more() {
    let stage = Stage::new().await;
    let other = stage.sandbox.create_account(Provider::Spotify, "Bo", "NO");
    let track = stage.tracks(Provider::Spotify, 1).remove(0).id;
    let theirs = stage.sandbox.make_playlist(Provider::Spotify, &other, "Theirs", &[&track]);
    let items = format!("/playlists/{theirs}/items");
    let search = "/search?q=blue&type=track&limit=50";
    assert_eq!(send(stage.spotify(Method::GET, &items)).await.0, StatusCode::FORBIDDEN);
    assert_eq!(send(stage.spotify(Method::GET, search)).await.0, StatusCode::BAD_REQUEST);
    assert!(stage.sandbox.set_mode(Provider::Spotify, "app", AppMode::Extended));
    assert_eq!(send(stage.spotify(Method::GET, &items)).await.1["total"], 1);
    assert_eq!(send(stage.spotify(Method::GET, search)).await.0, StatusCode::OK);
    let (status, _) = send(
        stage.spotify(Method::POST, &items).json(&json!({ "uris": [format!("spotify:track:{track}")] })),
    )
    .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn favourites_are_the_persons_own_and_pages_hold_together() {
    let stage = Stage::new().await;
    let ids = |page: Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let top =
        async |query: &str| ids(send(stage.spotify(Method::GET, &format!("/me/top/tracks?{query}"))).await.1);
    let (first, rest) = (top("limit=3").await, top("limit=50&offset=3").await);
    assert_eq!(top("limit=5").await, [first.clone(), rest[..2].to_vec()].concat());
    assert_ne!(first, top("limit=3&time_range=short_term").await);
    let (status, _) = send(stage.spotify(Method::GET, "/me/top/tracks?time_range=ever")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn tidals_collections_keep_skip_and_sort() {
    let stage = Stage::new().await;
    let tracks = stage.tracks(Provider::Tidal, 30);
    let items = "/userCollectionTracks/me/relationships/items";
    let body = |ids: &[&str]| -> Value {
        json!({ "data": ids.iter().map(|id| json!({ "type": "tracks", "id": id })).collect::<Vec<_>>() })
    };
    let all: Vec<&str> = tracks.iter().map(|track| &*track.id).collect();
    let (status, _) = send(stage.tidal_body(Method::POST, items, &body(&all))).await;
    assert_eq!(status, StatusCode::OK);
    let (_, again) = send(stage.tidal_body(Method::POST, items, &body(&[all[0], "1"]))).await;
    assert_eq!(again["data"], json!([]));
    assert_eq!(
        again["meta"]["skipped"],
        json!([
            { "id": all[0], "type": "tracks", "reason": "ALREADY_PRESENT" },
            { "id": "1", "type": "tracks", "reason": "NOT_FOUND" },
        ])
    );
    let (_, page) = send(stage.tidal(Method::GET, &format!("{items}?sort=title&include=items"))).await;
    let least = tracks.iter().map(|track| track.title.to_lowercase()).min().unwrap();
    assert_eq!(page["data"].as_array().unwrap().len(), 20);
    assert_eq!(page["included"].as_array().unwrap().len(), 20);
    let first = page["data"][0]["id"].as_str().unwrap();
    let title = |id: &str| tracks.iter().find(|track| track.id == id).unwrap().title.clone();
    assert_eq!(title(first).to_lowercase(), least);
    assert!(page["links"]["next"].as_str().unwrap().contains("page%5Bcursor%5D"));

    assert_eq!(send(stage.tidal_body(Method::DELETE, items, &body(&all[..29]))).await.0, StatusCode::OK);
    let (_, left) = send(stage.tidal(Method::GET, "/userCollectionTracks/me")).await;
    assert_eq!(left["data"]["attributes"]["numberOfItems"], 1);
    let (status, _) = send(stage.tidal_body(Method::POST, items, &body(&vec!["1"; 51]))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(send(stage.tidal(Method::GET, &items.replace("me", "1234"))).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_radio_and_a_mix_are_playlists_that_stay_the_same() {
    let stage = Stage::new().await;
    let track = stage.tracks(Provider::Tidal, 1).remove(0);
    let (_, radio) = send(
        stage.tidal(Method::GET, &format!("/tracks/{}/relationships/radio?include=radio.items", track.id)),
    )
    .await;
    let id = radio["data"][0]["id"].as_str().unwrap();
    assert_eq!(radio["included"][0]["attributes"]["playlistType"], "MIX");
    let (_, items) = send(stage.tidal(Method::GET, &format!("/playlists/{id}/relationships/items"))).await;
    assert_eq!(items["data"][0]["id"], *track.id);
    assert_eq!(items["data"].as_array().unwrap().len(), 20);
    let mixes = async || {
        send(stage.tidal(Method::GET, "/userDailyMixes/me/relationships/items?include=items")).await.1
    };
    let (first, second) = (mixes().await, mixes().await);
    assert_eq!(first, second);
    assert_eq!(first["data"].as_array().unwrap().len(), 8);
    let titles: std::collections::BTreeSet<&str> = first["included"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|mix| mix["attributes"]["name"].as_str())
        .collect();
    assert_eq!(titles.len(), 8);
    // Nobody writes to a mix, and an id of one that is not is not there.
    let body = json!({ "data": [{ "type": "tracks", "id": track.id }] });
    let write = stage.tidal_body(Method::POST, &format!("/playlists/{id}/relationships/items"), &body);
    assert_eq!(send(write).await.0, StatusCode::NOT_FOUND);
    let none = "6d697803-0000-4000-8000-0000ffff0000";
    assert_eq!(send(stage.tidal(Method::GET, &format!("/playlists/{none}"))).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_playlist_changed_elsewhere_looks_changed() {
    let stage = Stage::new().await;
    let tracks = stage.tracks(Provider::Spotify, 3);
    let ids: Vec<&str> = tracks.iter().map(|track| &*track.id).collect();
    let id = stage.sandbox.make_playlist(Provider::Spotify, &stage.accounts[0], "Mine", &ids[..2]);
    let read = async || send(stage.spotify(Method::GET, &format!("/playlists/{id}"))).await.1;
    let before = read().await;
    assert!(stage.sandbox.change_playlist(Provider::Spotify, &id, &ids));
    assert!(stage.sandbox.add_other(
        Provider::Spotify,
        &id,
        Other::LocalFile { title: "Rehearsal".to_owned() }
    ));
    let after = read().await;
    assert_ne!(before["snapshot_id"], after["snapshot_id"]);
    assert_eq!(after["items"]["items"][3]["item"]["uri"], "spotify:local:::Rehearsal:180");
    let held = stage.sandbox.playlist_tracks(Provider::Spotify, &id).unwrap();
    assert_eq!(held, [&ids[..], &[""]].concat());
}

#[tokio::test]
async fn an_episode_can_be_taken_out_and_brought_back() {
    let stage = Stage::new().await;
    let id = stage.sandbox.make_playlist(Provider::Spotify, &stage.accounts[0], "Mine", &[]);
    assert!(stage.sandbox.add_other(Provider::Spotify, &id, Other::Episode { title: "One".to_owned() }));
    let items = format!("/playlists/{id}/items");
    let (_, before) = send(stage.spotify(Method::GET, &items)).await;
    let item = before["items"][0]["item"].clone();
    let gone = json!({ "items": [{ "uri": item["uri"] }] });
    assert_eq!(send(stage.spotify(Method::DELETE, &items).json(&gone)).await.0, StatusCode::OK);
    assert_eq!(send(stage.spotify(Method::GET, &items)).await.1["total"], 0);
    let back = json!({ "uris": [item["uri"]] });
    assert_eq!(send(stage.spotify(Method::POST, &items).json(&back)).await.0, StatusCode::CREATED);
    assert_eq!(send(stage.spotify(Method::GET, &items)).await.1["items"][0]["item"], item);
    let unknown = json!({ "uris": ["spotify:episode:0000000000000000000000"] });
    assert_eq!(send(stage.spotify(Method::POST, &items).json(&unknown)).await.0, StatusCode::NOT_FOUND);
}
