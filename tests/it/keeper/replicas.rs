//! What replicas say of themselves: there while they run, gone when they end, forgotten when they went without a word.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use stagedoor_storage::replicas::{LIVE_WITHIN, Replica};
use stagedoor_testkit::{FaultProxy, FrozenClock, GatewayProcess, Stage, StageOptions, TestGateway, Weather};

async fn live(stage: &Stage) -> Vec<Replica> {
    stage.reader().store().live_replicas(LIVE_WITHIN).await.unwrap()
}

async fn until(stage: &Stage, number: usize) -> Vec<Replica> {
    loop {
        let replicas = live(stage).await;
        if replicas.len() == number {
            return replicas;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_replica_is_known_while_it_runs() {
    let stage = Stage::start().await;
    assert!(live(&stage).await.is_empty());
    let gateway = TestGateway::start(&stage).await;
    let replicas = until(&stage, 1).await;
    let report = &replicas[0].report;
    assert_eq!(report.host, stagedoor_bootstrap::host::host_name());
    assert_eq!(report.key_encryption_keys.len(), 1);
    assert_eq!(report.wraps_with, report.key_encryption_keys.first().copied());
    assert_eq!(report.pepper_versions, [1]);
    assert_eq!(report.clock_skew, TimeDelta::zero(), "one machine has one clock");
    gateway.stop().await;
    until(&stage, 0).await;
}

#[tokio::test]
async fn equal_settings_give_equal_digests_wherever_a_replica_listens() {
    let stage = Stage::start().await;
    let url = ("STAGEDOOR_SERVER__PUBLIC_URL", "https://music.example.com".to_owned());
    let _one = GatewayProcess::start(&stage, "one", from_ref(&url)).await;
    let _same = GatewayProcess::start(&stage, "same", from_ref(&url)).await;
    let replicas = until(&stage, 2).await;
    let digest = replicas[0].report.configuration_digest;
    assert_eq!(replicas[1].report.configuration_digest, digest);
    let deadline = ("STAGEDOOR_SERVER__REQUEST_DEADLINE_MS", "20000".to_owned());
    let _other = GatewayProcess::start(&stage, "other", &[url, deadline]).await;
    let replicas = until(&stage, 3).await;
    let others = replicas.iter().filter(|replica| replica.report.configuration_digest != digest);
    assert_eq!(others.count(), 1);
}

#[tokio::test]
async fn a_replica_that_was_killed_is_not_waited_for_and_is_forgotten() {
    let stage = Stage::start().await;
    let mut killed = GatewayProcess::start(&stage, "killed", &[]).await;
    until(&stage, 1).await;
    killed.kill().await;
    assert_eq!(live(&stage).await.len(), 1, "it may only be slow");
    stage.sql("UPDATE replicas SET seen_at = now() - interval '31 seconds'").await;
    assert!(live(&stage).await.is_empty());
    assert_eq!(stage.sql("SELECT count(*) FROM replicas").await, "1");
    stage.sql("UPDATE replicas SET seen_at = now() - interval '25 hours'").await;
    let _gateway = TestGateway::start(&stage).await;
    until(&stage, 1).await;
    while stage.sql("SELECT count(*) FROM replicas").await != "1" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_off_shows_and_takes_no_replica_out() {
    let clock = Arc::new(FrozenClock::now());
    clock.advance(Duration::from_mins(1));
    let stage = Stage::start_with(StageOptions { clock, ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let check = loop {
        let report = reqwest::get(format!("http://{}/readyz", gateway.ops_address())).await.unwrap();
        let report: Value = report.json().await.unwrap();
        let found = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "clock");
        let off = found.filter(|check| check["state"] == "failing");
        // Ready it is once the database was asked, and the clock does not change that.
        if let Some(check) = off.filter(|_| report["ready"] == true) {
            break check.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(check["reason"], "the own clock is far from the database's");
    let skew = live(&stage).await[0].report.clock_skew;
    assert!(skew > TimeDelta::seconds(30), "{skew}");
}

#[tokio::test]
async fn a_long_way_to_the_database_is_no_fault_of_the_clock() {
    let stage = Stage::start().await;
    let postgres = FaultProxy::to(([127, 0, 0, 1], stage.postgres().port()).into()).await;
    let _gateway = TestGateway::start_with(&stage, |config| {
        config.storage.database_url = stage.database_url_at(postgres.address()).into();
    })
    .await;
    until(&stage, 1).await;
    postgres.set(Weather::Slow(Duration::from_millis(100)));
    // The next beat goes the long way.
    stage.sql("DELETE FROM replicas").await;
    let replicas = until(&stage, 1).await;
    assert_eq!(replicas[0].report.clock_skew, TimeDelta::zero());
}
