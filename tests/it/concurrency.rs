//! Requests under way are bounded for each tenant and for the replica, and whoever leaves gives its place back.

use std::time::Duration;

use serde_json::json;
use stagedoor_bootstrap::config::Config;
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

/// A gateway that waits for a music service as long as a test may take.
async fn patient(stage: &Stage, change: impl FnOnce(&mut Config)) -> TestGateway {
    TestGateway::start_with(stage, |config| {
        config.providers.request_timeout_ms = 300_000;
        config.server.request_deadline_ms = 300_000;
        change(config);
    })
    .await
}

/// Calls that stay under way until their tasks end: the music service does not answer. Every second one would be
/// answered as a stream.
#[derive(Default)]
struct Held(JoinSet<()>);

impl Held {
    async fn one_more(&mut self, stage: &Stage, gateway: &TestGateway, who: &Inhabited<'_>) {
        let (before, number) = (in_flight(gateway), self.0.len());
        if number == 0 {
            let silence = FaultRule::new(Provider::Spotify, Effect::delay(Duration::from_mins(10)));
            stage.sandbox().faults().push(silence);
        }
        let client = music::client(gateway, who);
        let arguments = json!({ "query": format!("a {number}"), "provider": "spotify" });
        let mut params = json!({ "name": "search", "arguments": arguments });
        if number % 2 == 1 {
            params["_meta"]["progressToken"] = json!(number);
        }
        self.0.spawn(async move {
            let answer = client.rpc("tools/call", params).await;
            panic!("it was not held: {}", answer.text());
        });
        until("one more under way", async || in_flight(gateway) == before + 1).await;
    }

    /// Their callers leave, without a word.
    async fn leave(mut self, gateway: &TestGateway) {
        self.0.shutdown().await;
        until("all left", async || in_flight(gateway) == 0).await;
    }
}

async fn tool(client: &Client) -> String {
    client.tool("accounts_list", json!({})).await.verdict()
}

#[tokio::test]
async fn one_call_too_many_is_told_so_and_costs_nothing() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit_with("ada", bounded(2)).await, stage.inhabit("bob").await);
    let gateway = patient(&stage, |config| config.rate_limiting.lease_tokens = 0).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(tool(&client).await, "200 ok");
    let mut held = Held::default();
    for _ in 0..2 {
        held.one_more(&stage, &gateway, &ada).await;
    }
    until("all counted", async || gateway.metric("limiter_redis").await == 3).await;
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
    assert_eq!(gateway.metric("limiter_redis").await, 3, "it was counted on a quota all the same");
    assert_eq!(tool(&music::client(&gateway, &bob)).await, "200 ok", "another tenant has its own places");
    assert_eq!(gateway.metrics().await.sum("requests_overloaded", &[("scope", "tenant")]), 2);

    held.leave(&gateway).await;
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
async fn a_full_replica_sheds_load_and_recovers() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let gateway = patient(&stage, |config| config.server.max_in_flight = 4).await;
    let client = music::client(&gateway, &bob);
    assert_eq!(tool(&client).await, "200 ok");
    let mut held = Held::default();
    for _ in 0..4 {
        held.one_more(&stage, &gateway, &ada).await;
    }
    assert!(gateway.state().concurrency.is_busy());
    let refused = client.tool("accounts_list", json!({})).await;
    assert_eq!((refused.verdict().as_str(), refused.header("retry-after")), ("200 overloaded", Some("1")));
    let meta = &refused.result()["_meta"]["dev.stagedoor/error"];
    assert!(meta["limit"].is_null() && meta["hint"].is_string(), "it is no limit of the tenant's: {meta}");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.sum("requests_overloaded", &[("scope", "replica")]), 1);
    assert_eq!(metrics.sum("requests_in_flight", &[]), 4);
    held.leave(&gateway).await;
    assert_eq!(tool(&client).await, "200 ok");
}

#[tokio::test]
async fn the_share_of_a_tenant_is_the_installations() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", TenantSettings { concurrent_calls: None, ..generous() }).await;
    let gateway = patient(&stage, |config| {
        config.server.max_in_flight = 8;
        config.server.tenant_share_percent = 25;
    })
    .await;
    let client = music::client(&gateway, &ada);
    let mut held = Held::default();
    held.one_more(&stage, &gateway, &ada).await;
    assert_eq!(tool(&client).await, "200 ok");
    held.one_more(&stage, &gateway, &ada).await;
    assert_eq!(tool(&client).await, "200 overloaded");
    // Its own bound goes first, at once.
    let more = format!(
        "UPDATE tenants SET settings = settings || '{{\"concurrent_calls\":3}}' WHERE tenant_id = '{}'",
        ada.tenant.id()
    );
    stage.sql(&more).await;
    until("its own bound", async || tool(&client).await == "200 ok").await;
    held.leave(&gateway).await;
}
