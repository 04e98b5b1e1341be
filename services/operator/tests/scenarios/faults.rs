//! What goes wrong around the operator: an admin API that is away, answers that are lost, others who are quicker, a key that is
//! replaced, and an end in the middle.

use std::time::Duration;

use http::Method;
use serde_json::json;
use stagedoor_operator::resources::{AgentKey, ConditionType, ProviderApp, Tenant, condition};
use stagedoor_proto::admin::v1::{AgentKey as AdminAgentKey, KeyState};

use crate::installation::Served;
use crate::stage::{Stage, until};

fn key() -> serde_json::Value {
    json!({"tenantRef": {"name": "acme"}, "scopes": ["all"]})
}

#[tokio::test]
async fn an_admin_api_that_is_away_is_told_asked_again_and_makes_nothing_unready() {
    let stage = Stage::start("fault-away").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.installation().seen().away = true;
    let tenant = stage.synced::<Tenant>("acme", "AdminApiUnavailable").await;
    let conditions = tenant.status.unwrap().conditions;
    let ready = condition(&conditions, ConditionType::Ready).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "Available"));
    let synced = condition(&conditions, ConditionType::Synced).unwrap();
    assert!(synced.message.contains("store_unavailable"), "{}", synced.message);
    stage.make::<Tenant>("later", json!({})).await;
    stage.ready::<Tenant>("later", "AdminApiUnavailable").await;
    stage.installation().seen().away = false;
    stage.ready::<Tenant>("later", "Available").await;
    stage.synced::<Tenant>("acme", "Synced").await;
    running.end().await;
}

