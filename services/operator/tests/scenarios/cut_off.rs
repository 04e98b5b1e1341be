//! What is not in a status: an end before the first one, Secrets that are refused, and Secrets that someone else wrote.

use http::Method;
use serde_json::{Value, json};
use stagedoor_operator::resources::{AgentKey, ConditionType, Tenant, condition};
use stagedoor_proto::admin::v1::{KeyState, TenantState};

use crate::stage::{Stage, until};

fn key() -> Value {
    json!({"tenantRef": {"name": "acme"}, "scopes": ["all"]})
}

async fn key_id(stage: &Stage, name: &str) -> String {
    stage.secret_text(name, "keyId").await.unwrap()
}

#[tokio::test]
async fn a_tenant_that_was_made_before_the_first_status_is_erased_with_its_object() {
    let stage = Stage::alone("cut-tenant").await;
    stage.installation().seen().away = true;
    let running = stage.operator("one");
    stage.make::<Tenant>("acme", json!({"deletionPolicy": "Delete"})).await;
    stage.make::<Tenant>("never", json!({"deletionPolicy": "Delete"})).await;
    stage.ready::<Tenant>("acme", "AdminApiUnavailable").await;
    stage.ready::<Tenant>("never", "AdminApiUnavailable").await;
    // Nobody is about to make a tenant for what is deleted now.
    running.kill().await;
    stage.delete::<Tenant>("never").await;
    stage.cluster.state().refused = vec![(Method::PATCH, "/tenants/acme/status", 503)];
    stage.installation().seen().away = false;
    let running = stage.operator("two");
    until("the tenant is made", async || stage.installation().seen().tenants.get("acme").map(drop)).await;
    running.kill().await;
    stage.cluster.state().refused.clear();
    stage.delete::<Tenant>("acme").await;
    let status = stage.api::<Tenant>().get("acme").await.unwrap().status.unwrap();
    assert_eq!(status.tenant_id, None);
    let running = stage.operator("three");
    until("it is being erased", async || {
        (stage.installation().seen().tenants["acme"].state() == TenantState::Deleting).then_some(())
    })
    .await;
    stage.gone::<Tenant>("never").await;
    assert!(!stage.installation().seen().tenants.contains_key("never"), "none is made to be erased");
    running.end().await;
}

#[tokio::test]
async fn a_key_that_was_made_before_the_first_status_is_revoked_with_its_object() {
    let stage = Stage::alone("cut-key").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.cluster.state().refused = vec![(Method::POST, "/secrets", 503)];
    stage.make::<AgentKey>("desk", key()).await;
    stage.ready::<AgentKey>("desk", "KubernetesApiFailed").await;
    stage.cluster.state().refused = vec![(Method::PATCH, "/agentkeys/desk/status", 503)];
    until("the Secret is there", async || stage.secret_text("desk", "keyId").await).await;
    running.kill().await;
    stage.cluster.state().refused.clear();
    let status = stage.api::<AgentKey>().get("desk").await.unwrap().status.unwrap();
    assert_eq!((status.key_id, status.tenant.as_deref()), (None, Some("acme")));
    assert_eq!(stage.installation().seen().active().len(), 1);
    stage.delete::<AgentKey>("desk").await;
    let running = stage.operator("two");
    stage.gone::<AgentKey>("desk").await;
    assert!(stage.installation().seen().active().is_empty());
    running.end().await;
}

#[tokio::test]
async fn a_key_that_replaced_another_and_could_not_be_stored_is_revoked_with_its_object() {
    let stage = Stage::alone("cut-rotation").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    let mut spec = key();
    spec["rotation"] = json!({"every": "1h", "overlap": "10m"});
    stage.make::<AgentKey>("desk", spec).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    stage.cluster.state().dry_runs_pass = true;
    stage.cluster.state().refused = vec![(Method::PATCH, "/secrets", 503)];
    stage.clock.forward(chrono::TimeDelta::minutes(61));
    until("it is rotated", async || (stage.installation().seen().count("RotateAgentKey") > 0).then_some(()))
        .await;
    running.kill().await;
    assert_eq!(stage.installation().seen().active().len(), 2);
    stage.cluster.state().refused.clear();
    stage.delete::<AgentKey>("desk").await;
    let running = stage.operator("two");
    stage.gone::<AgentKey>("desk").await;
    assert!(stage.installation().seen().active().is_empty(), "also the one that no Secret held");
    running.end().await;
}

#[tokio::test]
async fn a_secret_names_no_key_of_another_object() {
    let stage = Stage::start("cut-named").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    for name in ["desk", "victim", "other"] {
        stage.make::<AgentKey>(name, key()).await;
        stage.ready::<AgentKey>(name, "Issued").await;
    }
    let (first, victim) = (key_id(&stage, "desk").await, key_id(&stage, "victim").await);
    stage.secret("desk", "keyId", &victim).await;
    let second = until("the Secret has a key of its own again", async || {
        Some(key_id(&stage, "desk").await).filter(|id| *id != victim && *id != first)
    })
    .await;
    let state = |id: &str| stage.installation().seen().keys[id].1.state();
    assert_eq!((state(&victim), state(&second)), (KeyState::Active, KeyState::Active));
    assert_eq!(stage.installation().seen().keys[&victim].1.replaced_by, "", "it was not rotated");

    until("the status is written", async || {
        let status = stage.api::<AgentKey>().get("desk").await.unwrap().status?;
        (status.key_id.as_deref() == Some(second.as_str())).then_some(())
    })
    .await;
    stage.secret("desk", "keyId", &victim).await;
    stage.delete::<AgentKey>("desk").await;
    stage.gone::<AgentKey>("desk").await;
    assert_eq!(
        (state(&victim), state(&first), state(&second)),
        (KeyState::Active, KeyState::Revoked, KeyState::Revoked)
    );
    running.end().await;
}

#[tokio::test]
async fn no_key_is_made_that_could_not_be_stored_and_after_many_refusals_there_is_one() {
    let stage = Stage::alone("cut-refused").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.cluster.state().refused = vec![(Method::POST, "/secrets", 403)];
    stage.make::<AgentKey>("desk", key()).await;
    let object = stage.ready::<AgentKey>("desk", "KubernetesApiFailed").await;
    let conditions = object.status.unwrap().conditions;
    let told = &condition(&conditions, ConditionType::Synced).unwrap().message;
    assert_eq!(told, "the API server of Kubernetes: refused for now (403)");
    assert_eq!(stage.installation().seen().count("CreateAgentKey"), 0);

    stage.cluster.state().dry_runs_pass = true;
    until("ten keys were lost", async || (stage.installation().seen().keys.len() >= 10).then_some(())).await;
    let before = stage.installation().seen().count("CreateAgentKey");
    stage.cluster.state().refused.clear();
    stage.ready::<AgentKey>("desk", "Issued").await;
    assert!(stage.installation().seen().count("CreateAgentKey") <= before + 2, "within the next attempt");
    assert_eq!(stage.installation().seen().active().len(), 1);
    running.end().await;
}
