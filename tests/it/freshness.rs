//! How old an answer may be and what is done about it: old answers that say so, fetches beside calls, what is known to
//! be absent, pages fetched ahead, items that came along; and writes of which nobody knows whether they were done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_bootstrap::config::Config;
use stagedoor_domain::{CacheClass, Provider, Scope, TenantSettings};
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Answer, FrozenClock, KeySpec, Stage, StageOptions, TestGateway, generous};

use crate::music::{self, Music};

const TRACK: &str = "GET /tracks/{id}";

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A stage whose clock is moved by hand.
async fn stage() -> (Stage, Arc<FrozenClock>) {
    let clock = Arc::new(FrozenClock::now());
    let options = StageOptions { clock: Arc::<FrozenClock>::clone(&clock), ..StageOptions::default() };
    (Stage::start_with(options).await, clock)
}

/// Tracks and playlists live exactly 100 seconds.
fn short_lives() -> TenantSettings {
    let mut settings = generous();
    settings.cache_ttl_seconds.insert(CacheClass::Track, 100);
    settings.cache_ttl_seconds.insert(CacheClass::Playlist, 100);
    settings
}

fn track(stage: &Stage, at: usize) -> Value {
    json!({ "ref": format!("spotify:track:{}", music::known_tracks(stage, Provider::Spotify)[at].id) })
}

fn asked(stage: &Stage, operation: &str) -> u64 {
    stage.sandbox().requests(Provider::Spotify).get(operation).copied().unwrap_or_default()
}

fn all_asked(stage: &Stage) -> u64 {
    stage.sandbox().requests(Provider::Spotify).into_values().sum()
}

fn warnings(answer: &Answer) -> String {
    answer.result()["_meta"]["dev.stagedoor/warnings"].to_string()
}

async fn beside(gateway: &TestGateway, kind: &str, outcome: &str) -> u64 {
    gateway.metrics().await.sum("cache_beside", &[("kind", kind), ("outcome", outcome)])
}

#[tokio::test]
async fn what_is_due_is_answered_at_once_and_fetched_again_beside_the_call() {
    let (stage, clock) = stage().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", short_lives()).await;
    let client = music::client(&gateway, &ada);
    let first = client.call("track_get", track(&stage, 0)).await;
    clock.advance(Duration::from_secs(110));

    let due = client.tool("track_get", track(&stage, 0)).await;
    assert_eq!(due.result()["structuredContent"], first, "it says when it was fetched");
    assert!(warnings(&due).contains("fetched 110 seconds ago"), "{}", due.text());
    until(async || beside(&gateway, "refetch", "done").await == 1).await;
    assert_eq!(asked(&stage, TRACK), 2);
    let fresh = client.tool("track_get", track(&stage, 0)).await;
    assert_eq!(fresh.result()["_meta"].get("dev.stagedoor/warnings"), None, "{}", fresh.text());
    let fresh = fresh.result()["structuredContent"].take();
    assert_ne!(fresh["cached_at"], first["cached_at"]);
    assert_eq!(fresh["track"], first["track"]);
    assert_eq!(asked(&stage, TRACK), 2);

    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await;
    let records: Vec<Value> = trail.iter().filter_map(stagedoor_audit::AuditView::json).collect();
    let refreshes: Vec<&Value> =
        records.iter().filter(|record| record["action"] == "cache_refresh").collect();
    assert_eq!(refreshes.len(), 1, "it is on record as what it is");
    assert_eq!(refreshes[0]["details"]["outcome"], "ok", "{}", refreshes[0]);
    assert!(refreshes[0].to_string().contains(track(&stage, 0)["ref"].as_str().unwrap()), "{}", refreshes[0]);
}

