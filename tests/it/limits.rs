//! Quotas as agents meet them: readable refusals, headers, one quota for all replicas, and Redis going away.

use std::collections::BTreeMap;

use serde_json::json;
use stagedoor_domain::policy::Quota;
use stagedoor_domain::{LimitClass, TenantSettings};
use stagedoor_testkit::{Answer, FaultProxy, Stage, TestGateway, Weather, generous};

use crate::music;

fn limited(class: LimitClass, quota: Quota) -> TenantSettings {
    let mut settings = generous();
    settings.limits.insert(class, vec![quota]);
    settings
}

fn search(number: usize) -> serde_json::Value {
    json!({ "query": format!("a {}", number % 3), "provider": "spotify" })
}

#[tokio::test]
async fn a_refusal_says_what_when_and_what_else() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.rate_limiting.lease_tokens = 0).await;
    let ada = stage.inhabit_with("ada", limited(LimitClass::Search, Quota::per_hour(3))).await;
    let client = music::client(&gateway, &ada);
    for left in [2, 1, 0] {
        let answer = client.tool("search", search(0)).await;
        assert_eq!(answer.verdict(), "200 ok");
        let limit = answer.header("ratelimit").unwrap();
        assert!(limit.starts_with(&format!("\"search-3600\";r={left};t=")), "{limit}");
        let policy = answer.header("ratelimit-policy").unwrap();
        assert!(
            policy.contains("\"search-3600\";q=3;w=3600") && policy.contains("\"api-60\";q=60000;w=60"),
            "{policy}"
        );
        assert!(answer.header("retry-after").is_none());
    }
    stage.sandbox().reset_requests();
    let refused = client.tool("search", search(1)).await;
    assert_eq!(
        (refused.verdict().as_str(), &refused.result()["isError"]),
        ("200 rate_limited", &json!(true))
    );
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1_200).contains(&wait), "{wait}");
    assert!(refused.header("ratelimit").unwrap().contains("r=0"));
    let meta = &refused.result()["_meta"]["dev.stagedoor/error"];
    assert_eq!(meta["retry_after_seconds"], wait, "{meta}");
    assert!(meta["hint"].as_str().unwrap().contains("track_get"), "{meta}");
    assert!(stage.sandbox().request_log().is_empty(), "a refused call went out");
    // Other classes go on, and the quota belongs to the key.
    let usage = client.call("usage_status", json!({})).await;
    let of_search =
        usage["limits"].as_array().unwrap().iter().find(|limit| limit["class"] == "search").unwrap();
    assert_eq!((&of_search["capacity"], &of_search["remaining"]), (&json!(3), &json!(0)), "{usage}");
    let other = ada.tenant.key(&stagedoor_testkit::KeySpec::for_user(ada.user)).await;
    assert_eq!(gateway.client("ada", &other).tool("search", search(0)).await.verdict(), "200 ok");
}

#[tokio::test]
async fn requests_that_are_no_calls_are_refused_by_http() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.rate_limiting.lease_tokens = 0).await;
    let ada = stage.inhabit_with("ada", limited(LimitClass::Api, Quota::per_hour(2))).await;
    let client = music::client(&gateway, &ada);
    for _ in 0..2 {
        assert_eq!(client.rpc("tools/list", json!({})).await.verdict(), "200 ok");
    }
    let refused = client.rpc("tools/list", json!({})).await;
    assert_eq!(refused.verdict(), "429 rate_limited");
    assert!(refused.header("retry-after").is_some() && refused.header("ratelimit").is_some());
    assert_eq!(client.tool("usage_status", json!({})).await.verdict(), "200 rate_limited");
}

