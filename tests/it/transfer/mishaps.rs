//! Jobs that are cancelled, left, cut off, taken over, or lose the rights that they work with.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, SampleTrack};
use stagedoor_testkit::{Client, GatewayProcess, Inhabited, Stage, TestGateway};

use super::{ada, codes, isrcs, playlist, rested, shared_tracks, text};
use crate::music;

const TIDAL_ADD: &str = "POST /playlists/{id}/relationships/items";
const SPOTIFY_ADD: &str = "POST /playlists/{id}/items";

/// A gateway whose calls wait two seconds for a job.
async fn impatient(stage: &Stage) -> TestGateway {
    TestGateway::start_with(stage, |config| config.server.request_deadline_ms = 3_000).await
}

fn moved(stage: &Stage, ada: &Inhabited<'_>, count: usize) -> (String, Vec<SampleTrack>) {
    let tracks: Vec<SampleTrack> =
        shared_tracks(stage, Provider::Spotify, Provider::Tidal).into_iter().take(count).collect();
    (playlist(stage, ada, Provider::Spotify, &tracks), tracks)
}

async fn begin(client: &Client, source: &str) -> String {
    let begun = client.call("playlist_transfer", json!({ "ref": source, "to_provider": "tidal" })).await;
    text(&begun, "/job").to_owned()
}

/// Waits until the database says this of the only job.
async fn until_the_job_is(stage: &Stage, state: &str) {
    while stage.sql("SELECT state FROM jobs").await.trim() != state {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The job, looked at with the key as though it had never been revoked.
async fn seen_by_a_key_that_holds(stage: &Stage, client: &Client, job: &str) -> Value {
    stage.sql("UPDATE api_keys SET revoked_at = NULL").await;
    loop {
        let seen = client.tool("job_get", json!({ "job": job })).await;
        if seen.code().is_none() {
            return seen.result()["structuredContent"].clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn playlists_at_tidal(client: &Client) -> Vec<Value> {
    let listed = client.call("playlists_list", json!({ "provider": "tidal" })).await;
    listed["playlists"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_cancelled_job_ends_and_says_what_was_done() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, _) = moved(&stage, &ada, 30);
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::status(503)));
    let job = begin(&client, &source).await;
    let cancelled = client.call("job_cancel", json!({ "job": job })).await;
    stage.sandbox().faults().clear();
    let ended = rested(&client, &job).await;
    assert_eq!(text(&ended, "/state"), "cancelled", "{cancelled}");
    assert!(text(&ended, "/message").starts_with("Cancelled. 0 of 30"), "{ended}");
    assert_eq!(playlists_at_tidal(&client).await, [] as [Value; 0]);
    let late = client.tool("playlist_transfer", json!({ "job": job, "accept_best": true })).await;
    assert_eq!(late.code().as_deref(), Some("conflict"), "{}", late.text());
}

#[tokio::test]
async fn whoever_leaves_before_the_job_is_told_cancels_it() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, _) = moved(&stage, &ada, 10);
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::Hold));
    let call = client.tool("playlist_transfer", json!({ "ref": source, "to_provider": "tidal" }));
    let begun = async {
        while stage.sql("SELECT count(*) FROM jobs").await.trim() == "0" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = call => panic!("Tidal answers nothing"),
        () = begun => {}
    }
    while stage.sql("SELECT cancel_requested FROM jobs").await.trim() != "t" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.sandbox().faults().clear();
    until_the_job_is(&stage, "cancelled").await;
    assert_eq!(playlists_at_tidal(&client).await, [] as [Value; 0]);
}

#[tokio::test]
async fn an_answer_that_is_lost_duplicates_nothing() {
    for (from, to, add) in
        [(Provider::Spotify, Provider::Tidal, TIDAL_ADD), (Provider::Tidal, Provider::Spotify, SPOTIFY_ADD)]
    {
        let stage = Stage::start().await;
        let gateway = TestGateway::start(&stage).await;
        let ada = ada(&stage).await;
        let client = music::client(&gateway, &ada);
        let tracks: Vec<SampleTrack> = shared_tracks(&stage, from, to).into_iter().take(120).collect();
        let source = playlist(&stage, &ada, from, &tracks);
        // More often than a request is repeated where that is harmless.
        let lost = FaultRule::new(to, Effect::CloseConnection).operation(add).after_work().times(2);
        stage.sandbox().faults().push(lost);
        let begun = client.call("playlist_transfer", json!({ "ref": source, "to_provider": to })).await;
        let done = rested(&client, text(&begun, "/job")).await;
        assert_eq!(text(&done, "/state"), "done", "{done}");
        assert!(stage.sandbox().faults().list().is_empty(), "answers were lost");
        assert_eq!(codes(&stage, to, text(&done, "/report/target")), isrcs(&tracks), "{to}");
    }
}

