//! Whoever goes on calling after refusals is shut out, by every replica, until the penalty is over and not longer.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::policy::{PenaltyStep, Quota};
use stagedoor_domain::{LimitClass, TenantSettings};
use stagedoor_testkit::proof::{prove, prove_equal};
use stagedoor_testkit::{Answer, Client, Stage, generous};

use super::crowd::{REPLICAS, clients, replicas};

const QUOTA: u32 = 5;
const STEPS: [PenaltyStep; 2] = [
    PenaltyStep { refusals: 4, within_seconds: 600, block_seconds: 2 },
    PenaltyStep { refusals: 9, within_seconds: 600, block_seconds: 4 },
];

async fn search(client: &Client) -> Answer {
    client.tool("search", json!({})).await
}

/// Another class, whose quota is not touched.
async fn other(client: &Client) -> Answer {
    client.tool("track_get", json!({})).await
}

fn limit_of(answer: &Answer) -> String {
    let limit = &answer.result()["_meta"]["dev.stagedoor/error"]["limit"]["name"];
    limit.as_str().unwrap_or_default().to_owned()
}

fn settings(steps: &[PenaltyStep]) -> TenantSettings {
    let mut settings = TenantSettings { penalties: Some(steps.to_vec()), ..generous() };
    settings.limits.insert(LimitClass::Search, vec![Quota::per_hour(QUOTA)]);
    settings
}

/// Uses the quota up and is refused so often, over all replicas; answers with what went otherwise.
async fn offend(clients: &[Client], refusals: u32) -> u64 {
    let mut wrong = 0;
    for number in 0..(QUOTA + refusals) as usize {
        let answer = search(&clients[number % REPLICAS]).await;
        let wanted = if number < QUOTA as usize { "" } else { "search-3600" };
        wrong += u64::from(limit_of(&answer) != wanted);
    }
    wrong
}

/// Every replica refuses every class, and says for how long at most.
async fn shut_out(clients: &[Client], seconds: u32) -> u64 {
    let mut wrong = 0;
    for client in clients {
        let refused = other(client).await;
        let wait: u32 = refused.header("retry-after").unwrap_or_default().parse().unwrap_or_default();
        wrong += u64::from(limit_of(&refused) != "penalty" || !(1..=seconds).contains(&wait));
    }
    wrong
}

async fn until_let_in(client: &Client) {
    while other(client).await.verdict() != "200 invalid_arguments" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_all_replicas_add_up_to_penalties_that_end_in_time() {
    let stage = Stage::start().await;
    let variables = [("STAGEDOOR_RATE_LIMITING__LEASE_TOKENS", 0.to_string())];
    let replicas = replicas(&stage, "replica", &variables).await;
    let [first, second] = STEPS;
    let clock = stage.clock();
    let mut wrong = 0;

    // The first step, to its end.
    let ada = clients(&stage, &replicas, "ada", settings(&[first]), 1).await.remove(0);
    wrong += offend(&ada, first.refusals - 1).await;
    wrong += u64::from(other(&ada[0]).await.verdict() != "200 invalid_arguments");
    let began = clock.elapsed();
    wrong += u64::from(limit_of(&search(&ada[1]).await) != "search-3600");
    wrong += shut_out(&ada, first.block_seconds).await;
    until_let_in(&ada[2]).await;
    say_lasted(first, clock.elapsed().saturating_sub(began));

    // The second, reached by calling on during the first.
    let bob = clients(&stage, &replicas, "bob", settings(&STEPS), 1).await.remove(0);
    wrong += offend(&bob, first.refusals).await;
    for number in first.refusals..second.refusals - 1 {
        wrong += u64::from(limit_of(&other(&bob[number as usize % REPLICAS]).await) != "penalty");
    }
    let began = clock.elapsed();
    wrong += shut_out(&bob, second.block_seconds).await;
    until_let_in(&bob[0]).await;
    say_lasted(second, clock.elapsed().saturating_sub(began));
    prove_equal("limits.penalty_answers_wrong", wrong, 0);
}

fn say_lasted(step: PenaltyStep, lasted: Duration) {
    let block = Duration::from_secs(step.block_seconds.into());
    let name = format!("limits.penalty_of_{}s_lasted", step.block_seconds);
    prove(&name, format_args!("{:.2}s", lasted.as_secs_f64()), format_args!(">={block:?}"), lasted >= block);
}