#[tokio::test]
async fn what_cannot_be_fetched_again_stays_and_says_how_old_it_is_and_why() {
    let (stage, clock) = stage().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", short_lives()).await;
    let client = music::client(&gateway, &ada);
    let first = client.call("track_get", track(&stage, 0)).await;
    clock.advance(Duration::from_hours(3));
    stage.sandbox().faults().push(FaultRule::new(Provider::Spotify, Effect::status(503)).operation(TRACK));

    let old = client.tool("track_get", track(&stage, 0)).await;
    assert_eq!((old.verdict().as_str(), &old.result()["structuredContent"]), ("200 ok", &first));
    for part in ["old answer", "3 hours ago", "provider_unavailable"] {
        assert!(warnings(&old).contains(part), "{part}: {}", old.text());
    }
    let unknown = client.tool("track_get", track(&stage, 1)).await;
    assert_eq!(unknown.verdict(), "200 provider_unavailable", "of this there is nothing");

    stage.sandbox().faults().clear();
    clock.advance(Duration::from_mins(2));
    let fresh = client.tool("track_get", track(&stage, 0)).await;
    assert_eq!(fresh.result()["_meta"].get("dev.stagedoor/warnings"), None, "{}", fresh.text());

    clock.advance(Duration::from_hours(25));
    stage.sandbox().faults().push(FaultRule::new(Provider::Spotify, Effect::status(503)).operation(TRACK));
    let too_old = client.tool("track_get", track(&stage, 0)).await;
    assert_eq!(too_old.verdict(), "200 provider_unavailable", "a day is the most");
}

#[tokio::test]
async fn what_is_not_there_is_said_again_for_some_seconds() {
    let (stage, clock) = stage().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    stage
        .sandbox()
        .faults()
        .push(FaultRule::new(Provider::Spotify, Effect::status(404)).operation(TRACK).times(1));
    let absent = client.tool("track_get", track(&stage, 0)).await;
    assert_eq!(absent.verdict(), "200 item_not_found");
    let told = |answer: &Answer| {
        let mut error = answer.result()["_meta"]["dev.stagedoor/error"].take();
        error["call"].take();
        (error, answer.result()["content"].take())
    };
    let again = client.tool("track_get", track(&stage, 0)).await;
    assert_eq!(told(&again), told(&absent), "word for word");
    assert_eq!(asked(&stage, TRACK), 1);
    clock.advance(Duration::from_secs(31));
    client.call("track_get", track(&stage, 0)).await;
    assert_eq!(asked(&stage, TRACK), 2);
}

#[tokio::test]
async fn the_next_page_is_there_before_it_is_asked_for_if_it_was_earned() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    for (who, earned) in [(&ada, true), (&bob, false)] {
        let client = music::client(&gateway, who);
        let music = Music::of(&stage, &client, Provider::Spotify).await;
        // Reading a playlist whose stored version is not known to be the newest has it looked at beside the call.
        client.call("playlist_versions", json!({ "ref": music.playlist })).await;
        if earned {
            for number in 0..10 {
                client.call("search", json!({ "query": format!("a {number}"), "provider": "spotify" })).await;
            }
        }
        let left_out = beside(&gateway, "prefetch", "left_out").await;
        let page = async |cursor: &Value| {
            let mut arguments = json!({ "ref": music.playlist, "limit": 40 });
            if cursor.is_string() {
                arguments["cursor"] = cursor.clone();
            }
            client.call("playlist_get", arguments).await
        };
        let first = page(&Value::Null).await;
        let second = page(&first["next_cursor"]).await;
        if earned {
            until(async || beside(&gateway, "prefetch", "done").await == 1).await;
        } else {
            assert_eq!(beside(&gateway, "prefetch", "left_out").await, left_out + 1);
            assert_eq!(beside(&gateway, "prefetch", "done").await, 1, "nothing was saved for it");
        }
        let before = all_asked(&stage);
        let third = page(&second["next_cursor"]).await;
        assert_eq!(third["items"][0]["position"], 80, "{third}");
        assert_eq!(all_asked(&stage) == before, earned);
        gateway.flush_audit().await;
        let trail = who.tenant.audit_trail().await;
        let fetched = trail.iter().filter_map(stagedoor_audit::AuditView::json);
        let ahead = fetched.filter(|record| record["action"] == "cache_prefetch").count();
        assert_eq!(ahead, usize::from(earned));
    }
    assert_eq!(gateway.metric("cache_prefetches_used").await, 1);
}

