//! Playlists that are changed at random, here and elsewhere: each dry run foretells what then happens, and an undo
//! brings back every version as it was.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_testkit::proof::{ProofSize, prove_equal, remark};
use stagedoor_testkit::{Client, Stage, TestGateway};

use super::changes::{another_list, any_change, applied, some};
use super::{bare, held, parts, playlist, text};
use crate::music::{self, known_tracks};

const SEED: u64 = 0x0b_0b1e;
const AT_A_TIME: usize = 4;
/// Few enough for a playlist to hold the same track twice.
const POOL: usize = 40;

#[derive(Debug, Default)]
struct Tally {
    undone: u64,
    undo_mismatches: u64,
    foretold: u64,
    dry_run_mismatches: u64,
}

struct Sequence<'a> {
    stage: &'a Stage,
    client: &'a Client,
    playlist: String,
    pool: &'a [String],
    /// What each stored version holds.
    versions: BTreeMap<u64, Vec<String>>,
    random: StdRng,
    tally: Tally,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_comes_back_and_what_is_foretold_happens() {
    let size = ProofSize::wanted();
    let (sequences, steps): (u64, usize) = (size.of(2, 200), size.of(8, 25));
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let pools = Provider::ALL.iter().map(|provider| {
        let known = known_tracks(&stage, *provider).into_iter().take(POOL);
        (*provider, known.map(|track| format!("{provider}:track:{}", track.id)).collect::<Vec<_>>())
    });
    let pools: Vec<(Provider, Vec<String>)> = pools.collect();
    let all = (0..sequences).map(|number| {
        let (provider, pool) = &pools[usize::try_from(number).unwrap() % pools.len()];
        let account = &ada.account(*provider).account;
        let (stage, client) = (&stage, &client);
        async move {
            let mut sequence = Sequence::begin(stage, client, account, (*provider, pool), number).await;
            for _ in 0..steps {
                sequence.step().await;
            }
            sequence.undo_all().await;
            sequence.tally
        }
    });
    let tallies: Vec<Tally> = stream::iter(all).buffer_unordered(AT_A_TIME).collect().await;
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let (undone, foretold) = (sum(|tally| tally.undone), sum(|tally| tally.foretold));
    assert!(undone >= sequences * 4 && foretold >= sequences * 2, "{undone} undone, {foretold} foretold");
    remark(format_args!("{undone} undone, {foretold} foretold in {sequences} sequences"));
    let (undo, dry_run) = (sum(|tally| tally.undo_mismatches), sum(|tally| tally.dry_run_mismatches));
    remark(format_args!("{undo} versions did not come back, {dry_run} dry runs were wrong"));
    prove_equal("music.undo_mismatches", undo, 0);
    prove_equal("music.dry_run_mismatches", dry_run, 0);
}