#[tokio::test]
async fn what_is_lost_and_then_refused_is_looked_for() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, tracks) = moved(&stage, &ada, 5);
    let lost = FaultRule::new(Provider::Tidal, Effect::CloseConnection).operation(TIDAL_ADD).after_work();
    stage.sandbox().faults().push(lost.times(1));
    let limited = FaultRule::new(Provider::Tidal, Effect::rate_limited(1)).operation(TIDAL_ADD);
    stage.sandbox().faults().push(limited.times(1));
    let begun = client.call("playlist_transfer", json!({ "ref": source, "to_provider": "tidal" })).await;
    let done = rested(&client, text(&begun, "/job")).await;
    assert_eq!(text(&done, "/state"), "done", "{done}");
    assert!(stage.sandbox().faults().list().is_empty(), "it was lost, and refused then");
    assert_eq!(codes(&stage, Provider::Tidal, text(&done, "/report/target")), isrcs(&tracks));
}

#[tokio::test]
async fn a_write_that_always_fails_is_not_tried_for_ever() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, _) = moved(&stage, &ada, 5);
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::status(500)).operation(TIDAL_ADD));
    let job = begin(&client, &source).await;
    // Its pauses are cut short; who ends it is the count of tries.
    while stage.sql("SELECT state FROM jobs").await.trim() != "failed" {
        stage.sql("UPDATE jobs SET due_at = clock_timestamp() WHERE state = 'queued'").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.sandbox().faults().clear();
    let seen = client.call("job_get", json!({ "job": job })).await;
    assert_eq!(text(&seen, "/error/code"), "provider_unavailable", "{seen}");
    let claims: u32 = stage.sql("SELECT fence FROM jobs").await.trim().parse().unwrap();
    assert!((8..=10).contains(&claims), "{claims} workers");
}

#[tokio::test]
async fn a_key_that_is_revoked_stops_the_job_that_is_under_way() {
    // A revoked key, a closed gate.
    let changes = [
        ("UPDATE api_keys SET revoked_at = now()", "unauthenticated"),
        ("UPDATE tenants SET settings = '{}'", "policy_gate_closed"),
    ];
    for (change, code) in changes {
        let stage = Stage::start().await;
        let gateway = impatient(&stage).await;
        let ada = ada(&stage).await;
        let client = music::client(&gateway, &ada);
        let (source, _) = moved(&stage, &ada, 10);
        stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::delay(Duration::from_secs(2))));
        let job = begin(&client, &source).await;
        until_the_job_is(&stage, "running").await;
        stage.sql(change).await;
        until_the_job_is(&stage, "failed").await;
        stage.sandbox().faults().clear();
        let sent =
            stage.sandbox().request_log().iter().filter(|request| request.operation == TIDAL_ADD).count();
        assert_eq!(sent, 0, "{change}");
        let seen = seen_by_a_key_that_holds(&stage, &client, &job).await;
        assert_eq!(text(&seen, "/error/code"), code, "{seen}");
    }
}

#[tokio::test]
async fn a_job_that_ends_its_workers_is_given_up() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, _) = moved(&stage, &ada, 10);
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::status(503)));
    let job = begin(&client, &source).await;
    until_the_job_is(&stage, "queued").await;
    // As though worker after worker had taken it and been lost.
    stage.sql("UPDATE jobs SET fence = fence + 20, due_at = clock_timestamp()").await;
    until_the_job_is(&stage, "failed").await;
    stage.sandbox().faults().clear();
    let seen = client.call("job_get", json!({ "job": job })).await;
    assert_eq!(text(&seen, "/error/code"), "internal", "{seen}");
    assert!(text(&seen, "/message").contains("given up"), "{seen}");
    // Whoever began it can still have it gone on with.
    client.tool("playlist_transfer", json!({ "job": job, "accept_best": true })).await;
    let done = rested(&client, &job).await;
    assert_eq!(text(&done, "/state"), "done", "{done}");

    // One whose document does not open ends, too.
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::status(503)));
    stage.sql("DELETE FROM jobs").await;
    begin(&client, &source).await;
    until_the_job_is(&stage, "queued").await;
    stage.sql("UPDATE jobs SET document = 'x', fence = fence + 1, due_at = clock_timestamp()").await;
    until_the_job_is(&stage, "failed").await;
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
}

