//! What a person prefers: changed by merge patch, told by field where it is wrong, in effect at once on every replica,
//! and for that person only, over what the tenant sets for all. What it does to searches is in `preferred_searches`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::{Provider, Scope, ScopeSet};
use stagedoor_testkit::{FaultProxy, FrozenClock, KeySpec, Stage, StageOptions, TestGateway, Weather};

use crate::limits_hot_reload::until;
use crate::music;

const TRACK: &str = "GET /tracks/{id}";

fn cache(members: impl Into<Value>) -> Value {
    let members = members.into();
    json!({ "preferences": { "cache_preferences": members } })
}

fn track(stage: &Stage) -> Value {
    json!({ "ref": format!("spotify:track:{}", music::known_tracks(stage, Provider::Spotify)[0].id) })
}

fn asked(stage: &Stage) -> u64 {
    stage.sandbox().requests(Provider::Spotify).get(TRACK).copied().unwrap_or_default()
}

#[tokio::test]
async fn members_are_changed_one_by_one_and_wrong_ones_are_named() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let unset = client.call("preferences_get", json!({})).await;
    let built_in = json!({
        "audio_quality": "HIGH",
        "search_defaults": { "limit": 20, "include_explicit": true },
        "cache_preferences": { "enable_cache": true },
        "privacy": { "enable_analytics": true, "share_usage_data": false },
    });
    assert_eq!((&unset["preferences"], &unset["revision"]), (&built_in, &json!(0)));
    assert!(unset.get("updated_at").is_none());

    let set = client.call("preferences_set", cache(json!({ "cache_duration": 60 }))).await;
    assert_eq!((&set["revision"], set["updated_at"].is_string()), (&json!(1), true));
    let off = client.call("preferences_set", cache(json!({ "enable_cache": false }))).await;
    let wanted = json!({ "enable_cache": false, "cache_duration": 60 });
    assert_eq!((&off["preferences"]["cache_preferences"], &off["revision"]), (&wanted, &json!(2)));
    assert_eq!(
        off["set_by"]["cache_preferences"],
        json!({ "enable_cache": "person", "cache_duration": "person" })
    );
    assert_eq!(
        (&off["set_by"]["audio_quality"], &off["set_by"]["search_defaults"]["limit"]),
        (&json!("default"), &json!("default"))
    );
    assert_eq!(client.call("preferences_get", json!({})).await, off);
    let same = client.call("preferences_set", cache(json!({ "enable_cache": false }))).await;
    assert_eq!(same["revision"], 2, "nothing changed");
    let back = client.call("preferences_set", cache(Value::Null)).await;
    assert_eq!(back["preferences"], unset["preferences"], "null restores the default");

    for (wrong, named) in [
        (cache(json!({ "enable_cach": true })), "`preferences.cache_preferences.enable_cach`: unknown field"),
        (cache(json!({ "enable_cache": 1 })), "`preferences.cache_preferences.enable_cache`: invalid type"),
        (cache(json!({ "cache_duration": 0 })), "`preferences.cache_preferences.cache_duration` is 0"),
        (json!({ "preferences": { "theme": "dark" } }), "`preferences.theme`: unknown field"),
        (
            json!({ "preferences": { "audio_quality": "ULTRA" } }),
            "`preferences.audio_quality`: unknown audio quality",
        ),
        (
            json!({ "preferences": { "search_defaults": { "limit": 51 } } }),
            "`preferences.search_defaults.limit` is 51, but must be from 1 to 50.",
        ),
        (
            json!({ "preferences": { "privacy": { "enable_analytics": "no" } } }),
            "`preferences.privacy.enable_analytics`: invalid type",
        ),
        (cache(json!([true, 5])), "`preferences.cache_preferences` must be an object"),
        (cache(json!([null, null])), "`preferences.cache_preferences` must be an object"),
        (json!({ "preferences": [] }), "`preferences` must be an object"),
        (json!({}), "missing field `preferences`"),
    ] {
        let answer = client.tool("preferences_set", wrong.clone()).await;
        assert_eq!(answer.verdict(), "200 invalid_arguments", "{wrong}");
        assert!(answer.message().starts_with(named), "{wrong}: {}", answer.message());
    }
    assert_eq!(client.call("preferences_get", json!({})).await["revision"], 3, "nothing of that was stored");
}

