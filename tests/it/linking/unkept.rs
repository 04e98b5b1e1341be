//! Permissions that a service gave and that came to no account: ended there, unless a linked account may live on them.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Browser, Client, Page, Stage, TestGateway};

use super::{Asked, Newcomer, agree, ask, hold_exchanges, how_it_went, link, reached};

fn revocations(stage: &Stage) -> u64 {
    let requests = stage.sandbox().requests(Provider::Tidal);
    requests.iter().filter(|(operation, _)| operation.ends_with("/revoke")).map(|(_, count)| count).sum()
}

/// Waits until Tidal was asked to end so many grants.
async fn revoked(stage: &Stage, count: u64) {
    while revocations(stage) < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Links an account of Tidal whose profile cannot be read.
async fn without_profile(stage: &Stage, client: &Client, account: &str) -> Page {
    let broken = FaultRule::new(Provider::Tidal, Effect::Garbage).path_prefix("/users").times(1);
    stage.sandbox().faults().push(broken);
    let asked = ask(client, json!({ "provider": "tidal" })).await;
    let page = link(stage, &Browser::new(), &asked.page, account).await;
    stage.sandbox().faults().clear();
    page
}

async fn linked(stage: &Stage, client: &Client, account: &str) -> Value {
    let asked = ask(client, json!({ "provider": "tidal" })).await;
    link(stage, &Browser::new(), &asked.page, account).await;
    how_it_went(client, &asked.link).await.result()["structuredContent"]["account"]["id"].clone()
}

#[tokio::test]
async fn it_is_revoked_when_nothing_linked_can_live_on_it() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let [first, second] =
        ["First", "Second"].map(|name| stage.sandbox().create_account(Provider::Tidal, name, "DE"));

    // Whose it is did not get known, and the person has linked nothing there.
    assert_eq!(without_profile(&stage, &client, &first).await.verdict(), "502 link_failed");
    revoked(&stage, 1).await;

    // Another account than the one to be linked again.
    let id = linked(&stage, &client, &first).await;
    let asked = ask(&client, json!({ "account": id })).await;
    let page = link(&stage, &Browser::new(), &asked.page, &second).await;
    assert_eq!(page.verdict(), "502 link_failed");
    assert!(page.text().contains("another Tidal account"), "{}", page.text());
    assert!(!page.text().contains("did not grant"), "two stories: {}", page.text());
    revoked(&stage, 2).await;
    client.call("playlists_list", json!({ "account": id })).await;
}

#[tokio::test]
async fn it_is_revoked_when_the_agent_called_it_off_meanwhile() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let account = stage.sandbox().create_account(Provider::Tidal, "Robin", "DE");
    let Asked { page, link } = ask(&client, json!({ "provider": "tidal" })).await;
    let browser = Browser::new();
    let consent = browser.open(&page).await;
    let door = agree(&browser, &page).await;
    let back = stage.sandbox().authorize(Provider::Tidal, &account, &door).unwrap();
    hold_exchanges(&stage, Provider::Tidal);
    let declining = async {
        reached(&stage, "exchanging").await;
        browser.submit(&consent, &[("decision", "decline")]).await;
        stage.sandbox().faults().clear();
    };
    let (last, ()) = tokio::join!(browser.open(&back), declining);
    assert_eq!(last.verdict(), "200 link_declined", "{}", last.text());
    assert_eq!(how_it_went(&client, &link).await.verdict(), "200 link_declined");
    revoked(&stage, 1).await;
    assert_eq!(ada.stored(&stage).await, [0, 0, 0]);
}

#[tokio::test]
async fn it_is_left_alone_where_a_linked_account_may_live_on_it() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let [first, second] =
        ["First", "Second"].map(|name| stage.sandbox().create_account(Provider::Tidal, name, "DE"));
    let one = linked(&stage, &client, &first).await;
    linked(&stage, &client, &second).await;

    // Signed in as another linked account, and as nobody knows whom.
    let asked = ask(&client, json!({ "account": one })).await;
    let page = link(&stage, &Browser::new(), &asked.page, &second).await;
    assert_eq!(page.verdict(), "502 link_failed");
    assert_eq!(without_profile(&stage, &client, &first).await.verdict(), "502 link_failed");
    // What is revoked after these is revoked, so these would have been by now.
    let other = Newcomer::arrive(&stage, &gateway, "bob").await;
    without_profile(&stage, &other.client(&gateway), &first).await;
    revoked(&stage, 1).await;
    assert_eq!(revocations(&stage), 1);
}
