//! Servers that go away under a running gateway, and what SECURITY §9 promises then.

use std::time::Duration;

use serde_json::json;
use stagedoor_testkit::{FaultProxy, KeySpec, Stage, StageOptions, TestGateway, Weather};

use crate::music;

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn readiness(gateway: &TestGateway) -> u16 {
    let url = format!("http://{}/readyz", gateway.ops_address());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn without_the_database_known_keys_and_answers_go_on() {
    let stage = Stage::start().await;
    let postgres = FaultProxy::to(([127, 0, 0, 1], stage.postgres().port()).into()).await;
    let ada = stage.inhabit("ada").await;
    let unseen = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let search = json!({ "query": "a", "provider": "tidal" });
    for weather in [Weather::Broken, Weather::Silent, Weather::Slow(Duration::from_secs(2))] {
        // What it knows it knows for half a minute, so each outage has a gateway of its own.
        let gateway = TestGateway::start_with(&stage, |config| {
            config.storage.database_url = stage.database_url_at(postgres.address()).into();
            config.storage.acquire_timeout_ms = 1_000;
        })
        .await;
        let client = music::client(&gateway, &ada);
        until(async || readiness(&gateway).await == 200).await;
        until(async || client.tool("search", search.clone()).await.code().is_none()).await;

        postgres.set(weather);
        client.call("search", search.clone()).await;
        // A key that has to be looked up cannot be.
        let stranger = gateway.client("ada", &unseen).tool("usage_status", json!({})).await;
        assert_eq!(stranger.verdict(), "503 store_unavailable", "{weather:?}");
        assert!(stranger.header("retry-after").is_some());
        // What needs the database says so, as a call's answer.
        let accounts = client.tool("accounts_list", json!({})).await;
        assert_eq!(accounts.code().as_deref(), Some("store_unavailable"), "{weather:?}: {}", accounts.text());
        until(async || readiness(&gateway).await == 503).await;

        postgres.set(Weather::Broken);
        postgres.set(Weather::Fair);
        until(async || readiness(&gateway).await == 200).await;
        until(async || client.tool("accounts_list", json!({})).await.code().is_none()).await;
        let key = gateway.client("ada", &unseen);
        until(async || key.tool("usage_status", json!({})).await.code().is_none()).await;
    }
}

#[tokio::test]
async fn a_killed_database_comes_back_by_itself() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.storage.acquire_timeout_ms = 1_000).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    client.call("playlist_create", json!({ "name": "Before", "provider": "tidal" })).await;
    stage.postgres().kill().await;
    let refused = client.tool("playlist_create", json!({ "name": "During", "provider": "tidal" })).await;
    assert_eq!(refused.code().as_deref(), Some("audit_unavailable"), "{}", refused.text());
    stage.postgres().restart().await.unwrap();
    let after = json!({ "name": "After", "provider": "tidal" });
    until(async || client.tool("playlist_create", after.clone()).await.code().is_none()).await;
    let listed = client.call("playlists_list", json!({ "provider": "tidal" })).await.to_string();
    assert!(listed.contains("Before") && listed.contains("After") && !listed.contains("During"), "{listed}");
    gateway.flush_audit().await;
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
}

#[tokio::test]
async fn a_frozen_and_a_restarted_redis_fail_no_call() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.cache.command_timeout_ms = 50;
        config.rate_limiting.command_timeout_ms = 50;
    })
    .await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let clients = [music::client(&gateway, &ada), music::client(&gateway, &bob)];
    let round = async |name: &str| {
        for (client, who) in clients.iter().zip(["ada", "bob"]) {
            let name = format!("{name} of {who}");
            client.call("playlist_create", json!({ "name": name, "provider": "spotify" })).await;
            let listed = client.call("playlists_list", json!({ "provider": "spotify" })).await;
            let names: Vec<_> =
                listed["playlists"].as_array().unwrap().iter().map(|item| item["name"].to_string()).collect();
            assert!(
                names.iter().all(|name| name.contains(who))
                    && names.iter().any(|found| found.contains(&name)),
                "{names:?}"
            );
        }
    };
    round("fair").await;
    stage.redis().pause();
    for number in 0..3 {
        round(&format!("frozen {number}")).await;
    }
    stage.redis().resume();
    round("thawed").await;
    stage.redis().kill().await;
    round("killed").await;
    stage.redis().restart().await.unwrap();
    for number in 0..3 {
        round(&format!("empty {number}")).await;
    }
}

#[tokio::test]
async fn one_replica_needs_no_redis_at_all() {
    let stage = Stage::start_with(StageOptions { redis: false, ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for number in 0..5 {
        let name = format!("n{number}");
        client.call("playlist_create", json!({ "name": name, "provider": "spotify" })).await;
        let listed = client.call("playlists_list", json!({ "provider": "spotify" })).await;
        assert_eq!(listed["playlists"].as_array().unwrap().len(), number + 1);
    }
    let again = client.tool("playlists_list", json!({ "provider": "spotify" })).await;
    assert!(again.header("ratelimit").is_some());
    assert!(gateway.metrics().await.sum("cache_calls", &[("outcome", "hit_l1")]) > 0);
}

#[tokio::test]
async fn a_gateway_refuses_to_start_as_a_role_that_sees_too_much() {
    let stage = Stage::start().await;
    for role in ["postgres", "stagedoor_backup"] {
        let mut config = stage.config();
        config.storage.database_url = stage.postgres().url_for("stagedoor", role).into();
        let refused = TestGateway::try_start(&stage, &config).await.unwrap_err();
        assert!(format!("{refused:#}").contains("refusing to run as database role"), "{refused:#}");
    }
    let mut config = stage.config();
    config.encryption.key_file = Some(stage.folder().join("absent"));
    let refused = TestGateway::try_start(&stage, &config).await.unwrap_err();
    assert!(format!("{refused:#}").contains("encryption.key_file"), "{refused:#}");
}
