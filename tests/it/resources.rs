//! Resources and their templates: read by the tools that answer them, with the tools' records, limits and lives.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::{CacheClass, Provider, Scope, ScopeSet};
use stagedoor_testkit::{Client, Era, FrozenClock, KeySpec, Stage, StageOptions, TestGateway, generous};

use crate::music::{self, Music};

async fn read(client: &Client, uri: &str) -> stagedoor_testkit::Answer {
    client.rpc("resources/read", json!({ "uri": uri })).await
}

fn text(result: &Value) -> Value {
    serde_json::from_str(result["contents"][0]["text"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn each_resource_is_what_its_tool_answers() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    for era in [Era::Modern, Era::Legacy("2025-11-25")] {
        let client = music::client(&gateway, &ada).speaking(era);
        let music = Music::of(&stage, &client, Provider::Tidal).await;
        let list = client.rpc("resources/list", json!({})).await.result();
        let fixed: Vec<&str> = list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["uri"].as_str().unwrap())
            .collect();
        assert_eq!(fixed, ["stagedoor://accounts", "stagedoor://usage"]);
        let list = client.rpc("resources/templates/list", json!({})).await.result();
        let templates: Vec<&str> = list["resourceTemplates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["uriTemplate"].as_str().unwrap())
            .collect();
        assert_eq!(
            templates,
            [
                "stagedoor://playlist/{ref}",
                "stagedoor://track/{ref}",
                "stagedoor://queue/{queue}",
                "stagedoor://toolset/{toolset}"
            ]
        );

        let encoded = music.track.replace(':', "%3A");
        let queue = client.call("shared_queue_edit", json!({ "action": "create", "name": "Friday" })).await;
        let queue = queue["queue"].as_str().unwrap();
        for (uri, tool, arguments) in [
            ("stagedoor://accounts".to_owned(), "accounts_list", json!({})),
            (
                format!("stagedoor://playlist/{}", music.playlist),
                "playlist_get",
                json!({ "ref": music.playlist }),
            ),
            (format!("stagedoor://track/{}", music.track), "track_get", json!({ "ref": music.track })),
            (format!("stagedoor://track/{encoded}"), "track_get", json!({ "ref": music.track })),
            (format!("stagedoor://queue/{queue}"), "shared_queue_get", json!({ "queue": queue })),
        ] {
            let answer = read(&client, &uri).await;
            let result = answer.result();
            assert_eq!(answer.verdict(), "200 ok", "{}", answer.text());
            let contents = &result["contents"][0];
            assert_eq!((&contents["uri"], &contents["mimeType"]), (&json!(uri), &json!("application/json")));
            assert_eq!(text(&result), client.call(tool, arguments).await, "{uri}");
            assert_eq!(result.get("ttlMs").is_some(), era == Era::Modern, "{result}");
        }
        assert_eq!(text(&read(&client, "stagedoor://usage").await.result())["tenant"], "ada");
        let toolset = text(&read(&client, "stagedoor://toolset/playback").await.result());
        assert_eq!(toolset["tools"][0]["name"], "playback_state", "{toolset}");
    }
    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await;
    let records = trail.iter().map(|view| view.json().unwrap().to_string());
    assert!(
        records
            .filter(|record| record.contains("\"tool:track_get\"") || record.contains("\"track_get\""))
            .count()
            > 0
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_words_of_each_era() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    for (era, code) in [(Era::Modern, -32602), (Era::Legacy("2025-11-25"), -32002)] {
        let client = music::client(&gateway, &ada).speaking(era);
        for uri in [
            "stagedoor://nothing",
            "stagedoor://playlist/",
            "stagedoor://toolset/musik",
            "https://example.org/",
            "stagedoor://track/%zz",
        ] {
            let answer = read(&client, uri).await;
            assert_eq!(answer.verdict(), "200 unknown_resource", "{uri}");
            assert_eq!(answer.json()["error"]["code"], code);
            assert_eq!(answer.json()["error"]["data"]["uri"], uri);
        }
        let missing = read(&client, "stagedoor://playlist/spotify:playlist:doesnotexist00000000ab").await;
        assert_eq!(missing.json()["error"]["data"]["code"], "item_not_found", "{}", missing.text());
        assert_eq!(missing.json()["error"]["code"], code);
        let wrong = read(&client, "stagedoor://track/spotify:album:1").await;
        assert_eq!(
            (wrong.verdict(), wrong.json()["error"]["code"].clone()),
            ("200 invalid_arguments".into(), json!(-32602))
        );
        let nameless = client.rpc("resources/read", json!({})).await;
        assert!(!nameless.verdict().ends_with(" ok"), "{}", nameless.text());
        let paged = client.rpc("resources/list", json!({ "cursor": "x" })).await;
        assert_eq!(paged.verdict(), "200 invalid_cursor");
    }
}

#[tokio::test]
async fn reading_needs_the_scope_of_the_tool_and_another_tenants_item_is_not_there() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let bob = stage.inhabit("bob").await;
    let music = Music::of(&stage, &music::client(&gateway, &ada), Provider::Spotify).await;
    let uri = format!("stagedoor://playlist/{}", music.playlist);

    let scopes: ScopeSet =
        Scope::ALL.iter().copied().filter(|scope| *scope != Scope::PlaylistsRead).collect();
    let spec = KeySpec { scopes, ..KeySpec::for_user(ada.user) };
    let poor = gateway.client("ada", &ada.tenant.key(&spec).await);
    let refused = read(&poor, &uri).await;
    assert_eq!(refused.verdict(), "403 insufficient_scope");
    assert!(refused.header("www-authenticate").unwrap().contains("playlists:read"));

    let foreign = read(&music::client(&gateway, &bob), &uri).await;
    assert!(foreign.json()["error"].is_object(), "{}", foreign.text());
}

#[tokio::test]
async fn an_answer_lives_as_long_as_its_class_says_and_no_longer_than_it_has_left() {
    let clock = Arc::new(FrozenClock::now());
    let options = StageOptions { clock: Arc::<FrozenClock>::clone(&clock), ..StageOptions::default() };
    let stage = Stage::start_with(options).await;
    let gateway = TestGateway::start(&stage).await;
    let mut settings = generous();
    settings.cache_ttl_seconds.insert(CacheClass::Track, 100);
    settings.cache_ttl_seconds.insert(CacheClass::Playlist, 0);
    let ada = stage.inhabit_with("ada", settings).await;
    let client = music::client(&gateway, &ada);
    let music = Music::of(&stage, &client, Provider::Spotify).await;
    let known = music::known_tracks(&stage, Provider::Spotify);
    let uri = format!("stagedoor://track/spotify:track:{}", known[140].id);

    let life = async |uri: &str| {
        let result = read(&client, uri).await.result();
        assert_eq!(result["cacheScope"], "private");
        result["ttlMs"].as_u64().unwrap()
    };
    // Times are written in whole seconds.
    let fresh = life(&uri).await;
    assert!((99_000..=100_000).contains(&fresh), "{fresh}");
    clock.advance(Duration::from_secs(40));
    let later = life(&uri).await;
    assert!((59_000..=60_000).contains(&later), "{later}");
    assert_eq!(life(&format!("stagedoor://playlist/{}", music.playlist)).await, 0, "the tenant keeps none");
    assert_eq!(life("stagedoor://accounts").await, 0, "never from a cache");
    let wish = json!({ "preferences": { "cache_preferences": { "cache_duration": 50 } } });
    client.call("preferences_set", wish).await;
    gateway.settle().await;
    let wished = life(&uri).await;
    assert!(wished <= 50_000, "{wished}");
}
