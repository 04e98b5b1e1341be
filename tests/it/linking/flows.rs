//! Links that come about: both kinds of clients, both providers, several accounts, linking again, fewer scopes.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_bootstrap::tasks;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Browser, Client, Era, Stage, TestGateway};

use super::{Newcomer, agree, ask, hold_exchanges, how_it_went, link};

/// A client of 2026-07-28 that can open pages for its person.
fn modern(client: Client) -> Client {
    client.declaring(json!({ "elicitation": { "url": {} } }))
}

/// The same call again, with what became of the question.
async fn retry(client: &Client, arguments: &Value, asked: &Value, action: &str) -> Value {
    let params = json!({
        "name": "account_link",
        "arguments": arguments,
        "inputResponses": { "link": { "action": action } },
        "requestState": asked["requestState"],
    });
    client.rpc("tools/call", params).await.result()
}

#[tokio::test]
async fn a_modern_client_leads_its_person_through_and_its_retried_call_succeeds() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = modern(ada.client(&gateway));
    for provider in Provider::ALL {
        let before = client.tool("playlists_list", json!({ "provider": provider })).await;
        assert_eq!(before.verdict(), "200 account_not_linked");
        let arguments = json!({ "provider": provider });
        let asked = client.tool("account_link", arguments.clone()).await.result();
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let request = &asked["inputRequests"]["link"];
        assert_eq!(
            (&request["method"], &request["params"]["mode"]),
            (&json!("elicitation/create"), &json!("url"))
        );
        let page = request["params"]["url"].as_str().unwrap().parse().unwrap();

        // The person goes through the provider's own page; meanwhile the client's call waits for them.
        let person = async {
            let browser = Browser::new();
            let consent = browser.open(&page).await;
            assert_eq!(consent.heading(), format!("Link your {} account?", provider.title()));
            let log_in = browser.submit(&consent, &[("decision", "agree")]).await;
            assert_eq!(log_in.status(), 200, "{}", log_in.text());
            let answers =
                [("account", "new"), ("name", "Robin's own"), ("country", "DE"), ("decision", "allow")];
            browser.submit(&log_in, &answers).await
        };
        let (last, answer) = tokio::join!(person, retry(&client, &arguments, &asked, "accept"));
        assert_eq!(last.verdict(), "200 ok", "{}", last.text());
        assert_eq!(last.heading(), format!("Your {} account is linked", provider.title()));
        assert_eq!(answer["structuredContent"]["status"], "linked", "{answer}");
        assert!(last.text().contains("Robin&#39;s own"), "{}", last.text());
        assert!(
            last.url.path().ends_with("/t/ada/connect/done") && last.url.query().is_none(),
            "{}",
            last.url
        );

        client.call("playlist_create", json!({ "name": "Mine", "provider": provider })).await;
        let listed = client.call("playlists_list", json!({ "provider": provider })).await;
        assert_eq!(listed["playlists"].as_array().unwrap().len(), 1, "{listed}");
    }
    let accounts = client.call("accounts_list", json!({})).await;
    let names: Vec<&Value> =
        accounts["accounts"].as_array().unwrap().iter().map(|account| &account["status"]).collect();
    assert_eq!(names, ["linked", "linked"], "{accounts}");
    assert_eq!(ada.stored(&stage).await[..2], [2, 2]);
}