#[tokio::test]
async fn whoever_is_told_to_wait_waits() {
    let stage = Stage::start("fault-wait").await;
    stage.installation().seen().away = true;
    stage.installation().seen().wait = Some(Duration::from_secs(3));
    let running = stage.operator("one");
    stage.make::<Tenant>("acme", json!({})).await;
    stage.synced::<Tenant>("acme", "AdminApiUnavailable").await;
    let asked =
        running.metric("stagedoor_operator_admin_calls_total{rpc=\"CreateTenant\",code=\"unavailable\"}");
    stage.installation().seen().away = false;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.installation().seen().count("CreateTenant"), 0, "asked {asked} times before");
    stage.ready::<Tenant>("acme", "Available").await;
    running.end().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_nothing_twice() {
    let stage = Stage::start("fault-lost").await;
    let running = stage.operator("one");
    stage.installation().seen().lose_answer = Some("CreateTenant");
    stage.tenant("acme").await;
    assert_eq!(stage.installation().seen().tenants.len(), 1);

    // The key's secret is lost with the answer: that key is revoked, and another made.
    stage.installation().seen().lose_answer = Some("CreateAgentKey");
    stage.make::<AgentKey>("desk", key()).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    let id = stage.secret_text("desk", "keyId").await.unwrap();
    let active = stage.installation().seen().active();
    assert_eq!(active.iter().map(|key| key.key_id.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    assert_eq!(stage.installation().seen().keys.len(), 2);
    running.end().await;
}

#[tokio::test]
async fn a_lost_answer_of_a_rotation_leaves_no_key_that_nobody_holds() {
    let stage = Stage::start("fault-rotation").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    let mut spec = key();
    spec["rotation"] = json!({"every": "1h", "overlap": "10m"});
    stage.make::<AgentKey>("desk", spec).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    let first = stage.secret_text("desk", "keyId").await.unwrap();
    stage.installation().seen().lose_answer = Some("RotateAgentKey");
    stage.clock.forward(chrono::TimeDelta::minutes(61));
    let held = until("another key is in the Secret", async || {
        stage.secret_text("desk", "keyId").await.filter(|id| *id != first)
    })
    .await;
    let mut active: Vec<_> = stage.installation().seen().active().into_iter().map(|key| key.key_id).collect();
    let mut wanted = vec![first, held];
    active.sort();
    wanted.sort();
    assert_eq!(active, wanted);
    running.end().await;
}

#[tokio::test]
async fn an_operator_that_was_killed_in_the_middle_goes_on_where_it_was() {
    let stage = Stage::alone("fault-killed").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    // The Secret cannot be written, although a dry run said so: the key is made, and nothing else.
    stage.cluster.state().dry_runs_pass = true;
    stage.cluster.state().refused = vec![(Method::POST, "/secrets", 503)];
    stage.make::<AgentKey>("desk", key()).await;
    until("a key is made", async || (stage.installation().seen().count("CreateAgentKey") > 0).then_some(()))
        .await;
    running.kill().await;
    stage.cluster.state().refused.clear();
    let running = stage.operator("two");
    stage.ready::<AgentKey>("desk", "Issued").await;
    let id = stage.secret_text("desk", "keyId").await.unwrap();
    let active = stage.installation().seen().active();
    assert_eq!(active.iter().map(|key| key.key_id.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    running.end().await;
}

#[tokio::test]
async fn whoever_comes_second_looks_again() {
    let stage = Stage::start("fault-conflict").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.installation().seen().conflict = Some("UpdateTenant");
    stage.change::<Tenant>("acme", json!({"plan": "gold"})).await;
    stage.ready::<Tenant>("acme", "Available").await;
    until("the plan is there", async || {
        (stage.installation().seen().tenants["acme"].plan == "gold").then_some(())
    })
    .await;
    assert_eq!(
        running.metric("stagedoor_operator_reconciles_total{kind=\"Tenant\",outcome=\"conflict\"}"),
        1
    );
    assert!(!stage.events().await.iter().any(|(reason, _)| reason == "Conflict"), "it is no one's trouble");
    running.end().await;
}

#[tokio::test]
async fn a_status_that_cannot_be_written_is_written_later() {
    let stage = Stage::alone("fault-status").await;
    stage.cluster.state().refused = vec![(Method::PATCH, "/status", 409)];
    let running = stage.operator("one");
    stage.make::<Tenant>("acme", json!({})).await;
    let tries = "stagedoor_operator_reconciles_total{kind=\"Tenant\",outcome=\"conflict\"}";
    until("it is tried", async || (running.metric(tries) > 1).then_some(())).await;
    assert!(stage.installation().seen().calls.is_empty(), "nothing is done that is not written down first");
    stage.cluster.state().refused.clear();
    stage.ready::<Tenant>("acme", "Available").await;
    stage.cluster.state().refused = vec![(Method::PATCH, "/status", 409)];
    stage.change::<Tenant>("acme", json!({"plan": "gold"})).await;
    until("the plan is there", async || {
        (stage.installation().seen().tenants["acme"].plan == "gold").then_some(())
    })
    .await;
    stage.cluster.state().refused.clear();
    stage.ready::<Tenant>("acme", "Available").await;
    assert_eq!(stage.installation().seen().tenants.len(), 1);
    running.end().await;
}

#[tokio::test]
async fn a_replaced_admin_key_is_used_at_once_and_shown_nowhere() {
    let stage = Stage::start("fault-key").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.installation().seen().admin_key = "sd_admin_the_next_one".to_owned();
    let tenant = stage.synced::<Tenant>("acme", "AdminKeyRefused").await;
    let file = stage.folder.path().join("admin.key");
    std::fs::remove_file(&file).unwrap();
    stage.make::<Tenant>("later", json!({})).await;
    let later = stage.synced::<Tenant>("later", "AdminKeyRefused").await;
    std::fs::write(&file, "sd_admin_the_next_one").unwrap();
    stage.synced::<Tenant>("acme", "Synced").await;
    stage.ready::<Tenant>("later", "Available").await;
    let told = format!("{tenant:?} {later:?} {:?}", stage.events().await);
    assert!(!told.contains("sd_admin_the"), "{told}");
    running.end().await;
}

#[tokio::test]
async fn a_missing_tenant_holds_up_what_names_it_and_a_deleted_one_does_not_keep_it() {
    let stage = Stage::start("fault-tenant").await;
    let running = stage.operator("one");
    stage.make::<AgentKey>("desk", key()).await;
    stage.ready::<AgentKey>("desk", "TenantMissing").await;
    stage.tenant("acme").await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    stage
        .make::<ProviderApp>(
            "tidal",
            json!({"tenantRef": {"name": "acme"}, "provider": "tidal", "clientId": "x"}),
        )
        .await;
    stage.ready::<ProviderApp>("tidal", "Available").await;
    stage.delete::<Tenant>("acme").await;
    stage.gone::<Tenant>("acme").await;
    stage.ready::<AgentKey>("desk", "TenantMissing").await;
    stage.delete::<AgentKey>("desk").await;
    stage.delete::<ProviderApp>("tidal").await;
    stage.gone::<AgentKey>("desk").await;
    stage.gone::<ProviderApp>("tidal").await;
    assert!(stage.installation().seen().active().is_empty(), "a key is revoked all the same");
    assert_eq!(stage.installation().seen().apps.len(), 1);
    running.end().await;
}

#[tokio::test]
async fn only_a_certificate_of_the_named_authorities_is_trusted_and_they_are_read_anew() {
    let stage = Stage::start("fault-tls").await;
    let certificate = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (ours, other) = (certificate(), certificate());
    let identity = tonic::transport::Identity::from_pem(ours.cert.pem(), ours.signing_key.serialize_pem());
    let served = Served::serve(stage.installation().clone(), Some(identity)).await;
    let file = stage.folder.path().join("ca.pem");
    std::fs::write(&file, other.cert.pem()).unwrap();
    let mut config = stage.config();
    config.admin_url = format!("https://localhost:{}", served.address.port());
    config.admin_ca_file = Some(file.clone());
    let running = stage.operator_with("one", config);
    stage.make::<Tenant>("acme", json!({})).await;
    let tenant = stage.synced::<Tenant>("acme", "AdminApiUnavailable").await;
    let conditions = tenant.status.unwrap().conditions;
    let told = &condition(&conditions, ConditionType::Synced).unwrap().message;
    assert!(told.contains("certificate"), "{told}");
    assert!(stage.installation().seen().calls.is_empty(), "the key was told nobody");
    std::fs::write(&file, ours.cert.pem()).unwrap();
    stage.ready::<Tenant>("acme", "Available").await;
    running.end().await;
}

#[tokio::test]
async fn keys_that_nobody_holds_make_way_and_those_of_others_do_not() {
    let stage = Stage::start("fault-names").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    let name = format!("{}/desk", stage.namespace);
    let leave = |id: &str, by: &str| {
        let key = AdminAgentKey {
            key_id: id.to_owned(),
            name: name.clone(),
            created_by: by.to_owned(),
            state: KeyState::Active.into(),
            ..AdminAgentKey::default()
        };
        stage.installation().seen().keys.insert(id.to_owned(), ("acme".to_owned(), key));
    };
    leave("theirs", "admin-key:ada");
    leave("also-theirs", "admin-key:ada");
    stage.make::<AgentKey>("desk", key()).await;
    stage.ready::<AgentKey>("desk", "KeyNameTaken").await;
    assert_eq!(stage.installation().seen().count("RevokeAgentKey"), 0);
    // Made by the operator longer than a day ago, when its request was last known, and never used.
    leave("also-theirs", "admin-key:operator");
    stage.ready::<AgentKey>("desk", "Issued").await;
    let state = |id: &str| stage.installation().seen().keys[id].1.state();
    assert_eq!((state("also-theirs"), state("theirs")), (KeyState::Revoked, KeyState::Active));
    running.end().await;
}
