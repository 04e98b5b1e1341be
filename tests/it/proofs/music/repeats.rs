//! Writes with an idempotency key, repeated at random moments and at the same time over two replicas, one of which is
//! killed meanwhile: whatever is answered, nothing is done twice, and what is answered as done is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::proof::{ProofSize, prove_equal, remark};
use stagedoor_testkit::{Answer, Client, GatewayProcess, Inhabited, Stage};

use super::{held, of_that_name, playlist};
use crate::music::known_tracks;

const SEED: u64 = 0x0d_0d1e;
const ADDS: usize = 4;
const COPIES: usize = 3;

/// A call that may be made once only.
struct Write {
    provider: Provider,
    tool: &'static str,
    arguments: Value,
    /// What it adds, and to which playlist; or the name of the playlist that it makes.
    effect: Adds,
}

enum Adds {
    Tracks(String, Vec<String>),
    Playlist(String),
}

#[derive(Debug, Default)]
struct Tally {
    repeats: u64,
    cut_off: u64,
    twice: u64,
    unkept: u64,
    unknown: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_repeated_is_done_once() {
    let rounds: u64 = ProofSize::wanted().of(1, 40);
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let names = ["left", "right"];
    let started = join_all(names.map(|name| GatewayProcess::start(&stage, name, &[]))).await;
    let mut replicas: [GatewayProcess; 2] = started.try_into().unwrap();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut tally = Tally::default();
    for round in 0..rounds {
        let writes = writes(&stage, &ada, round, &mut random);
        let victim = random.random_range(0..replicas.len());
        let (firsts, cut_off) = all_at_once(&stage, &ada, &mut replicas, victim, &writes, &mut random).await;
        tally.repeats += (firsts.len() * COPIES) as u64;
        tally.cut_off += cut_off;
        replicas[victim] = GatewayProcess::start(&stage, &format!("{}-{round}", names[victim]), &[]).await;
        // Nobody is at work any more: whose process died has lost the turn.
        stage.sql("UPDATE idempotency_keys SET claimed_until = clock_timestamp()").await;
        let clients = replicas.each_ref().map(|replica| replica.client(ada.tenant.slug(), &ada.key));
        for (write, firsts) in writes.iter().zip(firsts) {
            let last = settled(&clients, write, &mut random).await;
            let mut answers = firsts.into_iter().flatten().chain([last.clone()]);
            let done = times_done(&stage, &clients[0], write).await;
            tally.twice += done.saturating_sub(1);
            tally.unkept += u64::from(done == 0 && answers.any(|answer| answer.code().is_none()));
            tally.unknown += u64::from(last.code().is_some());
            if done > 1 || last.code().is_some_and(|code| code != "outcome_unknown" && code != "conflict") {
                remark(format_args!(
                    "{} {} was done {done} times: {}",
                    write.tool,
                    write.arguments,
                    last.text()
                ));
            }
        }
    }
    let Tally { repeats, cut_off, twice, unkept, unknown } = tally;
    remark(format_args!("{repeats} calls, {cut_off} cut off, of {unknown} writes nobody knows"));
    assert!(cut_off > 0, "no call was cut off");
    prove_equal("music.writes_done_twice", twice, 0);
    prove_equal("music.writes_answered_and_not_done", unkept, 0);
}

/// Calls that add what nothing else adds.
fn writes(stage: &Stage, ada: &Inhabited<'_>, round: u64, random: &mut StdRng) -> Vec<Write> {
    let mut writes = Vec::new();
    for provider in Provider::ALL.iter().copied() {
        let known = known_tracks(stage, provider);
        let tracks: Vec<String> =
            known.iter().map(|track| format!("{provider}:track:{}", track.id)).collect();
        let account = &ada.account(provider).account;
        let made =
            |name: &str| playlist(stage, account, provider, &format!("{name} {round}"), &tracks[145..]);
        let (shared, long) = (made("Shared"), made("Long"));
        let mut add = |playlist: &str, added: &[String], position: Option<u32>| {
            let key = format!("{provider}-{round}-{}", added[0]);
            let mut arguments = json!({ "ref": playlist, "tracks": added, "idempotency_key": key });
            if let Some(position) = position {
                arguments["position"] = position.into();
            }
            let effect = Adds::Tracks(playlist.to_owned(), added.to_vec());
            writes.push(Write { provider, tool: "playlist_add", arguments, effect });
        };
        for number in 0..ADDS {
            let position = random.random_bool(0.4).then(|| random.random_range(0..5));
            add(&shared, &tracks[number * 2..number * 2 + 2], position);
        }
        add(&long, &tracks[20..140], None);
        let name = format!("Made in {round}");
        let key = format!("{provider}-{round}");
        let arguments = json!({ "name": name, "provider": provider, "idempotency_key": key });
        writes.push(Write { provider, tool: "playlist_create", arguments, effect: Adds::Playlist(name) });
    }
    writes
}

/// Makes each call several times, at random moments over both replicas, and kills one of them meanwhile. The answers,
/// where there were any, and how many calls the killed one was at.
async fn all_at_once(
    stage: &Stage,
    ada: &Inhabited<'_>,
    replicas: &mut [GatewayProcess; 2],
    victim: usize,
    writes: &[Write],
    random: &mut StdRng,
) -> (Vec<Vec<Option<Answer>>>, u64) {
    // Time for a replica to die between a write and its answer.
    for provider in Provider::ALL {
        for after_work in [true, false] {
            let slow = FaultRule::new(*provider, Effect::delay(Duration::from_millis(60)));
            let slow = slow.path_prefix("/playlists");
            stage.sandbox().faults().push(if after_work { slow.after_work() } else { slow });
        }
    }
    let clients = replicas.each_ref().map(|replica| replica.client(ada.tenant.slug(), &ada.key));
    // What the victim was asked, and what of it is not answered.
    let (begun, under_way) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut moment = |most: u64| Duration::from_millis(random.random_range(0..most));
    let calls = writes.iter().map(|write| {
        let copies: Vec<(usize, Duration)> = (0..COPIES).map(|copy| (copy % 2, moment(1_000))).collect();
        let (clients, begun, under_way) = (&clients, &begun, &under_way);
        async move {
            let copies = copies.into_iter().map(async |(replica, wait)| {
                tokio::time::sleep(wait).await;
                let params = json!({ "name": write.tool, "arguments": write.arguments });
                let of_victim = u64::from(replica == victim);
                begun.fetch_add(of_victim, Ordering::Relaxed);
                under_way.fetch_add(of_victim, Ordering::Relaxed);
                let answer = clients[replica].try_rpc("tools/call", params).await.ok();
                under_way.fetch_sub(of_victim, Ordering::Relaxed);
                answer
            });
            join_all(copies).await
        }
    });
    let calls: Vec<_> = calls.collect();
    let of_victim = (writes.len() * (0..COPIES).filter(|copy| copy % 2 == victim).count()) as u64;
    let death = random.random_range(1..=of_victim * 3 / 4);
    let kill = async {
        // However slow the machine is, it dies at work.
        while begun.load(Ordering::Relaxed) < death || under_way.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let cut_off = under_way.load(Ordering::Relaxed);
        replicas[victim].kill().await;
        cut_off
    };
    let (answers, cut_off) = tokio::join!(join_all(calls), kill);
    stage.sandbox().faults().clear();
    (answers, cut_off)
}

/// The same call until nothing more comes of it.
async fn settled(clients: &[Client; 2], write: &Write, random: &mut StdRng) -> Answer {
    for _ in 0..10 {
        let client = &clients[random.random_range(0..2)];
        let answer = client.tool(write.tool, write.arguments.clone()).await;
        match answer.code().as_deref() {
            None | Some("outcome_unknown") => return answer,
            // Of some the first look goes to a connection that died with the other replica.
            Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    clients[0].tool(write.tool, write.arguments.clone()).await
}

/// How often the service has done it, by what of it there is most of.
async fn times_done(stage: &Stage, client: &Client, write: &Write) -> u64 {
    match &write.effect {
        Adds::Tracks(playlist, tracks) => {
            let held = held(stage, playlist);
            let times = |track| held.iter().filter(|held| *held == track).count() as u64;
            tracks.iter().map(times).max().unwrap()
        }
        Adds::Playlist(name) => of_that_name(client, write.provider, name).await,
    }
}
