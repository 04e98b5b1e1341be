//! One call, one audit record; nothing is done that cannot be recorded; the chain holds whatever happens.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde_json::{Value, json};
use stagedoor_audit::{AuditAction, AuditClass, AuditView};
use stagedoor_domain::{Provider, ScopeSet, ToolName};
use stagedoor_testkit::{FaultProxy, KeySpec, Stage, TestGateway, Weather};

use crate::music::{self, Music};

const OPENED: i16 = 1;
const CLOSED: i16 = 2;
const CALL: i16 = 3;
const REFUSAL: i16 = 4;

/// How many records there are of each action, kind and outcome.
fn tally(trail: &[AuditView]) -> BTreeMap<(String, i16, String), usize> {
    let mut tally = BTreeMap::new();
    for view in trail {
        let json = view.json().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = (text(&json["action"]), view.record.kind, text(&json["details"]["outcome"]));
        *tally.entry(key).or_default() += 1;
    }
    tally
}

fn count(tally: &BTreeMap<(String, i16, String), usize>, action: &str, kind: i16, outcome: &str) -> usize {
    tally.get(&(action.to_owned(), kind, outcome.to_owned())).copied().unwrap_or(0)
}

/// Whether a call is recorded before and after its work.
fn is_recorded_twice(tool: ToolName) -> bool {
    AuditAction::Tool(tool).class() == AuditClass::Synchronous
}

#[tokio::test]
async fn every_call_leaves_exactly_its_record() {
    let stage = Stage::start().await;
    // What is fetched ahead has records of its own, when it is worth fetching.
    let gateway = TestGateway::start_with(&stage, |config| config.cache.prefetch = false).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let bob = stage.inhabit("bob").await;
    let client = music::client(&gateway, &ada);
    let music = Music::of_all_tools(&stage, &client, Provider::Spotify).await;
    gateway.flush_audit().await;
    let before = ada.tenant.audit_trail().await.len();
    for round in 0..3 {
        for tool in ToolName::ALL {
            let arguments = match tool {
                ToolName::AccountUnlink => {
                    json!({ "account": ada.tenant.link(ada.user, Provider::Tidal).await.id })
                }
                tool => music.arguments(*tool),
            };
            let answer = client.tool(tool.as_str(), arguments).await;
            let verdict =
                if music::has(Provider::Spotify, *tool) { "200 ok" } else { "200 provider_rejected" };
            assert_eq!(answer.verdict(), verdict, "{tool}: {}", answer.text());
        }
        let wrong = client.tool("search", json!({ "query": round })).await;
        assert_eq!(wrong.verdict(), "200 invalid_arguments");
    }
    let spec = KeySpec { scopes: ScopeSet::empty(), ..KeySpec::for_user(ada.user) };
    let powerless = gateway.client("ada", &ada.tenant.key(&spec).await);
    assert_eq!(powerless.tool("playlist_create", json!({ "name": "x" })).await.status, 403);
    gateway.flush_audit().await;

    let trail = ada.tenant.audit_trail().await.split_off(before);
    let tally = tally(&trail);
    for tool in ToolName::ALL {
        if is_recorded_twice(*tool) {
            let refused = usize::from(*tool == ToolName::PlaylistCreate);
            assert_eq!(count(&tally, tool.as_str(), OPENED, "pending"), 3 + refused, "{tool}: {tally:?}");
            assert_eq!(count(&tally, tool.as_str(), CLOSED, "ok"), 3, "{tool}: {tally:?}");
            assert_eq!(
                count(&tally, tool.as_str(), CLOSED, "insufficient_scope"),
                refused,
                "{tool}: {tally:?}"
            );
        } else {
            let outcome = if music::has(Provider::Spotify, *tool) { "ok" } else { "provider_rejected" };
            assert_eq!(count(&tally, tool.as_str(), CALL, outcome), 3, "{tool}: {tally:?}");
        }
    }
    assert_eq!(count(&tally, "search", CALL, "invalid_arguments"), 3, "{tally:?}");
    let calls = 3 * (ToolName::ALL.len() + 1) + 1;
    let writes = ToolName::ALL.iter().filter(|tool| is_recorded_twice(**tool)).count() * 3 + 1;
    // What a job does once its call has begun it is on record by itself, each time that a replica takes it up.
    let shifts = count(&tally, "job", OPENED, "pending");
    assert!(shifts >= 3 && count(&tally, "job", CLOSED, "ok") == shifts, "{tally:?}");
    assert_eq!(trail.len(), calls + writes + 2 * shifts, "records that belong to no call: {tally:?}");

    let mut by_call: BTreeMap<_, Vec<i16>> = BTreeMap::new();
    for view in &trail {
        by_call.entry(view.record.call_id).or_default().push(view.record.kind);
    }
    assert!(by_call.values().all(|kinds| *kinds == [CALL] || *kinds == [OPENED, CLOSED]), "{by_call:?}");
    let text = trail.iter().map(|view| view.json().unwrap().to_string()).collect::<String>();
    assert!(
        text.contains(&format!("\"{}\"", ada.user)) && text.contains(&music.track),
        "who and what is recorded"
    );
    assert!(!text.contains("127.0.0.1") && !text.contains("sd_test_"), "addresses and keys are not");

    for tenant in [&ada, &bob] {
        let report = tenant.tenant.verify_chain().await;
        assert_eq!((report.faults.len(), report.erased), (0, 0), "{report:?}");
    }
    assert!(bob.tenant.audit_trail().await.is_empty(), "ada's calls are in bob's trail");
}