#[tokio::test]
async fn a_change_for_an_older_revision_is_a_conflict_and_concurrent_ones_all_count() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let expecting = |revision: i64, seconds: u32| {
        let mut arguments = cache(json!({ "cache_duration": seconds }));
        arguments["expected_revision"] = json!(revision);
        arguments
    };
    assert_eq!(clients[0].call("preferences_set", expecting(0, 10)).await["revision"], 1);
    let late = clients[1].tool("preferences_set", expecting(0, 20)).await;
    assert_eq!(late.verdict(), "200 conflict");
    assert!(late.message().contains("at revision 1, not 0"), "{}", late.message());
    assert_eq!(clients[1].call("preferences_set", expecting(1, 20)).await["revision"], 2);

    // Each changes a member of its own, without saying for which revision: none undoes another.
    let duration = clients[0].call("preferences_set", cache(json!({ "cache_duration": 30 })));
    let enable = clients[1].call("preferences_set", cache(json!({ "enable_cache": false })));
    futures_util::future::join(duration, enable).await;
    let stored = clients[0].call("preferences_get", json!({})).await;
    assert_eq!(
        (&stored["preferences"]["cache_preferences"], &stored["revision"]),
        (&json!({ "enable_cache": false, "cache_duration": 30 }), &json!(4))
    );
}

#[tokio::test]
async fn who_may_set_them_and_whose_they_are() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let spec = KeySpec::for_user(ada.user);
    let key = async |spec: KeySpec| gateway.client("ada", &ada.tenant.key(&spec).await);
    let nobody = key(KeySpec { user: None, ..spec.clone() }).await;
    for (tool, arguments) in [("preferences_get", json!({})), ("preferences_set", cache(json!({})))] {
        assert_eq!(nobody.tool(tool, arguments).await.verdict(), "200 user_required", "{tool}");
    }
    let scopes: ScopeSet =
        Scope::ALL.iter().copied().filter(|scope| *scope != Scope::PreferencesWrite).collect();
    let without = key(KeySpec { scopes, ..spec.clone() }).await;
    assert_eq!(without.tool("preferences_set", cache(json!({}))).await.verdict(), "403 insufficient_scope");
    without.call("preferences_get", json!({})).await;
    let reader = key(KeySpec { read_only: true, ..spec.clone() }).await;
    assert_eq!(reader.tool("preferences_set", cache(json!({}))).await.verdict(), "200 unknown_tool");

    let eve = key(KeySpec::for_user(ada.tenant.person("Eve").await)).await;
    music::client(&gateway, &ada).call("preferences_set", cache(json!({ "cache_duration": 7 }))).await;
    assert_eq!(eve.call("preferences_get", json!({})).await["revision"], 0);
    let row = stage.sql("SELECT encode(document, 'escape') FROM preferences").await;
    assert!(!row.is_empty() && !row.contains("cache_duration"), "it lies sealed: {row}");
}

#[tokio::test]
async fn who_wants_no_cache_has_none_at_once_and_everybody_else_keeps_it() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let eve = ada.tenant.person("Eve").await;
    ada.tenant.link(eve, Provider::Spotify).await;
    let eves_key = ada.tenant.key(&KeySpec::for_user(eve)).await;
    let robins = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let eves = gateways.each_ref().map(|gateway| gateway.client("ada", &eves_key));
    for client in robins.iter().chain(&eves) {
        client.call("track_get", track(&stage)).await;
    }
    assert_eq!(asked(&stage), 1);

    robins[0].call("preferences_set", cache(json!({ "enable_cache": false }))).await;
    let mut expected = 1;
    for client in robins.iter().rev().chain(&robins) {
        client.call("track_get", track(&stage)).await;
        expected += 1;
        assert_eq!(asked(&stage), expected, "it was answered from the cache");
    }
    for client in &eves {
        client.call("track_get", track(&stage)).await;
    }
    assert_eq!(asked(&stage), expected, "it was not answered from the cache");

    robins[1].call("preferences_set", cache(json!({ "enable_cache": null }))).await;
    for client in &robins {
        client.call("track_get", track(&stage)).await;
    }
    assert_eq!(asked(&stage), expected);
}

#[tokio::test]
async fn who_wants_newer_answers_gets_them_and_others_are_served_as_before() {
    let clock = Arc::new(FrozenClock::now());
    let options = StageOptions { clock: Arc::<FrozenClock>::clone(&clock), ..StageOptions::default() };
    let stage = Stage::start_with(options).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let eve = ada.tenant.person("Eve").await;
    ada.tenant.link(eve, Provider::Spotify).await;
    let eve = gateway.client("ada", &ada.tenant.key(&KeySpec::for_user(eve)).await);
    let robin = music::client(&gateway, &ada);
    robin.call("preferences_set", cache(json!({ "cache_duration": 60 }))).await;
    eve.call("track_get", track(&stage)).await;
    clock.advance(Duration::from_secs(59));
    robin.call("track_get", track(&stage)).await;
    assert_eq!(asked(&stage), 1);
    clock.advance(Duration::from_secs(2));
    eve.call("track_get", track(&stage)).await;
    assert_eq!(asked(&stage), 1, "it is as good as before for whoever did not ask for more");
    let newer = robin.call("track_get", track(&stage)).await;
    assert_eq!(asked(&stage), 2);
    assert_eq!(eve.call("track_get", track(&stage)).await, newer, "what was fetched anew is for all");
}

