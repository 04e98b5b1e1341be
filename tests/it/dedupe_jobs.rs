//! Duplicates taken out of playlists that are too long for a call: as a job, once, whichever replica does it.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, SampleTrack};
use stagedoor_testkit::{Client, GatewayProcess, Inhabited, KeySpec, Stage, TestGateway};

use crate::music;

/// Entries of a long playlist, and how many of them are there before.
const ENTRIES: usize = 1_200;
const DUPLICATES: usize = 250;

const fn removes(provider: Provider) -> &'static str {
    match provider {
        Provider::Spotify => "DELETE /playlists/{id}/items",
        Provider::Tidal => "DELETE /playlists/{id}/relationships/items",
    }
}

/// A long playlist of the person's, and what it holds without its duplicates.
fn playlist(stage: &Stage, who: &Inhabited<'_>, provider: Provider) -> (String, Vec<String>) {
    let tracks: Vec<SampleTrack> = stage.sandbox().catalogue(provider).tracks().collect();
    let distinct: Vec<String> =
        tracks.iter().take(ENTRIES - DUPLICATES).map(|track| track.id.clone()).collect();
    assert_eq!(distinct.len(), ENTRIES - DUPLICATES, "the catalogue has as many");
    let entries = distinct.iter().chain(distinct.iter().step_by(3).take(DUPLICATES));
    let entries: Vec<&str> = entries.map(String::as_str).collect();
    assert_eq!(entries.len(), ENTRIES);
    let account = &who.account(provider).account;
    let id = stage.sandbox().make_playlist(provider, account, "Twice", &entries);
    (format!("{provider}:playlist:{id}"), distinct)
}

fn held(stage: &Stage, provider: Provider, playlist: &str) -> Vec<String> {
    stage.sandbox().playlist_tracks(provider, playlist.rsplit(':').next().unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value}"))
}

/// The job as soon as it rests.
async fn rested(client: &Client, job: &str) -> Value {
    loop {
        let seen = client.call("job_get", json!({ "job": job })).await;
        if !matches!(text(&seen, "state"), "queued" | "running") {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn jobs(stage: &Stage) -> String {
    stage.sql("SELECT count(*) FROM jobs").await.trim().to_owned()
}

#[tokio::test]
async fn a_long_playlist_is_deduped_by_a_job_and_a_short_one_within_the_call() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (number, provider) in Provider::ALL.iter().copied().enumerate() {
        let (playlist, distinct) = playlist(&stage, &ada, provider);
        let before = jobs(&stage).await;
        let dry = client.call("playlist_dedupe", json!({ "ref": playlist, "dry_run": true })).await;
        assert_eq!((&dry["removed"], jobs(&stage).await), (&json!(DUPLICATES), before), "{dry}");

        let call = json!({ "ref": playlist, "idempotency_key": format!("k-{provider}") });
        let answer = client.call("playlist_dedupe", call.clone()).await;
        assert_eq!(jobs(&stage).await, (number + 1).to_string());
        let done = match answer.get("job") {
            Some(job) => rested(&client, job.as_str().unwrap()).await["edit"].clone(),
            None => answer,
        };
        assert_eq!(
            (&done["count_before"], &done["count"], &done["removed"]),
            (&json!(ENTRIES), &json!(ENTRIES - DUPLICATES), &json!(DUPLICATES)),
            "{done}"
        );
        assert_eq!(held(&stage, provider, &playlist), distinct);

        // The same call is the same job, though the playlist is short by now; other arguments are another call.
        assert_eq!(client.call("playlist_dedupe", call.clone()).await, done);
        let other = json!({ "ref": playlist, "same_isrc": true, "idempotency_key": call["idempotency_key"] });
        let other = client.tool("playlist_dedupe", other).await;
        assert_eq!(other.code().as_deref(), Some("idempotency_mismatch"), "{}", other.text());
        let again = client.call("playlist_dedupe", json!({ "ref": playlist })).await;
        assert_eq!((&again["removed"], again.get("job")), (&json!(0), None), "{again}");
        assert_eq!(jobs(&stage).await, (number + 1).to_string());
        let undone = client.call("playlist_undo", json!({ "ref": playlist })).await;
        assert_eq!((&undone["count"], &undone["added"]), (&json!(ENTRIES), &json!(DUPLICATES)));
    }
}

#[tokio::test]
async fn a_job_that_takes_long_is_told_by_its_id_to_whoever_began_it() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.server.request_deadline_ms = 3_000).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let (playlist, distinct) = playlist(&stage, &ada, Provider::Tidal);
    let down = FaultRule::new(Provider::Tidal, Effect::status(503)).operation(removes(Provider::Tidal));
    stage.sandbox().faults().push(down);
    let begun = client.call("playlist_dedupe", json!({ "ref": playlist })).await;
    let job = text(&begun, "job").to_owned();
    let neighbour = ada.tenant.person("Grace").await;
    for other in [KeySpec::for_user(ada.user), KeySpec::for_user(neighbour)] {
        let other = gateway.client("ada", &ada.tenant.key(&other).await);
        let refused = other.tool("job_get", json!({ "job": job })).await;
        assert_eq!(refused.code().as_deref(), Some("job_unknown"), "{}", refused.text());
    }
    let refused = client.tool("playlist_transfer", json!({ "job": job })).await;
    assert_eq!(refused.code().as_deref(), Some("invalid_arguments"), "{}", refused.text());
    stage.sandbox().faults().clear();
    let done = rested(&client, &job).await;
    assert_eq!((text(&done, "state"), text(&done, "kind")), ("done", "playlist_dedupe"), "{done}");
    assert_eq!(done["edit"]["removed"], json!(DUPLICATES), "{done}");
    assert_eq!(held(&stage, Provider::Tidal, &playlist), distinct);
}

