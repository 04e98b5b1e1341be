//! Refused calls are on record: added up over replicas, shown to who was refused, and kept while the database is away.

use serde_json::{Value, json};
use stagedoor_domain::policy::{PenaltyStep, Quota};
use stagedoor_domain::{LimitClass, TenantSettings};
use stagedoor_testkit::{Client, KeySpec, Stage, TestGateway, generous};

use crate::limits_hot_reload::until;
use crate::music;

fn searches(capacity: u32) -> TenantSettings {
    let mut settings = generous();
    settings.limits.insert(LimitClass::Search, vec![Quota::per_hour(capacity)]);
    settings
}

async fn search(client: &Client) -> String {
    client.tool("search", json!({ "query": "a", "provider": "spotify" })).await.verdict()
}

fn is_empty(usage: &Value) -> bool {
    usage["refused"].as_array().unwrap().is_empty()
}

async fn flush(gateway: &TestGateway) {
    until("the store takes them", async || gateway.state().violations.flush().await.is_ok()).await;
}

async fn recorded(stage: &Stage) -> String {
    let rows = "SELECT limit_name, sum(attempted_calls), max(penalty_seconds) FROM limit_violations
        GROUP BY limit_name ORDER BY limit_name";
    stage.sql(rows).await
}

#[tokio::test]
async fn what_replicas_refuse_adds_up_and_is_told() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", searches(1)).await;
    let bob = stage.inhabit("bob").await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    assert_eq!(search(&clients[0]).await, "200 ok");
    for client in &clients {
        for _ in 0..2 {
            assert_eq!(search(client).await, "200 rate_limited");
        }
    }
    for gateway in &gateways {
        flush(gateway).await;
    }
    assert_eq!(recorded(&stage).await, "search-3600|4|0");
    let usage = clients[0].call("usage_status", json!({})).await;
    let [own] = &usage["refused"].as_array().unwrap()[..] else { panic!("{usage}") };
    assert_eq!((&own["limit"], &own["calls"]), (&json!("search-3600"), &json!(4)), "{usage}");
    let other = music::client(&gateways[0], &bob).call("usage_status", json!({})).await;
    assert!(is_empty(&other), "another tenant's: {other}");
    let own = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let own = gateways[0].client("ada", &own).call("usage_status", json!({})).await;
    assert!(is_empty(&own), "another key's: {own}");
    let counts: u64 = gateways.iter().map(|gateway| gateway.state().violations.counts().recorded).sum();
    assert_eq!(counts, 4);
}

#[tokio::test]
async fn penalties_are_on_record_with_their_length() {
    let stage = Stage::start().await;
    let mut settings = searches(1);
    settings.penalties = Some(vec![PenaltyStep { refusals: 3, within_seconds: 600, block_seconds: 60 }]);
    let ada = stage.inhabit_with("ada", settings).await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(search(&client).await, "200 ok");
    for _ in 0..3 {
        assert_eq!(search(&client).await, "200 rate_limited");
    }
    // Shut out from everything now.
    assert_eq!(client.tool("accounts_list", json!({})).await.verdict(), "200 rate_limited");
    flush(&gateway).await;
    assert_eq!(recorded(&stage).await, "penalty|1|60\nsearch-3600|3|60");
}

#[tokio::test]
async fn what_is_refused_while_the_database_is_away_is_recorded_afterwards() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", searches(1)).await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(search(&client).await, "200 ok");
    stage.postgres().kill().await;
    for _ in 0..5 {
        assert_eq!(search(&client).await, "200 rate_limited");
    }
    assert!(gateway.state().violations.flush().await.is_err(), "there is nowhere to write them");
    stage.postgres().restart().await.unwrap();
    flush(&gateway).await;
    assert_eq!(recorded(&stage).await, "search-3600|5|0");
    assert_eq!(gateway.metric("limit_violations_lost").await, 0);
}

#[tokio::test]
async fn the_last_ones_are_written_at_the_end() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", searches(1)).await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(search(&client).await, "200 ok");
    assert_eq!(search(&client).await, "200 rate_limited");
    gateway.stop().await;
    assert_eq!(recorded(&stage).await, "search-3600|1|0");
}
