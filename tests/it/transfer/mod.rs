//! Playlists brought from one service to the other: what is found, what is asked, what is written. What becomes of the
//! job when something goes wrong is in `mishaps`.

mod mishaps;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::{Provider, ToolName};
use stagedoor_sandbox::SampleTrack;
use stagedoor_testkit::{Client, Inhabited, KeySpec, Stage, TestGateway};

use crate::music;

const SERVICES: [(Provider, Provider); 2] =
    [(Provider::Spotify, Provider::Tidal), (Provider::Tidal, Provider::Spotify)];

/// A stage with a person who may do everything.
async fn ada(stage: &Stage) -> Inhabited<'_> {
    stage.inhabit_with("ada", music::everything_allowed()).await
}

/// Tracks of a service whose code the other service has, too, for everyone; no code twice.
fn shared_tracks(stage: &Stage, from: Provider, to: Provider) -> Vec<SampleTrack> {
    let theirs: Vec<SampleTrack> = stage.sandbox().catalogue(to).tracks().collect();
    let mut known: HashMap<String, bool> = HashMap::new();
    for track in &theirs {
        if let Some(isrc) = &track.isrc {
            *known.entry(isrc.clone()).or_insert(false) |= track.blocked_in.is_empty();
        }
    }
    let ours = stage.sandbox().catalogue(from);
    ours.tracks()
        .filter(|track| track.blocked_in.is_empty())
        .filter(|track| track.isrc.as_ref().is_some_and(|isrc| known.remove(isrc) == Some(true)))
        .collect()
}

/// A playlist of the person's that holds these tracks.
fn playlist(stage: &Stage, who: &Inhabited<'_>, provider: Provider, tracks: &[SampleTrack]) -> String {
    let ids: Vec<&str> = tracks.iter().map(|track| track.id.as_str()).collect();
    let account = &who.account(provider).account;
    let id = stage.sandbox().make_playlist(provider, account, "To be moved", &ids);
    format!("{provider}:playlist:{id}")
}

/// The codes of what a playlist holds.
fn codes(stage: &Stage, provider: Provider, playlist: &str) -> Vec<String> {
    let id = playlist.rsplit(':').next().unwrap();
    let by_id: HashMap<String, Option<String>> =
        stage.sandbox().catalogue(provider).tracks().map(|track| (track.id, track.isrc)).collect();
    let tracks = stage.sandbox().playlist_tracks(provider, id).unwrap();
    tracks.iter().map(|id| by_id[id].clone().unwrap_or_else(|| format!("no code: {id}"))).collect()
}

fn isrcs(tracks: &[SampleTrack]) -> Vec<String> {
    tracks.iter().map(|track| track.isrc.clone().unwrap()).collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} of {value}"))
}

