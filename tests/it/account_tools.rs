//! `account_link` and `account_unlink` as an agent meets them beside the person's way through the pages: rounds with
//! `requestState`, what counts on which quota, handles in the wrong hands, and what unlinking leaves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::{Provider, Scope, TenantSettings};
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{
    Answer, Browser, Client, Era, FrozenClock, Inhabited, KeySpec, Stage, StageOptions, TestGateway,
    TestTenant,
};

use crate::linking::{Newcomer, agree, ask, hold_exchanges, how_it_went, link, reached};

const ARGUMENTS: &str = r#"{"provider":"spotify"}"#;

/// A client of 2026-07-28 that can open pages for its person.
fn modern(client: Client) -> Client {
    client.declaring(json!({ "elicitation": { "url": {} } }))
}

fn arguments() -> Value {
    serde_json::from_str(ARGUMENTS).unwrap()
}

/// A link that the client was asked to lead its person to.
async fn begin(client: &Client) -> Value {
    let asked = client.tool("account_link", arguments()).await.result();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    asked
}

/// The call again with a state and answers.
async fn retry(client: &Client, arguments: Value, state: &Value, responses: Value) -> Answer {
    let params = json!({
        "name": "account_link",
        "arguments": arguments,
        "inputResponses": responses,
        "requestState": state,
    });
    client.rpc("tools/call", params).await
}

fn action(action: &str) -> Value {
    json!({ "link": { "action": action } })
}

/// How often something is in the tenant's audit trail, and with which error.
async fn recorded(tenant: &TestTenant<'_>, wanted: &str) -> Vec<(Value, Value)> {
    let views = tenant.audit_trail().await;
    let of_action = views.iter().filter_map(stagedoor_audit::AuditView::json);
    of_action
        .filter(|payload| payload["action"] == wanted && payload["record"] != "opened")
        .map(|payload| (payload["resource"]["type"].clone(), payload["details"]["outcome"].clone()))
        .collect()
}

/// A gateway that waits for nobody.
async fn impatient(stage: &Stage) -> TestGateway {
    TestGateway::start_with(stage, |config| config.linking.wait_ms = 0).await
}

#[tokio::test]
async fn a_state_works_once_and_a_link_that_is_open_is_asked_for_again() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = modern(ada.client(&gateway));
    let first = begin(&client).await;
    let second = retry(&client, arguments(), &first["requestState"], action("accept")).await.result();
    assert_eq!(second["resultType"], "input_required", "{second}");
    assert_ne!(second["requestState"], first["requestState"]);
    let url = |asked: &Value| asked["inputRequests"]["link"]["params"]["url"].clone();
    assert_eq!(url(&second), url(&first), "it is the same page");

    let again = retry(&client, arguments(), &first["requestState"], action("accept")).await;
    assert_eq!(again.verdict(), "200 invalid_request_state");
    let wrong = retry(&client, arguments(), &second["requestState"], action("agree")).await;
    assert_eq!(wrong.verdict(), "200 invalid_arguments");
    let silent = retry(&client, arguments(), &second["requestState"], json!({})).await.result();
    assert_eq!(silent["resultType"], "input_required", "a wrong answer uses no state up: {silent}");

    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let page = url(&first).as_str().unwrap().parse().unwrap();
    link(&stage, &Browser::new(), &page, &account).await;
    let done = retry(&client, arguments(), &silent["requestState"], action("accept")).await.result();
    assert_eq!(done["structuredContent"]["status"], "linked", "{done}");
    assert_eq!(ada.stored(&stage).await[..2], [1, 1]);
}