#[tokio::test]
async fn any_other_client_gets_the_address_and_asks_how_it_went() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    for (number, era) in ["2025-11-25", "2025-06-18", "2025-03-26"].into_iter().enumerate() {
        let client = ada.client(&gateway).speaking(Era::Legacy(era));
        let asked = ask(&client, json!({ "provider": "tidal" })).await;
        let waiting = how_it_went(&client, &asked.link).await.result();
        assert_eq!(waiting["structuredContent"]["status"], "pending", "{waiting}");
        let account = stage.sandbox().create_account(Provider::Tidal, &format!("Robin {era}"), "DE");
        let browser = Browser::new();
        let last = link(&stage, &browser, &asked.page, &account).await;
        assert_eq!(
            last.heading(),
            "Your TIDAL account is linked".replace("TIDAL", "Tidal"),
            "{}",
            last.text()
        );
        let done = how_it_went(&client, &asked.link).await.result()["structuredContent"].clone();
        assert_eq!(done["status"], "linked", "{done}");
        assert_eq!(ada.stored(&stage).await[0], u32::try_from(number).unwrap() + 1);

        // Loading the last page again shows the same and asks nobody.
        let before = stage.sandbox().token_requests(Provider::Tidal);
        assert_eq!(browser.open(&last.url).await.text(), last.text());
        assert_eq!(stage.sandbox().token_requests(Provider::Tidal), before);
        assert_eq!(browser.open(&asked.page).await.verdict(), "409 link_used");
    }
}

#[tokio::test]
async fn a_person_has_several_accounts_of_one_provider_and_links_each_again() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let mut accounts = Vec::new();
    for name in ["First", "Second"] {
        let account = stage.sandbox().create_account(Provider::Spotify, name, "DE");
        let asked = ask(&client, json!({ "provider": "spotify" })).await;
        link(&stage, &Browser::new(), &asked.page, &account).await;
        let linked = how_it_went(&client, &asked.link).await.result();
        let id = linked["structuredContent"]["account"]["id"].as_str().unwrap().to_owned();
        accounts.push((id, account));
    }
    assert_eq!(client.tool("playlists_list", json!({})).await.verdict(), "200 account_ambiguous");
    for (id, _) in &accounts {
        let created = client.call("playlist_create", json!({ "name": id, "account": id })).await;
        assert!(created["playlist"]["ref"].is_string(), "{created}");
        let listed = client.call("playlists_list", json!({ "account": id })).await;
        assert_eq!(listed["playlists"].as_array().unwrap().len(), 1, "{listed}");
    }

    let (first, second) = (&accounts[0], &accounts[1]);
    let asked = ask(&client, json!({ "account": first.0 })).await;
    let browser = Browser::new();
    let consent = browser.open(&asked.page).await;
    assert_eq!(consent.heading(), "Link your Spotify account again?");
    let last = link(&stage, &browser, &asked.page, &first.1).await;
    assert_eq!(last.verdict(), "200 ok", "{}", last.text());
    let linked = how_it_went(&client, &asked.link).await.result();
    assert_eq!(linked["structuredContent"]["account"]["id"], json!(first.0), "{linked}");
    assert_eq!(ada.stored(&stage).await[..2], [2, 2]);

    // Signed in as another account than the one to be linked again.
    let sessions =
        "SELECT string_agg(session_id::text || revision, ' ' ORDER BY session_id) FROM provider_sessions";
    let before = stage.sql(sessions).await;
    let asked = ask(&client, json!({ "account": first.0 })).await;
    let last = link(&stage, &Browser::new(), &asked.page, &second.1).await;
    assert_eq!(last.verdict(), "502 link_failed");
    assert!(last.text().contains("another Spotify account"), "{}", last.text());
    assert_eq!(how_it_went(&client, &asked.link).await.verdict(), "200 link_failed");
    assert_eq!(stage.sql(sessions).await, before);
}

#[tokio::test]
async fn what_was_not_granted_is_named_and_granted_by_linking_again() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let browser = Browser::new();
    let door = agree(&browser, &asked.page).await;
    let granted = ["playlist-read-private", "user-read-private"];
    let back = stage.sandbox().authorize_scopes(Provider::Spotify, &account, &door, &granted).unwrap();
    let last = browser.open(&back).await;
    assert!(last.text().contains("<code>playlist-modify-private</code>"), "{}", last.text());
    let linked = how_it_went(&client, &asked.link).await.result()["structuredContent"].clone();
    let missing = linked["missing_scopes"].as_array().unwrap();
    assert!(missing.contains(&json!("playlist-modify-private")), "{linked}");

    let asked = ask(&client, json!({ "account": linked["account"]["id"] })).await;
    link(&stage, &Browser::new(), &asked.page, &account).await;
    let linked = how_it_went(&client, &asked.link).await.result()["structuredContent"].clone();
    assert_eq!(linked.get("missing_scopes"), None, "{linked}");
    client.call("playlist_create", json!({ "name": "Now", "provider": "spotify" })).await;
}

