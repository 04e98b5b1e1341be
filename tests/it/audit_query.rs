//! The tool `audit_query`: what a tenant's administrators find, page by page, and that looking is on record first.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};
use stagedoor_domain::{Provider, Scope, ScopeSet};
use stagedoor_testkit::{Client, Inhabited, KeySpec, Stage, TestGateway};

use crate::music;

/// A key of nobody in particular that may look.
async fn administrator(gateway: &TestGateway, of: &Inhabited<'_>) -> Client {
    let spec = KeySpec {
        scopes: ScopeSet::empty().with(Scope::AuditRead),
        user: None,
        ..KeySpec::for_user(of.user)
    };
    gateway.client(of.tenant.slug(), &of.tenant.key(&spec).await)
}

fn records(page: &Value) -> &Vec<Value> {
    page["records"].as_array().unwrap_or_else(|| panic!("{page}"))
}

/// `record action outcome` of each record.
fn told(page: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{page}")).to_owned();
    records(page)
        .iter()
        .map(|record| {
            format!(
                "{} {} {}",
                text(&record["record"]),
                text(&record["action"]),
                text(&record["details"]["outcome"])
            )
        })
        .collect()
}

#[tokio::test]
async fn administrators_find_who_did_what_and_are_on_record_themselves() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.cache.prefetch = false).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let other = ada.tenant.person("Kim").await;
    let other_key = ada.tenant.key(&KeySpec::for_user(other)).await;
    let (robin, kim) = (music::client(&gateway, &ada), gateway.client("ada", &other_key));
    let admin = administrator(&gateway, &ada).await;

    let known = music::known_tracks(&stage, Provider::Spotify);
    let track = json!({ "ref": format!("spotify:track:{}", known[0].id) });
    // Reads are written in batches; flushed one by one, the trail has them in their order.
    robin.call("track_get", track).await;
    gateway.flush_audit().await;
    robin.call("playlist_create", json!({ "name": "Mine", "provider": "spotify" })).await;
    let wrong = robin.tool("track_get", json!({ "ref": "nothing" })).await;
    assert_eq!(wrong.verdict(), "200 invalid_arguments");
    gateway.flush_audit().await;
    kim.call("accounts_list", json!({})).await;
    music::client(&gateway, &bob).call("accounts_list", json!({})).await;
    gateway.flush_audit().await;

    let all = admin.call("audit_query", json!({ "oldest_first": true })).await;
    assert_eq!(
        told(&all),
        [
            "call track_get ok",
            "opened playlist_create pending",
            "closed playlist_create ok",
            "call track_get invalid_arguments",
            "call accounts_list ok",
            "opened audit_query pending",
        ],
        "the search itself is there before its answer"
    );
    let newest = admin.call("audit_query", json!({ "limit": 1 })).await;
    assert_eq!(told(&newest), ["opened audit_query pending"]);

    for (filter, expected) in [
        (json!({ "person": other }), vec!["call accounts_list ok"]),
        (json!({ "tool": "track_get", "outcome": "ok" }), vec!["call track_get ok"]),
        (json!({ "outcome": "invalid_arguments" }), vec!["call track_get invalid_arguments"]),
        (
            json!({ "person": ada.user, "tool": "playlist_create" }),
            vec!["opened playlist_create pending", "closed playlist_create ok"],
        ),
        (json!({ "tool": "playlist_delete" }), vec![]),
    ] {
        let mut arguments = filter;
        arguments["oldest_first"] = true.into();
        let page = admin.call("audit_query", arguments.clone()).await;
        assert_eq!(told(&page), expected, "{arguments}");
    }
    let agent = records(&all)[0]["principal"].as_str().unwrap();
    let by_agent = admin.call("audit_query", json!({ "agent": agent })).await;
    assert!(records(&by_agent).iter().all(|record| record["principal"] == agent), "{by_agent}");
    assert_eq!(records(&by_agent).len(), 4, "{by_agent}");

    let text = all.to_string();
    assert!(!text.contains("127.0.0.1") && !text.contains("sd_test_"), "no address and no key: {text}");
    let asked = ada.tenant.audit_trail().await;
    let about_kim = |view: &stagedoor_audit::AuditView| {
        view.json().is_some_and(|json| {
            json["action"] == "audit_query" && json["resource"]["id"] == format!("person={other}")
        })
    };
    let kinds: Vec<i16> = asked.iter().filter(|view| about_kim(view)).map(|view| view.record.kind).collect();
    assert_eq!(kinds, [1, 2], "whom it was about is on record before it is answered");
}

#[tokio::test]
async fn pages_meet_every_record_once_and_their_cursors_fit_one_question_only() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let admin = administrator(&gateway, &ada).await;
    let client = music::client(&gateway, &ada);
    for _ in 0..25 {
        client.call("accounts_list", json!({})).await;
    }
    gateway.flush_audit().await;
    for oldest_first in [false, true] {
        let question = json!({ "tool": "accounts_list", "limit": 10, "oldest_first": oldest_first });
        let (mut arguments, mut places) = (question.clone(), Vec::new());
        loop {
            let page = admin.call("audit_query", arguments.clone()).await;
            places.extend(records(&page).iter().map(|record| record["position"].clone()));
            match page.get("next_cursor") {
                Some(cursor) => arguments["cursor"] = cursor.clone(),
                None => break,
            }
        }
        let each: std::collections::BTreeSet<String> = places.iter().map(ToString::to_string).collect();
        assert_eq!((places.len(), each.len()), (25, 25), "{places:?}");
        let mut elsewhere = arguments;
        elsewhere["tool"] = "search".into();
        assert_eq!(admin.tool("audit_query", elsewhere.clone()).await.verdict(), "200 invalid_cursor");
        elsewhere["tool"] = "accounts_list".into();
        let stranger = administrator(&gateway, &bob).await;
        assert_eq!(stranger.tool("audit_query", elsewhere).await.verdict(), "200 invalid_cursor");
    }
}

#[tokio::test]
async fn without_the_scope_nothing_is_shown_and_wrong_questions_name_the_field() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let scopes = ScopeSet::all().iter().filter(|scope| *scope != Scope::AuditRead).collect();
    let key = ada.tenant.key(&KeySpec { scopes, ..KeySpec::for_user(ada.user) }).await;
    let refused = gateway.client("ada", &key).tool("audit_query", json!({})).await;
    assert_eq!(refused.verdict(), "403 insufficient_scope");

    let admin = administrator(&gateway, &ada).await;
    for (arguments, field) in [
        (json!({ "person": "Robin" }), "person"),
        (json!({ "from": "yesterday" }), "from"),
        (json!({ "to": "2026-13-01T00:00:00Z" }), "to"),
        (json!({ "limit": 101 }), "limit"),
        (json!({ "tool": "" }), "tool"),
        (json!({ "agents": "key:x" }), "agents"),
    ] {
        let answer = admin.tool("audit_query", arguments.clone()).await;
        assert_eq!(answer.verdict(), "200 invalid_arguments", "{arguments}");
        assert!(answer.text().contains(&format!("`{field}`")), "{arguments}: {}", answer.text());
    }
    // Another tenant's person is nobody here.
    let foreign = admin.call("audit_query", json!({ "person": bob.user })).await;
    assert_eq!(records(&foreign).len(), 0, "{foreign}");
    let tomorrow = (stage.clock().now() + TimeDelta::days(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let later = admin.call("audit_query", json!({ "from": tomorrow })).await;
    assert_eq!(records(&later).len(), 0, "{later}");
}