#[tokio::test]
async fn a_state_works_for_its_own_call_only() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = impatient(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let bob = Newcomer::arrive(&stage, &gateway, "bob").await;
    let client = modern(ada.client(&gateway));
    let other_key = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let others = [gateway.client("ada", &other_key), bob.client(&gateway)].map(modern);
    let asked = begin(&client).await;
    let state = asked["requestState"].as_str().unwrap().to_owned();
    for other in &others {
        let stolen = retry(other, arguments(), &json!(state), action("accept")).await;
        assert_eq!(stolen.verdict(), "200 invalid_request_state");
        assert!(
            !stolen.text().contains("/connect/"),
            "the page's address is not for others: {}",
            stolen.text()
        );
    }
    let other_arguments = json!({ "provider": "tidal" });
    let reused = retry(&client, other_arguments, &json!(state), action("accept")).await;
    assert_eq!(reused.verdict(), "200 invalid_request_state");
    for altered in ["", "made-up", &state[..state.len() - 1], &state.replace(&state[20..21], "_-")] {
        let altered = retry(&client, arguments(), &json!(altered), action("accept")).await;
        assert_eq!(altered.verdict(), "200 invalid_request_state");
    }
    gateway.flush_audit().await;
    let hijacks = recorded(&ada.tenant, "session_hijack").await;
    assert_eq!(hijacks, [(json!("link"), json!("invalid_request_state"))]);
    assert_eq!(recorded(&bob.tenant, "session_hijack").await, [], "to another tenant it is no state at all");

    clock.advance(Duration::from_hours(2));
    let late = retry(&client, arguments(), &json!(state), action("accept")).await;
    assert_eq!(late.verdict(), "200 invalid_request_state");
    assert!(late.message().contains("two hours"), "{}", late.message());
    let link = stage.sql("SELECT attempt_id::text FROM link_attempts").await;
    assert!(late.text().contains(&link), "the way on is named: {}", late.text());
}

#[tokio::test]
async fn a_state_lives_as_long_as_its_link_can_be_finished() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = impatient(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = modern(ada.client(&gateway));
    let asked = begin(&client).await;
    clock.advance(Duration::from_secs(9 * 60 + 30));
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let page = asked["inputRequests"]["link"]["params"]["url"].as_str().unwrap().parse().unwrap();
    link(&stage, &Browser::new(), &page, &account).await;
    // The person tells the client a while later.
    clock.advance(Duration::from_mins(20));
    let state = &asked["requestState"];
    let done = retry(&client, arguments(), state, action("accept")).await.result();
    assert_eq!(done["structuredContent"]["status"], "linked", "{done}");

    // The answer got lost on its way to the client: the same state is refused, and the way on is named.
    let again = retry(&client, arguments(), state, action("accept")).await;
    assert_eq!(again.verdict(), "200 invalid_request_state");
    let link = stage.sql("SELECT attempt_id::text FROM link_attempts").await;
    assert!(again.text().contains(&link), "{}", again.text());
    let other_key = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let stolen =
        retry(&modern(gateway.client("ada", &other_key)), arguments(), state, action("accept")).await;
    assert!(!stolen.text().contains(&link), "{}", stolen.text());
}

#[tokio::test]
async fn a_client_that_declines_or_cancels_ends_the_link() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = modern(ada.client(&gateway));
    for word in ["decline", "cancel"] {
        let asked = begin(&client).await;
        let ended = retry(&client, arguments(), &asked["requestState"], action(word)).await;
        assert_eq!(ended.verdict(), "200 link_declined", "{word}");
        let page = asked["inputRequests"]["link"]["params"]["url"].as_str().unwrap().parse().unwrap();
        assert_eq!(Browser::new().open(&page).await.verdict(), "200 link_declined", "{word}");
    }
    assert_eq!(ada.stored(&stage).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_wait_ends_with_the_process_and_the_client_can_go_on_elsewhere() {
    let stage = Stage::start().await;
    let (gateway, other) = (TestGateway::start(&stage).await, impatient(&stage).await);
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = modern(ada.client(&gateway));
    let asked = begin(&client).await;
    let state = asked["requestState"].clone();
    let waiting = retry(&client, arguments(), &state, action("accept"));
    let ending = async {
        // The state is used up as soon as the call waits.
        while stage.sql("SELECT max(retries) FROM link_attempts").await != "1" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gateway.stop().await;
    };
    let (answer, ()) = tokio::join!(waiting, ending);
    let answer = answer.result();
    assert_eq!(answer["resultType"], "input_required", "it was cut off instead of answered: {answer}");
    let elsewhere = modern(other.client("ada", &ada.key));
    let ended = retry(&elsewhere, arguments(), &answer["requestState"], action("decline")).await;
    assert_eq!(ended.verdict(), "200 link_declined");
}

#[tokio::test]
async fn a_link_is_finished_though_the_browser_leaves() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, arguments()).await;
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let browser = Browser::new();
    let door = agree(&browser, &asked.page).await;
    let back = stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
    hold_exchanges(&stage, Provider::Spotify);
    tokio::select! {
        page = browser.open(&back) => panic!("the page was there before the browser left: {}", page.verdict()),
        () = reached(&stage, "exchanging") => {}
    }
    stage.sandbox().faults().clear();
    let done = loop {
        let answer = how_it_went(&client, &asked.link).await;
        if answer.verdict() != "200 ok" || answer.result()["structuredContent"]["status"] != "pending" {
            break answer.result();
        }
    };
    assert_eq!(done["structuredContent"]["status"], "linked", "{done}");
}

