//! Spotify's answers.

use reqwest::Method;
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, Other};

use super::Contract;
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
async fn what_spotify_tells_of_a_person_satisfies_its_description() {
    let Some(contract) = Contract::load("spotify-current.slim.json") else { return };
    let stage = Stage::new().await;
    let get = |path: &str| stage.spotify(Method::GET, path);
    let uris = |kinds: &[(&str, &str)]| -> String {
        kinds.iter().map(|(kind, id)| format!("spotify:{kind}:{id}")).collect::<Vec<_>>().join(",")
    };
    let tracks = stage.tracks(Provider::Spotify, 3);
    let (track, album, artist) = (&tracks[0].id, &tracks[0].album_id, &tracks[0].artist_ids[0]);
    let other = stage.sandbox.create_account(Provider::Spotify, "Bo", "NO");
    let playlist = stage.sandbox.make_playlist(Provider::Spotify, &other, "Theirs", &[track]);
    let all = uris(&[
        ("track", track),
        ("track", &tracks[1].id),
        ("album", album),
        ("artist", artist),
        ("artist", &tracks[2].artist_ids[0]),
        ("playlist", &playlist),
    ]);
    let library = |method| stage.spotify(method, "/me/library").query(&[("uris", &all)]);
    let many = vec![format!("spotify:track:{track}"); 41].join(",");
    for (template, method, request) in [
        ("/me/library", "put", library(Method::PUT)),
        ("/me/library/contains", "get", get("/me/library/contains").query(&[("uris", &all)])),
        ("/me/library/contains", "get", get("/me/library/contains").query(&[("uris", &many)])),
        ("/me/tracks", "get", get("/me/tracks?limit=1")),
        ("/me/tracks", "get", get("/me/tracks?limit=1&offset=1")),
        ("/me/albums", "get", get("/me/albums")),
        ("/me/following", "get", get("/me/following?type=artist&limit=1")),
        ("/me/following", "get", get("/me/following?type=artist")),
        ("/me/following", "get", get("/me/following")),
        ("/me/playlists", "get", get("/me/playlists")),
        ("/me/library", "delete", library(Method::DELETE)),
        ("/me/tracks", "get", get("/me/tracks")),
        ("/me/top/artists", "get", get("/me/top/artists?time_range=short_term&limit=3&offset=3")),
        ("/me/top/tracks", "get", get("/me/top/tracks")),
        ("/me/player/recently-played", "get", get("/me/player/recently-played?limit=5")),
        ("/me/player/recently-played", "get", get("/me/player/recently-played?before=1")),
    ] {
        contract.check(template, method, request).await;
    }
}

#[tokio::test]
async fn spotifys_player_satisfies_its_description() {
    let Some(contract) = Contract::load("spotify-current.slim.json") else { return };
    let stage = Stage::new().await;
    let tracks = stage.tracks(Provider::Spotify, 3);
    let [computer, phone] = &stage.sandbox.devices(&stage.accounts[0])[..] else { panic!("two devices") };
    let send_to = |method: Method, path: &str| stage.spotify(method, &format!("/me/player{path}"));
    let put = |path: &str| send_to(Method::PUT, path);
    let context = json!({ "context_uri": format!("spotify:album:{}", tracks[0].album_id), "offset": { "position": 0 } });
    let added = format!("/queue?uri=spotify:track:{}", tracks[2].id);
    for (template, method, request) in [
        ("", "get", send_to(Method::GET, "")),
        ("/devices", "get", send_to(Method::GET, "/devices")),
        ("/queue", "get", send_to(Method::GET, "/queue")),
        ("/pause", "put", put("/pause")),
        ("/play", "put", put(&format!("/play?device_id={}", computer.id)).json(&context)),
        ("", "get", send_to(Method::GET, "")),
        ("/queue", "post", send_to(Method::POST, &added)),
        ("/queue", "get", send_to(Method::GET, "/queue")),
        ("/next", "post", send_to(Method::POST, "/next")),
        ("/previous", "post", send_to(Method::POST, "/previous")),
        ("/seek", "put", put("/seek?position_ms=1000")),
        ("/repeat", "put", put("/repeat?state=context")),
        ("/shuffle", "put", put("/shuffle?state=true")),
        ("/volume", "put", put("/volume?volume_percent=30")),
        ("/volume", "put", put(&format!("/volume?volume_percent=30&device_id={}", phone.id))),
        ("/pause", "put", put("/pause")),
        ("", "put", put("").json(&json!({ "device_ids": [phone.id], "play": true }))),
        ("/devices", "get", send_to(Method::GET, "/devices")),
        ("/play", "put", put("/play")),
        ("/play", "put", put("/play?device_id=none")),
    ] {
        contract.check(&format!("/me/player{template}"), method, request).await;
    }
}

#[tokio::test]
async fn what_is_no_track_satisfies_spotifys_description() {
    let Some(contract) = Contract::load("spotify-current.slim.json") else { return };
    let stage = Stage::new().await;
    let playlist = stage.sandbox.make_playlist(Provider::Spotify, &stage.accounts[0], "Odd", &[]);
    let title = || "Rehearsal".to_owned();
    for other in [Other::LocalFile { title: title() }, Other::Episode { title: title() }, Other::Gone] {
        assert!(stage.sandbox.add_other(Provider::Spotify, &playlist, other));
    }
    let request = stage.spotify(Method::GET, &format!("/playlists/{playlist}/items"));
    contract.check("/playlists/{playlist_id}/items", "get", request).await;
}
