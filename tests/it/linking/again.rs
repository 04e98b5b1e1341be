//! Linking what is linked already: no agent of the person loses what another was granted, and what is lost, or will
//! be, is told.

use serde_json::{Value, json};
use stagedoor_domain::{Provider, Scope, ScopeSet};
use stagedoor_testkit::{Browser, Client, KeySpec, Stage, TestGateway};

use super::{Newcomer, agree, ask, how_it_went, link, parameter};

async fn scopes(client: &Client) -> Value {
    let mut scopes = client.call("accounts_list", json!({})).await["accounts"][0]["scopes"].clone();
    scopes.as_array_mut().unwrap().sort_by_key(ToString::to_string);
    scopes
}

#[tokio::test]
async fn an_agent_that_may_do_less_takes_nothing_from_another() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    link(&stage, &Browser::new(), &asked.page, &account).await;
    let before = scopes(&client).await;
    assert!(before.to_string().contains("playlist-modify-private"), "{before}");

    let reads =
        KeySpec { scopes: ScopeSet::empty().with(Scope::PlaylistsRead), ..KeySpec::for_user(ada.user) };
    let reader = gateway.client("ada", &ada.tenant.key(&reads).await);
    let asked = ask(&reader, json!({ "provider": "spotify" })).await;
    let browser = Browser::new();
    let consent = browser.open(&asked.page).await;
    assert!(consent.text().contains("any other that acts for"), "{}", consent.text());
    assert!(consent.text().contains("Create and change your private playlists"), "{}", consent.text());
    link(&stage, &browser, &asked.page, &account).await;
    let linked = how_it_went(&reader, &asked.link).await.result()["structuredContent"].clone();
    assert_eq!((&linked["status"], linked.get("missing_scopes")), (&json!("linked"), None), "{linked}");
    assert_eq!(scopes(&client).await, before);
    client.call("playlist_create", json!({ "name": "Still", "provider": "spotify" })).await;

    // The scopes of one service are asked for at no other, and an account's that nobody has linked only by its key.
    let asked = ask(&reader, json!({ "provider": "tidal" })).await;
    let door = agree(&Browser::new(), &asked.page).await;
    assert_eq!(parameter(&door, "scope"), "playlists.read user.read");
}

#[tokio::test]
async fn what_linking_again_lost_is_told_to_person_and_agent() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    link(&stage, &Browser::new(), &asked.page, &account).await;
    // A scope of before that is not known here, so that it is not asked for again.
    stage.sql("UPDATE provider_sessions SET scopes = scopes || '{of-old}'").await;

    let reads =
        KeySpec { scopes: ScopeSet::empty().with(Scope::PlaylistsRead), ..KeySpec::for_user(ada.user) };
    let reader = gateway.client("ada", &ada.tenant.key(&reads).await);
    let asked = ask(&reader, json!({ "provider": "spotify" })).await;
    let browser = Browser::new();
    let door = agree(&browser, &asked.page).await;
    // The last one nobody asked for.
    let granted =
        ["playlist-read-private", "playlist-read-collaborative", "user-read-private", "ugc-image-upload"];
    let back = stage.sandbox().authorize_scopes(Provider::Spotify, &account, &door, &granted).unwrap();
    let last = browser.open(&back).await;
    let linked = how_it_went(&reader, &asked.link).await.result()["structuredContent"].clone();
    let missing = linked["missing_scopes"].as_array().unwrap_or_else(|| panic!("{linked}"));
    for lost in ["playlist-modify-public", "playlist-modify-private", "of-old"] {
        assert!(missing.contains(&json!(lost)), "{lost}: {linked}");
        assert!(last.text().contains(&format!("<code>{lost}</code>")), "{lost}: {}", last.text());
    }
    // All that a key for everything asks for, and the one of old, without the three that were granted again.
    assert_eq!(missing.len(), 12, "{linked}");
    let kept = json!(["playlist-read-collaborative", "playlist-read-private", "user-read-private"]);
    assert_eq!(scopes(&client).await, kept);

    // Nothing granted is nothing, not all that was asked for.
    let asked = ask(&reader, json!({ "provider": "spotify" })).await;
    let door = agree(&browser, &asked.page).await;
    let back = stage.sandbox().authorize_scopes(Provider::Spotify, &account, &door, &[]).unwrap();
    browser.open(&back).await;
    assert_eq!(scopes(&client).await, json!([]));
}

#[tokio::test]
async fn an_access_that_cannot_be_renewed_says_until_when_it_works() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    link(&stage, &Browser::new(), &asked.page, &account).await;
    let linked = async || how_it_went(&client, &asked.link).await.result()["structuredContent"].clone();
    assert_eq!(linked().await["account"].get("works_until"), None);
    stage.sql("UPDATE provider_sessions SET refresh_token = NULL").await;
    let told = linked().await;
    let until = told["account"]["works_until"].as_str().unwrap_or_else(|| panic!("{told}"));
    assert!(told["next"].as_str().unwrap().contains("works until"), "{told}");
    let listed = client.call("accounts_list", json!({})).await["accounts"].clone();
    assert_eq!(listed[0]["works_until"], json!(until), "{listed}");
    assert!(listed[0]["warnings"][0].as_str().unwrap().contains("works until"), "{listed}");
    assert!(listed[0]["link_again"].is_object(), "{listed}");
}