#[tokio::test]
async fn a_playlist_that_takes_nothing_is_told_as_such() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, _) = moved(&stage, &ada, 30);
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::status(400)).operation(TIDAL_ADD));
    let asked = json!({ "ref": source, "to_provider": "tidal", "idempotency_key": "full" });
    client.tool("playlist_transfer", asked).await;
    until_the_job_is(&stage, "failed").await;
    let sent = stage.sandbox().request_log().iter().filter(|request| request.operation == TIDAL_ADD).count();
    assert!(sent < 30, "{sent} requests for as many tracks");
    // The record of the call that began it names the job.
    let trail = ada.tenant.audit_trail().await;
    let named = trail
        .iter()
        .filter_map(stagedoor_audit::AuditView::json)
        .any(|payload| payload["action"] == "playlist_transfer" && payload["resource"]["type"] == "job");
    assert!(named, "{trail:?}");
}

#[tokio::test]
async fn a_killed_replicas_job_is_taken_over_without_duplicates() {
    let stage = Stage::start().await;
    let ada = ada(&stage).await;
    let mut first = GatewayProcess::start(&stage, "first", &[]).await;
    let (source, tracks) = moved(&stage, &ada, 130);
    // The first batch is done, and nobody is told.
    let held = FaultRule::new(Provider::Tidal, Effect::Hold).operation(TIDAL_ADD).after_work();
    stage.sandbox().faults().push(held);
    let client = first.client("ada", &ada.key);
    let account = &ada.account(Provider::Tidal).account;
    let target = stage.sandbox().make_playlist(Provider::Tidal, account, "Target", &[]);
    let reference = format!("tidal:playlist:{target}");
    let asked = json!({ "ref": source, "target": reference, "idempotency_key": "moving" });
    let call = client.tool("playlist_transfer", asked.clone());
    let sent = async {
        while stage.sandbox().playlist_tracks(Provider::Tidal, &target).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        answer = call => panic!("it cannot end: {}", answer.text()),
        () = sent => {}
    }
    first.kill().await;
    stage.sandbox().faults().clear();
    let second = GatewayProcess::start(&stage, "second", &[]).await;
    let client = second.client("ada", &ada.key);
    // Whoever has a key finds the job again.
    let found = client.call("playlist_transfer", asked).await;
    let done = rested(&client, text(&found, "/job")).await;
    assert_eq!(text(&done, "/state"), "done", "{done}");
    assert_eq!(done["report"]["counts"]["written"], 130, "{done}");
    assert_eq!(codes(&stage, Provider::Tidal, &reference), isrcs(&tracks));
    assert_eq!(playlists_at_tidal(&client).await.len(), 1);
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
}

#[tokio::test]
async fn a_revoked_key_ends_its_jobs() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, _) = moved(&stage, &ada, 10);
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::status(503)));
    let job = begin(&client, &source).await;
    stage.sql("UPDATE api_keys SET revoked_at = now()").await;
    stage.sandbox().faults().clear();
    until_the_job_is(&stage, "failed").await;
    let seen = seen_by_a_key_that_holds(&stage, &client, &job).await;
    assert_eq!(text(&seen, "/error/code"), "unauthenticated", "{seen}");
    assert_eq!(playlists_at_tidal(&client).await, [] as [Value; 0]);
}

#[tokio::test]
async fn unlinking_an_account_forgets_its_jobs() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, _) = moved(&stage, &ada, 10);
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::status(503)));
    let job = begin(&client, &source).await;
    let account = ada.account(Provider::Spotify).id.to_string();
    client.call("account_unlink", json!({ "account": account })).await;
    stage.sandbox().faults().clear();
    let gone = client.tool("job_get", json!({ "job": job })).await;
    assert_eq!(gone.code().as_deref(), Some("job_unknown"), "{}", gone.text());
    assert_eq!(stage.sql("SELECT count(*) FROM job_parts").await.trim(), "0");
    assert_eq!(playlists_at_tidal(&client).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_job_that_failed_goes_on_where_it_stopped() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let (source, tracks) = moved(&stage, &ada, 120);
    // The first batch is taken; then Tidal asks for a wait that no job waits for.
    let limited = FaultRule::new(Provider::Tidal, Effect::rate_limited(80_000)).operation(TIDAL_ADD);
    stage
        .sandbox()
        .faults()
        .push(FaultRule::new(Provider::Tidal, Effect::delay(Duration::ZERO)).operation(TIDAL_ADD).times(2));
    stage.sandbox().faults().push(limited);
    let failed = client.tool("playlist_transfer", json!({ "ref": source, "to_provider": "tidal" })).await;
    until_the_job_is(&stage, "failed").await;
    stage.sandbox().faults().clear();
    let job = stage.sql("SELECT job_id FROM jobs").await.trim().to_owned();
    let seen = client.call("job_get", json!({ "job": job })).await;
    assert_eq!(text(&seen, "/error/code"), "provider_rate_limited", "{}", failed.text());
    assert_eq!(seen["report"]["counts"]["written"], 100, "{seen}");
    assert!(tracks.len() > 100);
}
