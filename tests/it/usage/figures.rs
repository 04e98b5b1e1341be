//! Figures that equal the calls that were made.

use serde_json::{Value, json};
use stagedoor_domain::policy::Quota;
use stagedoor_domain::{Clock as _, LimitClass, Scope, ScopeSet, UserId};
use stagedoor_storage::usage::{Figures, GroupBy, UsageLine};
use stagedoor_testkit::{Client, KeySpec, TestGateway, generous};

use super::{BY_ALL, consent, end_minute, stage, told};
use crate::music;

async fn search(client: &Client, query: &str) -> String {
    client.tool("search", json!({ "query": query, "provider": "spotify" })).await.verdict()
}

/// What matters of each line, in one order.
fn lines(found: &[UsageLine]) -> Vec<(Option<UserId>, &str, &str, Figures)> {
    let mut lines: Vec<_> = found
        .iter()
        .map(|line| {
            (line.user, line.principal.as_deref().unwrap(), line.tool.as_deref().unwrap(), line.figures)
        })
        .collect();
    lines.sort_by_key(|(user, principal, tool, _)| (*user, *principal, *tool));
    lines
}

#[tokio::test]
async fn figures_by_person_key_and_tool_equal_the_calls_of_all_replicas() {
    let (stage, clock) = stage().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    consent(&clients[0]).await;
    let second = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let plain = ada.tenant.key(&KeySpec { user: None, ..KeySpec::for_user(ada.user) }).await;
    for (number, client) in clients.iter().enumerate() {
        for _ in 0..=number {
            assert_eq!(search(client, "so what").await, "200 ok");
        }
        let wrong = client.tool("track_get", json!({ "ref": "spotify:track:!" })).await;
        assert_eq!(wrong.verdict(), "200 invalid_arguments");
    }
    let second = gateways[1].client("ada", &second);
    assert_eq!(search(&second, "so what").await, "200 ok");
    let plain = gateways[0].client("ada", &plain);
    assert_eq!(search(&plain, "blue in green").await, "200 ok");
    let of_bob = music::client(&gateways[0], &bob);
    consent(&of_bob).await;
    assert_eq!(search(&of_bob, "so what").await, "200 ok");
    end_minute(&clock, &[&gateways[0], &gateways[1]]).await;

    let now = clock.now();
    let found = told(&stage, &ada, now, BY_ALL).await;
    let found = lines(&found);
    let mut keys = Vec::new();
    for (user, principal, tool, figures) in found {
        assert!(principal.starts_with("key:"), "{principal}");
        let whose = if user == Some(ada.user) { "ada" } else { "nobody" };
        keys.push((whose, tool, figures.calls, figures.errors));
    }
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            ("ada", "consent_set", 1, 0),
            ("ada", "search", 1, 0),
            ("ada", "search", 3, 0),
            ("ada", "track_get", 2, 2),
            ("nobody", "search", 1, 0),
        ]
    );
    let sum = async |by| told(&stage, &ada, clock.now(), by).await[0].figures;
    let all = sum(GroupBy::default()).await;
    // One question of the tenant's two is fetched once for all replicas; the other, without a market, is another one.
    assert_eq!((all.calls, all.errors, all.cache_misses, all.cache_hits), (8, 2, 2, 3));
    assert_eq!((all.provider_calls, all.search_words), (2, 4 * 2 + 3));
    assert_eq!(all.denied.total(), 0);
    let of_bob = told(&stage, &bob, now, GroupBy::default()).await[0].figures;
    assert_eq!((of_bob.calls, of_bob.provider_calls), (2, 1), "another tenant's are its own");

    let by_content = GroupBy { content: true, ..GroupBy::default() };
    let found = told(&stage, &ada, now, by_content).await;
    let content: Vec<_> =
        found.iter().map(|line| (line.content.as_deref().unwrap(), line.figures.calls)).collect();
    assert_eq!(content, [("track", 5), ("none", 3)], "what the wrong reference was about is nothing");
    assert!(found.iter().all(|line| line.latency.is_some()));

    let usage = clients[1].call("usage_status", json!({})).await;
    let own = &usage["own"];
    assert_eq!(own["counted"], true, "{usage}");
    for span in ["last_hour", "last_day", "last_30_days"] {
        let calls = (&own[span]["calls"], &own[span]["errors"], &own[span]["provider_calls"]);
        assert_eq!(calls, (&json!(6), &json!(2), &json!(1)), "{span} of this key: {usage}");
        assert!(own[span]["p50_ms"].is_number() && own[span]["p99_ms"].is_number(), "{usage}");
    }
    let tools: Vec<&Value> = own["tools"].as_array().unwrap().iter().map(|tool| &tool["tool"]).collect();
    assert_eq!(tools, ["search", "track_get", "consent_set"], "{usage}");
    for gateway in &gateways {
        let counts = gateway.state().dispatcher.desk().usage().counts();
        assert_eq!((counts.lost, counts.overflowed), (0, 0));
        assert_eq!(gateway.metric("usage_recorded_total").await, counts.recorded);
    }
}