impl<'a> Sequence<'a> {
    /// With a playlist that is made here, or one that was there before and is longer than one request.
    async fn begin(
        stage: &'a Stage,
        client: &'a Client,
        account: &str,
        (provider, pool): (Provider, &'a [String]),
        number: u64,
    ) -> Self {
        let mut random = StdRng::seed_from_u64(SEED ^ number);
        let mut versions = BTreeMap::new();
        let name = format!("Sequence {number}");
        let playlist = if (number + number / 2).is_multiple_of(2) {
            let made = client.call("playlist_create", json!({ "name": name, "provider": provider })).await;
            versions.insert(made["version"].as_u64().unwrap(), vec![]);
            text(&made["playlist"]["ref"])
        } else {
            let most = if number % 8 < 4 { 130 } else { 40 };
            playlist(stage, account, provider, &name, &some(&mut random, pool, most))
        };
        Self { stage, client, playlist, pool, versions, random, tally: Tally::default() }
    }

    async fn step(&mut self) {
        if self.random.random_bool(0.2) {
            let held = self.held();
            let list = another_list(&mut self.random, &held, self.pool);
            let (provider, id) = parts(&self.playlist);
            assert!(self.stage.sandbox().change_playlist(provider, id, &bare(&list)));
        }
        let known: Vec<u64> = self.versions.keys().copied().collect();
        let held = self.held();
        let (tool, mut arguments) = any_change(&mut self.random, &held, self.pool, &known);
        arguments["ref"] = self.playlist.clone().into();
        self.change(tool, arguments).await;
    }

    /// Back to each version that there is, in any order.
    async fn undo_all(&mut self) {
        let mut known: Vec<u64> = self.stored().await;
        known.shuffle(&mut self.random);
        for version in known {
            let Some(wanted) = self.versions.get(&version).cloned() else {
                self.tally.undo_mismatches += 1;
                remark(format_args!("{}: nobody knows of version {version}", self.playlist));
                continue;
            };
            self.change("playlist_undo", json!({ "ref": self.playlist, "to_version": version })).await;
            self.tally.undone += 1;
            if self.held() != wanted {
                self.tally.undo_mismatches += 1;
                remark(format_args!("{}: version {version} is not what was there", self.playlist));
            }
        }
    }

    async fn stored(&self) -> Vec<u64> {
        let listed =
            self.client.call("playlist_versions", json!({ "ref": self.playlist, "limit": 100 })).await;
        let versions = listed["versions"].as_array().unwrap();
        versions.iter().map(|version| version["version"].as_u64().unwrap()).collect()
    }

    /// Makes a change, often after asking for its effect.
    async fn change(&mut self, tool: &str, arguments: Value) {
        let before = self.held();
        let told = if self.random.random_bool(0.6) {
            let mut dry = arguments.clone();
            dry["dry_run"] = true.into();
            let told = self.client.tool(tool, dry).await;
            Some((told.code(), told.result()["structuredContent"].clone()))
        } else {
            None
        };
        let touched = self.held() != before;
        let answer = self.client.tool(tool, arguments.clone()).await;
        let (code, done) = (answer.code(), answer.result()["structuredContent"].clone());
        let after = self.held();
        let legitimate = [None, Some("conflict"), Some("version_unknown")];
        let as_told = match &code {
            Some(_) => legitimate.contains(&code.as_deref()) && tool == "playlist_undo" && after == before,
            None => applied(&before, &done).as_ref() == Some(&after),
        };
        assert!(as_told, "{tool} {arguments}: {} made of {before:?} {after:?}", answer.text());
        if let Some((told_code, told)) = told {
            self.tally.foretold += 1;
            let foretold = applied(&before, &told);
            let right = match &told_code {
                None => foretold.as_ref() == Some(&after) && effect(told.clone()) == effect(done.clone()),
                Some(_) => true,
            };
            if touched || told_code != code || !right {
                self.tally.dry_run_mismatches += 1;
                remark(format_args!("{tool} {arguments}: foretold {told}, but {}", answer.text()));
            }
        }
        if code.is_none() {
            let version = done["version"].as_u64().unwrap();
            let new = self.versions.last_key_value().is_none_or(|(last, _)| *last < version);
            if new && version > 1 && (after != before || !self.versions.contains_key(&(version - 1))) {
                self.note(version - 1, &before);
            }
            self.note(version, &after);
        } else if let Some(newest) = self.stored().await.first() {
            // Whoever was refused has looked at what was changed elsewhere.
            self.note(*newest, &after);
        }
    }

    /// A version that is stored. Its number is that of no other.
    fn note(&mut self, version: u64, holds: &[String]) {
        let known = self.versions.entry(version).or_insert_with(|| holds.to_vec());
        if *known != holds {
            self.tally.undo_mismatches += 1;
            remark(format_args!("{}: version {version} is two", self.playlist));
        }
    }

    fn held(&self) -> Vec<String> {
        held(self.stage, &self.playlist)
    }
}

/// What an answer says of the effect.
fn effect(mut answer: Value) -> Value {
    for member in ["dry_run", "version", "provider_version"] {
        answer.as_object_mut().unwrap().remove(member);
    }
    answer
}
