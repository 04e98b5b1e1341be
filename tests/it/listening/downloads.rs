//! `stagedoor import history` as operators run it: real ZIPs, the real program, and the front door afterwards.

use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_storage::listening::PlaySource;
use stagedoor_testkit::{Finished, Stage, TestGateway};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::polling::poll;
use super::{Listener, stage};
use crate::music;

/// A download in the extended form, its parts of so many plays each, a minute apart and backwards from `newest`.
pub(crate) fn extended(newest: DateTime<Utc>, parts: &[usize]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut number = 0_i32;
    for (part, plays) in parts.iter().enumerate() {
        let entries: Vec<Value> = (0..*plays)
            .map(|_| {
                number += 1;
                entry(newest - TimeDelta::minutes(i64::from(number) * 4), number)
            })
            .collect();
        zip.start_file(format!("My Data/Streaming_History_Audio_{part}.json"), SimpleFileOptions::default())
            .unwrap();
        zip.write_all(&serde_json::to_vec(&entries).unwrap()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn entry(ended_at: DateTime<Utc>, number: i32) -> Value {
    let track = number % 53;
    json!({
        "ts": ended_at.to_rfc3339_opts(SecondsFormat::Secs, true), "ms_played": 30_000 + number,
        "spotify_track_uri": format!("spotify:track:{track:022}"),
        "master_metadata_track_name": format!("Downloaded {track}"),
        "master_metadata_album_artist_name": format!("Artist {}", track % 7),
        "master_metadata_album_album_name": "Album", "skipped": number % 5 == 0,
        "platform": format!("{:x}", i64::from(number).wrapping_mul(0x1E37_79B9_7F4A_7C15) % 1_000_003),
    })
}

/// A file in the stage's folder.
pub(crate) fn file(stage: &Stage, name: &str, bytes: &[u8]) -> PathBuf {
    let path = stage.folder().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

impl Listener<'_> {
    pub(crate) async fn import(&self, file: &std::path::Path, options: &[&str]) -> Finished {
        let user = self.ada.user.to_string();
        let mut arguments = vec!["import", "history", file.to_str().unwrap(), "--json"];
        arguments.extend(["--tenant", self.ada.tenant.slug(), "--user", &user]);
        arguments.extend(options);
        self.stage.run(&arguments).await
    }

    async fn imported(&self, file: &std::path::Path, options: &[&str]) -> Value {
        let finished = self.import(file, options).await;
        let mut lines = finished.lines();
        assert_eq!(lines.len(), 1, "{finished:?}");
        lines.remove(0)
    }
}

#[tokio::test]
async fn a_download_is_in_once_however_often_it_is_handed_in() {
    let clock = std::sync::Arc::new(stagedoor_testkit::FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    let bob = Listener::of(&stage, &gateway, &clock, "bob").await;
    let newest = ada.now() - TimeDelta::days(40);
    let zip = file(&stage, "mine.zip", &extended(newest, &[700, 45]));
    let refused = ada.imported(&zip, &[]).await;
    assert_eq!(refused["error"], "consent_required", "{refused}");
    ada.consents(true).await;
    let dry = ada.imported(&zip, &["--dry-run"]).await;
    assert_eq!((&dry["entries"], &dry["done"]), (&json!(745), &json!(false)), "{dry}");
    assert_eq!(ada.history().await.len(), 0);

    let first = ada.imported(&zip, &[]).await;
    assert_eq!(
        (&first["added"], &first["done"], &first["malformed"]),
        (&json!(745), &json!(true), &json!(0)),
        "{first}"
    );
    let again = ada.imported(&zip, &[]).await;
    assert_eq!(
        (&again["added"], &again["resumed"]),
        (&json!(745), &json!(true)),
        "the same file is in: {again}"
    );
    let more = file(&stage, "more.zip", &extended(newest, &[700, 45, 10]));
    let overlapping = ada.imported(&more, &[]).await;
    assert_eq!((&overlapping["added"], &overlapping["known"]), (&json!(10), &json!(745)), "{overlapping}");
    let kept = ada.history().await;
    assert_eq!(kept.len(), 755);
    let newest_play = kept.last().unwrap();
    assert_eq!(newest_play.source, PlaySource::Import);
    assert_eq!((newest_play.track.ms_played, newest_play.track.skipped), (Some(30_001), Some(false)));
    assert_eq!(bob.history().await.len(), 0, "another tenant has none of it");

    let status = ada.client.call("history_status", json!({})).await;
    let spotify =
        status["accounts"].as_array().unwrap().iter().find(|one| one["provider"] == "spotify").unwrap();
    assert_eq!((&spotify["plays"], &spotify["imported"]), (&json!(755), &json!(755)), "{status}");
    assert_eq!(spotify["collecting"], "yes");
    assert_eq!(status["imports"].as_array().unwrap().len(), 2);
    let trail = ada.ada.tenant.audit_trail().await;
    let imports =
        trail.iter().map(|view| view.json().unwrap()).filter(|one| one["action"] == "listening_import");
    assert_eq!(imports.count(), 6, "opened and closed, three times");
}

#[tokio::test]
async fn a_polled_play_that_the_download_has_too_counts_once_and_its_gap_is_filled() {
    let clock = std::sync::Arc::new(stagedoor_testkit::FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    ada.consents(true).await;
    let keeper = stage.keeper().await;
    let mut all = Vec::new();
    for number in 0..5 {
        ada.passes(std::time::Duration::from_secs(200));
        all.push(ada.plays(number));
    }
    poll(&keeper).await;
    for number in 5..75 {
        ada.passes(std::time::Duration::from_secs(200));
        all.push(ada.plays(number));
    }
    assert_eq!(poll(&keeper).await.count("gaps_found"), 1);
    assert_eq!(ada.history().await.len(), 55);
    let (mut gaps, mut plays, mut arguments) = (Vec::new(), 0, json!({ "limit": 5 }));
    loop {
        let page = ada.client.call("history_query", arguments.clone()).await;
        plays += page["plays"].as_array().unwrap().len();
        gaps.extend(page["gaps"].as_array().unwrap().clone());
        if page["next_cursor"].is_null() {
            break;
        }
        arguments["cursor"] = page["next_cursor"].clone();
    }
    assert_eq!((plays, gaps.len()), (55, 1), "each page has its own gaps: {gaps:?}");
    assert_eq!(gaps[0]["reason"], "missed");
    let entries: Vec<Value> = all
        .iter()
        .map(|(uri, at)| {
            json!({
                "ts": at.to_rfc3339_opts(SecondsFormat::Secs, true), "ms_played": 180_000,
                "spotify_track_uri": uri, "master_metadata_track_name": uri,
                "master_metadata_album_artist_name": "Someone", "skipped": false,
            })
        })
        .collect();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("Streaming_History_Audio_0.json", SimpleFileOptions::default()).unwrap();
    zip.write_all(&serde_json::to_vec(&entries).unwrap()).unwrap();
    let zip = file(&stage, "mine.zip", &zip.finish().unwrap().into_inner());
    let imported = ada.imported(&zip, &[]).await;
    assert_eq!((&imported["added"], &imported["known"]), (&json!(20), &json!(55)), "{imported}");
    let kept = ada.history().await;
    assert_eq!(kept.len(), 75);
    assert!(
        kept.iter().all(|play| play.track.ms_played == Some(180_000)),
        "what the download knows is added"
    );
    let status = ada.client.call("history_status", json!({})).await;
    let spotify =
        status["accounts"].as_array().unwrap().iter().find(|one| one["provider"] == "spotify").unwrap();
    assert_eq!((&spotify["gaps"], &spotify["gaps_filled"]), (&json!(0), &json!(1)), "{status}");
}

#[tokio::test]
async fn what_cannot_be_imported_says_why_and_leaves_what_was_before() {
    let clock = std::sync::Arc::new(stagedoor_testkit::FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    let bob = Listener::of(&stage, &gateway, &clock, "bob").await;
    ada.consents(true).await;
    let newest = ada.now() - TimeDelta::days(40);
    let text = file(&stage, "text.zip", b"no zip at all");
    let not_a_zip = ada.imported(&text, &[]).await;
    assert_eq!(not_a_zip["error"], "invalid_file", "{not_a_zip}");
    let zip = file(&stage, "mine.zip", &extended(newest, &[20]));
    let foreign = bob.ada.account(Provider::Spotify).id.to_string();
    let of_another = ada.imported(&zip, &["--account", &foreign]).await;
    assert_eq!(of_another["error"], "account_not_linked", "{of_another}");
    stage.sql("UPDATE tenants SET settings = settings || '{\"policy_gates\": {}}'").await;
    let closed = ada.imported(&zip, &[]).await;
    assert_eq!(closed["error"], "policy_gate_closed", "{closed}");
    assert_eq!(ada.import(&zip, &[]).await.code, Some(2));
    let nobody =
        stage.run(&["import", "history", zip.to_str().unwrap(), "--tenant", "ada", "--user", "nobody"]).await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.said.contains("--user: the tenant has no person"), "{nobody:?}");
    assert_eq!(ada.history().await.len() + bob.history().await.len(), 0);
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_where_it_was() {
    let clock = std::sync::Arc::new(stagedoor_testkit::FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    ada.consents(true).await;
    let zip = file(&stage, "mine.zip", &extended(ada.now() - TimeDelta::days(40), &[6_000, 6_000]));
    let user = ada.ada.user.to_string();
    let arguments =
        ["import", "history", zip.to_str().unwrap(), "--json", "--tenant", "ada", "--user", &user];
    let running = stage.begin(&arguments, &[]);
    let some = "SELECT count(*) FROM listening_imports WHERE entries_done > 0 OR files_done > 0";
    crate::limits_hot_reload::until("some of it is in", async || stage.sql(some).await == "1").await;
    running.signal(rustix::process::Signal::KILL);
    running.finished().await;
    let before = ada.history().await.len();
    assert!(before > 0);
    let rest = ada.imported(&zip, &[]).await;
    assert_eq!((&rest["done"], &rest["resumed"]), (&json!(true), &json!(true)), "{rest}");
    assert_eq!(ada.history().await.len(), 12_000, "killed at {before}");
}

#[tokio::test]
async fn pages_of_a_query_are_the_history_and_nothing_twice() {
    let clock = std::sync::Arc::new(stagedoor_testkit::FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    let bob = Listener::of(&stage, &gateway, &clock, "bob").await;
    let unasked = ada.client.tool("history_query", json!({})).await;
    assert_eq!(unasked.verdict(), "200 consent_required");
    let status = ada.client.call("history_status", json!({})).await;
    assert_eq!(status["consent"], "never_asked", "it answers while nothing is allowed: {status}");
    ada.consents(true).await;
    bob.consents(true).await;
    let zip = file(&stage, "mine.zip", &extended(ada.now() - TimeDelta::days(40), &[530]));
    ada.imported(&zip, &[]).await;

    for era in [stagedoor_testkit::Era::Modern, stagedoor_testkit::Era::Legacy("2025-11-25")] {
        let client = music::client(&gateway, &ada.ada).speaking(era);
        let expected: Vec<String> = ada
            .history()
            .await
            .iter()
            .rev()
            .map(|play| play.played_at.to_rfc3339_opts(SecondsFormat::Millis, true))
            .collect();
        let (mut found, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let mut arguments = json!({ "limit": 170 });
            if !cursor.is_null() {
                arguments["cursor"] = cursor;
            }
            let page = client.call("history_query", arguments).await;
            found.extend(
                page["plays"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|play| play["played_at"].as_str().unwrap().to_owned()),
            );
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
            let stolen = bob.client.tool("history_query", json!({ "limit": 170, "cursor": cursor })).await;
            assert_eq!(stolen.verdict(), "200 invalid_cursor");
        }
        assert_eq!(found, expected);
    }
    let of_one = ada.client.call("history_query", json!({ "text": "artist 3", "limit": 200 })).await;
    let wanted = ada.history().await.iter().filter(|play| play.track.artists == ["Artist 3"]).count();
    assert_eq!(of_one["plays"].as_array().unwrap().len(), wanted);
    let day = (ada.now() - TimeDelta::days(41)).date_naive().to_string();
    let of_day = ada.client.call("history_query", json!({ "from": day, "to": day, "limit": 200 })).await;
    let wanted =
        ada.history().await.iter().filter(|play| play.played_at.date_naive().to_string() == day).count();
    assert_eq!(of_day["plays"].as_array().unwrap().len(), wanted.min(200));
    assert_eq!(bob.client.call("history_query", json!({})).await["plays"], json!([]));
    for (arguments, told) in [
        (json!({ "from": "yesterday" }), "`from` is"),
        (json!({ "from": "2026-02-01", "to": "2026-01-01" }), "`to` is before"),
        (json!({ "zone": "Berlin" }), "`zone` is"),
        (json!({ "limit": 0 }), "`limit`"),
    ] {
        let refused = ada.client.tool("history_query", arguments).await;
        assert_eq!(refused.verdict(), "200 invalid_arguments");
        assert!(refused.message().contains(told), "{}", refused.message());
    }
}
