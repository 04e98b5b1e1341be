//! Music services that fail: what the agent is told, and that the next call finds the gateway well.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, RefreshRotation};
use stagedoor_testkit::{FaultProxy, Stage, StageOptions, TestGateway, Weather};

use crate::music;

#[tokio::test]
async fn every_way_to_fail_has_its_code() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.providers.request_timeout_ms = 500;
        config.providers.body_limit_bytes = 256 * 1024;
    })
    .await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let mut tracks = music::known_tracks(&stage, *provider).into_iter();
        let mut next = || json!({ "ref": format!("{provider}:track:{}", tracks.next().unwrap().id) });
        client.call("track_get", next()).await;
        for (effect, code) in [
            (Effect::status(500), "provider_unavailable"),
            (Effect::status(503), "provider_unavailable"),
            (Effect::status(404), "item_not_found"),
            (Effect::Garbage, "provider_invalid_answer"),
            (Effect::WrongShape, "provider_invalid_answer"),
            (Effect::HugeBody { bytes: 50_000_000 }, "provider_invalid_answer"),
            (Effect::Hang, "provider_unavailable"),
            (Effect::delay(Duration::from_secs(5)), "provider_unavailable"),
            (Effect::CloseConnection, "provider_unavailable"),
        ] {
            stage.sandbox().faults().push(FaultRule::new(*provider, effect.clone()));
            let answer = client.tool("track_get", next()).await;
            assert_eq!(answer.status, 200, "{effect:?}");
            let told = answer.code().unwrap();
            let timed_out =
                told == "deadline_exceeded" && matches!(effect, Effect::Hang | Effect::Delay { .. });
            assert!(told == code || timed_out, "{provider} {effect:?}: {}", answer.text());
            let text = answer.result()["content"][0]["text"].as_str().unwrap().to_owned();
            assert!(text.contains(provider.title()) || told == "deadline_exceeded", "{text}");
            stage.sandbox().faults().clear();
            client.call("track_get", next()).await;
        }
    }
}

#[tokio::test]
async fn a_provider_that_asks_to_wait_is_not_asked_again() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let known = music::known_tracks(&stage, Provider::Spotify);
    let track = |at: usize| json!({ "ref": format!("spotify:track:{}", known[at].id) });
    client.call("track_get", track(0)).await;
    stage.sandbox().faults().push(FaultRule::new(Provider::Spotify, Effect::rate_limited(80_000)).times(1));
    let limited = client.tool("track_get", track(1)).await;
    assert_eq!(limited.verdict(), "200 provider_rate_limited");
    stage.sandbox().reset_requests();
    let again = client.tool("track_get", track(2)).await;
    assert_eq!(again.verdict(), "200 provider_rate_limited");
    let wait = &again.result()["_meta"]["dev.stagedoor/error"]["retry_after_seconds"];
    assert!((79_000..=80_000).contains(&wait.as_u64().unwrap()), "{wait}");
    assert!(stage.sandbox().requests(Provider::Spotify).is_empty(), "it was asked all the same");
    // What is known already, and the other provider, are not affected.
    client.call("track_get", track(0)).await;
    client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
}

#[tokio::test]
async fn an_expired_token_is_refreshed_unseen() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let list = json!({ "provider": provider });
        client.call("playlists_list", list.clone()).await;
        client.call("search", json!({ "query": "a", "provider": provider })).await;
        for round in 0..3 {
            stage.sandbox().expire_access_tokens(*provider);
            let name = format!("After expiry {round}");
            client.call("playlist_create", json!({ "name": name, "provider": provider })).await;
            client.call("search", json!({ "query": name, "provider": provider })).await;
        }
        let listed = client.call("playlists_list", list).await;
        assert_eq!(listed["playlists"].as_array().unwrap().len(), 3, "{listed}");
    }
}