#[tokio::test]
async fn the_chain_holds_when_many_calls_of_two_replicas_append_at_once() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let clients: Vec<_> = gateways
        .iter()
        .flat_map(|gateway| [&ada, &bob].map(|tenant| music::client(gateway, tenant)))
        .collect();
    for client in &clients {
        client.call("accounts_list", json!({})).await;
    }
    let calls = (0..200_usize).map(|number| {
        let client = &clients[number % 4];
        async move {
            if number % 10 < 2 {
                let name = format!("n{number}");
                client.call("playlist_create", json!({ "name": name, "provider": "spotify" })).await;
            } else {
                client.call("accounts_list", json!({})).await;
            }
        }
    });
    futures_util::stream::iter(calls).buffer_unordered(16).collect::<Vec<()>>().await;
    for gateway in &gateways {
        gateway.flush_audit().await;
    }
    for tenant in [&ada, &bob] {
        let report = tenant.tenant.verify_chain().await;
        assert_eq!((report.records, report.faults), (2 + 80 + 2 * 20, Vec::new()));
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let stage = Stage::start().await;
    let postgres = FaultProxy::to(([127, 0, 0, 1], stage.postgres().port()).into()).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.storage.database_url = stage.database_url_at(postgres.address()).into();
        config.storage.acquire_timeout_ms = 1_000;
    })
    .await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let list = json!({ "provider": "spotify" });
    client.call("playlist_create", json!({ "name": "Before", "provider": "spotify" })).await;
    client.call("playlists_list", list.clone()).await;
    for weather in [Weather::Broken, Weather::Silent] {
        postgres.set(weather);
        stage.sandbox().reset_requests();
        let refused =
            client.tool("playlist_create", json!({ "name": "Unrecorded", "provider": "spotify" })).await;
        assert_eq!(refused.code().as_deref(), Some("audit_unavailable"), "{weather:?}: {}", refused.text());
        assert!(refused.text().contains("retry_after_seconds"), "{}", refused.text());
        assert!(stage.sandbox().request_log().is_empty(), "{weather:?}: it was done all the same");
        // A read that is known is still answered; its record waits for the database.
        client.call("playlists_list", list.clone()).await;
        postgres.set(Weather::Broken);
        postgres.set(Weather::Fair);
    }
    // The first tries may meet a connection that has not noticed yet.
    let again = json!({ "name": "After", "provider": "spotify" });
    while client.tool("playlist_create", again.clone()).await.code().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await;
    let tally = tally(&trail);
    assert_eq!(
        count(&tally, "playlists_list", CALL, "ok"),
        3,
        "reads during the outage are recorded: {tally:?}"
    );
    assert_eq!(count(&tally, "playlist_create", CLOSED, "ok"), 2, "{tally:?}");
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
    assert_eq!(gateway.metric("audit_dropped").await, 0);
}

#[tokio::test]
async fn failures_to_sign_in_are_in_the_trail_of_the_tenant_they_were_about() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let past = stage.clock().now() - chrono::TimeDelta::seconds(1);
    let expired = ada.tenant.key(&KeySpec { expires_at: Some(past), ..KeySpec::for_user(ada.user) }).await;
    let networks = vec!["203.0.113.0/24".parse().unwrap()];
    let blocked = ada.tenant.key(&KeySpec { networks, ..KeySpec::for_user(ada.user) }).await;
    for key in [&expired, &blocked, &bob.key] {
        let answer = gateway.client("ada", key).tool("usage_status", json!({})).await;
        assert_eq!(answer.verdict(), "401 unauthenticated");
    }
    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await;
    let tally = tally(&trail);
    assert_eq!(count(&tally, "authenticate", REFUSAL, "unauthenticated"), 2, "{tally:?}");
    assert!(trail.iter().all(|view| view.json().unwrap()["user_id"].is_null()), "nobody was authenticated");
    assert!(
        bob.tenant.audit_trail().await.is_empty(),
        "bob's key was used at ada's door, which is not bob's doing"
    );
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
}

#[tokio::test]
async fn calls_over_a_quota_are_recorded_too() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let mut settings = stagedoor_testkit::generous();
    let quota = stagedoor_domain::policy::Quota::per_hour(1);
    settings.limits.insert(stagedoor_domain::LimitClass::Search, vec![quota]);
    let ada = stage.inhabit_with("ada", settings).await;
    let client = music::client(&gateway, &ada);
    for expected in ["200 ok", "200 rate_limited", "200 rate_limited"] {
        let answer = client.tool("search", json!({ "query": "a", "provider": "tidal" })).await;
        assert_eq!(answer.verdict(), expected);
    }
    gateway.flush_audit().await;
    let tally = tally(&ada.tenant.audit_trail().await);
    assert_eq!(count(&tally, "search", CALL, "rate_limited"), 2, "{tally:?}");
}
