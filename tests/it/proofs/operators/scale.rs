//! Ten thousand tenants with a hundred thousand keys: a replica starts without them, looks one up as fast as among a few,
//! and sees each change within a second.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::{ApiKeyId, TenantSlug};
use stagedoor_storage::provision;
use stagedoor_testkit::proof::{ProofSize, prove_equal, prove_time};
use stagedoor_testkit::{Client, KeySpec, Stage, TestGateway};

use super::{populate, quantile};
use crate::agent_keys::{REFUSED, SERVED, count_look_ups, id_of, look_ups, until, verdict, watched};

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_stay_flat_and_a_start_makes_none() {
    let (tenants, keys) = ProofSize::wanted().of((100, 1_000), (10_000, 100_000));
    let looks = ProofSize::wanted().of(50, 2_000);
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let store = stage.reader().store();
    let look_up = async |number: u32| {
        let (slug, id): (TenantSlug, ApiKeyId) = match number {
            0 => ("ada".parse().unwrap(), id_of(&ada.key)),
            number => {
                let key = number * (keys / (looks + 1));
                (
                    format!("many-{}", key % tenants + 1).parse().unwrap(),
                    format!("{key:012}").parse().unwrap(),
                )
            }
        };
        let began = stage.clock().elapsed();
        let found = store.find_api_key(&slug, &id).await.unwrap();
        assert!(found.is_some(), "{slug} {id}");
        stage.clock().elapsed().saturating_sub(began)
    };
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..=looks {
        few.push(look_up(0).await);
    }
    populate(&stage, tenants, keys).await;
    for number in 1..=looks {
        many.push(look_up(number).await);
    }
    let (before, after) = (quantile(&mut few[1..], 50), quantile(&mut many, 50));
    prove_equal(
        "operators.keys_among_which_is_looked_up",
        stage.sql("SELECT count(*) FROM api_keys").await.parse().unwrap(),
        u64::from(keys) + 1,
    );
    prove_time("operators.lookup_flat_p50", after, (before * 2.0).max(0.5));

    count_look_ups(&stage).await;
    let began = stage.clock().elapsed();
    let gateway = TestGateway::start(&stage).await;
    let started = stage.clock().elapsed().saturating_sub(began);
    prove_time("operators.start_among_many", started.as_secs_f64() * 1e3, 5_000.0);
    watched(&stage, &gateway).await;
    assert_eq!(verdict(&gateway.client("ada", &ada.key)).await, SERVED);
    gateway.stop().await;
    prove_equal("operators.look_ups_after_start_and_a_call", look_ups(&stage).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_seen_within_a_second() {
    changes(true, "operators.change_seen", "operators.revocation").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_seen_within_a_second_without_the_channel() {
    changes(false, "operators.change_seen_without_channel", "operators.revocation_without_channel").await;
}

/// How long it takes until each of two replicas goes by a change, among many tenants.
async fn changes(listen: bool, change_seen: &str, revocation: &str) {
    let size = ProofSize::wanted();
    let ((tenants, keys), rounds) = (size.of((50, 500), (10_000, 100_000)), size.of(2_u64, 25));
    let stage = Stage::start().await;
    populate(&stage, tenants, keys).await;
    let ada = stage.inhabit("ada").await;
    let change = |config: &mut stagedoor_bootstrap::config::Config| config.storage.listen = listen;
    let gateways =
        [TestGateway::start_with(&stage, change).await, TestGateway::start_with(&stage, change).await];
    if listen {
        for gateway in &gateways {
            until("the channel", async || gateway.metric("change_channel_open").await == 1).await;
        }
    }
    let (mut settings, mut revocations) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let key = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
        // Each round from a network of its own: failures are counted by network.
        let network = format!("198.51.{round}.1");
        let clients = gateways.each_ref().map(|gateway| gateway.client("ada", &key).from_address(&network));
        for client in &clients {
            assert_eq!(verdict(client).await, SERVED);
        }
        // Not in step with the questions.
        tokio::time::sleep(Duration::from_millis(round * 37 % 500)).await;
        let quota = 10_000 + round;
        let limits = json!({ "limits": { "api": [{ "capacity": quota, "window_seconds": 60 }] } });
        stage.sql(&format!("UPDATE tenants SET settings = settings || '{limits}' WHERE slug = 'ada'")).await;
        let goes_by = async |client: &Client| policy(client).await.contains(&format!("q={quota};"));
        settings.push(until_all(&stage, &clients, goes_by).await);
        let (admin, ctx) = (stage.admin(), ada.tenant.context());
        provision::revoke_api_key(admin, ctx, &id_of(&key), "proof").await.unwrap();
        let refused = async |client: &Client| verdict(client).await == REFUSED;
        revocations.push(until_all(&stage, &clients, refused).await);
    }
    prove_time(change_seen, quantile(&mut settings, 100), 1_000.0);
    prove_time(revocation, quantile(&mut revocations, 100), 1_000.0);
}

/// How long it takes from now until all of them are as wanted.
async fn until_all(stage: &Stage, clients: &[Client; 2], wanted: impl AsyncFn(&Client) -> bool) -> Duration {
    let began = stage.clock().elapsed();
    for client in clients {
        until("the change", async || wanted(client).await).await;
    }
    stage.clock().elapsed().saturating_sub(began)
}

async fn policy(client: &Client) -> String {
    let answer = client.rpc("tools/list", json!({})).await;
    answer.header("ratelimit-policy").map(str::to_owned).unwrap_or_default()
}