/// The replica is killed while the service takes entries out: another goes on, and takes out nothing more.
#[tokio::test]
async fn a_killed_replicas_job_is_taken_over_and_takes_out_nothing_twice() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let mut doomed = GatewayProcess::start(&stage, "doomed", &[]).await;
    let provider = Provider::Tidal;
    let (playlist, distinct) = playlist(&stage, &ada, provider);
    // The second batch is done, and nobody is told.
    let passing = FaultRule::new(provider, Effect::delay(Duration::ZERO)).operation(removes(provider));
    stage.sandbox().faults().push(passing.times(1));
    let held_back = FaultRule::new(provider, Effect::Hold).operation(removes(provider));
    stage.sandbox().faults().push(held_back.after_work());
    let client = doomed.client("ada", &ada.key);
    let call = json!({ "ref": playlist, "idempotency_key": "tidy" });
    let lost = client.tool("playlist_dedupe", call.clone());
    let sent = async {
        while held(&stage, provider, &playlist).len() > ENTRIES - 100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        answer = lost => panic!("it cannot end: {}", answer.text()),
        () = sent => {}
    }
    doomed.kill().await;
    stage.sandbox().faults().clear();
    // Nobody has heard of the first worker for long enough.
    stage.sql("UPDATE jobs SET due_at = now() - interval '1 s'").await;
    stage.sql("UPDATE idempotency_keys SET claimed_until = now() - interval '1 s'").await;
    let second = GatewayProcess::start(&stage, "second", &[]).await;
    let client = second.client("ada", &ada.key);
    let answer = client.call("playlist_dedupe", call).await;
    let done = match answer.get("job") {
        Some(job) => rested(&client, job.as_str().unwrap()).await["edit"].clone(),
        None => answer,
    };
    assert_eq!(
        (&done["count_before"], &done["removed"], &done["count"]),
        (&json!(ENTRIES), &json!(DUPLICATES), &json!(ENTRIES - DUPLICATES)),
        "{done}"
    );
    assert_eq!(held(&stage, provider, &playlist), distinct);
    assert_eq!(jobs(&stage).await, "1");
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
}
