//! What keys cost: made-up ones nothing, used ones a write in ten minutes, rotated ones no failed call.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::json;
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal};
use stagedoor_testkit::{KeySpec, Stage, TestGateway};
use tokio::sync::RwLock;

use crate::agent_keys::{REFUSED, SERVED, count_look_ups, id_of, look_ups, settled, until, verdict};

const SEED: u64 = 0x0808;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CALLERS: usize = 8;

/// A fixed sequence, so that the outcome is the same on each run.
#[tokio::test(flavor = "multi_thread")]
async fn made_up_keys_stop_before_the_database() {
    let tries = ProofSize::wanted().of(20_000_u32, 1_000_000);
    let stage = Stage::start().await;
    count_look_ups(&stage).await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let authenticator = &gateway.state().authenticator;
    let address = "203.0.113.1".parse().unwrap();
    let (mut random, mut accepted) = (StdRng::seed_from_u64(SEED), 0);
    for _ in 0..tries {
        let mut key = *b"Bearer sd_live_000000000000_0000000000000000000000000000000000000000000000000";
        for digit in key.iter_mut().skip(15).filter(|digit| **digit == b'0') {
            *digit = DIGITS[random.random_range(0..62)];
        }
        let value = HeaderValue::from_bytes(&key).unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        accepted += u64::from(authenticator.sign_in("ada", "/t/ada/mcp", &headers, address).await.is_ok());
    }
    assert_eq!(verdict(&gateway.client("ada", &ada.key)).await, SERVED);
    gateway.stop().await;
    prove_equal("operators.random_keys_accepted", accepted, 0);
    prove_equal("operators.random_keys", look_ups(&stage).await - 1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_use_is_written_once_in_ten_minutes() {
    let size = ProofSize::wanted();
    let (keys, calls, seconds) = (size.of(3_usize, 20), size.of(300_u64, 20_000), size.of(0, 20));
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let mut clients = Vec::new();
    for _ in 0..keys {
        let key = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
        clients.push(gateways.each_ref().map(|gateway| gateway.client("ada", &key)));
    }
    let began = stage.clock().elapsed();
    let done = AtomicU64::new(0);
    let over = || {
        let seconds_gone = stage.clock().elapsed().saturating_sub(began).as_secs();
        done.load(Ordering::Relaxed) >= calls && seconds_gone >= seconds
    };
    join_all((0..CALLERS).map(|caller| {
        let (clients, done, over) = (&clients, &done, &over);
        async move {
            let mut turn = caller;
            while !over() {
                let client = &clients[turn % clients.len()][turn / clients.len() % 2];
                assert_eq!(verdict(client).await, SERVED);
                done.fetch_add(1, Ordering::Relaxed);
                turn += CALLERS + 1;
            }
        }
    }))
    .await;
    for gateway in gateways {
        gateway.stop().await;
    }
    // Versions of rows, by the database's own count: the making of a key is no update.
    let updated = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'api_keys'";
    settled(&stage).await;
    let all = keys as u64;
    let updates = stage.sql(updated).await.parse().unwrap();
    let calls = done.load(Ordering::Relaxed);
    prove("operators.calls_with_keys", calls, ">0", calls > 0);
    prove_equal("operators.last_used_writes", updates, all);
    let noted = "SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL";
    prove_equal("operators.keys_whose_use_was_noted", stage.sql(noted).await.parse().unwrap(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_under_load_without_a_failed_call() {
    let rotations = ProofSize::wanted().of(3, 40);
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateways = [
        TestGateway::start_with(&stage, |config| stage.with_admin(config)).await,
        TestGateway::start(&stage).await,
    ];
    let operator = gateways[0].admin(Some(&stage.admin_key(AdminRole::PlatformOperator, None).await));
    // What callers hold now; whoever rotates waits for calls that began with what it takes away.
    let held = RwLock::new(vec![ada.key.clone()]);
    let (over, calls, failed) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let calling = join_all((0..CALLERS).map(|caller| {
        let (gateways, held, over, calls, failed) = (&gateways, &held, &over, &calls, &failed);
        async move {
            let mut random = StdRng::seed_from_u64(SEED + caller as u64);
            while !over.load(Ordering::Acquire) {
                let keys = held.read().await;
                let key = &keys[random.random_range(0..keys.len())];
                let verdict = verdict(&gateways[random.random_range(0..2)].client("ada", key)).await;
                drop(keys);
                calls.fetch_add(1, Ordering::Relaxed);
                if verdict != SERVED {
                    *failed.lock().unwrap().entry(verdict).or_insert(0_u64) += 1;
                }
            }
        }
    }));
    let rotating = async {
        let mut old = ada.key.clone();
        for round in 0..rotations {
            let named = json!({ "tenant": "ada", "keyId": id_of(&old).as_str() });
            let mut rotate = named.clone();
            rotate["overlap"] = json!("3600s");
            let rotated = operator.call("AgentKeyService/RotateAgentKey", rotate).await.unwrap();
            let new = rotated["secret"].as_str().unwrap().to_owned();
            held.write().await.push(new.clone());
            let before = calls.load(Ordering::Relaxed);
            until("calls with both", async || calls.load(Ordering::Relaxed) > before + 20).await;
            held.write().await.retain(|key| *key != old);
            operator.call("AgentKeyService/RevokeAgentKey", named).await.unwrap();
            for gateway in &gateways {
                // Each from a network of its own: failures are counted by network.
                let client = gateway.client("ada", &old).from_address(&format!("198.51.{round}.1"));
                until("the end of the old key", async || verdict(&client).await == REFUSED).await;
            }
            old = new;
        }
        over.store(true, Ordering::Release);
    };
    tokio::join!(calling, rotating);
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    let calls = calls.load(Ordering::Relaxed);
    prove("operators.calls_during_key_rotation", calls, ">0", calls > 0);
    prove_equal("operators.rotation_under_load", failed.values().sum(), 0);
}