/// The job as soon as it rests.
async fn rested(client: &Client, job: &str) -> Value {
    loop {
        let seen = client.call("job_get", json!({ "job": job })).await;
        if !matches!(text(&seen, "/state"), "queued" | "running") {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_playlist_goes_either_way_in_order() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    for (from, to) in SERVICES {
        let tracks: Vec<SampleTrack> = shared_tracks(&stage, from, to).into_iter().take(130).collect();
        let source = playlist(&stage, &ada, from, &tracks);
        let begun = client
            .call("playlist_transfer", json!({ "ref": source, "to_provider": to, "name": "Moved" }))
            .await;
        let done = rested(&client, text(&begun, "/job")).await;
        assert_eq!(text(&done, "/state"), "done", "{done}");
        let (report, counts) = (&done["report"], &done["report"]["counts"]);
        assert_eq!((&counts["matched"], &counts["written"]), (&json!(130), &json!(130)), "{report}");
        assert_eq!((done["done"].as_u64(), done["total"].as_u64()), (Some(260), Some(260)));
        assert_eq!(codes(&stage, to, text(report, "/target")), isrcs(&tracks));
        // Each track is told, a page at a time.
        let first = json!({ "job": done["job"], "show": "all" });
        let first = client.call("job_get", first).await;
        let listed = first["report"]["matched"].as_array().unwrap();
        assert_eq!((listed.len(), &first["report"]["next_from"]), (100, &json!(100)));
        assert_eq!((&listed[0]["confidence"], text(&listed[0], "/reason")), (&json!(1.0), "same ISRC"));
        let rest = json!({ "job": done["job"], "show": "all", "from": 100 });
        let rest = client.call("job_get", rest).await;
        assert_eq!(rest["report"]["matched"].as_array().unwrap().len(), 30);
        let versions = client.call("playlist_versions", json!({ "ref": report["target"] })).await;
        assert!(versions.to_string().contains("transfer"), "{versions}");
    }
}

#[tokio::test]
async fn nothing_is_left_out_silently() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let theirs: Vec<SampleTrack> = stage.sandbox().catalogue(Provider::Tidal).tracks().collect();
    let everywhere_blocked = |isrc: &str| {
        let mut of_code = theirs.iter().filter(|track| track.isrc.as_deref() == Some(isrc)).peekable();
        of_code.peek().is_some() && of_code.all(|track| track.blocked_in.contains(&"DE"))
    };
    let ours = stage.sandbox().catalogue(Provider::Spotify);
    let blocked: Vec<SampleTrack> =
        ours.tracks().filter(|track| track.isrc.as_deref().is_some_and(everywhere_blocked)).take(5).collect();
    assert!(!blocked.is_empty(), "the catalogue has some");
    let source = playlist(&stage, &ada, Provider::Spotify, &blocked);
    let id = source.rsplit(':').next().unwrap();
    stage.sandbox().add_other(
        Provider::Spotify,
        id,
        stagedoor_sandbox::Other::LocalFile { title: "Demo".to_owned() },
    );
    let dry = json!({ "ref": source, "to_provider": "tidal", "dry_run": true });
    let begun = client.call("playlist_transfer", dry).await;
    let done = rested(&client, text(&begun, "/job")).await;
    let report = &done["report"];
    let told: usize = ["ambiguous", "missing", "left_out", "matched"]
        .iter()
        .filter_map(|outcome| report["counts"][outcome].as_u64())
        .sum::<u64>()
        .try_into()
        .unwrap();
    assert_eq!(told, blocked.len() + 1, "{report}");
    let missing = report["missing"].as_array().unwrap();
    assert!(missing.iter().any(|track| text(track, "/reason").contains("but not in DE")), "{report}");
    assert!(missing.iter().any(|track| text(track, "/reason").contains("no track")), "{report}");
    assert!(report.get("target").is_none(), "nothing was written: {report}");
    let listed = client.call("playlists_list", json!({ "provider": "tidal" })).await;
    assert_eq!(listed["playlists"], json!([]));
}

/// A playlist of tracks that Tidal has in other versions only.
pub(crate) fn doubtful(stage: &Stage, ada: &Inhabited<'_>) -> String {
    let playable = |track: &SampleTrack| !track.blocked_in.contains(&"DE");
    let theirs: Vec<SampleTrack> =
        stage.sandbox().catalogue(Provider::Tidal).tracks().filter(playable).collect();
    let other_versions_only = |track: &SampleTrack| {
        let mut of_song = theirs
            .iter()
            .filter(|other| other.title == track.title && other.artists.first() == track.artists.first())
            .peekable();
        of_song.peek().is_some()
            && of_song.all(|other| other.version != track.version && other.isrc != track.isrc)
    };
    let ours = stage.sandbox().catalogue(Provider::Spotify);
    let tracks: Vec<SampleTrack> = ours.tracks().filter(other_versions_only).take(12).collect();
    assert!(tracks.len() > 1, "the catalogue has some");
    playlist(stage, ada, Provider::Spotify, &tracks)
}

#[tokio::test]
async fn what_may_be_several_is_decided_and_the_job_goes_on() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let source = doubtful(&stage, &ada);
    let begun = client.call("playlist_transfer", json!({ "ref": source, "to_provider": "tidal" })).await;
    let job = text(&begun, "/job").to_owned();
    let waiting = rested(&client, &job).await;
    assert_eq!(text(&waiting, "/state"), "waiting", "{waiting}");
    let open = waiting["report"]["ambiguous"].as_array().unwrap().clone();
    assert!(open.len() > 1, "{waiting}");
    let (first, best) = (&open[0]["position"], &open[0]["candidates"][0]["ref"]);

    let wrong = [
        (json!([{ "position": 60_000, "ref": "skip" }]), "invalid_arguments"),
        (json!([{ "position": first, "ref": "spotify:track:11dFghVXANMlKmJXsNCbNl" }]), "invalid_arguments"),
    ];
    for (decisions, code) in wrong {
        let refused = client.tool("playlist_transfer", json!({ "job": job, "decisions": decisions })).await;
        assert_eq!(refused.code().as_deref(), Some(code), "{}", refused.text());
    }
    // Some are decided: it still waits for the others.
    let some =
        json!([{ "position": first, "ref": best }, { "position": open[1]["position"], "ref": "skip" }]);
    client.call("playlist_transfer", json!({ "job": job, "decisions": some })).await;
    let waiting = rested(&client, &job).await;
    let left = waiting["report"]["counts"]["ambiguous"].as_u64().unwrap();
    assert_eq!(left, open.len() as u64 - 2, "{waiting}");
    client.call("playlist_transfer", json!({ "job": job, "accept_best": true })).await;
    let done = rested(&client, &job).await;
    assert_eq!(text(&done, "/state"), "done", "{done}");
    let report = &done["report"];
    assert_eq!(report["counts"]["ambiguous"], 0);
    assert_eq!(report["counts"]["matched"], report["counts"]["written"], "{report}");
    assert!(report["left_out"].to_string().contains("decided to leave it out"), "{report}");
    let id = text(report, "/target").rsplit(':').next().unwrap();
    let holds = stage.sandbox().playlist_tracks(Provider::Tidal, id).unwrap();
    assert!(
        holds.contains(&text(best, "").rsplit(':').next().unwrap().to_owned()),
        "the one that was chosen is in"
    );
}

