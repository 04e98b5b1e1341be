//! Every decision that three processes took, read from their logs and decided again, one after the other, by a model that
//! shares no code with the limiter: with and without leases, of several tenants, principals, classes and windows.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stagedoor_domain::policy::{PenaltyStep, Quota};
use stagedoor_domain::{LimitClass, TenantSettings};
use stagedoor_limits::replay::{Outcome, Record, replay};
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal};
use stagedoor_testkit::{Client, Stage, generous};

use super::crowd::{REPLICAS, Tally, call, clients, replicas};

const KEYS: usize = 2;
const CALLERS: usize = 48;
const SEED: u64 = 0x11_4175;

/// Quotas that are used up and refilled many times during the proof, each tenant's otherwise. `scale` makes windows and
/// capacities longer alike: a lease is a small part of its window.
fn settings(tenant: usize, scale: u32) -> TenantSettings {
    let uneven = u32::try_from(tenant).unwrap_or_default();
    let quota = |capacity: u32, seconds: u64| Quota {
        capacity: capacity * scale,
        window: Duration::from_secs(seconds * u64::from(scale)),
    };
    let mut settings = generous();
    settings.limits.insert(LimitClass::Api, vec![quota(17 + uneven, 1), quota(71, 7)]);
    settings.limits.insert(LimitClass::Search, vec![quota(7 + uneven, 1), quota(19, 3)]);
    if tenant.is_multiple_of(2) {
        settings.tenant_limits.insert(LimitClass::Search, vec![quota(11 + uneven, 1)]);
    }
    if tenant.is_multiple_of(3) {
        let step = |refusals, block_seconds| PenaltyStep { refusals, within_seconds: 5, block_seconds };
        settings.penalties = Some(vec![step(20, 1), step(45, 2)]);
    }
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn what_three_processes_decided_is_what_one_would_have() {
    let decisions: u64 = ProofSize::wanted().of(3_000, 1_000_000);
    let stage = Stage::start().await;
    // Leases save decisions, which are what is counted here: most of the run is without.
    let (mut exact, parts) = (0, [("exact", 0, decisions * 9 / 10), ("leased", 30, decisions / 10)]);
    let mut whole = Outcome::default();
    for (name, lease_tokens, wanted) in parts {
        let outcome = part(&stage, name, lease_tokens, wanted).await;
        exact += outcome.decisions;
        for example in &outcome.examples {
            eprintln!("{name}: {example}");
        }
        assert!(outcome.taken > 0 && (lease_tokens > 0 || outcome.refused > 0), "{name}: {outcome:?}");
        whole.penalties += outcome.penalties;
        whole.mismatches += outcome.mismatches;
        whole.over_bound += outcome.over_bound;
    }
    prove("limits.penalties_replayed", whole.penalties, ">0", whole.penalties > 0);
    prove("limits.decisions_replayed", exact, format_args!(">={decisions}"), exact >= decisions);
    prove_equal("limits.replay_mismatches", whole.mismatches, 0);
    prove_equal("limits.window_excess", whole.over_bound, 0);
}

/// Calls until so many decisions were taken by the shared buckets, and replays them.
async fn part(stage: &Stage, name: &str, lease_tokens: u32, decisions: u64) -> Outcome {
    let variables = [
        ("STAGEDOOR_RATE_LIMITING__LEASE_TOKENS", lease_tokens.to_string()),
        ("STAGEDOOR_TELEMETRY__LOG_FORMAT", "json".to_owned()),
        ("STAGEDOOR_TELEMETRY__LOG_FILTER", "warn,stagedoor_limits::decisions=trace".to_owned()),
    ];
    let mut replicas = replicas(stage, name, &variables).await;
    let mut everyone: Vec<Vec<Client>> = Vec::new();
    for tenant in 0..ProofSize::wanted().of(2, 8) {
        let slug = format!("{name}-{tenant}");
        everyone.extend(clients(stage, &replicas, &slug, settings(tenant, lease_tokens.max(1)), KEYS).await);
    }
    let (tally, taken) = (Tally::default(), AtomicU64::new(0));
    let enough = async {
        while taken.load(Ordering::Relaxed) < decisions {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let counts =
                replicas.iter().map(async |replica| replica.metrics().await.sum("limiter_redis", &[]));
            taken.store(join_all(counts).await.into_iter().sum(), Ordering::Relaxed);
        }
    };
    let callers = (0..CALLERS).map(async |caller| {
        let mut random = StdRng::seed_from_u64(SEED ^ caller as u64);
        while taken.load(Ordering::Relaxed) < decisions {
            let client = &everyone[random.random_range(0..everyone.len())][random.random_range(0..REPLICAS)];
            let class = if random.random_bool(0.4) { LimitClass::Search } else { LimitClass::Api };
            call(client, class, &tally).await;
        }
    });
    tokio::join!(join_all(callers), enough);
    prove_equal(&format!("limits.replay_calls_failed_{name}"), tally.failed(), 0);
    let mut logs = Vec::new();
    for replica in &mut replicas {
        // To the end of its log.
        replica.program().signal(rustix::process::Signal::TERM);
        replica.program().ended().await;
        logs.push(replica.program().log().to_owned());
    }
    let tenants = stage.sql(&format!("SELECT tenant_id FROM tenants WHERE slug LIKE '{name}-%'")).await;
    let mut whole = Outcome::default();
    // One tenant at a time: their buckets have nothing to do with each other, and memory is not without end.
    for tenant in tenants.split_whitespace() {
        let outcome = replay(records(&logs, tenant));
        whole.decisions += outcome.decisions;
        whole.taken += outcome.taken;
        whole.refused += outcome.refused;
        whole.penalties += outcome.penalties;
        whole.mismatches += outcome.mismatches;
        whole.over_bound += outcome.over_bound;
        whole.examples.extend(outcome.examples);
    }
    whole
}

/// A tenant's decisions in the logs of all processes.
fn records(logs: &[PathBuf], tenant: &str) -> Vec<Record> {
    let mut records = Vec::new();
    for log in logs {
        for line in BufReader::new(File::open(log).unwrap()).lines() {
            let line = line.unwrap();
            if line.contains(tenant) && line.contains("stagedoor_limits::decisions") {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap();
                records.push(event["decision"].as_str().unwrap().parse().unwrap());
            }
        }
    }
    records
}

/// What the replay would say of a process that admitted a call that it should not have.
#[test]
fn a_decision_that_was_wrong_is_found() {
    let record = |now: u64, taken: u64, whole: u64| -> Record {
        let bucket = format!("api.1:1000000:500000:1:{whole}:0");
        format!(
            "decide now={now} tenant=t principal=p cost=1 extra=0 lead=0 taken={taken} penalty=0/0 steps= own=1 buckets={bucket}"
        )
        .parse()
        .unwrap()
    };
    let right = vec![record(10, 1, 500_010), record(10, 1, 1_000_010), record(20, 0, 1_000_010)];
    let outcome = replay(right.clone());
    assert_eq!((outcome.mismatches, outcome.over_bound, outcome.taken), (0, 0, 2), "{outcome:?}");
    let mut wrong = right;
    wrong[2] = record(20, 1, 1_500_010);
    let outcome = replay(wrong);
    assert!(outcome.mismatches > 0 && outcome.over_bound > 0, "{outcome:?}");
}