#[tokio::test]
async fn what_is_refused_is_counted_by_its_reason_and_is_no_call() {
    let (stage, clock) = stage().await;
    let mut settings = generous();
    settings.limits.insert(LimitClass::Search, vec![Quota::per_hour(1)]);
    let ada = stage.inhabit_with("ada", settings).await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    consent(&client).await;
    assert_eq!(search(&client, "a").await, "200 ok");
    for _ in 0..3 {
        assert_eq!(search(&client, "a").await, "200 rate_limited");
    }
    let scopes = ScopeSet::empty().with(Scope::CatalogRead);
    let narrow = ada.tenant.key(&KeySpec { scopes, ..KeySpec::for_user(ada.user) }).await;
    let narrow = gateway.client("ada", &narrow);
    let lists = narrow.tool("playlists_list", json!({})).await;
    assert_eq!(lists.code().as_deref(), Some("insufficient_scope"), "{}", lists.text());
    let blind = ada.tenant.key(&KeySpec { read_only: true, ..KeySpec::for_user(ada.user) }).await;
    let blind = gateway.client("ada", &blind);
    let created = blind.tool("playlist_create", json!({ "name": "x", "provider": "spotify" })).await;
    assert_eq!(created.code().as_deref(), Some("unknown_tool"), "{}", created.text());
    let networks = vec!["203.0.113.0/24".parse().unwrap()];
    let elsewhere = ada.tenant.key(&KeySpec { networks, ..KeySpec::for_user(ada.user) }).await;
    let stranger = gateway.client("ada", &elsewhere);
    for _ in 0..2 {
        assert_eq!(stranger.tool("search", json!({})).await.verdict(), "401 unauthenticated");
    }
    end_minute(&clock, &[&gateway]).await;

    let all = told(&stage, &ada, clock.now(), GroupBy::default()).await[0].figures;
    assert_eq!((all.calls, all.errors), (2, 0), "the consent and one search");
    let denied = all.denied;
    assert_eq!((denied.limit, denied.scope, denied.policy, denied.credentials), (3, 2, 0, 2));
    let by_tool = GroupBy { tool: true, ..GroupBy::default() };
    let found = told(&stage, &ada, clock.now(), by_tool).await;
    let of = |tool: &str| found.iter().find(|line| line.tool.as_deref() == Some(tool)).unwrap();
    assert_eq!(of("playlists_list").figures.denied.scope, 1);
    assert_eq!(of("playlist_create").figures.denied.scope, 1);
    assert_eq!(of("none").figures.denied.credentials, 2);
    assert!(of("none").latency.is_none() && of("search").latency.is_some());
}

#[tokio::test]
async fn without_consent_neither_the_person_nor_the_key_is_counted() {
    let (stage, clock) = stage().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(search(&client, "a").await, "200 ok");
    consent(&client).await;
    assert_eq!(search(&client, "a").await, "200 ok");
    let no = json!({ "purpose": "analytics", "granted": false });
    client.call("consent_set", no).await;
    assert_eq!(search(&client, "a").await, "200 ok");
    end_minute(&clock, &[&gateway]).await;

    let found = told(&stage, &ada, clock.now(), BY_ALL).await;
    let key = ada.key.split('_').nth(2).unwrap()[..12].to_owned();
    let own = format!("key:{key}");
    let counted: Vec<_> = lines(&found)
        .iter()
        .map(|(user, principal, tool, figures)| (*user, *principal, *tool, figures.calls))
        .collect();
    assert_eq!(
        counted,
        [
            (None, "withheld", "consent_set", 1),
            (None, "withheld", "search", 2),
            (Some(ada.user), &*own, "consent_set", 1),
            (Some(ada.user), &*own, "search", 1),
        ]
    );
    let usage = client.call("usage_status", json!({})).await;
    assert_eq!(usage["own"], json!({ "counted": false }), "{usage}");
}
