//! What a key is shown and may do: toolsets, read-only, scopes, binding to a person, expiry, networks, suspension.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::{Clock, Scope, ScopeSet, ToolName, Toolset, ToolsetSet};
use stagedoor_testkit::{Client, FrozenClock, KeySpec, Stage, StageOptions, TestGateway, generous};

async fn shown(client: &Client) -> Vec<String> {
    let list = client.rpc("tools/list", json!({})).await.result();
    let tools = list["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn texts(tools: impl Iterator<Item = ToolName>) -> Vec<String> {
    tools.map(|tool| tool.to_string()).collect()
}

#[tokio::test]
async fn toolsets_and_read_only_decide_what_there_is() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let all = || ToolName::ALL.iter().copied();

    let spec = KeySpec { read_only: true, ..KeySpec::for_user(ada.user) };
    let reader = gateway.client("ada", &ada.tenant.key(&spec).await);
    assert_eq!(shown(&reader).await, texts(all().filter(|tool| !tool.writes())));

    let toolsets = ToolsetSet::empty().with(Toolset::Catalog).with(Toolset::Usage);
    let spec = KeySpec { toolsets: Some(toolsets), ..KeySpec::for_user(ada.user) };
    let narrow = gateway.client("ada", &ada.tenant.key(&spec).await);
    assert_eq!(shown(&narrow).await, texts(all().filter(|tool| toolsets.contains(tool.toolset()))));

    // A tool that is hidden and a tool that does not exist cannot be told apart.
    let hidden = reader.tool("playlist_create", json!({ "name": "x" })).await;
    let unknown = reader.tool("playlist_destroy", json!({ "name": "x" })).await;
    assert_eq!((hidden.verdict(), unknown.verdict()), ("200 unknown_tool".into(), "200 unknown_tool".into()));
    let anonymous = |answer: &stagedoor_testkit::Answer, name: &str| {
        let mut json: Value = answer.json();
        json["id"] = Value::Null;
        json.to_string().replace(name, "NAME")
    };
    assert_eq!(anonymous(&hidden, "playlist_create"), anonymous(&unknown, "playlist_destroy"));
    assert_eq!(hidden.json()["error"]["code"], -32602);
    assert_eq!(narrow.tool("playlists_list", json!({})).await.verdict(), "200 unknown_tool");
    assert!(stage.sandbox().requests(stagedoor_domain::Provider::Spotify).is_empty());
}

#[tokio::test]
async fn a_missing_scope_is_a_challenge_that_names_it() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    for tool in ToolName::ALL.iter().copied() {
        let Some(needed) = tool.scope() else { continue };
        let scopes: ScopeSet = Scope::ALL.iter().copied().filter(|scope| *scope != needed).collect();
        let spec = KeySpec { scopes, ..KeySpec::for_user(ada.user) };
        let client = gateway.client("ada", &ada.tenant.key(&spec).await);
        let answer = client.tool(tool.as_str(), json!({})).await;
        assert_eq!(answer.verdict(), "403 insufficient_scope", "{tool}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains("error=\"insufficient_scope\""),
            "{challenge}"
        );
        assert!(challenge.contains(&format!("scope=\"{needed}\"")), "{tool}: {challenge}");
        assert!(
            shown(&client).await.contains(&tool.to_string()),
            "a scope can be asked for, so the tool is shown"
        );
    }
}

#[tokio::test]
async fn a_key_that_acts_for_nobody_has_no_accounts() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let spec = KeySpec { user: None, ..KeySpec::for_user(ada.user) };
    let client = gateway.client("ada", &ada.tenant.key(&spec).await);
    let answer = client.tool("playlists_list", json!({ "provider": "spotify" })).await;
    assert_eq!(answer.verdict(), "200 user_required");
    assert_eq!(client.call("accounts_list", json!({})).await["accounts"], json!([]));
    client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
}

