//! Tracks of the sandbox's whole repertoire, brought to the other service and back: reissues, live takes and remixes,
//! tracks without ISRC, tracks that are blocked. The sandbox knows which recording each of them is.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::SampleTrack;
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, remark};
use stagedoor_testkit::{Client, Stage, TestGateway};

use super::{held, matched, playlist, text};
use crate::music;

const SEED: u64 = 0x3a7c;
/// Where the accounts are.
const COUNTRY: &str = "DE";
/// Tracks of one playlist.
const LENGTH: usize = 900;

/// Whether a track is of a kind.
type Fits<'a> = &'a dyn Fn(&SampleTrack) -> bool;

/// What is true of the tracks of both services.
struct Truth {
    recordings: HashMap<String, String>,
    /// In words, for whoever looks into a match that is wrong.
    names: HashMap<String, String>,
    /// What can be played there.
    there: HashMap<Provider, HashSet<String>>,
}

#[derive(Debug, Default)]
struct Score {
    exist: u64,
    found: u64,
    wrong: u64,
    doubtful: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_moved_is_the_same_recording() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let client = music::client(&gateway, &ada);
    let truth = Truth::of(&stage);
    let mut score = Score::default();
    let account = &ada.account(Provider::Spotify).account;
    let chosen = chosen(&stage);
    for (number, tracks) in chosen.chunks(LENGTH).enumerate() {
        let source = playlist(&stage, account, Provider::Spotify, &format!("There {number}"), tracks);
        let target = transfer(&stage, &client, &source, Provider::Tidal, (&truth, &mut score)).await;
        transfer(&stage, &client, &target, Provider::Spotify, (&truth, &mut score)).await;
    }
    let Score { exist, found, wrong, doubtful } = score;
    remark(format_args!("{found} of {exist} were found, {wrong} are others, {doubtful} were to be decided"));
    assert!(exist > chosen.len() as u64, "{exist} of {}, both ways, exist there", chosen.len());
    // In ten thousandths, because both are counts.
    let share = format!("{}.{:04}", found / exist, found % exist * 10_000 / exist);
    prove_equal("music.transfer_wrong_matches", wrong, 0);
    prove("music.transfer_found_share", share, ">=0.95", found * 100 >= exist * 95);
}

/// Moves a playlist, leaves out what is doubtful, and scores what was found. Returns the playlist that was made.
async fn transfer(
    stage: &Stage,
    client: &Client,
    source: &str,
    to: Provider,
    (truth, score): (&Truth, &mut Score),
) -> String {
    let begun = client.call("playlist_transfer", json!({ "ref": source, "to_provider": to })).await;
    let mut job = rested(client, &begun).await;
    score.doubtful += job["report"]["counts"]["ambiguous"].as_u64().unwrap();
    if job["state"] == "waiting" {
        let decided = json!({ "job": job["job"], "skip_rest": true });
        job = rested(client, &client.call("playlist_transfer", decided).await).await;
    }
    assert_eq!(job["state"], "done", "{job}");
    let found = matched(client, &text(&job["job"])).await;
    let target = text(&job["report"]["target"]);
    assert_eq!(
        held(stage, &target),
        found.values().cloned().collect::<Vec<_>>(),
        "in the order of the source"
    );
    for (track, position) in held(stage, source).iter().zip(0..) {
        let recording = &truth.recordings[track];
        let exists = truth.there[&to].contains(recording);
        score.exist += u64::from(exists);
        match found.get(&position).map(|found| &truth.recordings[found]) {
            Some(other) if other == recording => score.found += u64::from(exists),
            Some(_) => {
                score.wrong += 1;
                remark(format_args!("{} became {}", truth.names[track], truth.names[&found[&position]]));
            }
            None if exists => remark(format_args!("{track} exists at {to} and was not found")),
            None => {}
        }
    }
    target
}

async fn rested(client: &Client, begun: &Value) -> Value {
    loop {
        let job = client.call("job_get", json!({ "job": begun["job"] })).await;
        if job["state"] != "queued" && job["state"] != "running" {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All of Spotify's tracks, or some of each kind that is hard.
fn chosen(stage: &Stage) -> Vec<String> {
    let mut tracks: Vec<SampleTrack> = stage.sandbox().catalogue(Provider::Spotify).tracks().collect();
    tracks.shuffle(&mut StdRng::seed_from_u64(SEED));
    let releases = tracks.iter().fold(HashMap::<String, usize>::new(), |mut releases, track| {
        *releases.entry(track.recording.clone()).or_default() += 1;
        releases
    });
    let kinds: [(&str, Fits<'_>); 6] = [
        ("without ISRC", &|track| track.isrc.is_none()),
        ("a live take", &|track| track.version.as_deref().is_some_and(|version| version.starts_with("Live"))),
        ("a remix", &|track| track.version.as_deref().is_some_and(|version| version.ends_with("mix"))),
        ("of several releases", &|track| releases[&track.recording] > 1),
        ("blocked", &|track| !track.blocked_in.is_empty()),
        ("any", &|_| true),
    ];
    let each = ProofSize::wanted().of(7, tracks.len());
    let mut chosen: Vec<SampleTrack> = Vec::new();
    for (kind, fits) in kinds {
        let of_kind: Vec<SampleTrack> = tracks
            .iter()
            .filter(|track| fits(track) && !chosen.contains(track))
            .take(each)
            .cloned()
            .collect();
        assert!(!of_kind.is_empty() || each > 100, "the catalogue has nothing that is {kind}");
        chosen.extend(of_kind);
    }
    chosen.into_iter().map(|track| format!("spotify:track:{}", track.id)).collect()
}

impl Truth {
    fn of(stage: &Stage) -> Self {
        let mut truth = Self { recordings: HashMap::new(), names: HashMap::new(), there: HashMap::new() };
        for provider in Provider::ALL {
            for track in stage.sandbox().catalogue(*provider).tracks() {
                if !track.blocked_in.contains(&COUNTRY) {
                    truth.there.entry(*provider).or_default().insert(track.recording.clone());
                }
                let name = format!("{provider}:track:{}", track.id);
                truth.names.insert(name.clone(), format!("{provider} {track:?}"));
                truth.recordings.insert(name, track.recording);
            }
        }
        truth
    }
}