#[tokio::test]
async fn one_grant_is_refreshed_once_by_many_calls_of_two_replicas() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    for client in &clients {
        client.call("playlists_list", json!({ "provider": "spotify" })).await;
    }
    stage.sandbox().expire_access_tokens(Provider::Spotify);
    let calls = (0..8).map(|number| {
        let arguments = json!({ "name": format!("n{number}"), "provider": "spotify" });
        clients[number % 2].tool("playlist_create", arguments)
    });
    let answers = futures_util::future::join_all(calls).await;
    let verdicts: Vec<String> = answers.iter().map(stagedoor_testkit::Answer::verdict).collect();
    assert!(verdicts.iter().all(|verdict| verdict == "200 ok"), "the grant was lost: {verdicts:?}");
}

#[tokio::test]
async fn a_lost_answer_to_a_refresh_does_not_lose_the_grant() {
    let rotation = RefreshRotation::ReplaceWithGrace(Duration::from_mins(1));
    let stage = Stage::start_with(StageOptions { rotation, ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    client.call("playlists_list", json!({ "provider": "spotify" })).await;
    stage.sandbox().expire_access_tokens(Provider::Spotify);
    let rule =
        FaultRule::new(Provider::Spotify, Effect::CloseConnection).operation("POST /accounts/api/token");
    stage.sandbox().faults().push(rule.after_work());
    let lost = client.tool("playlist_create", json!({ "name": "Lost", "provider": "spotify" })).await;
    assert_eq!(lost.verdict(), "200 provider_unavailable");
    stage.sandbox().faults().clear();
    client.call("playlist_create", json!({ "name": "Made", "provider": "spotify" })).await;
}

#[tokio::test]
async fn a_revoked_grant_asks_for_linking_again_and_nothing_else() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    stage.sandbox().revoke(Provider::Tidal, &ada.account(Provider::Tidal).account);
    for _ in 0..2 {
        let answer = client.tool("playlists_list", json!({ "provider": "tidal" })).await;
        assert_eq!(answer.verdict(), "200 relink_needed");
        let text = answer.result()["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.contains("link") && text.contains("Tidal"), "{text}");
    }
    let accounts = client.call("accounts_list", json!({})).await;
    let status = |provider: &str| {
        let list = accounts["accounts"].as_array().unwrap();
        list.iter().find(|account| account["provider"] == provider).unwrap()["status"].clone()
    };
    assert_eq!((status("spotify"), status("tidal")), (json!("linked"), json!("relink_needed")));
    client.call("playlists_list", json!({ "provider": "spotify" })).await;
    client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
}

#[tokio::test]
async fn a_provider_out_of_reach_is_told_and_comes_back() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.providers.request_timeout_ms = 1_000).await;
    let proxy = FaultProxy::to(stage.sandbox_address()).await;
    let far = stage.tenant("far", stagedoor_testkit::generous()).await;
    let user = far.person("Robin").await;
    far.set_up_at(Provider::Tidal, &format!("http://{}", proxy.address())).await;
    far.link(user, Provider::Tidal).await;
    let key = far.key(&stagedoor_testkit::KeySpec::for_user(user)).await;
    let client = gateway.client("far", &key);
    let mut number = 0;
    let mut search = || {
        number += 1;
        json!({ "query": format!("a {number}") })
    };
    client.call("search", search()).await;
    for weather in [Weather::Broken, Weather::Silent] {
        proxy.set(weather);
        let answer = client.tool("search", search()).await;
        let code = answer.code().unwrap();
        assert!(
            ["provider_unavailable", "deadline_exceeded"].contains(&code.as_str()),
            "{weather:?}: {code}"
        );
        proxy.set(Weather::Broken);
        proxy.set(Weather::Fair);
        client.call("search", search()).await;
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_write_is_told_as_uncertain() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let rule = FaultRule::new(Provider::Spotify, Effect::CloseConnection).operation("POST /me/playlists");
    stage.sandbox().faults().push(rule.after_work());
    let answer = client.tool("playlist_create", json!({ "name": "Lost", "provider": "spotify" })).await;
    assert_eq!(answer.verdict(), "200 provider_unavailable");
    let text = answer.result()["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("may have been made"), "{text}");
    stage.sandbox().faults().clear();
    let listed = client.call("playlists_list", json!({ "provider": "spotify" })).await;
    assert_eq!(listed["playlists"].as_array().unwrap().len(), 1, "a write is not repeated blindly: {listed}");
}
