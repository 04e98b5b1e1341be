//! Whom the pages refuse: strangers, other tenants, forged and old forms, wrong methods.

use serde_json::json;
use stagedoor_domain::{Scope, ScopeSet};
use stagedoor_testkit::{Browser, KeySpec, Page, Stage, TestGateway};
use url::Url;

use super::{ask, reached, state};

#[tokio::test]
async fn an_address_works_in_its_own_tenant_and_as_a_whole() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let page = ask(&gateway.client("ada", &ada.key), "delete_my_data").await;
    let foreign = page.as_str().replace("/t/ada/", "/t/bob/");
    let cut = &page.as_str()[..page.as_str().len() - 1];
    let mut guess = page.as_str().to_owned();
    guess.pop();
    guess.push(if page.as_str().ends_with('A') { 'B' } else { 'A' });
    let unknown = page.as_str().replace("/t/ada/", "/t/nobody/");
    for address in [foreign.as_str(), cut, &guess, &unknown] {
        let shown = Browser::new().open(&Url::parse(address).unwrap()).await;
        assert_eq!(shown.verdict(), "404 link_unknown", "{address}");
    }
    // What is refused is shown to no other person of the tenant either.
    let listed = gateway.client("bob", &bob.key).call("privacy_requests", json!({})).await;
    assert_eq!(listed["requests"], json!([]));
    let other = ada.tenant.person("Other").await;
    let others_key = ada.tenant.key(&KeySpec::for_user(other)).await;
    let listed = gateway.client("ada", &others_key).call("privacy_requests", json!({})).await;
    assert_eq!(listed["requests"], json!([]));
    assert_eq!(Browser::new().open(&page).await.verdict(), "200 ok");
}

#[tokio::test]
async fn who_guesses_addresses_is_slowed_down() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    stage.inhabit("ada").await;
    let address = format!("http://{}/t/ada/privacy/{}", gateway.address(), "A".repeat(43));
    let stranger = Browser::new().from_address("203.0.113.9");
    let mut verdicts = Vec::new();
    for _ in 0..6 {
        verdicts.push(stranger.open(&Url::parse(&address).unwrap()).await.verdict());
    }
    assert_eq!(verdicts.last().unwrap(), "429 too_many_attempts", "{verdicts:?}");
}

#[tokio::test]
async fn a_form_counts_only_from_our_own_page_in_the_same_browser() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let page = ask(&gateway.client("ada", &ada.key), "delete_my_data").await;
    let (owner, stranger) = (Browser::new(), Browser::new());
    let shown = owner.open(&page).await;

    let delete = [("decision", "delete")];
    assert_eq!(stranger.submit(&shown, &delete).await.verdict(), "400 link_state_invalid");
    let mut forged: Page = shown.clone();
    forged.url = "https://evil.example/".parse().unwrap();
    assert_eq!(owner.submit_at(&forged, &page, &delete).await.verdict(), "403 invalid_origin");
    for wrong in
        [&[("decision", "destroy")][..], &[][..], &[("decision", "delete"), ("decision", "keep")][..]]
    {
        assert_eq!(owner.submit(&shown, wrong).await.verdict(), "400 invalid_request", "{wrong:?}");
    }
    owner.alter_cookies(|_, value| *value = "A".repeat(43));
    assert_eq!(owner.submit(&shown, &delete).await.verdict(), "400 link_state_invalid");
    // A deletion is no copy, and there is no receipt of what was not done.
    let fresh = Browser::new();
    let shown = fresh.open(&page).await;
    for wrong in ["download", "receipt"] {
        assert_eq!(
            fresh.submit(&shown, &[("decision", wrong)]).await.verdict(),
            "400 invalid_request",
            "{wrong}"
        );
    }
    assert_eq!(state(&stage, "erasure").await, "requested");

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let head = http.head(page.clone()).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["allow"].to_str().unwrap()), (405, "GET, POST"));
}

#[tokio::test]
async fn a_page_works_for_a_quarter_of_an_hour() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    for (tool, kind, decision) in
        [("export_my_data", "export", "download"), ("delete_my_data", "erasure", "delete")]
    {
        let page = ask(&client, tool).await;
        let browser = Browser::new();
        let shown = browser.open(&page).await;
        let over = "page_expires_at = clock_timestamp() - interval '1 second', due_at = clock_timestamp()";
        stage.sql(&format!("UPDATE privacy_requests SET {over} WHERE kind = '{kind}'")).await;
        assert_eq!(browser.open(&page).await.verdict(), "410 link_expired");
        assert_eq!(browser.submit(&shown, &[("decision", decision)]).await.verdict(), "410 link_expired");
        reached(&stage, kind, "expired").await;
    }
    // Nothing happened, and both can be asked for anew.
    client.call("profile", json!({ "provider": "tidal" })).await;
    for tool in ["export_my_data", "delete_my_data"] {
        assert_eq!(Browser::new().open(&ask(&client, tool).await).await.verdict(), "200 ok");
    }
}

#[tokio::test]
async fn a_key_needs_the_scope_and_a_person() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let less: ScopeSet = ScopeSet::all().iter().filter(|scope| *scope != Scope::PrivacyManage).collect();
    let narrow = ada.tenant.key(&KeySpec { scopes: less, ..KeySpec::for_user(ada.user) }).await;
    let nobody = ada.tenant.key(&KeySpec { user: None, ..KeySpec::for_user(ada.user) }).await;
    for tool in ["export_my_data", "delete_my_data"] {
        let refused = gateway.client("ada", &narrow).tool(tool, json!({})).await;
        assert_eq!(refused.code().as_deref(), Some("insufficient_scope"), "{}", refused.text());
        let refused = gateway.client("ada", &nobody).tool(tool, json!({})).await;
        assert_eq!(refused.verdict(), "200 user_required");
    }
    gateway.client("ada", &narrow).call("privacy_requests", json!({})).await;
}