#[tokio::test]
async fn what_the_target_has_is_not_added_twice_if_that_is_wanted() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let tracks: Vec<SampleTrack> =
        shared_tracks(&stage, Provider::Spotify, Provider::Tidal).into_iter().take(20).collect();
    let source = playlist(&stage, &ada, Provider::Spotify, &tracks);
    let first = client.call("playlist_transfer", json!({ "ref": source, "to_provider": "tidal" })).await;
    let first = rested(&client, text(&first, "/job")).await;
    let target = text(&first, "/report/target").to_owned();
    let again = json!({ "ref": source, "target": target, "skip_duplicates": true });
    let again = client.call("playlist_transfer", again).await;
    let again = rested(&client, text(&again, "/job")).await;
    assert_eq!(again["report"]["counts"]["left_out"], 20, "{again}");
    assert_eq!(codes(&stage, Provider::Tidal, &target), isrcs(&tracks));
    let thrice = client.call("playlist_transfer", json!({ "ref": source, "target": target })).await;
    let thrice = rested(&client, text(&thrice, "/job")).await;
    assert_eq!(thrice["report"]["counts"]["written"], 20, "{thrice}");
    assert_eq!(codes(&stage, Provider::Tidal, &target).len(), 40);
}

#[tokio::test]
async fn a_closed_gate_of_either_side_closes_both_ways() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    // Spotify's gates are closed where nobody opens them.
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (from, to) in SERVICES {
        let source = playlist(&stage, &ada, from, &[]);
        let refused = client.tool("playlist_transfer", json!({ "ref": source, "to_provider": to })).await;
        assert_eq!(refused.code().as_deref(), Some("policy_gate_closed"), "{}", refused.text());
        assert!(refused.text().contains("policy_gates.spotify.transfer"), "{}", refused.text());
    }
    assert_eq!(stage.sql("SELECT count(*) FROM jobs").await.trim(), "0");
}

#[tokio::test]
async fn the_same_key_is_the_same_job() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = ada(&stage).await;
    let client = music::client(&gateway, &ada);
    let tracks = shared_tracks(&stage, Provider::Tidal, Provider::Spotify);
    let source = playlist(&stage, &ada, Provider::Tidal, &tracks[..3]);
    let asked = json!({ "ref": source, "to_provider": "spotify", "idempotency_key": "once" });
    let first = client.call("playlist_transfer", asked.clone()).await;
    let second = client.call("playlist_transfer", asked).await;
    assert_eq!(first["job"], second["job"]);
    let other =
        json!({ "ref": source, "to_provider": "spotify", "idempotency_key": "once", "name": "Other" });
    let other = client.tool("playlist_transfer", other).await;
    assert_eq!(other.code().as_deref(), Some("idempotency_mismatch"), "{}", other.text());
    let listed = client.call("playlists_list", json!({ "provider": "spotify" })).await;
    assert_eq!(listed["playlists"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn a_job_is_there_for_nobody_else() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, eve) = (ada(&stage).await, stage.inhabit_with("eve", music::everything_allowed()).await);
    let client = music::client(&gateway, &ada);
    let source = playlist(&stage, &ada, Provider::Tidal, &[]);
    let begun = client.call("playlist_transfer", json!({ "ref": source, "to_provider": "spotify" })).await;
    let job = begun["job"].clone();
    rested(&client, text(&job, "")).await;
    let neighbour = ada.tenant.person("Grace").await;
    let others = [
        ("another agent", gateway.client("ada", &ada.tenant.key(&KeySpec::for_user(ada.user)).await)),
        ("another person", gateway.client("ada", &ada.tenant.key(&KeySpec::for_user(neighbour)).await)),
        ("another tenant", music::client(&gateway, &eve)),
    ];
    for (who, other) in others {
        for tool in [ToolName::JobGet, ToolName::JobCancel, ToolName::PlaylistTransfer] {
            let refused = other.tool(tool.as_str(), json!({ "job": job })).await;
            assert_eq!(refused.code().as_deref(), Some("job_unknown"), "{who}, {tool}: {}", refused.text());
        }
    }
}