#[tokio::test]
async fn who_comes_back_and_agrees_again_goes_on_with_the_newer_way() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let browser = Browser::new();
    let older = agree(&browser, &asked.page).await;
    let newer = agree(&browser, &asked.page).await;
    let back = stage.sandbox().authorize(Provider::Spotify, &account, &older).unwrap();
    assert_eq!(browser.open(&back).await.verdict(), "400 link_state_invalid");
    let back = stage.sandbox().authorize(Provider::Spotify, &account, &newer).unwrap();
    assert_eq!(browser.open(&back).await.heading(), "Your Spotify account is linked");
    assert_eq!(ada.stored(&stage).await[..2], [1, 1]);
}

#[tokio::test]
async fn two_links_at_a_time_in_one_browser_do_not_disturb_each_other() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let browser = Browser::new();
    let mut ways = Vec::new();
    for provider in Provider::ALL {
        let asked = ask(&client, json!({ "provider": provider })).await;
        ways.push((*provider, agree(&browser, &asked.page).await));
    }
    for (provider, door) in ways {
        let account = stage.sandbox().create_account(provider, "Robin", "DE");
        let back = stage.sandbox().authorize(provider, &account, &door).unwrap();
        let last = browser.open(&back).await;
        assert_eq!(last.heading(), format!("Your {} account is linked", provider.title()), "{}", last.text());
    }
}

#[tokio::test]
async fn any_replica_takes_the_answer_and_tells_the_agent() {
    let stage = Stage::start().await;
    let first = TestGateway::start(&stage).await;
    let public_url = format!("http://{}", first.address()).parse().unwrap();
    let second = TestGateway::start_with(&stage, |config| config.server.public_url = public_url).await;
    let ada = Newcomer::arrive(&stage, &first, "ada").await;
    let (here, there) = (modern(ada.client(&first)), modern(ada.client(&second)));
    let arguments = json!({ "provider": "spotify" });
    let asked = there.tool("account_link", arguments.clone()).await.result();
    let page = asked["inputRequests"]["link"]["params"]["url"].as_str().unwrap().parse().unwrap();
    let person = async {
        let browser = Browser::new();
        let door = agree(&browser, &page).await;
        let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
        let back = stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
        let elsewhere = back.as_str().replace(&first.address().to_string(), &second.address().to_string());
        browser.open(&elsewhere.parse().unwrap()).await
    };
    let (last, answer) = tokio::join!(person, retry(&here, &arguments, &asked, "accept"));
    assert_eq!(last.heading(), "Your Spotify account is linked", "{}", last.text());
    assert_eq!(answer["structuredContent"]["status"], "linked", "{answer}");
    for client in [&here, &there] {
        client.call("playlists_list", json!({})).await;
    }
}

#[tokio::test]
async fn who_closes_the_browser_too_early_is_linked_all_the_same() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, json!({ "provider": "tidal" })).await;
    let account = stage.sandbox().create_account(Provider::Tidal, "Robin", "DE");
    let browser = Browser::new();
    let door = agree(&browser, &asked.page).await;
    let back = stage.sandbox().authorize(Provider::Tidal, &account, &door).unwrap();
    hold_exchanges(&stage, Provider::Tidal);
    let opening = tasks::spawn("person", async move { browser.open(&back).await });
    while stage.sandbox().token_requests(Provider::Tidal).get("authorization_code") != Some(&1) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    opening.abort();
    assert!(opening.await.unwrap_err().is_cancelled(), "the browser was still waiting");
    stage.sandbox().faults().clear();
    loop {
        let went = how_it_went(&client, &asked.link).await.result()["structuredContent"].clone();
        if went["status"] == "linked" {
            break;
        }
        assert_eq!(went["status"], "pending", "{went}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.call("playlists_list", json!({})).await;
}
