//! From an empty installation to an agent that reads a linked account, by `quickstart` alone but for what belongs to the
//! sandbox: its addresses, and its person.

use serde_json::{Value, json};
use stagedoor_ctl::Exit;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Browser, Client};

use super::{Desk, text};
use crate::linking::link;

const CLIENT: &str = "client-of-acme";
const SECRET: &str = "secret-of-acme";

fn line(secret_file: &str) -> String {
    format!(
        "quickstart --tenant acme --name Acme --provider spotify --client-id {CLIENT} --client-secret-file {secret_file} \
         --user-label Robin --scopes catalog:read,library:read"
    )
}

fn outcomes(answer: &Value) -> Vec<&str> {
    let steps = answer["steps"].as_array().unwrap();
    steps.iter().map(|step| step["outcome"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_all_that_an_agent_needs_and_nothing_twice() {
    let desk = Desk::set().await;
    let line = line(&desk.file("secret", &format!("{SECRET}\n")));

    let dry = desk.json(&format!("{line} --dry-run")).await;
    assert!(outcomes(&dry).iter().all(|outcome| *outcome == "would_be_made"), "{dry}");
    assert_eq!(desk.ctl("tenants get --tenant acme").await.exit, Exit::NotFound, "a dry run makes nothing");

    let made = desk.json(&line).await;
    assert!(outcomes(&made).iter().all(|outcome| *outcome == "made"), "{made}");
    let (secret, endpoint) = (text(&made, "/secret"), text(&made, "/endpoint"));
    assert!(endpoint.ends_with("/t/acme/mcp"), "{made}");
    let agent = desk.gateway.client("acme", secret);
    assert_eq!(agent.rpc("tools/list", json!({})).await.verdict(), "200 ok");

    link_at_the_sandbox(&desk, text(&made, "/linkUrl")).await;
    let profile = agent.call("profile", json!({ "provider": "spotify" })).await;
    assert_eq!(profile["provider"], "spotify", "{profile}");

    let again = desk.json(&line).await;
    assert!(outcomes(&again).iter().all(|outcome| *outcome == "exists"), "{again}");
    assert_eq!((&again["secret"], &again["linkUrl"]), (&Value::Null, &Value::Null), "told once: {again}");
    assert_eq!(again["keyId"], made["keyId"]);
}

/// What an operator does for a real provider on the provider's own pages.
async fn link_at_the_sandbox(desk: &Desk, page: &str) {
    let sandbox = desk.stage.sandbox();
    let app = desk.json("provider-apps get --tenant acme --provider spotify").await;
    assert_eq!(app.get("clientSecret"), None, "{app}");
    sandbox.register_app(Provider::Spotify, CLIENT, SECRET);
    sandbox.register_redirect_uri(Provider::Spotify, CLIENT, text(&app, "/redirectUri")).unwrap();
    let root = format!("http://{}/spotify", desk.stage.sandbox_address());
    desk.json(&format!(
        "provider-apps update --tenant acme --provider spotify --api-base-url {root}/v1 --auth-base-url {root}/accounts \
         --authorize-url {root}/accounts/authorize"
    ))
    .await;
    let account = sandbox.create_account(Provider::Spotify, "Robin", "DE");
    let last = link(&desk.stage, &Browser::new(), &page.parse().unwrap(), &account).await;
    assert_eq!(last.verdict(), "200 ok", "{}", last.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn its_configurations_are_for_that_endpoint_and_key() {
    let desk = Desk::set().await;
    let line = line(&desk.file("secret", SECRET));
    let shown = desk.ctl(&format!("{line} --client curl,json")).await;
    assert_eq!(shown.exit, Exit::Done, "{shown:?}");
    assert!(shown.output.contains("only copy") && !shown.output.contains("Claude"), "{shown:?}");
    let key = shown.output.split_whitespace().find(|word| word.starts_with("sd_live_")).unwrap();
    assert!(shown.output.contains(&format!("Authorization: Bearer {key}")), "{shown:?}");
    let agent = Client::new(desk.gateway.address(), "acme", Some(key));
    assert_eq!(agent.rpc("tools/list", json!({})).await.verdict(), "200 ok");
    let again = desk.ctl(&format!("{line} --client curl")).await;
    assert!(again.output.contains("agent-keys rotate --tenant acme --key-id"), "{again:?}");
    assert!(!again.output.contains(key), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_it_asks_for_what_no_flag_says() {
    let desk = Desk::set().await;
    let answers = "acme\nnapster\ntidal\nclient-of-acme\n\nRobin\n";
    let ended = desk.ctl_asked("quickstart --client curl", answers).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    assert!(ended.messages.contains("one of spotify, tidal"), "a wrong answer is asked for again: {ended:?}");
    let app = desk.json("provider-apps get --tenant acme --provider tidal").await;
    assert_eq!(app.get("hasClientSecret"), None, "an empty secret is a public client: {app}");
    let early = desk.ctl_asked("quickstart --client curl", "birch\n").await;
    assert_eq!(early.exit, Exit::Usage, "{early:?}");
    assert_eq!(
        desk.ctl("tenants get --tenant birch").await.exit,
        Exit::NotFound,
        "nothing is made before all is known"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_id_is_refused_before_anything_changes() {
    let desk = Desk::set().await;
    let line = line(&desk.file("secret", SECRET));
    desk.json(&line).await;
    let ended = desk.ctl(&line.replace(CLIENT, "another")).await;
    assert_eq!(ended.exit, Exit::Usage, "{ended:?}");
    assert!(ended.messages.contains(CLIENT), "{ended:?}");
}
