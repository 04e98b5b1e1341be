//! Sessions that rotate, and sessions that do not open: set aside, told, replaced by linking again, never deleted.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Browser, Stage, TestGateway};

use super::{create, frozen, listed, recorded, told};
use crate::linking;
use crate::music;

const DAMAGE: &str = "UPDATE provider_sessions s SET access_token = \
    set_byte(access_token, 100, get_byte(access_token, 100) # 1) FROM linked_accounts a \
    WHERE a.account_id = s.account_id AND a.provider = 'spotify'";

#[tokio::test]
async fn a_session_gets_a_new_id_and_a_new_seal_every_day() {
    let (stage, clock) = frozen().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let row = "SELECT session_id || ' ' || encode(sha256(refresh_token), 'hex') FROM provider_sessions \
        JOIN linked_accounts USING (tenant_id, account_id) WHERE provider = 'tidal'";
    assert_eq!(create(&client, Provider::Tidal).await.verdict(), "200 ok");
    let first = stage.sql(row).await;
    clock.advance(Duration::from_hours(12));
    assert_eq!(create(&client, Provider::Tidal).await.verdict(), "200 ok");
    let (id, seal) = first.split_once(' ').unwrap();
    let second = stage.sql(row).await;
    assert!(second.starts_with(id), "half a day is too early");
    assert_eq!(gateway.metric("session_rotations").await, 0);
    clock.advance(Duration::from_hours(12));
    assert_eq!(create(&client, Provider::Tidal).await.verdict(), "200 ok");
    let third = stage.sql(row).await;
    assert!(!third.contains(id) && !third.contains(seal), "{first} {third}");
    assert_eq!(gateway.metric("session_rotations").await, 1);
    gateway.flush_audit().await;
    assert_eq!(recorded(&ada, "session_rotate").await, ["ok"]);
    // Not again before the next day.
    assert_eq!(create(&client, Provider::Tidal).await.verdict(), "200 ok");
    assert_eq!(gateway.metric("session_rotations").await, 1);
}

#[tokio::test]
async fn a_damaged_session_is_set_aside_and_linking_again_replaces_it() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    ada.tenant.expect_people_at(gateway.address());
    let client = music::client(&gateway, &ada);
    let (id, theirs) = {
        let linked = ada.account(Provider::Spotify);
        (linked.id.to_string(), linked.account.clone())
    };
    stage.sql(DAMAGE).await;
    let sealed = "SELECT encode(access_token, 'hex') FROM";
    let of_spotify =
        "provider_sessions JOIN linked_accounts USING (tenant_id, account_id) WHERE provider = 'spotify'";
    let damaged = stage.sql(&format!("{sealed} {of_spotify}")).await;
    for _ in 0..3 {
        let answer = create(&client, Provider::Spotify).await;
        assert_eq!(answer.verdict(), "200 session_unreadable");
        for part in ["account_link", &id, "operator"] {
            assert!(told(&answer).contains(part), "{part} is not in {}", told(&answer));
        }
    }
    let status = listed(&client, Provider::Spotify).await;
    assert_eq!((&status["status"], &status["id"]), (&json!("unreadable"), &json!(id)));
    assert_eq!(create(&client, Provider::Tidal).await.verdict(), "200 ok", "the other account is well");
    assert_eq!(stage.sql(&format!("{sealed} session_quarantine")).await, damaged, "the copy is exact");
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, "2", "nothing was deleted");
    gateway.flush_audit().await;
    assert_eq!(recorded(&ada, "session_open").await, ["session_unreadable"]);
    assert_eq!(gateway.metric("session_quarantines").await, 1);

    let asked = linking::ask(&client, json!({ "provider": "spotify", "account": id })).await;
    let last = linking::link(&stage, &Browser::new(), &asked.page, &theirs).await;
    assert_eq!(last.verdict(), "200 ok", "{}", last.text());
    assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 ok");
    let status = listed(&client, Provider::Spotify).await;
    assert_eq!((&status["status"], &status["id"]), (&json!("linked"), &json!(id)));
    assert_eq!(stage.sql(&format!("{sealed} session_quarantine")).await, damaged, "the copy stays");
}

