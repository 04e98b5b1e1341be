//! Requests under way are bounded for each tenant and for the replica; streams count, and whoever leaves gives its
//! place back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stagedoor_domain::{Provider, TenantSettings};
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Client, Inhabited, Stage, TestGateway, generous};
use tokio::task::JoinSet;

use crate::limits_hot_reload::until;
use crate::music;

fn bounded(concurrent_calls: u32) -> TenantSettings {
    TenantSettings { concurrent_calls: Some(concurrent_calls), ..generous() }
}

fn in_flight(gateway: &TestGateway) -> u32 {
    gateway.state().concurrency.counts().in_flight
}

/// A stream that stays open until its task ends.
async fn listen(gateway: &TestGateway, who: &Inhabited<'_>, streams: &mut JoinSet<()>) {
    let before = in_flight(gateway);
    let client = Arc::new(music::client(gateway, who));
    streams.spawn(async move {
        let params = json!({ "notifications": {} });
        client.rpc("subscriptions/listen", params).await;
    });
    until("an open stream", async || in_flight(gateway) == before + 1).await;
}

async fn tool(client: &Client) -> String {
    client.tool("accounts_list", json!({})).await.verdict()
}

#[tokio::test]
async fn one_call_too_many_is_told_so_and_costs_nothing() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit_with("ada", bounded(2)).await, stage.inhabit("bob").await);
    let gateway = TestGateway::start_with(&stage, |config| config.rate_limiting.lease_tokens = 0).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(tool(&client).await, "200 ok");
    let mut streams = JoinSet::new();
    for _ in 0..2 {
        listen(&gateway, &ada, &mut streams).await;
    }
    let spent = gateway.metric("limiter_redis").await;
    let refused = client.tool("accounts_list", json!({})).await;
    assert_eq!((refused.verdict().as_str(), refused.header("retry-after")), ("200 overloaded", Some("1")));
    let meta = &refused.result()["_meta"]["dev.stagedoor/error"];
    assert_eq!(
        (&meta["limit"]["name"], &meta["limit"]["scope"], &meta["limit"]["capacity"]),
        (&json!("concurrent-calls"), &json!("tenant"), &json!(2)),
        "{meta}"
    );
    assert_eq!(meta["retry_after_seconds"], 1);
    let refused = client.rpc("tools/list", json!({})).await;
    assert_eq!((refused.verdict().as_str(), refused.header("retry-after")), ("503 overloaded", Some("1")));
    assert_eq!(gateway.metric("limiter_redis").await, spent, "it was counted on a quota all the same");
    assert_eq!(tool(&music::client(&gateway, &bob)).await, "200 ok", "another tenant has its own places");
    assert_eq!(gateway.metrics().await.sum("requests_overloaded", &[("scope", "tenant")]), 2);

    // Whoever leaves gives the place back, without a word.
    streams.shutdown().await;
    until("both left", async || in_flight(&gateway) == 0).await;
    assert_eq!(tool(&client).await, "200 ok");
    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await;
    let told = |record: &&stagedoor_audit::AuditView| {
        record.json().is_some_and(|payload| payload.to_string().contains("\"overloaded\""))
    };
    let refusals = trail.iter().filter(told);
    assert_eq!(refusals.count(), 2, "each is on record");
}

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_gives_its_place_back() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", bounded(1)).await;
    let gateway = TestGateway::start(&stage).await;
    let client = Arc::new(music::client(&gateway, &ada));
    let slow = FaultRule::new(Provider::Spotify, Effect::delay(Duration::from_secs(20)));
    let slow = stage.sandbox().faults().push(slow);
    let mut callers = JoinSet::new();
    let caller = Arc::clone(&client);
    callers.spawn(async move {
        caller.tool("search", json!({ "query": "a", "provider": "spotify" })).await;
    });
    until("a call under way", async || in_flight(&gateway) == 1).await;
    assert_eq!(tool(&client).await, "200 overloaded");
    callers.shutdown().await;
    until("it left", async || in_flight(&gateway) == 0).await;
    assert_eq!(tool(&client).await, "200 ok");
    stage.sandbox().faults().remove(slow);
}

#[tokio::test]
async fn a_full_replica_sheds_load_and_recovers() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let gateway = TestGateway::start_with(&stage, |config| config.server.max_in_flight = 4).await;
    let client = music::client(&gateway, &bob);
    assert_eq!(tool(&client).await, "200 ok");
    let mut streams = JoinSet::new();
    for _ in 0..4 {
        listen(&gateway, &ada, &mut streams).await;
    }
    assert!(gateway.state().concurrency.is_busy());
    let refused = client.tool("accounts_list", json!({})).await;
    assert_eq!((refused.verdict().as_str(), refused.header("retry-after")), ("200 overloaded", Some("1")));
    let meta = &refused.result()["_meta"]["dev.stagedoor/error"];
    assert!(meta["limit"].is_null() && meta["hint"].is_string(), "it is no limit of the tenant's: {meta}");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("requests_overloaded", &[("scope", "replica")]), 1);
    assert_eq!(metrics.sum("requests_in_flight", &[]), 4);
    streams.shutdown().await;
    until("all left", async || in_flight(&gateway) == 0).await;
    assert_eq!(tool(&client).await, "200 ok");
}

#[tokio::test]
async fn the_share_of_a_tenant_is_the_installations() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", TenantSettings { concurrent_calls: None, ..generous() }).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.server.max_in_flight = 8;
        config.server.tenant_share_percent = 25;
    })
    .await;
    let client = music::client(&gateway, &ada);
    let mut streams = JoinSet::new();
    listen(&gateway, &ada, &mut streams).await;
    assert_eq!(tool(&client).await, "200 ok");
    listen(&gateway, &ada, &mut streams).await;
    assert_eq!(tool(&client).await, "200 overloaded");
    // Its own bound goes first, at once.
    let more = format!(
        "UPDATE tenants SET settings = settings || '{{\"concurrent_calls\":3}}' WHERE tenant_id = '{}'",
        ada.tenant.id()
    );
    stage.sql(&more).await;
    until("its own bound", async || tool(&client).await == "200 ok").await;
    streams.shutdown().await;
}
