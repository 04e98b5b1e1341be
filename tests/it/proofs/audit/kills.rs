//! A gateway that is killed under load, again and again: every change that a caller was told of is on record, nothing was
//! changed at a service without a record, and of reads only the last moment's are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, prove_time, remark};
use stagedoor_testkit::{Client, GatewayProcess, Inhabited, Stage};

const SEED: u64 = 0xa0d1;
const WRITERS: usize = 4;
const READERS: usize = 4;
/// SECURITY §7: the flush interval, 100 ms by default, and the writes that come after it.
const FLUSHED_WITHIN_MS: f64 = 200.0;

/// What callers were told, of all kills.
#[derive(Debug, Default)]
struct Told {
    /// Playlists that were changed, as their callers know.
    written: Mutex<BTreeSet<String>>,
    /// Playlists that may have been changed.
    tried: Mutex<BTreeSet<String>>,
    /// The ids of calls that read, the process they were made to, and when they were answered.
    read: Mutex<BTreeMap<String, (u64, Duration)>>,
}

/// What the trail has.
#[derive(Debug, Default)]
struct Recorded {
    opened: BTreeSet<String>,
    closed: BTreeSet<String>,
    calls: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_loses_no_acknowledged_change() {
    let kills: u64 = ProofSize::wanted().of(20, 50);
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let mut random = StdRng::seed_from_u64(SEED);
    let (told, serial) = (Told::default(), AtomicU64::new(0));
    let mut deaths = Vec::new();
    for kill in 0..kills {
        let mut gateway = GatewayProcess::start(&stage, &format!("gateway-{kill}"), &[]).await;
        let death = Duration::from_millis(random.random_range(50..1_000));
        deaths.push(load_and_kill(&stage, &ada, &mut gateway, (kill, death), (&told, &serial)).await);
    }
    let recorded = recorded(&ada).await;
    judge_writes(&stage, &told, &recorded);
    judge_reads(&told, &recorded, &deaths);
    let report = ada.tenant.verify_chain().await;
    prove_equal("audit.chain_faults_after_kills", report.faults.len() as u64, 0);
}

/// Calls without a pause until the process is dead, which is `death` after its first change; answers when that was.
async fn load_and_kill(
    stage: &Stage,
    ada: &Inhabited<'_>,
    gateway: &mut GatewayProcess,
    (kill, death): (u64, Duration),
    (told, serial): (&Told, &AtomicU64),
) -> Duration {
    let dead = AtomicBool::new(false);
    let clients: Vec<Client> =
        (0..WRITERS + READERS).map(|_| gateway.client(ada.tenant.slug(), &ada.key)).collect();
    let (writers, readers) = clients.split_at(WRITERS);
    let writing = join_all(writers.iter().map(async |client| {
        while !dead.load(Ordering::Acquire) {
            let number = serial.fetch_add(1, Ordering::Relaxed);
            write(stage, ada, client, number, told).await;
        }
    }));
    let reading = join_all(readers.iter().map(async |client| {
        while !dead.load(Ordering::Acquire) {
            read(stage, client, kill, told).await;
        }
    }));
    let before = told.written.lock().unwrap().len();
    let killing = async {
        while told.written.lock().unwrap().len() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(death).await;
        // What goes on until the signal arrives is answered, or not, by one that is still alive.
        dead.store(true, Ordering::Release);
        let at = stage.clock().elapsed();
        gateway.kill().await;
        at
    };
    tokio::join!(writing, reading, killing).2
}

/// One track into a playlist that no other call has to do with.
async fn write(stage: &Stage, ada: &Inhabited<'_>, client: &Client, number: u64, told: &Told) {
    let provider = Provider::ALL[usize::try_from(number).unwrap() % Provider::ALL.len()];
    let account = &ada.account(provider).account;
    let id = stage.sandbox().make_playlist(provider, account, &format!("p{number}"), &[]);
    let playlist = format!("{provider}:playlist:{id}");
    told.tried.lock().unwrap().insert(playlist.clone());
    let track = known_track(stage, provider);
    let arguments = json!({ "ref": playlist, "tracks": [track] });
    let call = json!({ "name": "playlist_add", "arguments": arguments });
    if let Ok(answer) = client.try_rpc("tools/call", call).await
        && answer.verdict() == "200 ok"
    {
        told.written.lock().unwrap().insert(playlist);
    }
}

/// A call that reads and is refused for its arguments, because such answers name their call.
async fn read(stage: &Stage, client: &Client, kill: u64, told: &Told) {
    let call = json!({ "name": "track_get", "arguments": { "ref": "no reference" } });
    let Ok(answer) = client.try_rpc("tools/call", call).await else { return };
    let at = stage.clock().elapsed();
    let json = answer.json();
    if let Some(id) = json["result"]["_meta"]["dev.stagedoor/error"]["call"].as_str() {
        told.read.lock().unwrap().insert(id.to_owned(), (kill, at));
    }
}

fn known_track(stage: &Stage, provider: Provider) -> String {
    let catalogue = stage.sandbox().catalogue(provider);
    let everywhere = catalogue.tracks().find(|track| track.blocked_in.is_empty());
    format!("{provider}:track:{}", everywhere.unwrap().id)
}

async fn recorded(ada: &Inhabited<'_>) -> Recorded {
    let mut recorded = Recorded::default();
    for view in ada.tenant.audit_trail().await {
        let json = view.json().unwrap();
        let about = |json: &Value| json["resource"]["id"].as_str().unwrap_or_default().to_owned();
        match json["record"].as_str().unwrap() {
            "opened" => recorded.opened.insert(about(&json)),
            "closed" if json["details"]["outcome"] == "ok" => recorded.closed.insert(about(&json)),
            "call" => recorded.calls.insert(view.record.call_id.to_string()),
            _ => false,
        };
    }
    recorded
}

fn judge_writes(stage: &Stage, told: &Told, recorded: &Recorded) {
    let (written, tried) = (told.written.lock().unwrap(), told.tried.lock().unwrap());
    let without = |records: &BTreeSet<String>| written.difference(records).count() as u64;
    let changed = |playlist: &&String| {
        let mut parts = playlist.split(':');
        let provider: Provider = parts.next().unwrap().parse().unwrap();
        let tracks = stage.sandbox().playlist_tracks(provider, parts.next_back().unwrap());
        tracks.is_some_and(|tracks| !tracks.is_empty())
    };
    let unrecorded = tried.iter().filter(changed).filter(|one| !recorded.opened.contains(*one)).count();
    remark(format_args!("{} changes were acknowledged of {} tried", written.len(), tried.len()));
    prove("audit.acknowledged_changes_under_kills", written.len(), ">0", !written.is_empty());
    prove_equal("audit.acknowledged_changes_without_opening_record", without(&recorded.opened), 0);
    prove_equal("audit.acknowledged_changes_without_closing_record", without(&recorded.closed), 0);
    prove_equal("audit.changes_at_services_without_record", unrecorded as u64, 0);
}

/// Reads are lost only from the end of a process's life. A record is queued before its call is answered, so of those that
/// were answered after one that is lost only such can be on record that were under way together with it: fewer than
/// there are readers.
fn judge_reads(told: &Told, recorded: &Recorded, deaths: &[Duration]) {
    let read = told.read.lock().unwrap();
    let (mut lost, mut holes, mut oldest) = (0_u64, 0_u64, Duration::ZERO);
    for (kill, death) in deaths.iter().enumerate() {
        let mut answered: Vec<(Duration, bool)> = read
            .iter()
            .filter(|(_, (of, _))| *of == kill as u64)
            .map(|(call, (_, at))| (*at, recorded.calls.contains(call)))
            .collect();
        answered.sort_unstable();
        let mut kept_after = 0;
        for (at, kept) in answered.iter().rev() {
            if *kept {
                kept_after += 1;
            } else {
                lost += 1;
                holes += u64::from(kept_after >= READERS);
                oldest = oldest.max(death.saturating_sub(*at));
            }
        }
    }
    remark(format_args!("{lost} of {} reads were lost by {} kills", read.len(), deaths.len()));
    prove("audit.acknowledged_reads_under_kills", read.len(), ">0", !read.is_empty());
    prove("audit.reads_lost_by_kills", lost, format_args!("<{}", read.len()), lost < read.len() as u64);
    prove_equal("audit.reads_lost_before_one_that_was_kept", holes, 0);
    prove_time("audit.oldest_lost_read", oldest.as_secs_f64() * 1_000.0, FLUSHED_WITHIN_MS);
}