#[tokio::test]
async fn only_beginning_a_link_counts_on_the_quota_of_links() {
    let stage = Stage::start().await;
    let gateway = impatient(&stage).await;
    let tenant = stage.tenant("ada", TenantSettings::default()).await;
    tenant.set_up(Provider::Spotify).await;
    let user = tenant.person("Robin").await;
    let key = tenant.key(&KeySpec::for_user(user)).await;
    let (client, plain) = (modern(gateway.client("ada", &key)), gateway.client("ada", &key));
    let left = async || {
        let usage = plain.call("usage_status", json!({})).await;
        let limits = usage["limits"].as_array().unwrap().clone();
        limits.iter().find(|limit| limit["class"] == "auth").unwrap()["remaining"].clone()
    };
    assert_eq!(left().await, 5);
    let mut state = begin(&client).await["requestState"].clone();
    let asked = ask(&plain, arguments()).await;
    for _ in 0..6 {
        let again = retry(&client, arguments(), &state, action("accept")).await.result();
        state = again["requestState"].clone();
        assert_eq!(how_it_went(&plain, &asked.link).await.verdict(), "200 ok");
    }
    assert_eq!(left().await, 3);

    // Where states are not served, handing one in begins a link and counts as one.
    let legacy = gateway.client("ada", &key).speaking(Era::Legacy("2025-11-25"));
    for _ in 0..3 {
        let began = retry(&legacy, arguments(), &state, action("accept")).await.result();
        assert_eq!(began["structuredContent"]["status"], "pending", "{began}");
    }
    assert_eq!(left().await, 0);
    let refused = retry(&legacy, arguments(), &state, action("accept")).await;
    assert_eq!(refused.verdict(), "200 rate_limited");
    assert_eq!(client.tool("account_link", arguments()).await.verdict(), "200 rate_limited");
    assert_eq!(how_it_went(&plain, &asked.link).await.verdict(), "200 ok");
}

#[tokio::test]
async fn handles_of_others_look_unknown_and_their_use_is_recorded() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let bob = stage.inhabit("bob").await;
    let eve = ada.tenant.person("Eve").await;
    let eve = gateway.client("ada", &ada.tenant.key(&KeySpec::for_user(eve)).await);
    let robin = gateway.client("ada", &ada.key);
    let asked = ask(&robin, arguments()).await;
    let account = ada.account(Provider::Tidal).id.to_string();
    let stranger = gateway.client("bob", &bob.key);
    for client in [&eve, &stranger] {
        assert_eq!(how_it_went(client, &asked.link).await.verdict(), "200 link_unknown");
        for tool in ["account_link", "account_unlink"] {
            let answer = client.tool(tool, json!({ "account": account })).await;
            assert_eq!(answer.verdict(), "200 account_not_linked", "{tool}");
        }
    }
    for unknown in ["", "7", "018f0000-0000-7000-8000-000000000000"] {
        assert_eq!(how_it_went(&eve, unknown).await.verdict(), "200 link_unknown");
    }
    gateway.flush_audit().await;
    let hijacks = recorded(&ada.tenant, "session_hijack").await;
    let kinds: Vec<&str> = hijacks.iter().filter_map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["link", "account", "account"]);
    assert_eq!(recorded(&bob.tenant, "session_hijack").await, []);
    assert_eq!(accounts(&robin).await.len(), 2);
    // A call that began a link says which, so that the person's part of the trail can be told to be the same one's.
    let begun: Vec<Value> =
        recorded(&ada.tenant, "account_link").await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(begun[0], json!("link"), "{begun:?}");
}