#[tokio::test]
async fn strangers_are_slowed_down_by_network() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.rate_limiting.per_ip_per_second = 1;
        config.rate_limiting.per_ip_burst = 5;
    })
    .await;
    let ada = stage.inhabit("ada").await;
    let from = |address: &str| music::client(&gateway, &ada).from_address(address);
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    let hasty = from("198.51.100.1");
    let calls = futures_util::future::join_all((0..40).map(|_| hasty.rpc("tools/list", json!({})))).await;
    for answer in &calls {
        *verdicts.entry(answer.verdict()).or_default() += 1;
        if answer.status == 429 {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert!(verdicts["200 ok"] >= 5 && verdicts["429 rate_limited"] >= 1, "{verdicts:?}");
    assert_eq!(from("198.51.100.2").rpc("tools/list", json!({})).await.verdict(), "200 ok");
}

fn admitted(answers: &[Answer]) -> usize {
    let outcome = |answer: &Answer| match answer.verdict().as_str() {
        "200 ok" => true,
        "200 rate_limited" => false,
        other => panic!("{other}: {}", answer.text()),
    };
    answers.iter().filter(|answer| outcome(answer)).count()
}

#[tokio::test]
async fn two_replicas_share_one_quota() {
    let stage = Stage::start().await;
    // Refilled once in two minutes: far longer than this test.
    let ada = stage.inhabit_with("ada", limited(LimitClass::Search, Quota::per_hour(30))).await;
    let bob = stage.inhabit_with("bob", limited(LimitClass::Search, Quota::per_hour(30))).await;
    for (lease_tokens, who) in [(0, &ada), (10, &bob)] {
        let change = |config: &mut stagedoor_bootstrap::config::Config| {
            config.rate_limiting.lease_tokens = lease_tokens;
        };
        let gateways =
            [TestGateway::start_with(&stage, change).await, TestGateway::start_with(&stage, change).await];
        let clients = gateways.each_ref().map(|gateway| music::client(gateway, who));
        for client in &clients {
            client.call("usage_status", json!({})).await;
        }
        let calls = (0..100).map(|number| clients[number % 2].tool("search", search(number)));
        let answers = futures_util::future::join_all(calls).await;
        let admitted = admitted(&answers);
        // A lease can only admit less: what it took ahead and nobody spent is lost.
        let exact = if lease_tokens == 0 { 30..=30 } else { 24..=30 };
        assert!(exact.contains(&admitted), "{admitted} of 30 with leases of {lease_tokens}");
    }
}

#[tokio::test]
async fn without_redis_the_quota_is_kept_here() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", limited(LimitClass::Search, Quota::per_hour(30))).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.cache.command_timeout_ms = 50;
        config.rate_limiting.command_timeout_ms = 50;
        config.rate_limiting.lease_tokens = 0;
    })
    .await;
    let client = music::client(&gateway, &ada);
    let mut total = 0;
    for number in 0..10 {
        total += admitted(&[client.tool("search", search(number)).await]);
    }
    stage.redis().kill().await;
    for number in 0..80 {
        total += admitted(&[client.tool("search", search(number)).await]);
    }
    assert!((30..=60).contains(&total), "{total} admitted; at most twice the quota over an outage");
    assert!(gateway.metric("limiter_degraded").await > 0);
}

#[tokio::test]
async fn a_slow_or_broken_way_to_redis_fails_no_call() {
    let stage = Stage::start().await;
    let proxy = FaultProxy::to(([127, 0, 0, 1], stage.redis().port()).into()).await;
    let url = format!("redis://{}/", proxy.address());
    let gateway = TestGateway::start_with(&stage, |config| {
        config.cache.redis_url = Some(url.as_str().into());
        config.rate_limiting.redis_url = Some(url.as_str().into());
        config.cache.command_timeout_ms = 50;
        config.rate_limiting.command_timeout_ms = 50;
    })
    .await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for weather in [
        Weather::Fair,
        Weather::Slow(std::time::Duration::from_millis(500)),
        Weather::Silent,
        Weather::Broken,
        Weather::Fair,
    ] {
        proxy.set(weather);
        for number in 0..6 {
            client.call("search", search(number)).await;
            let name = format!("{weather:?} {number}");
            client.call("playlist_create", json!({ "name": name, "provider": "spotify" })).await;
            let listed = client.call("playlists_list", json!({ "provider": "spotify", "limit": 50 })).await;
            assert!(
                listed.to_string().contains(&name),
                "{weather:?}: a write was not seen by its own reader"
            );
        }
    }
    assert!(gateway.metric("limiter_degraded").await > 0, "the faults were not felt");
}
