//! `insights` through the front door: the figures of what was imported, checked by another calculation over the same plays;
//! a picture that is one; and who may not ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use serde_json::json;
use stagedoor_domain::{Scope, ScopeSet};
use stagedoor_testkit::{Era, FrozenClock, KeySpec, TestGateway};

use super::downloads::{extended, file};
use super::polling::poll;
use super::{Listener, stage};
use crate::music;

#[tokio::test]
async fn the_figures_are_those_of_the_plays() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    ada.consents(true).await;
    let empty = ada.client.call("insights", json!({ "period": "all" })).await;
    assert_eq!(empty["services"], json!([]), "nothing is made up");
    let zip = file(&stage, "mine.zip", &extended(ada.now() - TimeDelta::days(3), &[900]));
    assert_eq!(ada.import(&zip, &[]).await.code, Some(0));

    for era in [Era::Modern, Era::Legacy("2025-11-25")] {
        let client = music::client(&gateway, &ada.ada).speaking(era);
        let answer =
            client.tool("insights", json!({ "period": "all", "top": 50, "picture": "heat_map" })).await;
        assert_eq!(answer.verdict(), "200 ok", "{}", answer.text());
        let result = answer.result();
        let services = result["structuredContent"]["services"].as_array().unwrap();
        assert_eq!(services.len(), 1, "{result}");
        let kept = ada.history().await;
        let (mut by_artist, mut by_track) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
        for play in &kept {
            *by_artist.entry(play.track.artists[0].clone()).or_default() += 1;
            *by_track.entry(play.track.reference.clone().unwrap()).or_default() += 1;
        }
        let totals = &services[0]["totals"];
        assert_eq!(totals["plays"], json!(kept.len()), "{totals}");
        assert_eq!(totals["tracks"], json!(by_track.len()), "{totals}");
        assert_eq!(totals["artists"], json!(by_artist.len()), "{totals}");
        let told: BTreeMap<String, u64> = services[0]["top_artists"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["name"].as_str().unwrap().to_owned(), one["plays"].as_u64().unwrap()))
            .collect();
        assert_eq!(told, by_artist);

        let image = result["content"].as_array().unwrap().iter().find(|one| one["type"] == "image").unwrap();
        assert_eq!(image["mimeType"], "image/png");
        let png = BASE64_STANDARD.decode(image["data"].as_str().unwrap()).unwrap();
        assert!(
            png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xaeB`\x82"),
            "{} bytes",
            png.len()
        );
        let picture = &result["structuredContent"]["pictures"][0];
        assert!(
            !picture["title"].as_str().unwrap().is_empty()
                && !picture["description"].as_str().unwrap().is_empty()
        );
    }
}

#[tokio::test]
async fn a_play_counts_as_soon_as_it_is_kept_and_no_longer_than_its_account() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    ada.consents(true).await;
    let zip = file(&stage, "mine.zip", &extended(ada.now() - TimeDelta::days(3), &[40]));
    assert_eq!(ada.import(&zip, &[]).await.code, Some(0));
    let plays = async || {
        let told = ada.client.call("insights", json!({ "period": "all" })).await;
        told["services"][0]["totals"]["plays"].as_u64().unwrap_or_default()
    };
    assert_eq!(plays().await, 40);
    ada.passes(std::time::Duration::from_secs(400));
    ada.plays(1);
    let keeper = stage.keeper().await;
    assert_eq!(poll(&keeper).await.count("plays_added"), 1);
    assert_eq!(plays().await, 41);
    ada.passes(std::time::Duration::from_hours(3));
    poll(&keeper).await;
    let today = ada.now().date_naive().to_string();
    let told = ada.client.call("insights", json!({ "from": today })).await;
    let covered = told["services"][0]["coverage"]["rate"].as_f64().unwrap();
    assert!(covered > 0.0, "what was watched between two polls is known, plays or not: {told}");
    ada.client.call("account_unlink", json!({ "provider": "spotify" })).await;
    assert_eq!(plays().await, 0);
}

#[tokio::test]
async fn who_may_not_ask_is_told_why() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    let bob = stage.inhabit("bob").await;
    for tool in ["insights", "history_query"] {
        let refused = ada.client.tool(tool, json!({})).await;
        assert_eq!(refused.verdict(), "200 consent_required", "{tool}");
        let closed = music::client(&gateway, &bob).tool(tool, json!({ "provider": "spotify" })).await;
        assert_eq!(closed.verdict(), "200 policy_gate_closed", "{tool}");
        assert!(closed.message().contains("history_insights"), "{}", closed.message());
        let scopes: BTreeSet<_> =
            Scope::ALL.iter().copied().filter(|scope| *scope != Scope::HistoryRead).collect();
        let spec =
            KeySpec { scopes: scopes.into_iter().collect::<ScopeSet>(), ..KeySpec::for_user(ada.ada.user) };
        let poor = gateway.client("ada", &ada.ada.tenant.key(&spec).await);
        assert_eq!(poor.tool(tool, json!({})).await.verdict(), "403 insufficient_scope", "{tool}");
    }
    ada.consents(true).await;
    for (arguments, told) in [
        (json!({ "period": "week", "from": "2026-01-01" }), "`period`"),
        (json!({ "to": "2026-01-01" }), "without `from`"),
        (json!({ "zone": "Berlin" }), "`zone`"),
        (json!({ "top": 51 }), "`top`"),
        (json!({ "picture": "pie" }), "picture"),
    ] {
        let refused = ada.client.tool("insights", arguments).await;
        assert_eq!(refused.verdict(), "200 invalid_arguments", "{told}");
        assert!(refused.message().contains(told), "{}", refused.message());
    }
}