#[tokio::test]
async fn whoever_changes_a_playlist_finds_it_there_as_it_is_now() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for number in 0..10 {
        client.call("search", json!({ "query": format!("a {number}"), "provider": "spotify" })).await;
    }
    let created = client.call("playlist_create", json!({ "name": "New", "provider": "spotify" })).await;
    let playlist = created["playlist"]["ref"].clone();
    let empty = client.call("playlist_get", json!({ "ref": playlist })).await;
    assert_eq!(empty["items"], json!([]));
    client.call("playlist_add", json!({ "ref": playlist, "tracks": [track(&stage, 0)["ref"]] })).await;
    until(async || beside(&gateway, "prefetch", "done").await == 1).await;
    let before = all_asked(&stage);
    let read = client.call("playlist_get", json!({ "ref": playlist })).await;
    assert_eq!(read["items"][0]["track"]["ref"], track(&stage, 0)["ref"], "{read}");
    assert_eq!(all_asked(&stage), before);

    // One that may write and not read gets nothing read for it.
    let scopes = [Scope::PlaylistsWrite].into_iter().collect();
    let writer = ada.tenant.key(&KeySpec { scopes, ..KeySpec::for_user(ada.user) }).await;
    let writer = gateway.client("ada", &writer);
    writer.call("playlist_add", json!({ "ref": playlist, "tracks": [track(&stage, 1)["ref"]] })).await;
    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await;
    let records = trail.iter().filter_map(stagedoor_audit::AuditView::json);
    assert_eq!(records.filter(|record| record["action"] == "cache_prefetch").count(), 1);
}

#[tokio::test]
async fn tracks_that_came_along_with_a_search_need_no_call_of_their_own() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let title = music::known_tracks(&stage, *provider)[0].title.clone();
        let search = json!({ "query": title, "provider": provider, "kinds": ["track", "artist"] });
        let seeded = gateway.metric("cache_seeded").await;
        let found = client.call("search", search).await;
        let count = |kind: &str| found[kind]["items"].as_array().unwrap().len() as u64;
        let all = count("tracks") + count("artists");
        until(async || gateway.metric("cache_seeded").await == seeded + all).await;
        let before: u64 = stage.sandbox().requests(*provider).into_values().sum();
        for (kind, tool, member) in [("tracks", "track_get", "track"), ("artists", "artist_get", "artist")] {
            for item in found[kind]["items"].as_array().unwrap() {
                let got = client.call(tool, json!({ "ref": item["ref"] })).await;
                assert_eq!(&got[member], item);
                assert_eq!(got["cached_at"], found["cached_at"], "it was fetched then");
            }
        }
        assert_eq!(stage.sandbox().requests(*provider).into_values().sum::<u64>(), before);
    }
    // And they are what the service says of them.
    let other = TestGateway::start_with(&stage, |config| config.cache.enabled = false).await;
    let plain = music::client(&other, &ada);
    for provider in Provider::ALL {
        let track = format!("{provider}:track:{}", music::known_tracks(&stage, *provider)[0].id);
        let direct = plain.call("track_get", json!({ "ref": track })).await;
        assert_eq!(direct["track"], client.call("track_get", json!({ "ref": track })).await["track"]);
    }
}

#[tokio::test]
async fn the_same_question_in_other_letters_is_the_same_question() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let search = |text: &str| json!({ "query": text, "provider": "spotify", "limit": 1 });
    let first = client.call("search", search("the  a")).await;
    assert_eq!(client.call("search", search(" The A ")).await, first);
    assert_eq!(asked(&stage, "GET /search"), 1);
    if let Some(cursor) = first["tracks"]["next_cursor"].as_str() {
        let mut next = search("THE A");
        next["cursor"] = json!(cursor);
        client.call("search", next).await;
    }
}

#[tokio::test]
async fn a_write_that_may_have_been_done_is_followed_by_the_truth_everywhere() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let list = json!({ "provider": "spotify" });
    let lost = |operation: &str| {
        FaultRule::new(Provider::Spotify, Effect::CloseConnection).operation(operation).after_work()
    };
    for client in &clients {
        assert_eq!(client.call("playlists_list", list.clone()).await["playlists"], json!([]));
    }
    stage.sandbox().faults().push(lost("POST /me/playlists").times(1));
    let created = clients[0].tool("playlist_create", json!({ "name": "Lost", "provider": "spotify" })).await;
    assert_eq!(created.verdict(), "200 provider_unavailable");
    let mut playlist = Value::Null;
    for client in &clients {
        let listed = client.call("playlists_list", list.clone()).await;
        assert_eq!(listed["playlists"][0]["name"], "Lost", "{listed}");
        playlist = listed["playlists"][0]["ref"].clone();
        assert_eq!(client.call("playlist_get", json!({ "ref": playlist })).await["items"], json!([]));
    }
    // The first hundred are in, of the second hundred nobody knows.
    let known = music::known_tracks(&stage, Provider::Spotify);
    let tracks: Vec<String> =
        known.iter().take(120).map(|track| format!("spotify:track:{}", track.id)).collect();
    let rule = stage.sandbox().faults().push(lost("POST /playlists/{id}/items"));
    let added = clients[1].tool("playlist_add", json!({ "ref": playlist, "tracks": tracks })).await;
    assert!(added.code().is_some(), "{}", added.text());
    stage.sandbox().faults().remove(rule);
    for client in &clients {
        let read = client.call("playlist_get", json!({ "ref": playlist })).await;
        assert_eq!(read["playlist"]["item_count"], 100, "{read}");
        assert_eq!(read["items"].as_array().unwrap().len(), 50);
    }
}

