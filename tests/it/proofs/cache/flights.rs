//! One fetch for all who miss, in all replicas together; and what becomes of it when the replica that fetches is
//! killed or frozen.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use stagedoor_domain::{Provider, TenantSettings};
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, remark};
use stagedoor_testkit::{Client, GatewayProcess, Stage, generous};

const REPLICAS: usize = 3;

fn calls_of_each() -> usize {
    ProofSize::wanted().of(40, 1_000)
}

/// Replicas that bear as many connections and calls at a time as the proof makes, each with a client whose key it knows.
async fn replicas(stage: &Stage, key: &str, name: &str) -> (Vec<GatewayProcess>, Vec<Client>) {
    let names: Vec<String> = (0..REPLICAS).map(|number| format!("{name}-{number}")).collect();
    let variables = [
        ("STAGEDOOR_SERVER__TRUSTED_PROXIES", "127.0.0.0/8".to_owned()),
        ("STAGEDOOR_SERVER__MAX_IN_FLIGHT", "10000".to_owned()),
        ("STAGEDOOR_CACHE__PREFETCH", false.to_string()),
    ];
    let replicas = join_all(names.iter().map(|name| GatewayProcess::start(stage, name, &variables))).await;
    let clients: Vec<Client> = replicas.iter().map(|replica| replica.client("ada", key)).collect();
    for (name, client) in names.iter().zip(&clients) {
        assert_eq!(failed(client, 1, &search(&format!("warm-up {name}"))).await, 0);
    }
    (replicas, clients)
}

fn settings() -> TenantSettings {
    TenantSettings { concurrent_calls: Some(10_000), ..generous() }
}

fn search(name: &str) -> Value {
    json!({ "query": format!("flight {name}"), "provider": "spotify" })
}

fn searches(stage: &Stage) -> u64 {
    stage.sandbox().requests(Provider::Spotify).get("GET /search").copied().unwrap_or(0)
}

/// The service takes long enough for everyone to miss.
fn slow_down(stage: &Stage) {
    let slow = FaultRule::new(Provider::Spotify, Effect::delay(Duration::from_millis(1_500)));
    stage.sandbox().faults().push(slow.operation("GET /search"));
}

async fn until_asked(stage: &Stage, times: u64) {
    while searches(stage) < times {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Calls that were not answered as they should.
async fn failed(client: &Client, calls: usize, arguments: &Value) -> u64 {
    let calls = (0..calls).map(|_| {
        let params = json!({ "name": "search", "arguments": arguments });
        client.try_rpc("tools/call", params)
    });
    let bad = |answer: &reqwest::Result<stagedoor_testkit::Answer>| match answer {
        Ok(answer) if answer.verdict() == "200 ok" => false,
        Ok(answer) => {
            remark(answer.text());
            true
        }
        Err(_) => true,
    };
    join_all(calls).await.iter().filter(|answer| bad(answer)).count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_miss_in_all_replicas_ask_the_provider_once() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", settings()).await;
    let (_replicas, clients) = replicas(&stage, &ada.key, "replica").await;
    slow_down(&stage);
    let (mut most, mut failures) = (0, 0);
    for round in 0..ProofSize::wanted().of(1, 10) {
        let arguments = search(&format!("round {round}"));
        let before = searches(&stage);
        let calls = clients.iter().map(|client| failed(client, calls_of_each(), &arguments));
        failures += join_all(calls).await.into_iter().sum::<u64>();
        most = most.max(searches(&stage) - before);
    }
    prove_equal("cache.flight_calls_failed", failures, 0);
    prove_equal(&format!("cache.flight_provider_calls_of_{}", REPLICAS * calls_of_each()), most, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_holder_costs_one_more_call_at_most() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", settings()).await;
    let (mut most, mut failures) = (0, 0);
    for round in 0..ProofSize::wanted().of(1, 5) {
        let (mut replicas, clients) = replicas(&stage, &ada.key, &format!("round-{round}")).await;
        slow_down(&stage);
        let arguments = search(&format!("killed {round}"));
        let before = searches(&stage);
        let (victim, _) = replicas.split_at_mut(1);
        let doomed = failed(&clients[0], calls_of_each(), &arguments);
        let others = async {
            until_asked(&stage, before + 1).await;
            let waiting = clients[1..].iter().map(|client| failed(client, calls_of_each(), &arguments));
            join_all(waiting).await.into_iter().sum::<u64>()
        };
        let kill = async {
            until_asked(&stage, before + 1).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            victim[0].kill().await;
        };
        let (cut_off, failed, ()) = tokio::join!(doomed, others, kill);
        assert_eq!(cut_off, calls_of_each() as u64, "the holder was killed before it answered");
        failures += failed;
        most = most.max(searches(&stage) - before);
        stage.sandbox().faults().clear();
    }
    prove_equal("cache.flight_calls_failed_beside_a_killed_holder", failures, 0);
    prove("cache.flight_holder_killed", most, "<=2", (1..=2).contains(&most));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_holder_cannot_put_its_late_answer_over_a_newer_one() {
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", settings()).await;
    let (replicas, clients) = replicas(&stage, &ada.key, "replica").await;
    slow_down(&stage);
    let (arguments, before) = (search("frozen"), searches(&stage));
    let frozen = clients[0].tool("search", arguments.clone());
    let others = async {
        until_asked(&stage, before + 1).await;
        replicas[0].pause();
        // Its lock runs out, and another fetches.
        let answers =
            join_all(clients[1..].iter().map(|client| client.tool("search", arguments.clone()))).await;
        replicas[0].resume();
        answers
    };
    let (late, answers) = tokio::join!(frozen, others);
    assert_eq!(late.verdict(), "200 ok");
    let newer = answers[0].result()["structuredContent"].clone();
    assert_eq!(answers[1].result()["structuredContent"], newer, "both others were given the same");
    prove("cache.flight_holder_frozen", searches(&stage) - before, "<=2", searches(&stage) - before <= 2);
    let after = clients[1].tool("search", arguments).await;
    prove_equal(
        "cache.late_answers_stored_over_newer",
        u64::from(after.result()["structuredContent"] != newer),
        0,
    );
}
