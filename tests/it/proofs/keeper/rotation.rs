//! Keys of every layer are replaced while a gateway serves, by a rotator that is killed again and again: no call fails, no
//! value is lost, and none is left under a key that is gone.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_storage::rotation::PLACES;
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, remark};
use stagedoor_testkit::{Client, GatewayProcess, Inhabited, Stage};

use crate::keeper::rotation::age;

const SEED: u64 = 0x0707;
const CALLERS: u64 = 8;
/// Of the gateway and of the rotator.
const MEMORY: (&str, &str) = ("STAGEDOOR_ENCRYPTION__OPENED_KEY_S", "1");

#[derive(Default)]
struct Load {
    over: AtomicBool,
    calls: AtomicU64,
    writes: AtomicU64,
    failed: Mutex<BTreeMap<String, u64>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_all_layers_are_replaced_under_load_though_the_rotator_is_killed() {
    let size = ProofSize::wanted();
    let (kills, pause) = (size.of(5_u32, 20), Duration::from_millis(size.of(150, 40)));
    let stage = Stage::start().await;
    let people = [stage.inhabit("ada").await, stage.inhabit("eve").await];
    let memory = [(MEMORY.0, MEMORY.1.to_owned())];
    let gateway = GatewayProcess::start(&stage, "gateway", &memory).await;
    let load = Load::default();
    let serving = join_all((0..CALLERS).map(|number| {
        let one = &people[usize::try_from(number).unwrap() % people.len()];
        let client = gateway.client(one.tenant.slug(), &one.key);
        let (stage, load) = (&stage, &load);
        async move { call_on(stage, one, &client, number, pause, load).await }
    }));
    let rotating = async {
        while load.writes.load(Ordering::Relaxed) < CALLERS {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let rounds = rotate(&stage, kills, &memory).await;
        load.over.store(true, Ordering::Release);
        rounds
    };
    let (_, killed) = tokio::join!(serving, rotating);

    let (calls, failed) = (load.calls.load(Ordering::Relaxed), load.failed.lock().unwrap().clone());
    remark(format_args!(
        "{calls} calls, {} of them writes; {killed} rotators were killed",
        load.writes.load(Ordering::Relaxed)
    ));
    assert!(
        failed.is_empty(),
        "{failed:?}; {}",
        std::fs::read_to_string(stage.folder().join("gateway.log")).unwrap()
    );
    prove("keeper.calls_during_rotation", calls, ">0", calls > 0);
    prove_equal("keeper.calls_failed_during_rotation", failed.values().sum(), 0);
    prove_equal("keeper.rotators_killed", killed, u64::from(kills));
    let metrics = gateway.metrics().await;
    prove_equal("keeper.decrypt_errors_during_rotation", metrics.sum("vault_unreadable", &[]), 0);
    prove_equal("keeper.keys_missed_during_rotation", metrics.sum("vault_keys_unavailable", &[]), 0);
    judge(&stage, &people).await;
}

/// Rotators that are killed, then two that come to their end: the second one, a day later, destroys the old keys.
async fn rotate(stage: &Stage, kills: u32, memory: &[(&'static str, String)]) -> u64 {
    let arguments = ["rotate-keys", "--layer", "all", "--audit", "--json"];
    let mut random = StdRng::seed_from_u64(SEED);
    let mut killed = 0;
    while killed < u64::from(kills) {
        let rotator = stage.begin_keeper(&arguments, memory);
        tokio::time::sleep(Duration::from_millis(random.random_range(100..3_000))).await;
        let ended = stage.kill_keeper(rotator).await;
        // One that was faster than the signal came to the end of what the others had begun; the next begins anew.
        assert!(matches!(ended.code, None | Some(0)), "{}{}", ended.output, ended.said);
        killed += u64::from(ended.code.is_none());
    }
    let rotated = stage.begin_keeper(&arguments, memory).finished().await;
    assert_eq!(rotated.code, Some(0), "{}{}", rotated.output, rotated.said);
    remark(rotated.output.trim_end());
    age(stage, 2).await;
    let ended = stage.begin_keeper(&["rotate-keys", "--audit", "--json"], memory).finished().await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.said);
    remark(ended.output.trim_end());
    killed
}

/// Calls until the load is over: reads of what is sealed, and writes that seal.
async fn call_on(
    stage: &Stage,
    one: &Inhabited<'_>,
    client: &Client,
    number: u64,
    pause: Duration,
    load: &Load,
) {
    let provider = Provider::ALL[usize::try_from(number).unwrap() % Provider::ALL.len()];
    let account = &one.account(provider).account;
    let id = stage.sandbox().make_playlist(provider, account, &format!("p{number}"), &[]);
    let playlist = format!("{provider}:playlist:{id}");
    let catalogue = stage.sandbox().catalogue(provider);
    let tracks: Vec<_> = catalogue.tracks().filter(|track| track.blocked_in.is_empty()).take(50).collect();
    let mut turn = 0_usize;
    while !load.over.load(Ordering::Acquire) {
        let track = format!("{provider}:track:{}", tracks[turn % tracks.len()].id);
        let (name, arguments) = match turn % 8 {
            1 => {
                let key = format!("{number}-{turn}");
                ("playlist_add", json!({ "ref": playlist, "tracks": [track], "idempotency_key": key }))
            }
            4 => (
                "preferences_set",
                json!({ "preferences": { "search_defaults": { "limit": turn % 40 + 1 } } }),
            ),
            2 | 6 => ("playlist_get", json!({ "ref": playlist, "limit": 5 })),
            3 => ("preferences_get", json!({})),
            5 => ("playlist_versions", json!({ "ref": playlist })),
            7 => ("accounts_list", json!({})),
            _ => (
                "library_list",
                json!({ "provider": provider.as_str(), "kind": "track", "limit": 5 + turn % 10 }),
            ),
        };
        turn += 1;
        let writes = matches!(name, "playlist_add" | "preferences_set");
        let verdict = client.tool(name, arguments).await;
        load.calls.fetch_add(1, Ordering::Relaxed);
        load.writes.fetch_add(u64::from(writes), Ordering::Relaxed);
        // Callers of one person change the same preferences: whoever was slower is told so.
        let lost_a_race = name == "preferences_set" && verdict.code().as_deref() == Some("conflict");
        if verdict.verdict() != "200 ok" && !lost_a_race {
            *load.failed.lock().unwrap().entry(format!("{name}: {}", verdict.text())).or_default() += 1;
        }
        tokio::time::sleep(pause).await;
    }
}

/// By the database alone, past everything that rotated: which keys there are, and what refers to which.
async fn judge(stage: &Stage, people: &[Inhabited<'_>]) {
    let number = async |sql: &str| stage.sql(sql).await.parse::<u64>().unwrap();
    let destroyed = number("SELECT count(*) FROM data_keys WHERE state = 'destroyed'").await;
    prove("keeper.data_keys_destroyed", destroyed, ">=4", destroyed >= 4);
    let active = number("SELECT count(*) FROM data_keys WHERE state = 'active'").await;
    prove_equal("keeper.data_keys_active", active, 4);
    let signing = number("SELECT count(*) FROM signing_keys WHERE state = 'active'").await;
    prove("keeper.signing_keys_active", signing, "<=2", signing <= 2);
    let (mut values, mut lost) = (0, 0);
    for place in PLACES {
        let (table, column) = (place.table, place.column);
        let sealed = format!("FROM {table} t WHERE octet_length(t.{column}) > 0");
        let all = number(&format!("SELECT count(*) {sealed}")).await;
        let known = format!(
            "SELECT count(*) FROM {table} t JOIN data_keys k ON k.tenant_id = t.tenant_id
                AND uuid_send(k.key_id) = substr(t.{column}, 3, 16) AND k.state IN ('active', 'decrypt_only')
            WHERE octet_length(t.{column}) > 0"
        );
        values += all;
        lost += all - number(&known).await;
    }
    prove("keeper.sealed_values_after_rotation", values, ">50", values > 50);
    prove_equal("keeper.values_under_destroyed_keys", lost, 0);
    let mut faults = 0;
    for one in people {
        faults += one.tenant.verify_chain().await.faults.len() as u64;
    }
    prove_equal("keeper.trail_faults_after_rotation", faults, 0);
}