#[tokio::test]
async fn a_changed_wish_that_cannot_be_read_is_taken_for_one_for_no_cache() {
    let stage = Stage::start().await;
    let postgres = FaultProxy::to(([127, 0, 0, 1], stage.postgres().port()).into()).await;
    let gateways = [
        TestGateway::start_with(&stage, |config| {
            config.storage.database_url = stage.database_url_at(postgres.address()).into();
        })
        .await,
        TestGateway::start(&stage).await,
    ];
    let ada = stage.inhabit("ada").await;
    let robins = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    for _ in 0..2 {
        robins[0].call("track_get", track(&stage)).await;
    }
    assert_eq!(asked(&stage), 1);
    gateways[0].flush_audit().await;
    postgres.set(Weather::Broken);
    robins[0].call("track_get", track(&stage)).await;
    assert_eq!(asked(&stage), 1, "it is remembered what Robin wants");
    robins[1].call("preferences_set", cache(json!({ "enable_cache": false }))).await;
    robins[0].call("track_get", track(&stage)).await;
    assert_eq!(asked(&stage), 2, "it was answered from the cache");
}

#[tokio::test]
async fn what_is_stored_damaged_is_replaced_by_the_next_change() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    client.call("preferences_set", cache(json!({ "enable_cache": false }))).await;
    stage
        .sql("UPDATE preferences SET document = set_byte(document, length(document) - 1, 0) || '\\x00'")
        .await;
    assert_eq!(client.tool("preferences_get", json!({})).await.verdict(), "200 internal");
    let set = client.tool("preferences_set", cache(json!({ "cache_duration": 60 }))).await;
    assert!(
        set.result()["_meta"]["dev.stagedoor/warnings"].to_string().contains("could not be read"),
        "{}",
        set.text()
    );
    let now = client.call("preferences_get", json!({})).await;
    assert_eq!(
        (&now["preferences"]["cache_preferences"], &now["revision"]),
        (&json!({ "enable_cache": true, "cache_duration": 60 }), &json!(2))
    );
}

#[tokio::test]
async fn what_the_tenant_sets_holds_for_whoever_has_set_nothing_and_at_once_everywhere() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let own = json!({ "preferences": { "search_defaults": { "limit": 7 } } });
    clients[0].call("preferences_set", own).await;
    let settings = json!({ "preferences": {
        "audio_quality": "LOSSLESS",
        "search_defaults": { "limit": 9, "include_explicit": false },
        "cache_preferences": { "enable_cache": false },
    } });
    stage.sql(&format!("UPDATE tenants SET settings = settings || '{settings}'")).await;
    for client in &clients {
        let seen = async || client.call("preferences_get", json!({})).await;
        until("the tenant's defaults", async || seen().await["preferences"]["audio_quality"] == "LOSSLESS")
            .await;
        let seen = seen().await;
        assert_eq!(
            (&seen["preferences"]["search_defaults"], &seen["set_by"]["search_defaults"]),
            (
                &json!({ "limit": 7, "include_explicit": false }),
                &json!({ "limit": "person", "include_explicit": "tenant" })
            )
        );
        assert_eq!(seen["preferences"]["cache_preferences"]["enable_cache"], false);
        assert_eq!(seen["set_by"]["privacy"]["enable_analytics"], "default");
    }
    for asks in 1..=2 {
        clients[0].call("track_get", track(&stage)).await;
        assert_eq!(asked(&stage), asks, "the tenant wants none from the cache");
    }
    clients[1].call("preferences_set", cache(json!({ "enable_cache": true }))).await;
    for _ in 0..2 {
        clients[0].call("track_get", track(&stage)).await;
    }
    assert_eq!(asked(&stage), 3, "the person goes before the tenant");
}

#[tokio::test]
async fn a_document_of_another_version_is_migrated_or_left_alone() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    client.call("preferences_set", cache(json!({ "enable_cache": true, "cache_duration": 60 }))).await;
    // As the first version wrote it, with a default in each member that the person had not set.
    stage.sql("UPDATE preferences SET schema_version = '1.0'").await;
    let migrated = client.call("preferences_get", json!({})).await;
    let expected = json!({ "enable_cache": "default", "cache_duration": "person" });
    assert_eq!((&migrated["set_by"]["cache_preferences"], &migrated["revision"]), (&expected, &json!(1)));
    client.call("preferences_set", cache(json!({ "cache_duration": 61 }))).await;
    assert_eq!(stage.sql("SELECT schema_version FROM preferences").await, "2.0", "it is written back");

    stage.sql("UPDATE preferences SET schema_version = '3.0'").await;
    let before = stage.sql("SELECT preferences::text FROM preferences").await;
    for (tool, arguments) in
        [("preferences_get", json!({})), ("preferences_set", cache(json!({ "cache_duration": 5 })))]
    {
        assert_eq!(client.tool(tool, arguments).await.verdict(), "200 internal", "{tool}");
    }
    assert_eq!(stage.sql("SELECT preferences::text FROM preferences").await, before);
}
