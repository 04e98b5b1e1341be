//! A grant outlives what happens to those who refresh it: many calls of many replicas at once, and a replica that is
//! killed while the provider's answer is on its way.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, RefreshRotation};
use stagedoor_testkit::proof::{ProofSize, prove_equal};
use stagedoor_testkit::{Answer, Client, GatewayProcess, Stage, StageOptions};

use crate::sessions::{end_access, refreshes};

const REPLICAS: usize = 3;
const CALLS_EACH: usize = 50;

/// Replicas that answer nothing from a cache, so that each call needs the person's token.
async fn replica(stage: &Stage, name: &str) -> GatewayProcess {
    let uncached = [("STAGEDOOR_CACHE__ENABLED", "false".to_owned())];
    GatewayProcess::start(stage, name, &uncached).await
}

async fn list(client: &Client, limit: usize) -> Answer {
    client.tool("playlists_list", json!({ "provider": "spotify", "limit": limit })).await
}

#[tokio::test]
async fn three_replicas_with_fifty_calls_each_refresh_one_grant_once() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let names: Vec<String> = (0..REPLICAS).map(|number| format!("replica-{number}")).collect();
    let replicas = join_all(names.iter().map(|name| replica(&stage, name))).await;
    let clients: Vec<Client> = replicas.iter().map(|replica| replica.client("ada", &ada.key)).collect();
    for client in &clients {
        assert_eq!(client.tool("accounts_list", json!({})).await.verdict(), "200 ok");
    }
    let (mut failures, mut most_asked) = (0, 0);
    for _ in 0..ProofSize::wanted().of(1, 5) {
        for client in &clients {
            // Each has a session in memory whose token the provider will refuse.
            assert_eq!(list(client, 1).await.verdict(), "200 ok");
        }
        end_access(&stage, Provider::Spotify).await;
        let before = refreshes(&stage, Provider::Spotify);
        let calls = (0..REPLICAS * CALLS_EACH).map(|number| {
            let (replica, call) = (number % REPLICAS, number / REPLICAS);
            list(&clients[replica], 1 + call)
        });
        let answers = join_all(calls).await;
        let failed: Vec<String> =
            answers.iter().filter(|answer| answer.verdict() != "200 ok").map(Answer::text).collect();
        if let Some(first) = failed.first() {
            eprintln!("{first}");
        }
        failures += failed.len() as u64;
        most_asked = most_asked.max(refreshes(&stage, Provider::Spotify) - before);
    }
    prove_equal("sessions.calls_failed_by_a_shared_refresh", failures, 0);
    prove_equal("sessions.token_requests_of_150_calls", most_asked, 1);
}

#[tokio::test]
async fn a_replica_that_is_killed_in_mid_refresh_does_not_take_the_grant_along() {
    let rotation = RefreshRotation::ReplaceWithGrace(Duration::from_mins(5));
    let stage = Stage::start_with(StageOptions { rotation, ..StageOptions::default() }).await;
    let ada = stage.inhabit("ada").await;
    let survivor = replica(&stage, "survivor").await;
    let client = survivor.client("ada", &ada.key);
    let mut lost = 0;
    for round in 0..ProofSize::wanted().of(1, 20) {
        let mut victim = replica(&stage, &format!("victim-{round}")).await;
        let doomed = victim.client("ada", &ada.key);
        end_access(&stage, Provider::Spotify).await;
        let before = refreshes(&stage, Provider::Spotify);
        // The exchange takes effect, and its answer never arrives.
        let hang = FaultRule::new(Provider::Spotify, Effect::Hang).grant_type("refresh_token");
        stage.sandbox().faults().push(hang.after_work().times(1));
        let params = json!({ "name": "playlists_list", "arguments": { "provider": "spotify" } });
        let kill = async {
            while refreshes(&stage, Provider::Spotify) == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            victim.kill().await;
        };
        let (answer, ()) = tokio::join!(doomed.try_rpc("tools/call", params), kill);
        assert!(answer.is_err(), "the call was answered before the kill");
        // Its lease is not over, so nobody else asks; when it is, the next one does.
        assert_eq!(refreshes(&stage, Provider::Spotify), before + 1);
        let held = "SELECT count(*) FROM provider_sessions WHERE refresh_claimed_until > clock_timestamp()";
        assert_eq!(stage.sql(held).await, "1");
        stage
            .sql(
                "UPDATE provider_sessions SET refresh_claimed_until = clock_timestamp() \
                WHERE refresh_claimed_until IS NOT NULL",
            )
            .await;
        if list(&client, 1).await.verdict() != "200 ok" {
            lost += 1;
        }
        // What was stored is good for the next refresh too.
        end_access(&stage, Provider::Spotify).await;
        if list(&client, 2).await.verdict() != "200 ok" {
            lost += 1;
        }
    }
    prove_equal("sessions.grants_lost_by_kill_in_mid_refresh", lost, 0);
}
