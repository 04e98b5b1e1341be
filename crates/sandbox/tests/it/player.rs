//! Spotify's player, by the sandbox's clock.

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Device, Plan};

use crate::common::{Stage, send};

async fn refused(stage: &Stage, method: Method, path: &str) -> (u16, Value) {
    let (status, body) = send(stage.spotify(method, &format!("/me/player{path}"))).await;
    (status.as_u16(), body["error"]["reason"].clone())
}

#[tokio::test]
async fn a_command_needs_a_device_and_a_plan() {
    let stage = Stage::new().await;
    let account = &stage.accounts[0];
    assert_eq!(send(stage.spotify(Method::GET, "/me/player")).await, (StatusCode::NO_CONTENT, Value::Null));
    for (method, path) in [
        (Method::PUT, "/play"),
        (Method::PUT, "/pause"),
        (Method::POST, "/next"),
        (Method::POST, "/previous"),
        (Method::PUT, "/seek?position_ms=0"),
        (Method::PUT, "/volume?volume_percent=1"),
        (Method::PUT, "/shuffle?state=true"),
        (Method::PUT, "/repeat?state=off"),
    ] {
        let answer = refused(&stage, method, path).await;
        assert_eq!(answer, (404, "NO_ACTIVE_DEVICE".into()), "{path}");
    }
    let (_, devices) = send(stage.spotify(Method::GET, "/me/player/devices")).await;
    let kinds: Vec<&str> = devices["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Computer", "Smartphone"]);
    let [computer, phone] = &stage.sandbox.devices(account)[..] else { panic!("two devices") };
    let volume = format!("/volume?volume_percent=40&device_id={}", phone.id);
    assert_eq!(refused(&stage, Method::PUT, &volume).await, (403, "VOLUME_CONTROL_DISALLOW".into()));
    assert_eq!(refused(&stage, Method::PUT, "/play?device_id=none").await, (404, Value::Null));

    assert!(stage.sandbox.set_plan(Provider::Spotify, account, Plan::Free));
    let play = format!("/play?device_id={}", computer.id);
    assert_eq!(refused(&stage, Method::PUT, &play).await, (403, "PREMIUM_REQUIRED".into()));
    assert_eq!(send(stage.spotify(Method::GET, "/me")).await.1["product"], "free");
    // Looking is for everyone.
    assert_eq!(send(stage.spotify(Method::GET, "/me/player/devices")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_plays_moves_with_the_clock_and_is_remembered() {
    let stage = Stage::new().await;
    let computer = stage.sandbox.devices(&stage.accounts[0]).remove(0);
    let tracks = stage.tracks(Provider::Spotify, 4);
    let uris: Vec<String> = tracks.iter().map(|track| format!("spotify:track:{}", track.id)).collect();
    let play = stage
        .spotify(Method::PUT, &format!("/me/player/play?device_id={}", computer.id))
        .json(&json!({ "uris": uris[..3], "position_ms": 1000 }));
    assert_eq!(send(play).await, (StatusCode::NO_CONTENT, Value::Null));
    let state = async || send(stage.spotify(Method::GET, "/me/player")).await.1;
    stage.clock.advance(TimeDelta::seconds(10));
    let playing = state().await;
    assert_eq!((&playing["progress_ms"], &playing["is_playing"]), (&11_000.into(), &true.into()));
    assert_eq!(
        (&playing["item"]["uri"], &playing["device"]["id"]),
        (&(*uris[0]).into(), &(*computer.id).into())
    );

    // What is added plays next, then the list goes on.
    let queue = stage.spotify(Method::POST, &format!("/me/player/queue?uri={}", uris[3]));
    assert_eq!(send(queue).await.0, StatusCode::NO_CONTENT);
    let (_, queue) = send(stage.spotify(Method::GET, "/me/player/queue")).await;
    let next: Vec<&str> =
        queue["queue"].as_array().unwrap().iter().map(|track| track["uri"].as_str().unwrap()).collect();
    assert_eq!(next, [&uris[3], &uris[1], &uris[2]]);
    let length = playing["item"]["duration_ms"].as_i64().unwrap();
    stage.clock.advance(TimeDelta::milliseconds(length - 11_000));
    assert_eq!(state().await["item"]["uri"], *uris[3]);
    let (_, played) = send(stage.spotify(Method::GET, "/me/player/recently-played?limit=1")).await;
    assert_eq!(played["items"][0]["track"]["uri"], *uris[0]);

    // A track left at once was not played.
    assert_eq!(send(stage.spotify(Method::POST, "/me/player/next")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(state().await["item"]["uri"], *uris[1]);
    let (_, played) = send(stage.spotify(Method::GET, "/me/player/recently-played?limit=1")).await;
    assert_eq!(played["items"][0]["track"]["uri"], *uris[0]);

    // After the last one it stands at the first.
    stage.clock.advance(TimeDelta::minutes(40));
    let ended = state().await;
    assert_eq!((&ended["is_playing"], &ended["item"]["uri"]), (&false.into(), &(*uris[0]).into()));
    let (_, played) = send(stage.spotify(Method::GET, "/me/player/recently-played?limit=2")).await;
    assert_eq!(played["items"][0]["track"]["uri"], *uris[2]);
    assert_eq!(played["items"][1]["track"]["uri"], *uris[1]);
}

#[tokio::test]
async fn commands_do_what_they_say() {
    let stage = Stage::new().await;
    let [computer, phone] = &stage.sandbox.devices(&stage.accounts[0])[..] else { panic!("two devices") };
    let track = stage.tracks(Provider::Spotify, 40).pop().unwrap();
    let state = async || send(stage.spotify(Method::GET, "/me/player")).await.1;
    let command =
        async |method: Method, path: &str| send(stage.spotify(method, &format!("/me/player{path}"))).await.0;
    let context = json!({ "context_uri": format!("spotify:album:{}", track.album_id) });
    let play = stage.spotify(Method::PUT, &format!("/me/player/play?device_id={}", computer.id));
    assert_eq!(send(play.json(&context)).await.0, StatusCode::NO_CONTENT);
    let playing = state().await;
    assert_eq!(playing["context"]["uri"], context["context_uri"]);
    assert_eq!(playing["item"]["track_number"], 1);
    for (path, name, value) in [
        ("/volume?volume_percent=7", "/device/volume_percent", json!(7)),
        ("/repeat?state=context", "/repeat_state", json!("context")),
        ("/shuffle?state=true", "/shuffle_state", json!(true)),
        ("/seek?position_ms=2000", "/progress_ms", json!(2000)),
        ("/pause", "/is_playing", json!(false)),
        ("/play", "/is_playing", json!(true)),
    ] {
        assert_eq!(command(Method::PUT, path).await, StatusCode::NO_CONTENT, "{path}");
        assert_eq!(state().await.pointer(name), Some(&value), "{path}");
    }
    assert_eq!(refused(&stage, Method::PUT, "/play").await, (403, "UNKNOWN".into()));
    assert_eq!(state().await["item"]["track_number"], 1, "shuffling keeps what is on");
    assert_eq!(command(Method::PUT, "/shuffle?state=false").await, StatusCode::NO_CONTENT);
    assert_eq!(command(Method::POST, "/next").await, StatusCode::NO_CONTENT);
    assert_eq!(state().await["item"]["track_number"], 2);
    assert_eq!(command(Method::POST, "/previous").await, StatusCode::NO_CONTENT);
    assert_eq!(state().await["item"]["track_number"], 1);
    let transfer =
        stage.spotify(Method::PUT, "/me/player").json(&json!({ "device_ids": [phone.id], "play": true }));
    assert_eq!(send(transfer).await.0, StatusCode::NO_CONTENT);
    assert_eq!(state().await["device"]["id"], *phone.id);
    for path in ["/volume?volume_percent=101", "/seek", "/repeat?state=ever", "/shuffle?state=maybe"] {
        assert_eq!(command(Method::PUT, path).await, StatusCode::BAD_REQUEST, "{path}");
    }
    let both = json!({ "context_uri": context["context_uri"], "uris": [] });
    let play = stage.spotify(Method::PUT, "/me/player/play").json(&both);
    assert_eq!(send(play).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_was_played_is_paged_by_time() {
    let stage = Stage::new().await;
    let page = async |query: &str| {
        send(stage.spotify(Method::GET, &format!("/me/player/recently-played?{query}"))).await.1
    };
    let times = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["played_at"].as_str().unwrap().to_owned()).collect()
    };
    let all = times(&page("limit=50").await);
    assert_eq!(all.len(), 20);
    assert!(all.is_sorted_by(|newer, older| newer > older));
    let (mut seen, mut before) = (Vec::new(), String::new());
    loop {
        let part = page(&format!("limit=7{before}")).await;
        seen.extend(times(&part));
        if part.get("next").is_none() {
            break;
        }
        before = format!("&before={}", part["cursors"]["before"].as_str().unwrap());
    }
    assert_eq!(seen, all);
    let oldest = page("limit=50").await["cursors"]["before"].as_str().unwrap().to_owned();
    assert_eq!(times(&page(&format!("limit=2&after={oldest}")).await), all[17..19]);
}

#[tokio::test]
async fn tests_set_devices_and_what_plays() {
    let stage = Stage::new().await;
    let account = &stage.accounts[0];
    let track = stage.tracks(Provider::Spotify, 1).remove(0).id;
    let computer = stage.sandbox.devices(account).remove(0);
    assert!(stage.sandbox.play(account, &computer.id, &[&track]));
    assert!(!stage.sandbox.play(account, "none", &[&track]));
    assert_eq!(send(stage.spotify(Method::GET, "/me/player")).await.1["item"]["id"], *track);
    stage.sandbox.stop_playing(account);
    assert_eq!(refused(&stage, Method::PUT, "/pause").await, (404, "NO_ACTIVE_DEVICE".into()));
    assert!(stage.sandbox.play(account, &computer.id, &[&track]));
    let speaker = Device { id: "abc".to_owned(), is_restricted: true, ..computer };
    stage.sandbox.set_devices(account, vec![speaker]);
    assert_eq!(send(stage.spotify(Method::GET, "/me/player")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(refused(&stage, Method::PUT, "/play?device_id=abc").await, (403, "UNKNOWN".into()));
}
