//! A tenant's settings and status change while keys are remembered: every replica follows, long before it forgets a
//! key, and none needs the database for it to go on.

use std::time::Duration;

use serde_json::json;
use stagedoor_testkit::{Answer, Client, Inhabited, Stage, TestGateway};

use crate::music;

/// Far less than the 30 s for which a key is remembered, far more than the second that is promised: what is asserted is
/// that nobody waits for the former.
const PATIENCE: Duration = Duration::from_secs(15);

/// Repeats `attempt` until it succeeds.
pub(crate) async fn until(what: &str, mut attempt: impl AsyncFnMut() -> bool) {
    let trying = async {
        while !attempt().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, trying).await.is_ok(), "{what}: not within {PATIENCE:?}");
}

async fn set(stage: &Stage, who: &Inhabited<'_>, settings: &serde_json::Value) {
    let id = who.tenant.id();
    stage
        .sql(&format!("UPDATE tenants SET settings = settings || '{settings}' WHERE tenant_id = '{id}'"))
        .await;
}

/// What the headers say of the class `api`.
async fn policy(client: &Client) -> String {
    let answer = client.rpc("tools/list", json!({})).await;
    answer.header("ratelimit-policy").map(str::to_owned).unwrap_or_default()
}

async fn listed(client: &Client) -> Answer {
    client.rpc("tools/list", json!({})).await
}

#[tokio::test]
async fn a_quota_that_changed_holds_on_every_replica() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    for lease_tokens in [0, 100] {
        let change = |config: &mut stagedoor_bootstrap::config::Config| {
            config.rate_limiting.lease_tokens = lease_tokens;
        };
        let gateways =
            [TestGateway::start_with(&stage, change).await, TestGateway::start_with(&stage, change).await];
        let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
        for client in &clients {
            assert!(policy(client).await.contains("\"api-60\";q=60000;w=60"));
        }
        set(&stage, &ada, &json!({ "limits": { "api": [{ "capacity": 7, "window_seconds": 3600 }] } })).await;
        for client in &clients {
            until("the lower quota", async || policy(client).await.contains("\"api-3600\";q=7;w=3600")).await;
            until("its end", async || listed(client).await.verdict() == "429 rate_limited").await;
        }
        let other = music::client(&gateways[0], &bob);
        assert!(policy(&other).await.contains("\"api-60\";q=60000;w=60"), "another tenant's is as it was");
        set(&stage, &ada, &json!({ "limits": { "api": [{ "capacity": 60000, "window_seconds": 60 }] } }))
            .await;
        for client in &clients {
            until("the higher quota", async || listed(client).await.verdict() == "200 ok").await;
        }
        for gateway in &gateways {
            assert!(gateway.metric("tenant_changes").await >= 2);
        }
    }
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_and_let_in_again() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    for client in &clients {
        assert_eq!(listed(client).await.verdict(), "200 ok");
    }
    ada.tenant.suspend().await;
    for client in &clients {
        until("suspended", async || listed(client).await.verdict() == "401 unauthenticated").await;
    }
    stage.sql("UPDATE tenants SET status = 'active'").await;
    for client in &clients {
        until("lifted", async || listed(client).await.verdict() == "200 ok").await;
    }
}

#[tokio::test]
async fn without_the_database_what_is_known_stays_in_force() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(listed(&client).await.verdict(), "200 ok");
    set(&stage, &ada, &json!({ "limits": { "api": [{ "capacity": 50000, "window_seconds": 60 }] } })).await;
    until("the first change", async || policy(&client).await.contains("q=50000")).await;

    stage.postgres().kill().await;
    let failures = async || gateway.metric("tenant_watch_failures").await;
    until("questions without an answer", async || failures().await >= 2).await;
    assert!(policy(&client).await.contains("q=50000"), "the change that was seen holds on");

    stage.postgres().restart().await.unwrap();
    set(&stage, &ada, &json!({ "limits": { "api": [{ "capacity": 40000, "window_seconds": 60 }] } })).await;
    until("the change after it", async || policy(&client).await.contains("q=40000")).await;
    assert_eq!(gateway.metric("task_panics").await, 0);
}

#[tokio::test]
async fn settings_that_make_no_sense_change_nothing() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", stagedoor_domain::TenantSettings::default()).await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    let before = policy(&client).await;
    set(&stage, &ada, &json!({ "limits": 7 })).await;
    until("it was seen", async || gateway.metric("tenant_changes").await == 1).await;
    assert_eq!(policy(&client).await, before);
    let sensible = json!({ "limits": { "api": [{ "capacity": 9, "window_seconds": 60 }] } });
    set(&stage, &ada, &sensible).await;
    until("the next change", async || policy(&client).await.contains("\"api-60\";q=9;w=60")).await;
}
