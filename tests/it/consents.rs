//! What people agree to: kept with its proof, in force at once on every replica, and asked for before what needs it is
//! done.

use std::sync::Arc;

use rustix::process::Signal;
use serde_json::{Value, json};
use stagedoor_domain::{
    ConsentPurpose, ErrorCode, Principal, PrincipalKind, Provider, Scope, ScopeSet, TenantContext,
    ToolsetSet, UserId,
};
use stagedoor_storage::consents::Proof;
use stagedoor_storage::signing_keys;
use stagedoor_testkit::{Client, GatewayProcess, Inhabited, KeySpec, Stage, TestGateway};

use crate::limits_hot_reload::until;
use crate::music;

fn decision(granted: bool, policy_version: &str) -> Value {
    json!({ "purpose": "analytics", "granted": granted, "policy_version": policy_version })
}

async fn analytics(client: &Client) -> Value {
    client.call("consent_get", json!({})).await["consents"][0].clone()
}

async fn name_policy(stage: &Stage, policy: Value) {
    let settings = json!({ "privacy": policy });
    stage.sql(&format!("UPDATE tenants SET settings = settings || '{settings}'")).await;
}

#[tokio::test]
async fn a_decision_is_kept_with_its_proof_until_the_next_one_or_another_policy() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let unasked = clients[0].call("consent_get", json!({})).await;
    assert_eq!(unasked["policy_version"], "1");
    let purposes: Vec<_> =
        unasked["consents"].as_array().unwrap().iter().map(|one| (&one["purpose"], &one["state"])).collect();
    let never = json!("never_asked");
    assert_eq!(purposes, [(&json!("analytics"), &never), (&json!("marketing"), &never)]);

    name_policy(&stage, json!({ "policy_version": "2", "policy_url": "https://example.com/privacy" })).await;
    for client in &clients {
        until("the policy", async || client.call("consent_get", json!({})).await["policy_version"] == "2")
            .await;
    }
    let missing = clients[0].tool("consent_set", json!({ "purpose": "analytics", "granted": true })).await;
    assert_eq!(missing.verdict(), "200 invalid_arguments");
    assert!(
        missing.message().contains("It is at 2 now (https://example.com/privacy)"),
        "{}",
        missing.message()
    );
    let old = clients[0].tool("consent_set", decision(true, "1")).await;
    assert_eq!(old.verdict(), "200 conflict");
    assert!(old.message().starts_with("The policy is at version 2, not 1."), "{}", old.message());
    assert_eq!(stage.sql("SELECT count(*) FROM consents").await, "0");

    let yes = clients[0].call("consent_set", decision(true, "2")).await;
    assert_eq!((&yes["state"], &yes["policy_version"]), (&json!("granted"), &json!("2")));
    assert_eq!(analytics(&clients[1]).await, yes);
    let again = clients[1].call("consent_set", decision(true, "2")).await;
    assert_eq!(again, yes, "twice is once");
    let proof: Proof = serde_json::from_value(yes["proof"].clone()).unwrap();
    let keys = stage
        .reader()
        .store()
        .with_tenant(ada.tenant.context(), async |tx| signing_keys::public_keys(tx).await);
    assert!(proof.is_signed_by(&keys.await.unwrap()[0].key));
    let statement: Value = serde_json::from_str(&proof.statement).unwrap();
    assert_eq!((&statement["consent"], &statement["person"]), (&yes["consent"], &json!(ada.user)));

    let no = clients[1].call("consent_set", json!({ "purpose": "analytics", "granted": false })).await;
    assert_eq!((&no["state"], &no["policy_version"]), (&json!("withdrawn"), &json!("2")));
    assert_eq!(analytics(&clients[0]).await, no);
    clients[0].call("consent_set", decision(true, "2")).await;
    name_policy(&stage, json!({ "policy_version": "3" })).await;
    for client in &clients {
        until("another policy", async || analytics(client).await["state"] == "outdated").await;
    }
    assert_eq!(stage.sql("SELECT count(*) FROM consents").await, "3", "every decision is kept");

    name_policy(&stage, json!({ "policy_version": "of today" })).await;
    until("no policy", async || {
        clients[0].call("consent_get", json!({})).await.get("policy_version").is_none()
    })
    .await;
    assert_eq!(clients[0].tool("consent_set", decision(true, "3")).await.verdict(), "200 conflict");
    let no = clients[0].call("consent_set", json!({ "purpose": "analytics", "granted": false })).await;
    assert_eq!(no["state"], "withdrawn", "what is taken back is taken back");
}