#[tokio::test]
async fn a_write_that_may_be_done_after_its_reply_is_settled_again_before_the_end_at_latest() {
    let stage = Stage::start().await;
    let (writing, reading) = (TestGateway::start(&stage).await, TestGateway::start(&stage).await);
    let alone = |config: &mut Config| {
        config.cache.redis_url = None;
        config.rate_limiting.redis_url = None;
    };
    let apart = TestGateway::start_with(&stage, alone).await;
    let ada = stage.inhabit("ada").await;
    let create = |name: &str| json!({ "name": name, "provider": "spotify" });
    let reader = music::client(&reading, &ada);
    let names = async || {
        let listed = reader.call("playlists_list", json!({ "provider": "spotify" })).await;
        let names = listed["playlists"].as_array().unwrap().iter().map(|playlist| playlist["name"].clone());
        names.collect::<Vec<Value>>()
    };
    let rule = FaultRule::new(Provider::Spotify, Effect::CloseConnection).operation("POST /me/playlists");
    stage.sandbox().faults().push(rule.times(1));
    let lost = music::client(&writing, &ada).tool("playlist_create", create("Late")).await;
    assert_eq!(lost.verdict(), "200 provider_unavailable");
    assert_eq!(names().await, [] as [Value; 0]);
    // Now it is done, and nobody is told.
    music::client(&apart, &ada).call("playlist_create", create("Late")).await;
    assert_eq!(names().await, [] as [Value; 0], "nobody was told");
    writing.stop().await;
    assert_eq!(names().await, ["Late"]);
}

#[tokio::test]
async fn nothing_found_is_said_again_for_some_seconds_only() {
    let (stage, clock) = stage().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let calls = [
            ("resolve", json!({ "ref": "isrc:ZZZZZ9999999", "provider": provider }), "tracks"),
            ("search", json!({ "query": "zzqqxxjj", "provider": provider }), "tracks"),
        ];
        for (tool, arguments, member) in calls {
            let asked = || stage.sandbox().requests(*provider).into_values().sum::<u64>();
            let nothing = client.call(tool, arguments.clone()).await;
            let found = nothing[member].get("items").unwrap_or(&nothing[member]);
            assert!(found.as_array().is_none_or(Vec::is_empty), "{nothing}");
            let before = asked();
            assert_eq!(client.call(tool, arguments.clone()).await, nothing);
            assert_eq!(asked(), before, "{tool} {provider}");
            clock.advance(Duration::from_secs(31));
            let again = client.call(tool, arguments.clone()).await;
            assert_ne!(again["cached_at"], nothing["cached_at"], "{tool} {provider}");
            assert!(asked() > before, "{tool} {provider}");
        }
    }
}

#[tokio::test]
async fn what_a_grant_fetched_is_gone_everywhere_once_the_grant_is_found_withdrawn() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let list = json!({ "provider": "spotify" });
    for client in &clients {
        client.call("playlists_list", list.clone()).await;
    }
    stage.sandbox().revoke(Provider::Spotify, &ada.account(Provider::Spotify).account);
    let found = clients[0].tool("playlist_create", json!({ "name": "Refused", "provider": "spotify" })).await;
    assert_eq!(found.verdict(), "200 relink_needed");
    for client in &clients {
        assert_eq!(client.tool("playlists_list", list.clone()).await.verdict(), "200 relink_needed");
    }
}
