//! Each operation needs its own scope, and says so when it is missing.

use reqwest::{Method, StatusCode};
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};

use crate::common::{SPOTIFY_SCOPES, Stage, TIDAL_SCOPES, send};

const MEDIA_TYPE: &str = "application/vnd.api+json";

#[tokio::test]
async fn spotify_refuses_what_was_not_agreed_to() {
    let stage = Stage::new().await;
    let track = stage.tracks(Provider::Spotify, 1).remove(0);
    let playlist = stage.sandbox.make_playlist(Provider::Spotify, &stage.accounts[0], "Mine", &[]);
    let library = |kind: &str, id: &str| format!("/me/library?uris=spotify:{kind}:{id}");
    let contains = |kind: &str, id: &str| format!("/me/library/contains?uris=spotify:{kind}:{id}");
    let artist = &track.artist_ids[0];
    for (scopes, method, path) in [
        (&["user-library-read"][..], Method::GET, "/me/tracks".to_owned()),
        (&["user-library-read"], Method::GET, "/me/albums".to_owned()),
        (&["user-follow-read"], Method::GET, "/me/following?type=artist".to_owned()),
        (&["user-library-modify"], Method::PUT, library("track", &track.id)),
        (&["user-library-modify"], Method::DELETE, library("album", &track.album_id)),
        (&["user-follow-modify"], Method::PUT, library("artist", artist)),
        (
            &["playlist-modify-public", "playlist-modify-private"],
            Method::DELETE,
            library("playlist", &playlist),
        ),
        (&["user-library-read"], Method::GET, contains("track", &track.id)),
        (&["user-follow-read"], Method::GET, contains("artist", artist)),
        (&["playlist-read-private"], Method::GET, contains("playlist", &playlist)),
        (&["user-top-read"], Method::GET, "/me/top/artists".to_owned()),
        (&["user-top-read"], Method::GET, "/me/top/tracks".to_owned()),
        (&["user-read-recently-played"], Method::GET, "/me/player/recently-played".to_owned()),
        (&["user-read-playback-state"], Method::GET, "/me/player".to_owned()),
        (&["user-read-playback-state"], Method::GET, "/me/player/devices".to_owned()),
        (&["user-read-currently-playing"], Method::GET, "/me/player/queue".to_owned()),
        (&["user-modify-playback-state"], Method::PUT, "/me/player/pause".to_owned()),
        (&["user-modify-playback-state"], Method::POST, "/me/player/next".to_owned()),
        (
            &["user-modify-playback-state"],
            Method::POST,
            format!("/me/player/queue?uri=spotify:track:{}", track.id),
        ),
    ] {
        let held: Vec<&str> =
            SPOTIFY_SCOPES.iter().copied().filter(|scope| !scopes.contains(scope)).collect();
        let grant = stage.sandbox.grant(Provider::Spotify, &stage.accounts[0], "app", &held);
        let url = format!("{}/spotify/v1{path}", stage.base);
        let lacking = stage.client.request(method.clone(), &url).bearer_auth(&grant.access_token);
        let (status, body) = send(lacking).await;
        assert_eq!(
            (status, body["error"]["message"].as_str()),
            (StatusCode::FORBIDDEN, Some("Insufficient client scope")),
            "{method} {path} without {scopes:?}"
        );
        let (status, body) = send(stage.spotify(method.clone(), &path)).await;
        assert_ne!(body["error"]["message"], "Insufficient client scope", "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn tidal_refuses_what_was_not_agreed_to() {
    let stage = Stage::new().await;
    let track = stage.tracks(Provider::Tidal, 1).remove(0);
    let body = json!({ "data": [{ "type": "tracks", "id": track.id }] });
    let items = "/userCollectionTracks/me/relationships/items";
    for (scope, method, path) in [
        ("collection.read", Method::GET, "/userCollectionTracks/me"),
        ("collection.read", Method::GET, "/userCollectionAlbums/me/relationships/items"),
        ("collection.read", Method::GET, "/userCollectionArtists/me/relationships/items"),
        ("collection.write", Method::POST, items),
        ("collection.write", Method::DELETE, items),
        ("recommendations.read", Method::GET, "/userDailyMixes/me"),
        ("recommendations.read", Method::GET, "/userDiscoveryMixes/me/relationships/items"),
        ("recommendations.read", Method::GET, "/userNewReleaseMixes/me/relationships/items"),
    ] {
        let held: Vec<&str> = TIDAL_SCOPES.iter().copied().filter(|held| *held != scope).collect();
        let grant = stage.sandbox.grant(Provider::Tidal, &stage.accounts[1], "app", &held);
        let request = |token: &str| {
            let request = stage
                .client
                .request(method.clone(), format!("{}/tidal/v2{path}", stage.base))
                .bearer_auth(token)
                .header("accept", MEDIA_TYPE);
            if method == Method::GET {
                request
            } else {
                request.header("content-type", MEDIA_TYPE).body(body.to_string())
            }
        };
        let (status, refusal) = send(request(&grant.access_token)).await;
        let detail = format!("Insufficient scope, requires {scope}");
        assert_eq!(
            (status, &refusal["errors"][0]["detail"]),
            (StatusCode::FORBIDDEN, &detail.into()),
            "{path}"
        );
        assert_eq!(send(request(&stage.grants[1].access_token)).await.0, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn faults_strike_the_new_operations_by_name() {
    let stage = Stage::new().await;
    for (provider, operation) in [
        (Provider::Spotify, "PUT /me/library"),
        (Provider::Tidal, "POST /userCollectionTracks/{id}/relationships/items"),
    ] {
        stage
            .sandbox
            .faults()
            .push(FaultRule::new(provider, Effect::status(503)).operation(operation).times(1));
    }
    let track = stage.tracks(Provider::Spotify, 1).remove(0).id;
    let save = || stage.spotify(Method::PUT, &format!("/me/library?uris=spotify:track:{track}"));
    assert_eq!(send(save()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(send(save()).await.0, StatusCode::OK);
    let track = stage.tracks(Provider::Tidal, 1).remove(0).id;
    let body = json!({ "data": [{ "type": "tracks", "id": track }] });
    let save = || stage.tidal_body(Method::POST, "/userCollectionTracks/me/relationships/items", &body);
    assert_eq!(send(save()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    // The same key, the same answer, and nothing is skipped as already there.
    let (_, first) = send(save().header("idempotency-key", "k")).await;
    let (_, again) = send(save().header("idempotency-key", "k")).await;
    assert_eq!((&first, first["data"].as_array().unwrap().len()), (&again, 1));
}