#[tokio::test]
async fn who_may_decide_and_what_is_no_decision() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let spec = KeySpec::for_user(ada.user);
    let key = async |spec: KeySpec| gateway.client("ada", &ada.tenant.key(&spec).await);
    let nobody = key(KeySpec { user: None, ..spec.clone() }).await;
    for (tool, arguments) in [("consent_get", json!({})), ("consent_set", decision(true, "1"))] {
        assert_eq!(nobody.tool(tool, arguments).await.verdict(), "200 user_required", "{tool}");
    }
    let scopes: ScopeSet =
        Scope::ALL.iter().copied().filter(|scope| *scope != Scope::PrivacyManage).collect();
    let without = key(KeySpec { scopes, ..spec.clone() }).await;
    assert_eq!(without.tool("consent_set", decision(true, "1")).await.verdict(), "403 insufficient_scope");
    assert_eq!(analytics(&without).await["state"], "never_asked");
    let reader = key(KeySpec { read_only: true, ..spec }).await;
    assert_eq!(reader.tool("consent_set", decision(true, "1")).await.verdict(), "200 unknown_tool");
    let client = music::client(&gateway, &ada);
    for (wrong, named) in [
        (json!({ "purpose": "sale", "granted": true }), "`purpose`: unknown consent purpose"),
        (json!({ "purpose": "analytics", "granted": "yes" }), "`granted`: invalid type"),
        (json!({ "purpose": "analytics" }), "missing field `granted`"),
        (decision(true, "a policy"), "`policy_version` is \"a policy\", but must be of"),
    ] {
        let answer = client.tool("consent_set", wrong.clone()).await;
        assert_eq!(answer.verdict(), "200 invalid_arguments", "{wrong}");
        assert!(answer.message().starts_with(named), "{wrong}: {}", answer.message());
    }
    assert_eq!(stage.sql("SELECT count(*) FROM consents").await, "0");

    client.call("consent_set", decision(false, "1")).await;
    stage.sql("UPDATE consents SET decision = 'granted'").await;
    assert_eq!(
        client.tool("consent_get", json!({})).await.verdict(),
        "200 internal",
        "the row is not its proof's"
    );
    client.call("consent_set", decision(true, "1")).await;
    assert_eq!(analytics(&client).await["state"], "granted", "a new decision takes its place");
}

#[expect(clippy::disallowed_methods, reason = "a test builds the context that a key of the person would get")]
fn acting_for(who: &Inhabited<'_>, user: Option<UserId>) -> TenantContext {
    let principal = Principal {
        kind: PrincipalKind::Job("test"),
        user,
        scopes: ScopeSet::all(),
        toolsets: ToolsetSet::all(),
        read_only: false,
        expires_at: None,
        allowed_networks: Vec::new(),
    };
    TenantContext::for_request(who.shared(), Arc::new(principal), who.tenant.context().call())
}

#[tokio::test]
async fn what_needs_a_consent_is_refused_without_it_on_every_replica() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateways[0], &ada);
    let ctx = acting_for(&ada, Some(ada.user));
    let told = async |purpose| {
        let mut told = Vec::new();
        for gateway in &gateways {
            let required = gateway.state().dispatcher.desk().require_consent(&ctx, purpose).await;
            told.push(
                required.err().map(|error| (error.code, error.message, error.hint.unwrap_or_default())),
            );
        }
        assert_eq!(told[0], told[1]);
        told.pop().unwrap()
    };
    let (code, message, hint) = told(ConsentPurpose::Marketing).await.unwrap();
    assert_eq!((code, &*message), (ErrorCode::ConsentRequired, "The person has not consented to marketing."));
    assert!(hint.contains("version 1") && hint.contains("consent_set"), "{hint}");
    let marketing =
        |granted: bool| json!({ "purpose": "marketing", "granted": granted, "policy_version": "1" });
    client.call("consent_set", marketing(true)).await;
    assert_eq!(told(ConsentPurpose::Marketing).await, None);
    assert!(told(ConsentPurpose::Analytics).await.is_some(), "each purpose for itself");
    client.call("consent_set", marketing(false)).await;
    let (_, message, _) = told(ConsentPurpose::Marketing).await.unwrap();
    assert!(message.contains("withdrawn"), "{message}");
    let nobody = acting_for(&ada, None);
    let refused =
        gateways[0].state().dispatcher.desk().require_consent(&nobody, ConsentPurpose::Analytics).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::UserRequired);
}

/// How many calls of `track_get` were counted as such, and how many calls in all.
async fn counted(gateway: &TestGateway) -> (u64, u64) {
    let metrics = gateway.metrics().await;
    let tools = metrics.sum("tool_calls", &[("tool", "track_get")]);
    assert_eq!(tools, metrics.sum("tool_call_duration_seconds_count", &[("tool", "track_get")]));
    (tools, metrics.sum("calls", &[("outcome", "success")]))
}

