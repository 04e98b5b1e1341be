//! Several replicas: one acts, another takes over, and whoever loses the lease stops.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use serde_json::json;
use stagedoor_bootstrap::health::LifeStage;
use stagedoor_operator::resources::Tenant;

use crate::stage::{Running, Stage, until};

const LEADING: &str = "stagedoor_operator_leading";

async fn leads(running: &Running, leads: bool) {
    until("the lease changes hands", async || (running.metric(LEADING) == u64::from(leads)).then_some(()))
        .await;
}

async fn lease(stage: &Stage) -> (String, i32) {
    let spec = stage.api::<Lease>().get("stagedoor-operator").await.unwrap().spec.unwrap();
    (spec.holder_identity.unwrap(), spec.lease_transitions.unwrap_or_default())
}

#[tokio::test]
async fn of_two_replicas_one_acts_and_the_other_takes_over_at_once_when_it_ends() {
    let stage = Stage::start("replicas-two").await;
    let one = stage.operator("one");
    leads(&one, true).await;
    let two = stage.operator("two");
    stage.make::<Tenant>("acme", json!({})).await;
    stage.ready::<Tenant>("acme", "Available").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(two.metric(LEADING), 0, "the lease is renewed");
    assert_eq!(two.metric("stagedoor_operator_reconciles_total{kind=\"Tenant\",outcome=\"settled\"}"), 0);
    assert!(two.health.is_ready() && two.health.stage() == LifeStage::Ready, "who waits is well");
    assert!(lease(&stage).await.0.starts_with("one_"));

    one.end().await;
    let begun = tokio::time::Instant::now();
    leads(&two, true).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "a lease that was given back is free at once");
    let (holder, transitions) = lease(&stage).await;
    assert!(holder.starts_with("two_") && transitions == 1, "{holder} {transitions}");
    stage.make::<Tenant>("later", json!({})).await;
    stage.ready::<Tenant>("later", "Available").await;
    two.end().await;
    assert_eq!(lease(&stage).await.0, "");
}

#[tokio::test]
async fn a_replica_that_was_killed_is_followed_when_its_lease_is_over() {
    let stage = Stage::start("replicas-killed").await;
    let one = stage.operator("one");
    leads(&one, true).await;
    let two = stage.operator("two");
    one.kill().await;
    let begun = tokio::time::Instant::now();
    leads(&two, true).await;
    assert!(begun.elapsed() > Duration::from_secs(1), "not before its time");
    two.end().await;
}

#[tokio::test]
async fn who_cannot_renew_the_lease_stops_before_anyone_else_could_have_it() {
    let stage = Stage::alone("replicas-lost").await;
    let one = stage.operator("one");
    stage.tenant("acme").await;
    stage.cluster.state().refused = vec![(Method::PUT, "/leases/", 503)];
    let begun = tokio::time::Instant::now();
    leads(&one, false).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "the lease is over after two seconds");
    assert!(!one.health.is_ready());
    stage.make::<Tenant>("later", json!({})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!stage.installation().seen().tenants.contains_key("later"), "without the lease nothing is done");
    stage.cluster.state().refused.clear();
    leads(&one, true).await;
    stage.ready::<Tenant>("later", "Available").await;
    assert_eq!(one.metric("stagedoor_operator_lease_losses_total"), 1);
    one.end().await;
}

#[tokio::test]
async fn a_lease_that_was_taken_away_is_noticed() {
    let stage = Stage::start("replicas-taken").await;
    let one = stage.operator("one");
    leads(&one, true).await;
    let leases = stage.api::<Lease>();
    until("it is taken", async || {
        let mut lease = leases.get("stagedoor-operator").await.unwrap();
        let spec = lease.spec.as_mut().unwrap();
        spec.holder_identity = Some("someone".to_owned());
        spec.lease_duration_seconds = Some(2);
        leases.replace("stagedoor-operator", &PostParams::default(), &lease).await.ok()
    })
    .await;
    leads(&one, false).await;
    leads(&one, true).await;
    one.end().await;
}
