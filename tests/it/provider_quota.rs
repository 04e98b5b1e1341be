//! One client id for all people of a tenant: whoever is busy keeps nobody out, a wait that one replica is told holds for
//! all, and a call that would come too late is told so at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use stagedoor_domain::{Clock, Provider};
use stagedoor_sandbox::{Effect, FaultRule, RequestQuota};
use stagedoor_testkit::{Answer, FrozenClock, KeySpec, Stage, StageOptions, TestGateway};

use crate::music;

/// Waits until so many calls stand in line for a provider.
async fn in_line(gateway: &TestGateway, calls: u64) {
    while gateway.metric("provider_calls_waiting").await < calls {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn wait_of(answer: &Answer) -> u64 {
    assert_eq!(answer.verdict(), "200 provider_rate_limited", "{}", answer.text());
    answer.result()["_meta"]["dev.stagedoor/error"]["retry_after_seconds"].as_u64().unwrap()
}

#[tokio::test]
async fn a_busy_agent_keeps_no_other_person_waiting() {
    const BUSY_CALLS: usize = 60;
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.providers.in_flight_per_client = 2).await;
    let ada = stage.inhabit("ada").await;
    let sam = ada.tenant.person("Sam").await;
    ada.tenant.link(sam, Provider::Spotify).await;
    let key = ada.tenant.key(&KeySpec::for_user(sam)).await;
    let (busy, other) = (music::client(&gateway, &ada), gateway.client("ada", &key));
    let known = music::known_tracks(&stage, Provider::Spotify);
    let track = |at: usize| json!({ "ref": format!("spotify:track:{}", known[at].id) });
    let list = |name: &str| json!({ "name": name, "provider": "spotify" });
    // Tokens are fetched and sessions opened.
    busy.call("track_get", track(0)).await;
    other.call("playlist_create", list("Before")).await;

    let rule = FaultRule::new(Provider::Spotify, Effect::Hold).path_prefix("/tracks");
    let held = stage.sandbox().faults().push(rule);
    stage.sandbox().reset_requests();
    let many = join_all((1..=BUSY_CALLS).map(|at| busy.tool("track_get", track(at))));
    let newcomer = async {
        in_line(&gateway, BUSY_CALLS as u64 - 2).await;
        let call = other.tool("playlist_create", list("Between"));
        let release = async {
            in_line(&gateway, BUSY_CALLS as u64 - 1).await;
            stage.sandbox().faults().remove(held);
        };
        tokio::join!(call, release).0
    };
    let (answers, answer) = tokio::join!(many, newcomer);
    assert_eq!(answer.verdict(), "200 ok");
    assert!(answers.iter().all(|answer| answer.verdict() == "200 ok"), "the busy one's calls go through too");
    let log = stage.sandbox().request_log();
    let place = log.iter().position(|request| request.operation == "POST /me/playlists").unwrap();
    // Two were under way and one has its turn before; requests under way at once may arrive in any order.
    assert!(place <= 5, "{place} of the busy one's calls went before");
    let traffic = stage.sandbox().traffic(Provider::Spotify, &ada.tenant.client_id());
    assert_eq!(traffic["client"].passed, BUSY_CALLS as u64);
}

#[tokio::test]
async fn a_wait_that_one_replica_is_told_holds_for_all() {
    let stage = Stage::start().await;
    let (here, there) = (TestGateway::start(&stage).await, TestGateway::start(&stage).await);
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let known = music::known_tracks(&stage, Provider::Spotify);
    let track = |at: usize| json!({ "ref": format!("spotify:track:{}", known[at].id) });
    let clients = [&here, &there].map(|gateway| music::client(gateway, &ada));
    for (at, client) in clients.iter().enumerate() {
        client.call("track_get", track(at)).await;
    }
    let rule = FaultRule::new(Provider::Spotify, Effect::rate_limited(600)).path_prefix("/tracks");
    stage.sandbox().faults().push(rule.times(1));
    wait_of(&clients[0].tool("track_get", track(2)).await);
    stage.sandbox().reset_requests();
    for at in 3..6 {
        let wait = wait_of(&clients[1].tool("track_get", track(at)).await);
        assert!((500..=600).contains(&wait), "{wait}");
    }
    assert!(stage.sandbox().requests(Provider::Spotify).is_empty(), "it was asked all the same");
    assert_eq!(here.metric("provider_pauses").await + there.metric("provider_pauses").await, 1);
    assert_eq!(there.metric("provider_shared_pauses").await, 1);
    // Another tenant, and another service, have their own.
    music::client(&there, &bob).call("track_get", track(7)).await;
    clients[1].call("search", json!({ "query": "a", "provider": "tidal" })).await;
}

#[tokio::test]
async fn a_call_that_would_come_too_late_is_told_so_at_once() {
    let clock = Arc::new(FrozenClock::now());
    let options =
        StageOptions { redis: false, clock: Arc::clone(&clock) as Arc<dyn Clock>, ..StageOptions::default() };
    let stage = Stage::start_with(options).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let known = music::known_tracks(&stage, Provider::Spotify);
    let track = |at: usize| json!({ "ref": format!("spotify:track:{}", known[at].id) });
    let quota = RequestQuota { requests: 2, window_seconds: 30, tells_wait: true };
    stage.sandbox().limit_requests(Provider::Spotify, &ada.tenant.client_id(), Some(quota));
    client.call("track_get", track(0)).await;
    client.call("track_get", track(1)).await;
    assert_eq!(wait_of(&client.tool("track_get", track(2)).await), 30);
    stage.sandbox().reset_requests();
    clock.advance(Duration::from_secs(12));
    assert_eq!(wait_of(&client.tool("track_get", track(3)).await), 18, "longer than a call may take");
    assert!(stage.sandbox().requests(Provider::Spotify).is_empty());
    // What is left now is less than a call may take: it waits in line.
    clock.advance(Duration::from_secs(13));
    let end = async {
        in_line(&gateway, 1).await;
        assert!(stage.sandbox().requests(Provider::Spotify).is_empty());
        clock.advance(Duration::from_secs(5));
    };
    let (answer, ()) = tokio::join!(client.tool("track_get", track(4)), end);
    assert_eq!(answer.verdict(), "200 ok", "{}", answer.text());
    assert_eq!(gateway.metric("provider_calls_refused").await, 1);
}
