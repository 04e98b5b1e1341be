//! Devices: a program on a network with a key. New ones and too many at a time are recorded, and allowed, warned of or
//! refused as the tenant wants it.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_domain::policy::{DevicePolicy, PolicyAction};
use stagedoor_domain::{TenantSettings, UserId};
use stagedoor_testkit::{Browser, Client, KeySpec, Stage, TestGateway, generous};

use super::{create, frozen, recorded, told, warnings};
use crate::linking;
use crate::music;

fn settings(new_device: PolicyAction, too_many: PolicyAction, concurrent: u32) -> TenantSettings {
    let devices = DevicePolicy { new_device, too_many, concurrent, window_seconds: 900 };
    TenantSettings { devices, ..generous() }
}

/// The same key used by another program.
fn program(client: Client, name: &str) -> Client {
    client.named(name, "1.0")
}

#[tokio::test]
async fn a_new_device_is_recorded_once_and_a_known_one_is_not() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", settings(PolicyAction::Allow, PolicyAction::Allow, 10)).await;
    let client = || music::client(&gateway, &ada);
    let other_key = gateway.client("ada", &ada.tenant.key(&KeySpec::for_user(ada.user)).await);
    let devices = [
        client(),
        program(client(), "other"),
        client().with_header("user-agent", "other/2"),
        client().from_address("198.51.100.7"),
        other_key,
    ];
    for round in 0..2 {
        for device in &devices {
            let answer = create(device, Provider::Spotify).await;
            assert_eq!((answer.verdict().as_str(), warnings(&answer.result()).len()), ("200 ok", 0));
        }
        gateway.flush_audit().await;
        let records = recorded(&ada, "device_new").await;
        assert_eq!(records, ["ok"; 4], "round {round}: all but the first are new, once");
    }
    assert_eq!(gateway.metric("devices_new").await, 4);
    // Another address of the same network is the same device.
    let near = client().from_address("198.51.100.99");
    assert_eq!(create(&near, Provider::Spotify).await.verdict(), "200 ok");
    assert_eq!(gateway.metric("devices_new").await, 4);
    // What is stored tells neither program nor address.
    let stored = stage.sql("SELECT string_agg(session_devices::text, ' ') FROM session_devices").await;
    for part in ["other", "198.51", "testkit"] {
        assert!(!stored.contains(part), "{part} is in {stored}");
    }
}

#[tokio::test]
async fn a_tenant_can_be_warned_of_new_devices_and_of_too_many() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", settings(PolicyAction::Warn, PolicyAction::Warn, 2)).await;
    let device = |name: &str| program(music::client(&gateway, &ada), name);
    assert!(warnings(&create(&device("one"), Provider::Spotify).await.result()).is_empty());
    let second = warnings(&create(&device("two"), Provider::Spotify).await.result());
    assert!(matches!(second.as_slice(), [new] if new.contains("not seen before")), "{second:?}");
    let third = warnings(&create(&device("three"), Provider::Spotify).await.result());
    assert!(
        matches!(third.as_slice(), [new, many] if new.contains("not seen") && many.contains("from 3 devices")),
        "{third:?}"
    );
    gateway.flush_audit().await;
    assert_eq!(recorded(&ada, "device_new").await, ["ok"; 2]);
    assert_eq!(recorded(&ada, "devices_exceeded").await, ["ok"]);
    // An account of its own counts for itself.
    assert!(warnings(&create(&device("three"), Provider::Tidal).await.result()).is_empty());
}

#[tokio::test]
async fn a_refused_device_gets_nothing_until_the_person_links_again_from_it() {
    let (stage, clock) = frozen().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", settings(PolicyAction::Refuse, PolicyAction::Allow, 10)).await;
    ada.tenant.expect_people_at(gateway.address());
    let (known, new) = (music::client(&gateway, &ada), program(music::client(&gateway, &ada), "new"));
    let list = json!({ "provider": "spotify" });
    known.call("playlists_list", list.clone()).await;
    for _ in 0..3 {
        let refused = create(&new, Provider::Spotify).await;
        assert_eq!(refused.verdict(), "200 device_refused");
        assert!(told(&refused).contains("account_link"), "{}", told(&refused));
        let cached = new.tool("playlists_list", list.clone()).await;
        assert_eq!(cached.verdict(), "200 device_refused", "what is cached is refused too");
    }
    // Catalogue calls use nobody's account, and the list of accounts shows no data of theirs.
    new.call("search", json!({ "query": "a", "provider": "spotify" })).await;
    gateway.flush_audit().await;
    assert_eq!(recorded(&ada, "device_new").await, ["device_refused"], "once an hour");
    clock.advance(Duration::from_hours(1));
    assert_eq!(create(&new, Provider::Spotify).await.verdict(), "200 device_refused");
    assert_eq!(gateway.metric("devices_new").await, 2);
    assert_eq!(gateway.metric("devices_refused").await, 7);

    let linked = ada.account(Provider::Spotify);
    let again = json!({ "provider": "spotify", "account": linked.id.to_string() });
    let asked = linking::ask(&new, again).await;
    let last = linking::link(&stage, &Browser::new(), &asked.page, &linked.account).await;
    assert_eq!(last.verdict(), "200 ok", "{}", last.text());
    for client in [&new, &known] {
        assert_eq!(create(client, Provider::Spotify).await.verdict(), "200 ok");
    }
}

#[tokio::test]
async fn one_device_too_many_waits_until_another_is_quiet() {
    let (stage, clock) = frozen().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", settings(PolicyAction::Allow, PolicyAction::Refuse, 2)).await;
    let device = |name: &str| program(music::client(&gateway, &ada), name);
    let (one, two, three) = (device("one"), device("two"), device("three"));
    for _ in 0..2 {
        assert_eq!(create(&one, Provider::Spotify).await.verdict(), "200 ok");
        assert_eq!(create(&two, Provider::Spotify).await.verdict(), "200 ok");
        let refused = create(&three, Provider::Spotify).await;
        assert_eq!(refused.verdict(), "200 device_refused");
        assert!(told(&refused).contains("15 minutes"), "{}", told(&refused));
        // A refused device does not keep the others out, however often it tries.
        clock.advance(Duration::from_mins(2));
    }
    clock.advance(Duration::from_mins(10));
    assert_eq!(create(&one, Provider::Spotify).await.verdict(), "200 ok");
    clock.advance(Duration::from_mins(5));
    assert_eq!(create(&three, Provider::Spotify).await.verdict(), "200 ok", "the second has been quiet");
    assert_eq!(create(&two, Provider::Spotify).await.verdict(), "200 device_refused");
}

#[tokio::test]
async fn two_people_with_one_program_are_two_devices_of_two_accounts() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", settings(PolicyAction::Refuse, PolicyAction::Refuse, 1)).await;
    let eve: UserId = ada.tenant.person("Eve").await;
    ada.tenant.link(eve, Provider::Spotify).await;
    let key = ada.tenant.key(&KeySpec::for_user(eve)).await;
    for client in [music::client(&gateway, &ada), gateway.client("ada", &key)] {
        assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 ok");
    }
}
