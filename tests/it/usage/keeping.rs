//! What becomes of figures: written before a replica ends, kept while the database is away, rolled up by the keeper, gone
//! with their person.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Clock as _;
use stagedoor_keeper::jobs::doctor::Doctor;
use stagedoor_keeper::jobs::rollup::Rollup;
use stagedoor_keeper::{Ending, RunOptions};
use stagedoor_storage::usage::GroupBy;
use stagedoor_testkit::{Stage, TestGateway};

use super::{BY_ALL, consent, end_minute, stage, told};
use crate::music;
use crate::privacy::held::Held;
use crate::privacy::{confirm_deletion, receipt};

#[tokio::test]
async fn a_replica_that_ends_writes_the_minute_that_it_is_in() {
    let (stage, clock) = stage().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    for _ in 0..5 {
        client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
    }
    gateway.stop().await;
    assert_eq!(told(&stage, &ada, clock.now(), GroupBy::default()).await[0].figures.calls, 5);
}

#[tokio::test]
async fn figures_wait_while_the_database_refuses_them_and_count_once() {
    let (stage, clock) = stage().await;
    let stage = Arc::new(stage);
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
    // Whoever writes waits for longer than a transaction may take.
    let held = Held::take(&stage, "usage_minutes").await;
    clock.advance(Duration::from_mins(1));
    let usage = gateway.state().dispatcher.desk().usage();
    assert!(usage.flush(false).await.is_err());
    assert_eq!(usage.counts().waiting, 1);
    held.release().await;
    end_minute(&clock, &[&gateway]).await;
    assert_eq!((usage.counts().lost, usage.counts().recorded), (0, 1));
    assert_eq!(told(&stage, &ada, clock.now(), GroupBy::default()).await[0].figures.calls, 1);
}

async fn rows(stage: &Stage) -> String {
    stage.sql("SELECT period, count(*), sum(calls) FROM usage_rollups GROUP BY 1 ORDER BY 1").await
}

#[tokio::test]
async fn the_keeper_rolls_up_what_is_over_and_a_killed_one_counts_nothing_twice() {
    let (stage, clock) = stage().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    for _ in 0..3 {
        client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
        end_minute(&clock, &[&gateway]).await;
    }
    gateway.stop().await;
    clock.advance(Duration::from_hours(25));
    let before = told(&stage, &ada, clock.now(), BY_ALL).await;
    assert_eq!(before.iter().map(|line| line.figures.calls).sum::<u64>(), 3);

    // One that is killed in the middle: its hour cannot be written, because the day's row is held by somebody.
    let dry =
        stage.keep_with(&Rollup::default(), RunOptions { dry_run: true, ..RunOptions::default() }).await;
    assert!(dry.count("usage_hours_rolled") >= 1, "{dry}");
    assert_eq!(rows(&stage).await, "");
    stage.sql("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut off'; END $$").await;
    stage
        .sql("CREATE TRIGGER fail BEFORE INSERT ON usage_rollups FOR EACH ROW EXECUTE FUNCTION fail()")
        .await;
    let cut_off = stage.keep(&Rollup::default()).await;
    assert_eq!(cut_off.count("usage_minutes_read"), 0, "{cut_off}");
    assert_eq!(stage.sql("SELECT count(*) FROM usage_minutes WHERE rolled").await, "0");
    assert_eq!(told(&stage, &ada, clock.now(), BY_ALL).await, before);
    stage.sql("DROP TRIGGER fail ON usage_rollups").await;

    let rolled = stage.keep(&Rollup::default()).await;
    assert_eq!(rolled.count("usage_minutes_read"), 3, "{rolled}");
    let after = rows(&stage).await;
    assert!(after.contains("day|1|3"), "{after}");
    assert_eq!(
        told(&stage, &ada, clock.now(), BY_ALL).await,
        before,
        "the same figures from days as from minutes"
    );
    stage.keep(&Rollup::default()).await;
    assert_eq!(rows(&stage).await, after, "again changes nothing");
}

#[tokio::test]
async fn an_hour_that_cannot_be_rolled_up_is_named_and_keeps_no_other_from_it() {
    let (stage, clock) = stage().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    for hour in 0..3 {
        client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
        end_minute(&clock, &[&gateway]).await;
        if hour == 0 {
            // A sketch of a form that nobody knows.
            stage.sql(r"UPDATE usage_minutes SET latency = '\xff00'").await;
        }
        clock.advance(Duration::from_hours(1));
    }
    gateway.stop().await;
    for _ in 0..2 {
        let rolled = stage.keep(&Rollup::default()).await;
        assert_eq!((rolled.ending, rolled.count("usage_periods_failed")), (Ending::Partly, 1), "{rolled}");
        let named = |remark: &String| remark.starts_with("tenant ada: usage of the hour from 2");
        assert_eq!(rolled.remarks.iter().filter(|remark| named(remark)).count(), 1, "{rolled}");
    }
    assert!(rows(&stage).await.contains("hour|2|2"), "{}", rows(&stage).await);
    let doctor = stage.keep(&Doctor::default()).await;
    assert!(doctor.to_string().contains("rollup partly: tenant ada: usage of the hour from 2"), "{doctor}");
    stage.sql("UPDATE usage_minutes SET latency = '' WHERE NOT rolled").await;
    let mended = stage.keep(&Rollup::default()).await;
    assert_eq!((mended.ending, mended.count("usage_minutes_read")), (Ending::Succeeded, 1), "{mended}");
}

#[tokio::test]
async fn figures_go_with_their_person() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let gateway = TestGateway::start_with(&stage, |config| config.privacy.settle_ms = 100).await;
    let usage = gateway.state().dispatcher.desk().usage();
    for who in [&ada, &bob] {
        let client = music::client(&gateway, who);
        consent(&client).await;
        client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
    }
    usage.flush(true).await.unwrap();
    let named = format!("SELECT count(*) FROM usage_minutes WHERE user_id = '{}'", ada.user);
    assert_eq!(stage.sql(&named).await, "2");
    let client = music::client(&gateway, &ada);
    // Counted when the person is being erased already.
    client.call("search", json!({ "query": "b", "provider": "tidal" })).await;
    let page = confirm_deletion(&client).await;
    receipt(&page).await;
    usage.flush(true).await.unwrap();
    assert_eq!(stage.sql(&named).await, "0");
    let left = told(&stage, &ada, gateway.state().clock.now(), BY_ALL).await;
    assert!(left.iter().all(|line| line.user.is_none()), "{left:?}");
    let others = told(&stage, &bob, gateway.state().clock.now(), BY_ALL).await;
    assert_eq!(others.iter().map(|line| line.figures.calls).sum::<u64>(), 2);
}