#[tokio::test]
async fn every_kind_of_damage_is_set_aside() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let of_spotify = "provider_sessions WHERE account_id IN (SELECT account_id FROM linked_accounts WHERE provider = 'spotify')";
    let kept = format!(
        "SELECT format('UPDATE provider_sessions SET access_token = %L, quarantined_at = NULL, quarantine_reason = NULL \
        WHERE session_id = %L', access_token, session_id) FROM {of_spotify}"
    );
    let restore = stage.sql(&kept).await;
    let damages = [
        // The id of the key that it is sealed under.
        "set_byte(access_token, 2, get_byte(access_token, 2) # 1)",
        "set_byte(access_token, 17, get_byte(access_token, 17) # 128)",
        // Cut, emptied, overwritten.
        "substr(access_token, 1, 60)",
        "substr(access_token, 1, octet_length(access_token) - 1)",
        "''",
        "decode(repeat('00', octet_length(access_token)), 'hex')",
        "decode(repeat('01', octet_length(access_token)), 'hex')",
    ];
    for (number, damage) in damages.iter().enumerate() {
        let of_spotify = of_spotify.replacen(" WHERE", &format!(" SET access_token = {damage} WHERE"), 1);
        stage.sql(&format!("UPDATE {of_spotify}")).await;
        let fresh = TestGateway::start(&stage).await;
        let answer = create(&music::client(&fresh, &ada), Provider::Spotify).await;
        assert_eq!(answer.verdict(), "200 session_unreadable", "{damage}");
        assert!(told(&answer).contains("account_link"), "{damage}: {}", told(&answer));
        assert_eq!(listed(&client, Provider::Spotify).await["status"], "unreadable", "{damage}");
        let copies = stage.sql("SELECT count(*) FROM session_quarantine").await;
        assert_eq!(copies, (number + 1).to_string(), "{damage}");
        assert_eq!(fresh.metric("session_quarantines").await, 1, "{damage}");
        fresh.flush_audit().await;
        stage.sql(&restore).await;
    }
    assert_eq!(recorded(&ada, "session_open").await, vec!["session_unreadable"; damages.len()]);
    assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 ok", "restored");
}

#[tokio::test]
async fn a_missing_key_is_no_damage() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let other = stage.folder().join("other.key");
    std::fs::write(&other, "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=").unwrap();
    let strange = TestGateway::start_with(&stage, |config| config.encryption.key_file = Some(other)).await;
    let client = music::client(&strange, &ada);
    for provider in Provider::ALL {
        assert_eq!(create(&client, *provider).await.code().as_deref(), Some("key_unavailable"));
    }
    assert_eq!(stage.sql("SELECT count(*) FROM session_quarantine").await, "0");
    assert_eq!(
        stage.sql("SELECT count(*) FROM provider_sessions WHERE quarantined_at IS NOT NULL").await,
        "0"
    );
    assert_eq!(strange.metric("session_quarantines").await, 0);
    let gateway = TestGateway::start(&stage).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 ok");
}

#[tokio::test]
async fn a_session_that_a_later_version_wrote_is_left_alone() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    stage.sql("UPDATE provider_sessions SET schema_version = '9.0'").await;
    let answer = create(&client, Provider::Spotify).await;
    assert_eq!(answer.verdict(), "200 session_unreadable");
    for way_out in ["operator", "account_link"] {
        assert!(told(&answer).contains(way_out), "{}", told(&answer));
    }
    assert_eq!(stage.sql("SELECT count(*) FROM session_quarantine").await, "0");
    stage.sql("UPDATE provider_sessions SET schema_version = '2.0'").await;
    assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 ok");
}