#[tokio::test]
async fn what_a_person_uses_is_counted_only_while_they_let_it_be() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let robins = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let track =
        json!({ "ref": format!("spotify:track:{}", music::known_tracks(&stage, Provider::Spotify)[0].id) });
    let uses = async || robins[1].call("track_get", track.clone()).await;
    uses().await;
    assert_eq!(counted(&gateways[1]).await, (0, 1), "nobody was asked");

    robins[0].call("consent_set", decision(true, "1")).await;
    uses().await;
    assert_eq!(counted(&gateways[1]).await, (1, 2));
    let switch = |on: bool| json!({ "preferences": { "privacy": { "enable_analytics": on } } });
    robins[0].call("preferences_set", switch(false)).await;
    uses().await;
    assert_eq!(counted(&gateways[1]).await, (1, 3), "it is switched off");
    robins[0].call("preferences_set", switch(true)).await;
    uses().await;
    assert_eq!(counted(&gateways[1]).await, (2, 4));
    robins[0].call("consent_set", decision(false, "1")).await;
    uses().await;
    assert_eq!(counted(&gateways[1]).await, (2, 5), "the consent was taken back");

    robins[0].call("consent_set", decision(true, "1")).await;
    name_policy(&stage, json!({ "policy_version": "2" })).await;
    until("another policy", async || analytics(&robins[1]).await["state"] == "outdated").await;
    let (before, _) = counted(&gateways[1]).await;
    uses().await;
    assert_eq!(counted(&gateways[1]).await.0, before, "it was given for another policy");

    // A key that acts for nobody tells nothing of anybody.
    let nobody = ada.tenant.key(&KeySpec { user: None, ..KeySpec::for_user(ada.user) }).await;
    gateways[1].client("ada", &nobody).call("track_get", track.clone()).await;
    assert_eq!(counted(&gateways[1]).await.0, before + 1);
    assert!(ada.tenant.audit_trail().await.len() >= 10, "what is necessary is recorded all the same");
}

#[tokio::test]
async fn a_decision_that_not_every_replica_hears_of_is_kept_and_says_so() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let robin = music::client(&gateway, &ada);
    robin.call("consent_set", decision(true, "1")).await;
    let (before, _) = counted(&gateway).await;
    stage.redis().kill().await;
    let deaf = [
        ("consent_set", decision(false, "1")),
        ("preferences_set", json!({ "preferences": { "audio_quality": "LOW" } })),
    ];
    for (tool, arguments) in deaf {
        let set = robin.tool(tool, arguments).await;
        assert_eq!(set.verdict(), "200 ok", "{tool}");
        let warnings = set.result()["_meta"]["dev.stagedoor/warnings"].to_string();
        assert!(warnings.contains("could not be told"), "{tool}: {}", set.text());
    }
    assert_eq!(analytics(&robin).await["state"], "withdrawn");
    let track = music::known_tracks(&stage, Provider::Spotify)[0].id.clone();
    robin.call("track_get", json!({ "ref": format!("spotify:track:{track}") })).await;
    assert_eq!(counted(&gateway).await.0, before, "this replica has heard it");
}

#[tokio::test]
async fn what_is_asked_for_most_is_known_only_of_those_who_let_it_be() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let track =
        json!({ "ref": format!("spotify:track:{}", music::known_tracks(&stage, Provider::Spotify)[0].id) });
    music::client(&gateway, &bob).call("consent_set", decision(true, "1")).await;
    for who in [&ada, &bob] {
        for _ in 0..16 {
            music::client(&gateway, who).call("track_get", track.clone()).await;
        }
    }
    // At its end a replica writes down what it was asked for.
    gateway.stop().await;
    let client = redis::Client::open(stage.redis().url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    for (who, wanted) in [(&ada, 0), (&bob, 1)] {
        let list = format!("sd:{{{}}}:cache:popular:v1", who.tenant.id());
        let keys: u64 = redis::cmd("ZCARD").arg(list).query_async(&mut redis).await.unwrap();
        assert_eq!(keys, wanted, "{}", who.tenant.slug());
    }
}

#[tokio::test]
async fn the_log_names_the_tool_only_of_those_who_let_it_and_the_key_never() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let log = [
        ("STAGEDOOR_TELEMETRY__LOG_FORMAT", "json".to_owned()),
        ("STAGEDOOR_TELEMETRY__LOG_FILTER", "stagedoor::request=info".to_owned()),
    ];
    let mut gateway = GatewayProcess::start(&stage, "one", &log).await;
    let robin = gateway.client("ada", &ada.key);
    for granted in [None, Some(true), Some(false)] {
        if let Some(granted) = granted {
            robin.call("consent_set", decision(granted, "1")).await;
        }
        robin.call("usage_status", json!({})).await;
    }
    gateway.program().signal(Signal::TERM);
    gateway.program().ended().await;
    let said = gateway.program().said();
    let lines: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| {
            line.to_string().contains("stagedoor::request") && line.to_string().contains("\"ada\"")
        })
        .collect();
    let tools: Vec<_> = lines.iter().map(|line| member(line, "tool")).collect();
    assert_eq!(tools, [None, Some("consent_set"), Some("usage_status"), None, None], "{said}");
    for (line, tool) in lines.iter().zip(&tools) {
        assert_eq!(member(line, "source").is_some(), tool.is_some(), "{line}");
    }
    let key = crate::agent_keys::id_of(&ada.key).to_string();
    assert!(!said.contains(&key), "{said}");
    assert!(
        lines.iter().all(|line| member(line, "outcome") == Some("ok") && member(line, "call").is_some()),
        "{said}"
    );
}

fn member<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    line.get(name).and_then(Value::as_str)
}
