//! What lies in Redis instead of what was put there: another tenant's bytes, another call's, flipped bits, a
//! decompression bomb. Each is a miss and an alert, never an answer.

use std::collections::BTreeMap;
use std::io::Read;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redis::AsyncCommands;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_testkit::proof::{ProofSize, prove_equal};
use stagedoor_testkit::{Client, Inhabited, Stage, TestGateway};

const BOMB: u64 = 64 << 20;

/// What is done to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    OtherTenants,
    OtherCalls,
    FlippedBit,
    Truncated,
    Bomb,
}

const MUTATIONS: [Mutation; 5] =
    [Mutation::OtherTenants, Mutation::OtherCalls, Mutation::FlippedBit, Mutation::Truncated, Mutation::Bomb];

/// The same answer apart from when it was fetched and the seals of its cursor.
fn lasting(mut answer: Value) -> Value {
    strip(&mut answer);
    answer
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| name != "cached_at" && name != "next_cursor");
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn calls(playlist: &Value, count: usize) -> Vec<(&'static str, Value)> {
    (0..count)
        .map(|number| match number % 3 {
            0 => ("playlist_get", json!({ "ref": playlist, "limit": 1 + number / 3 % 100 })),
            1 => ("playlists_list", json!({ "provider": "spotify", "limit": 1 + number / 3 % 50 })),
            _ => ("search", json!({ "query": format!("love {}", number / 3), "provider": "spotify" })),
        })
        .collect()
}

async fn answers(client: &Client, calls: &[(&'static str, Value)]) -> Vec<Value> {
    let mut answers = Vec::new();
    for (tool, arguments) in calls {
        answers.push(lasting(client.call(tool, arguments.clone()).await));
    }
    answers
}

/// Entries by what they are about, the tenant apart, in the order of the calls' first fetch.
async fn entries(redis: &mut redis::aio::MultiplexedConnection, tenant: &str) -> BTreeMap<String, Vec<u8>> {
    let keys: Vec<String> = redis.keys(format!("sd:{tenant}:cache:v2:*")).await.unwrap();
    let mut entries = BTreeMap::new();
    for key in keys {
        entries.insert(key.clone(), redis.get(key).await.unwrap());
    }
    entries
}

fn mutated(
    mutation: Mutation,
    own: &[u8],
    others: &[Vec<u8>],
    siblings: &[Vec<u8>],
    bomb: &[u8],
    random: &mut StdRng,
) -> Vec<u8> {
    match mutation {
        Mutation::OtherTenants => others[random.random_range(0..others.len())].clone(),
        Mutation::OtherCalls => {
            let different: Vec<_> = siblings.iter().filter(|sibling| *sibling != own).collect();
            different[random.random_range(0..different.len())].clone()
        }
        Mutation::FlippedBit => {
            let mut bytes = own.to_vec();
            // The first byte is the version; an earlier one is a miss without an alert.
            let at = random.random_range(1..bytes.len());
            bytes[at] ^= 1 << random.random_range(0..8);
            bytes
        }
        Mutation::Truncated => own[..random.random_range(0..own.len())].to_vec(),
        // Under the entry's own head, as large as a head may be.
        Mutation::Bomb => [&own[..own.len().min(64)], bomb].concat(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_into_redis_by_someone_else_is_never_an_answer() {
    let count: usize = ProofSize::wanted().of(6, 150);
    let rounds: usize = ProofSize::wanted().of(1, 10);
    let stage = Stage::start().await;
    let tenants = [stage.inhabit("ada").await, stage.inhabit("bob").await];
    let mut asked = Vec::new();
    let maker = TestGateway::start(&stage).await;
    for (number, tenant) in tenants.iter().enumerate() {
        let playlist = playlist_of(&stage, &maker, tenant, number).await;
        asked.push(calls(&playlist, count));
    }
    drop(maker);
    let client = redis::Client::open(stage.redis().url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut random = StdRng::seed_from_u64(0x9015_0000);
    // Made before anything is stored, which would not live as long as this takes.
    let bomb = zstd::encode_all(std::io::repeat(0).take(BOMB), 1).unwrap();
    let (mut wrong, mut tried, mut unnoticed) = (0, 0, 0);
    for mutation in MUTATIONS.repeat(rounds) {
        redis::cmd("FLUSHDB").exec_async(&mut redis).await.unwrap();
        let writer = TestGateway::start(&stage).await;
        let mut right = Vec::new();
        for (tenant, calls) in tenants.iter().zip(&asked) {
            right.push(answers(&crate::music::client(&writer, tenant), calls).await);
        }
        writer.settle().await;
        let own = entries(&mut redis, &tenants[0].tenant.id()).await;
        let others: Vec<Vec<u8>> = entries(&mut redis, &tenants[1].tenant.id()).await.into_values().collect();
        assert!(own.len() >= count && others.len() >= count, "{} and {} entries", own.len(), others.len());
        let siblings: Vec<Vec<u8>> = own.values().cloned().collect();
        for (key, entry) in &own {
            let bytes = mutated(mutation, entry, &others, &siblings, &bomb, &mut random);
            let keeping = redis::SetOptions::default().with_expiration(redis::SetExpiry::KEEPTTL);
            let _: () = redis.set_options(key, bytes, keeping).await.unwrap();
        }
        // This one has nothing in its memory yet.
        let reader = TestGateway::start(&stage).await;
        let given = answers(&crate::music::client(&reader, &tenants[0]), &asked[0]).await;
        wrong += given.iter().zip(&right[0]).filter(|(given, right)| given != right).count() as u64;
        tried += given.len() as u64;
        // What Redis did not hand over in time was not looked at.
        let seen = reader.metric("cache_poisoned").await + reader.metric("cache_degraded").await;
        unnoticed += (given.len() as u64).saturating_sub(seen);
    }
    prove_equal(&format!("cache.poison_answers_of_{tried}"), wrong, 0);
    prove_equal("cache.poison_without_alert", unnoticed, 0);
}

/// A playlist whose tracks are no other tenant's.
async fn playlist_of(stage: &Stage, gateway: &TestGateway, tenant: &Inhabited<'_>, number: usize) -> Value {
    let client = crate::music::client(gateway, tenant);
    let name = json!({ "name": format!("Of {}", tenant.tenant.slug()), "provider": "spotify" });
    let playlist = client.call("playlist_create", name).await["playlist"]["ref"].clone();
    let known = crate::music::known_tracks(stage, Provider::Spotify);
    let tracks: Vec<String> =
        known.iter().skip(number).step_by(2).map(|track| format!("spotify:track:{}", track.id)).collect();
    client.call("playlist_add", json!({ "ref": playlist, "tracks": tracks })).await;
    playlist
}