#[tokio::test]
async fn keys_that_do_not_work_all_look_the_same() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let closed = stage.inhabit("closed").await;
    closed.tenant.suspend().await;
    let past = stage.clock().now() - chrono::TimeDelta::seconds(1);
    let expired = KeySpec { expires_at: Some(past), ..KeySpec::for_user(ada.user) };
    let expired = ada.tenant.key(&expired).await;
    let elsewhere =
        KeySpec { networks: vec!["203.0.113.0/24".parse().unwrap()], ..KeySpec::for_user(ada.user) };
    let elsewhere = ada.tenant.key(&elsewhere).await;
    let mut mistyped = ada.key.clone();
    mistyped.replace_range(30..31, if &mistyped[30..31] == "x" { "y" } else { "x" });
    let revoked = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    stage.sql(&format!("UPDATE api_keys SET revoked_at = now() WHERE key_id = '{}'", &revoked[8..20])).await;

    let mut answers = Vec::new();
    // Each from a network of its own: failures are counted by network.
    for (number, (slug, key)) in [
        ("ada", None),
        ("ada", Some("")),
        ("ada", Some("sd_test_short")),
        ("ada", Some(mistyped.as_str())),
        ("ada", Some(bob.key.as_str())),
        ("ada", Some(expired.as_str())),
        ("ada", Some(elsewhere.as_str())),
        ("ada", Some(revoked.as_str())),
        ("closed", Some(closed.key.as_str())),
        ("nobody", Some(ada.key.as_str())),
        ("NOT-A-SLUG", Some(ada.key.as_str())),
    ]
    .into_iter()
    .enumerate()
    {
        let client = Client::new(gateway.address(), slug, key).from_address(&format!("198.51.100.{number}"));
        let answer = client.tool("usage_status", json!({})).await;
        assert_eq!(answer.verdict(), "401 unauthenticated", "{slug} {key:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let challenge = answer.header("www-authenticate").unwrap().to_owned();
        assert!(challenge.contains("Bearer") && challenge.contains("catalog:read"), "{challenge}");
        // Each names its own endpoint, and who brings no key is not told that it is wrong; nothing else differs.
        let metadata = format!(
            ", resource_metadata=\"http://{}/.well-known/oauth-protected-resource/t/{slug}/mcp\"",
            gateway.address()
        );
        assert!(challenge.contains(&metadata), "{slug}: {challenge}");
        assert_eq!(challenge.contains("error=\"invalid_token\""), key.is_some(), "{key:?}: {challenge}");
        let same = challenge.replace(&metadata, "").replace(", error=\"invalid_token\"", "");
        answers.push((answer.text(), same));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the answers tell the reasons apart: {answers:?}");
    let from_there = gateway.client("ada", &elsewhere).from_address("203.0.113.77");
    from_there.call("usage_status", json!({})).await;
}

#[tokio::test]
async fn a_key_ends_in_time_although_it_was_seen_before() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let until = clock.now() + chrono::TimeDelta::seconds(60);
    let spec = KeySpec { expires_at: Some(until), ..KeySpec::for_user(ada.user) };
    let client = gateway.client("ada", &ada.tenant.key(&spec).await);
    clock.advance(Duration::from_secs(59));
    client.call("usage_status", json!({})).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.tool("usage_status", json!({})).await.verdict(), "401 unauthenticated");
}

#[tokio::test]
async fn a_cursor_is_good_for_a_day() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    let found = client.call("search", json!({ "query": "a", "provider": "spotify" })).await;
    let next = json!({ "query": "a", "provider": "spotify", "cursor": found["tracks"]["next_cursor"] });
    client.call("search", next.clone()).await;
    clock.advance(Duration::from_hours(24) + Duration::from_secs(1));
    let late = client.tool("search", next).await;
    assert_eq!(late.verdict(), "200 invalid_cursor");
    assert!(late.message().contains("more than a day old"), "{}", late.message());
}

#[tokio::test]
async fn guessing_is_stopped_for_the_guesser_only() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let (ada, bob) = (stage.inhabit_with("ada", generous()).await, stage.inhabit("bob").await);
    // A key of the right form that this tenant does not have, tried at both replicas in turn.
    let mut verdicts = Vec::new();
    for attempt in 0..7 {
        let guess = gateways[attempt % 2].client("ada", &bob.key).from_address("198.51.100.66");
        verdicts.push(guess.tool("usage_status", json!({})).await);
    }
    let texts: Vec<String> = verdicts.iter().map(stagedoor_testkit::Answer::verdict).collect();
    assert_eq!(texts[..5], vec!["401 unauthenticated".to_owned(); 5]);
    assert_eq!(texts[5..], vec!["429 too_many_attempts".to_owned(); 2]);
    let wait: u64 = verdicts[6].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    let elsewhere = gateways[0].client("ada", &ada.key).from_address("198.51.100.67");
    elsewhere.call("usage_status", json!({})).await;
}
