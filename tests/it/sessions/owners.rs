//! Whose account it is: nobody else's id works, and what a person does with it on one replica counts on all.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Browser, KeySpec, Stage, TestGateway};
use uuid::Uuid;

use super::{create, frozen, listed, recorded, told};
use crate::linking;
use crate::music;

#[tokio::test]
async fn another_persons_account_looks_missing_and_the_try_is_recorded() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let eve = ada.tenant.person("Eve").await;
    let own = ada.tenant.link(eve, Provider::Spotify).await;
    let key = ada.tenant.key(&KeySpec::for_user(eve)).await;
    let eve = gateway.client("ada", &key);
    let theirs = ada.account(Provider::Spotify).id.to_string();
    let nobodys = Uuid::from_u128(77).to_string();
    let tries = |id: &str| {
        [
            ("playlists_list", json!({ "provider": "spotify", "account": id })),
            ("playlist_create", json!({ "name": "Mine now", "account": id })),
        ]
    };
    for ((tool, of_theirs), (_, of_nobodys)) in tries(&theirs).into_iter().zip(tries(&nobodys)) {
        let (foreign, unknown) = (eve.tool(tool, of_theirs).await, eve.tool(tool, of_nobodys).await);
        assert_eq!(foreign.verdict(), "200 account_not_linked", "{tool}");
        assert_eq!(told(&foreign).replace(&theirs, "ID"), told(&unknown).replace(&nobodys, "ID"), "{tool}");
    }
    gateway.flush_audit().await;
    assert_eq!(recorded(&ada, "session_hijack").await, ["account_not_linked"; 2]);
    assert_eq!(gateway.metric("hijack_attempts").await, 2);
    assert_eq!(gateway.metric("sessions_opened_cold").await, 0, "no session was opened for it");
    let mine = json!({ "name": "Mine", "account": own.id.to_string() });
    assert_eq!(eve.tool("playlist_create", mine).await.verdict(), "200 ok");
}

#[tokio::test]
async fn a_key_that_acts_for_nobody_opens_nobodys_session() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let spec = KeySpec { user: None, ..KeySpec::for_user(ada.user) };
    let client = gateway.client("ada", &ada.tenant.key(&spec).await);
    let id = ada.account(Provider::Spotify).id.to_string();
    for arguments in [json!({ "provider": "spotify" }), json!({ "account": id })] {
        assert_eq!(client.tool("playlists_list", arguments).await.verdict(), "200 user_required");
    }
    assert_eq!(gateway.metric("sessions_opened_cold").await, 0);
}

#[tokio::test]
async fn unlinking_and_linking_again_count_on_every_replica_within_two_seconds() {
    let (stage, clock) = frozen().await;
    let (here, there) = (TestGateway::start(&stage).await, TestGateway::start(&stage).await);
    let ada = stage.inhabit("ada").await;
    ada.tenant.expect_people_at(here.address());
    let (first, second) = (music::client(&here, &ada), music::client(&there, &ada));
    let list = json!({ "provider": "spotify" });
    for client in [&first, &second] {
        assert_eq!(create(client, Provider::Spotify).await.verdict(), "200 ok");
        client.call("playlists_list", list.clone()).await;
    }
    let theirs = ada.account(Provider::Spotify).account.clone();
    first.call("account_unlink", list.clone()).await;
    assert_eq!(create(&first, Provider::Spotify).await.verdict(), "200 account_not_linked");
    clock.advance(Duration::from_millis(2_001));
    assert_eq!(create(&second, Provider::Spotify).await.verdict(), "200 account_not_linked");
    assert_eq!(second.tool("playlists_list", list.clone()).await.verdict(), "200 account_not_linked");

    let asked = linking::ask(&first, list.clone()).await;
    let last = linking::link(&stage, &Browser::new(), &asked.page, &theirs).await;
    assert_eq!(last.verdict(), "200 ok", "{}", last.text());
    for client in [&first, &second] {
        assert_eq!(create(client, Provider::Spotify).await.verdict(), "200 ok");
    }

    // A grant that the service no longer accepts, until the person consents again.
    stage.sandbox().revoke(Provider::Spotify, &theirs);
    for client in [&first, &second] {
        assert_eq!(create(client, Provider::Spotify).await.verdict(), "200 relink_needed");
    }
    let again = json!({ "provider": "spotify", "account": listed(&first, Provider::Spotify).await["id"] });
    let asked = linking::ask(&first, again).await;
    let last = linking::link(&stage, &Browser::new(), &asked.page, &theirs).await;
    assert_eq!(last.verdict(), "200 ok", "{}", last.text());
    clock.advance(Duration::from_millis(2_001));
    for client in [&first, &second] {
        assert_eq!(create(client, Provider::Spotify).await.verdict(), "200 ok");
    }
}
