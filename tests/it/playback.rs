//! What plays where: devices are told where none is active, a command is seen at once, a plan that forbids is named.

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::Plan;
use stagedoor_testkit::{Stage, TestGateway};

use crate::music::{self, known_tracks};

fn tracks(stage: &Stage, count: usize) -> Vec<String> {
    let known = known_tracks(stage, Provider::Spotify);
    known.iter().take(count).map(|track| format!("spotify:track:{}", track.id)).collect()
}

#[tokio::test]
async fn where_nothing_plays_the_devices_are_told_and_one_of_them_plays() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let tracks = tracks(&stage, 3);
    let play = |more: Value| {
        let mut arguments = json!({ "action": "play", "refs": tracks });
        if let Some(device) = more["device"].as_str() {
            arguments["device"] = json!(device);
        }
        arguments
    };
    let state = client.call("playback_state", json!({})).await;
    assert_eq!(state, json!({ "provider": "spotify" }), "nothing plays");
    let devices = client.call("devices", json!({})).await;
    let devices = devices["devices"].as_array().unwrap();
    let refused = client.tool("playback_control", play(json!({}))).await;
    assert_eq!(refused.verdict(), "200 no_active_device", "{}", refused.text());
    for device in devices {
        for member in ["id", "name"] {
            let text = device[member].as_str().unwrap();
            assert!(refused.message().contains(text), "{text} is not in {}", refused.message());
        }
    }
    let told = &refused.result()["_meta"]["dev.stagedoor/error"]["details"]["devices"];
    assert_eq!(told.as_array().unwrap().len(), devices.len());

    let device = &devices[0]["id"];
    assert_eq!(client.call("playback_control", play(json!({ "device": device }))).await["done"], "play");
    let state = client.call("playback_state", json!({ "queue": true })).await;
    assert_eq!(state["playback"]["track"]["ref"], tracks[0], "{state}");
    assert_eq!((&state["playback"]["playing"], &state["playback"]["device"]["id"]), (&json!(true), device));
    assert_eq!(state["queue"][0]["ref"], tracks[1], "{state}");

    let known = known_tracks(&stage, Provider::Spotify);
    let extra = format!("spotify:track:{}", known[20].id);
    assert_eq!(client.call("queue_add", json!({ "ref": extra })).await["queued"], true);
    client.call("playback_control", json!({ "action": "next" })).await;
    let state = client.call("playback_state", json!({})).await;
    assert_eq!(state["playback"]["track"]["ref"], extra, "what was queued comes before what was to be next");
    for (arguments, member, value) in [
        (json!({ "action": "pause" }), "playing", json!(false)),
        (json!({ "action": "shuffle", "shuffle": true }), "shuffle", json!(true)),
        (json!({ "action": "repeat", "repeat": "context" }), "repeat", json!("context")),
        (json!({ "action": "play" }), "playing", json!(true)),
    ] {
        client.call("playback_control", arguments.clone()).await;
        let state = client.call("playback_state", json!({})).await;
        assert_eq!(state["playback"][member], value, "{arguments}: {state}");
    }
    client.call("playback_control", json!({ "action": "volume", "volume_percent": 7 })).await;
    let state = client.call("playback_state", json!({})).await;
    assert_eq!(state["playback"]["device"]["volume_percent"], 7, "{state}");
    client.call("playback_control", json!({ "action": "transfer", "device": devices[1]["id"] })).await;
    let state = client.call("playback_state", json!({})).await;
    assert_eq!(state["playback"]["device"]["id"], devices[1]["id"], "{state}");
}

#[tokio::test]
async fn where_there_is_no_device_the_person_has_to_open_one() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    stage.sandbox().set_devices(&ada.account(Provider::Spotify).account, Vec::new());
    let none = client.call("devices", json!({})).await;
    assert!(none["devices"] == json!([]) && none["next"].as_str().unwrap().contains("open"), "{none}");
    let refused = client.tool("playback_control", json!({ "action": "play" })).await;
    assert_eq!(refused.verdict(), "200 no_active_device");
    assert!(refused.message().contains("no device that takes commands"), "{}", refused.message());
}

#[tokio::test]
async fn a_plan_that_forbids_is_named_and_reading_goes_on() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let account = &ada.account(Provider::Spotify).account;
    let device = stage.sandbox().devices(account)[0].id.clone();
    assert!(stage.sandbox().set_plan(Provider::Spotify, account, Plan::Free));
    for arguments in [
        json!({ "action": "play", "refs": tracks(&stage, 1), "device": device }),
        json!({ "action": "volume", "volume_percent": 5, "device": device }),
    ] {
        let refused = client.tool("playback_control", arguments.clone()).await;
        assert_eq!(refused.verdict(), "200 provider_forbidden", "{arguments}: {}", refused.text());
        assert!(refused.message().contains("paid plan"), "{}", refused.message());
    }
    client.call("playback_state", json!({})).await;
    assert!(!client.call("devices", json!({})).await["devices"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn what_goes_with_no_action_or_no_player_is_refused() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (tool, arguments, told) in [
        (
            "playback_control",
            json!({ "action": "pause", "volume_percent": 5 }),
            "does not go with action pause",
        ),
        ("playback_control", json!({ "action": "seek" }), "needs `position_ms`"),
        ("playback_control", json!({ "action": "stop" }), "`action`: unknown variant"),
        (
            "playback_control",
            json!({ "action": "play", "refs": ["spotify:artist:1"], "position": 2 }),
            "`position` goes with",
        ),
        ("queue_add", json!({ "ref": "spotify:album:1" }), "points at an album, but a track is needed"),
        ("queue_add", json!({ "ref": "12345" }), "only an id"),
    ] {
        let refused = client.tool(tool, arguments.clone()).await;
        assert_eq!(refused.verdict(), "200 invalid_arguments", "{arguments}: {}", refused.text());
        assert!(refused.message().contains(told), "{arguments}: {}", refused.message());
    }
    let tidal = ada.account(Provider::Tidal).id;
    let lacks = client.tool("playback_state", json!({ "account": tidal })).await;
    assert_eq!(lacks.verdict(), "200 provider_rejected");
    assert!(lacks.message().contains("Tidal cannot do this"), "{}", lacks.message());
    assert!(stage.sandbox().requests(Provider::Spotify).is_empty(), "no service was asked");
}