async fn accounts(client: &Client) -> Vec<Value> {
    client.call("accounts_list", json!({})).await["accounts"].as_array().unwrap().clone()
}

async fn unlink(ada: &Inhabited<'_>, client: &Client, provider: Provider) -> Value {
    let id = ada.account(provider).id.to_string();
    let answer = client.call("account_unlink", json!({ "account": id })).await;
    assert_eq!(answer["unlinked"]["id"], json!(id), "{answer}");
    assert_eq!(answer["deleted"]["sessions"], 1, "{answer}");
    let left = accounts(client).await;
    assert!(left.iter().all(|account| account["id"] != json!(id)), "{left:?}");
    let gone = client.tool("playlists_list", json!({ "provider": provider })).await;
    assert_eq!(gone.verdict(), "200 account_not_linked");
    answer
}

#[tokio::test]
async fn unlinking_revokes_where_it_can_and_says_what_is_left_to_do() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    for provider in Provider::ALL {
        client.call("playlists_list", json!({ "provider": provider })).await;
    }
    assert_eq!(client.tool("account_unlink", json!({})).await.verdict(), "200 invalid_arguments");

    let tidal = unlink(&ada, &client, Provider::Tidal).await;
    assert_eq!((&tidal["revocation"], tidal.get("next")), (&json!("revoked"), None), "{tidal}");
    assert_eq!(tidal["deleted"]["devices"], 1, "{tidal}");
    let sessions = stage.sql("SELECT string_agg(provider, ' ') FROM linked_accounts").await;
    assert_eq!(sessions, "spotify", "only that account went");

    let spotify = unlink(&ada, &client, Provider::Spotify).await;
    assert_eq!(spotify["revocation"], "unsupported");
    assert!(spotify["next"].as_str().unwrap().contains("https://www.spotify.com/account/apps/"), "{spotify}");
    let again = client.tool("account_unlink", json!({ "account": spotify["unlinked"]["id"] })).await;
    assert_eq!(again.verdict(), "200 account_not_linked");
    let list = client.call("accounts_list", json!({})).await;
    assert!(list["next"].as_str().unwrap().contains("account_link"), "{list}");
}

#[tokio::test]
async fn unlinking_works_here_while_the_provider_is_away() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    let away = FaultRule::new(Provider::Tidal, Effect::status(503)).path_prefix("/auth/v1/oauth2/revoke");
    stage.sandbox().faults().push(away);
    let answer = unlink(&ada, &client, Provider::Tidal).await;
    assert_eq!(answer["revocation"], "failed");
    assert!(answer["next"].as_str().unwrap().contains("remove the app"), "{answer}");
}

#[tokio::test]
async fn keys_that_only_read_are_shown_neither_tool() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let reader = KeySpec { read_only: true, ..KeySpec::for_user(ada.user) };
    let client = gateway.client("ada", &ada.tenant.key(&reader).await);
    for tool in ["account_link", "account_unlink"] {
        let answer = client.tool(tool, json!({ "provider": "tidal" })).await;
        assert_eq!(answer.code().as_deref(), Some("unknown_tool"), "{tool}");
    }
    let nobody = KeySpec { user: None, ..KeySpec::for_user(ada.user) };
    let client = gateway.client("ada", &ada.tenant.key(&nobody).await);
    for tool in ["account_link", "account_unlink"] {
        assert_eq!(
            client.tool(tool, json!({ "provider": "tidal" })).await.verdict(),
            "200 user_required",
            "{tool}"
        );
    }
}

#[tokio::test]
async fn only_keys_with_the_scope_for_it_unlink() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let scopes = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::PrivacyManage).collect();
    let other = KeySpec { scopes, ..KeySpec::for_user(ada.user) };
    let other = gateway.client("ada", &ada.tenant.key(&other).await);
    let refused = other.tool("account_unlink", json!({ "provider": "tidal" })).await;
    assert_eq!(refused.verdict(), "403 insufficient_scope");
    let robin = gateway.client("ada", &ada.key);
    assert_eq!(accounts(&robin).await.len(), 2);
    unlink(&ada, &robin, Provider::Tidal).await;
}
