//! Transfers whose replica is killed at random moments, again and again, while another takes over: what the target holds
//! is what was matched, each once, in order.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::proof::{ProofSize, prove_equal, remark};
use stagedoor_testkit::{Client, GatewayProcess, Inhabited, Stage};

use super::{held, matched, of_that_name, playlist, text};
use crate::limits_hot_reload::until;
use crate::music;

const SEED: u64 = 0x0d_ead1;

/// A playlist on its way.
struct Moving {
    to: Provider,
    name: String,
    tracks: usize,
    arguments: Value,
}

#[derive(Debug, Default)]
struct Tally {
    under_way: u64,
    written: u64,
    doubled: u64,
    lost: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replicas_transfers_lose_and_double_nothing() {
    let size = ProofSize::wanted();
    let (rounds, kills): (u64, u64) = (size.of(1, 15), size.of(1, 4));
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut tally = Tally::default();
    let mut replica = GatewayProcess::start(&stage, "first", &[]).await;
    for round in 0..rounds {
        let transfers: Vec<Moving> =
            Provider::ALL.iter().map(|from| moving(&stage, &ada, *from, round, &mut random)).collect();
        slow_down(&stage);
        for kill in 0..kills {
            let death = Duration::from_millis(random.random_range(200..size.of(1_000, 3_500)));
            begin_and_kill(&stage, &ada, &mut replica, (&transfers, death)).await;
            // The turns of the dead are over.
            stage.sql("UPDATE idempotency_keys SET claimed_until = clock_timestamp()").await;
            stage.sql("UPDATE jobs SET due_at = clock_timestamp() WHERE state = 'running'").await;
            tally.under_way += under_way(&stage).await;
            replica = GatewayProcess::start(&stage, &format!("replica-{round}-{kill}"), &[]).await;
        }
        stage.sandbox().faults().clear();
        let client = replica.client(ada.tenant.slug(), &ada.key);
        for transfer in &transfers {
            judge(&stage, &client, transfer, &mut tally).await;
        }
    }
    let Tally { under_way: cut_off, written, doubled, lost } = tally;
    let transfers = rounds * Provider::ALL.len() as u64;
    remark(format_args!("{written} tracks of {transfers} transfers, {cut_off} times cut off"));
    assert!(cut_off > 0, "no transfer was cut off");
    prove_equal("music.transfer_duplicates_after_kill", doubled, 0);
    prove_equal("music.transfer_lost_after_kill", lost, 0);
}

/// A playlist of tracks that the other service has, too.
fn moving(stage: &Stage, ada: &Inhabited<'_>, from: Provider, round: u64, random: &mut StdRng) -> Moving {
    let to = music::elsewhere(from);
    let theirs: HashSet<String> = stage
        .sandbox()
        .catalogue(to)
        .tracks()
        .filter(|track| track.blocked_in.is_empty())
        .filter_map(|track| track.isrc)
        .collect();
    let there = |track: &stagedoor_sandbox::SampleTrack| {
        track.blocked_in.is_empty() && track.isrc.as_ref().is_some_and(|isrc| theirs.contains(isrc))
    };
    let ours = stage.sandbox().catalogue(from);
    let mut tracks: Vec<String> =
        ours.tracks().filter(there).map(|track| format!("{from}:track:{}", track.id)).collect();
    tracks.shuffle(random);
    tracks.truncate(ProofSize::wanted().of(120, 330));
    let name = format!("From {from} in {round}");
    let source = playlist(stage, &ada.account(from).account, from, &format!("At {from}"), &tracks);
    let key = format!("{from}-{round}");
    let arguments = json!({ "ref": source, "to_provider": to, "name": name, "idempotency_key": key });
    Moving { to, name, tracks: tracks.len(), arguments }
}

/// Time for a replica to die after a write and before it knows.
fn slow_down(stage: &Stage) {
    for provider in Provider::ALL {
        for (operation, milliseconds) in [
            ("POST /playlists/{id}/items", 500),
            ("POST /playlists/{id}/relationships/items", 500),
            ("POST /me/playlists", 200),
            ("POST /playlists", 200),
        ] {
            let slow = FaultRule::new(*provider, Effect::delay(Duration::from_millis(milliseconds)));
            stage.sandbox().faults().push(slow.operation(operation).after_work());
        }
    }
}

/// How many transfers have begun and not ended.
async fn under_way(stage: &Stage) -> u64 {
    let query = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')";
    stage.sql(query).await.trim().parse().unwrap()
}

/// Has a replica begin the transfers, or find those that were begun, and kills it so long after there are any.
async fn begin_and_kill(
    stage: &Stage,
    ada: &Inhabited<'_>,
    replica: &mut GatewayProcess,
    (transfers, death): (&[Moving], Duration),
) {
    let client = replica.client(ada.tenant.slug(), &ada.key);
    let calls = transfers.iter().map(|transfer| {
        let params = json!({ "name": "playlist_transfer", "arguments": transfer.arguments });
        client.try_rpc("tools/call", params)
    });
    let kill = async {
        until("a transfer", async || under_way(stage).await > 0).await;
        tokio::time::sleep(death).await;
        replica.kill().await;
    };
    tokio::join!(join_all(calls), kill);
}

/// Waits until a transfer is done and compares the target with what was matched.
async fn judge(stage: &Stage, client: &Client, transfer: &Moving, tally: &mut Tally) {
    let begun = client.call("playlist_transfer", transfer.arguments.clone()).await;
    let job = loop {
        let job = client.call("job_get", json!({ "job": begun["job"] })).await;
        if job["state"] != "queued" && job["state"] != "running" {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(job["state"], "done", "{job}");
    let found: Vec<String> = matched(client, &text(&job["job"])).await.into_values().collect();
    assert_eq!(found.len(), transfer.tracks, "{job}");
    let holds = held(stage, &text(&job["report"]["target"]));
    let times = |list: &[String], track: &String| list.iter().filter(|held| *held == track).count() as u64;
    let made = of_that_name(client, transfer.to, &transfer.name).await;
    let of_all = |one: &[String], other: &[String]| -> u64 {
        let each: HashSet<&String> = one.iter().collect();
        each.into_iter().map(|track| times(one, track).saturating_sub(times(other, track))).sum()
    };
    let (doubled, lost) = (of_all(&holds, &found) + made - 1, of_all(&found, &holds));
    // As many of each, but elsewhere: the order is a part of what was matched.
    let misplaced = u64::from(doubled + lost == 0 && holds != found);
    if doubled + lost + misplaced > 0 {
        remark(format_args!("{}: {made} made, {doubled} doubled, {lost} lost: {job}", transfer.name));
    }
    tally.written += holds.len() as u64;
    tally.doubled += doubled;
    tally.lost += lost + misplaced;
}
