//! Refreshing tokens: early, shared, recorded, and without losing the grant. The same over several replicas and under
//! kill -9 is among the proofs.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, RefreshRotation};
use stagedoor_testkit::{FaultProxy, Stage, StageOptions, TestGateway, Weather};

use super::{create, end_access, frozen, listed, recorded, refreshes, told, until};
use crate::music;

/// The token endpoint's refreshes.
fn at_refresh(provider: Provider, effect: Effect) -> FaultRule {
    FaultRule::new(provider, effect).grant_type("refresh_token")
}

#[tokio::test]
async fn a_token_that_ends_soon_is_refreshed_beside_the_call_and_one_that_ends_at_once_before_it() {
    let (stage, clock) = frozen().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let before = refreshes(&stage, *provider);
        assert_eq!(create(&client, *provider).await.verdict(), "200 ok");
        assert_eq!(refreshes(&stage, *provider), before, "{provider}: a token of an hour is good");
    }
    // Four minutes are left: the call uses the token, and someone sees to the next.
    clock.advance(Duration::from_mins(56));
    for provider in Provider::ALL {
        let hold = stage.sandbox().faults().push(at_refresh(*provider, Effect::Hold));
        // It returns, although the refresh does not before it is let go.
        assert_eq!(create(&client, *provider).await.verdict(), "200 ok");
        until(async || refreshes(&stage, *provider) == 1).await;
        stage.sandbox().faults().remove(hold);
    }
    until(async || gateway.metric("session_refreshes").await == 2).await;
    for provider in Provider::ALL {
        assert_eq!(create(&client, *provider).await.verdict(), "200 ok");
        assert_eq!(refreshes(&stage, *provider), 1, "{provider}: the new token is good for an hour");
    }
    clock.advance(Duration::from_secs(59 * 60 + 30));
    for provider in Provider::ALL {
        assert_eq!(create(&client, *provider).await.verdict(), "200 ok");
        assert_eq!(refreshes(&stage, *provider), 2, "{provider}: half a minute is too little");
    }
}

#[tokio::test]
async fn a_refresh_is_recorded_before_it_is_asked_for_and_after() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    end_access(&stage, Provider::Tidal).await;
    let client = music::client(&gateway, &ada);
    assert_eq!(create(&client, Provider::Tidal).await.verdict(), "200 ok");
    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await;
    let records: Vec<_> = trail.iter().filter_map(stagedoor_audit::AuditView::json).collect();
    let of_refresh: Vec<_> = records.iter().filter(|record| record["action"] == "token_refresh").collect();
    let kinds: Vec<_> = of_refresh.iter().map(|record| record["record"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "closed"]);
    let session = stage.sql("SELECT session_id FROM provider_sessions s JOIN linked_accounts a USING (account_id) WHERE provider = 'tidal'").await;
    assert_eq!(of_refresh[1]["session_id"], json!(session));
    let account = ada.account(Provider::Tidal).id.to_string();
    assert_eq!(of_refresh[1]["resource"], json!({ "type": "account", "id": account }));
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_before_the_caller_notices() {
    let rotation = RefreshRotation::ReplaceWithGrace(Duration::from_mins(1));
    let stage = Stage::start_with(StageOptions { rotation, ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (provider, effect) in [
        (Provider::Spotify, Effect::CloseConnection),
        (Provider::Tidal, Effect::Garbage),
        (Provider::Spotify, Effect::status(500)),
    ] {
        end_access(&stage, provider).await;
        let before = refreshes(&stage, provider);
        stage.sandbox().faults().push(at_refresh(provider, effect.clone()).after_work().times(1));
        let gateway = TestGateway::start(&stage).await;
        let fresh = music::client(&gateway, &ada);
        assert_eq!(create(&fresh, provider).await.verdict(), "200 ok", "{effect:?}");
        assert_eq!(refreshes(&stage, provider), before + 2, "{effect:?}");
    }
    // What is stored is the refresh token that came last: the grant goes on.
    end_access(&stage, Provider::Spotify).await;
    assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 ok");
}

#[tokio::test]
async fn tokens_that_came_while_the_database_was_away_are_kept_until_it_is_back() {
    let stage = Stage::start().await;
    let postgres = FaultProxy::to(([127, 0, 0, 1], stage.postgres().port()).into()).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.storage.database_url = stage.database_url_at(postgres.address()).into();
        config.storage.acquire_timeout_ms = 500;
    })
    .await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    end_access(&stage, Provider::Spotify).await;
    let hold = stage.sandbox().faults().push(at_refresh(Provider::Spotify, Effect::Hold).after_work());
    let away = async {
        until(async || refreshes(&stage, Provider::Spotify) == 1).await;
        postgres.set(Weather::Broken);
        stage.sandbox().faults().remove(hold);
    };
    let (answer, ()) = tokio::join!(create(&client, Provider::Spotify), away);
    let verdict = answer.verdict();
    assert!(["200 store_unavailable", "200 ok"].contains(&verdict.as_str()), "{}", answer.text());
    postgres.set(Weather::Fair);
    // The sandbox has ended the old refresh token: a second exchange would be refused.
    until(async || create(&client, Provider::Spotify).await.verdict() == "200 ok").await;
    assert_eq!(refreshes(&stage, Provider::Spotify), 1);
    assert_eq!(listed(&client, Provider::Spotify).await["status"], "linked");
}

#[tokio::test]
async fn a_refused_grant_is_asked_about_once_and_marked_once() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    end_access(&stage, Provider::Tidal).await;
    stage.sandbox().revoke(Provider::Tidal, &ada.account(Provider::Tidal).account);
    let calls = (0..20).map(|number| create(&clients[number % 2], Provider::Tidal));
    for answer in join_all(calls).await {
        assert_eq!(answer.verdict(), "200 relink_needed", "{}", answer.text());
    }
    let asked = refreshes(&stage, Provider::Tidal);
    assert_eq!(asked, 1, "those who waited for it are told what came of it");
    assert_eq!(create(&clients[0], Provider::Tidal).await.verdict(), "200 relink_needed");
    assert_eq!(refreshes(&stage, Provider::Tidal), asked, "a refused grant is not asked about again");
    for gateway in &gateways {
        gateway.flush_audit().await;
    }
    let records = recorded(&ada, "token_refresh").await;
    assert!(records.iter().all(|outcome| outcome == "relink_needed"), "{records:?}");
    assert_eq!(records.len() as u64, asked);
}

#[tokio::test]
async fn while_another_replica_holds_the_claim_nobody_here_asks() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    end_access(&stage, Provider::Spotify).await;
    let claim = "UPDATE provider_sessions SET refresh_claim = refresh_claim + 1, \
        refresh_claimed_until = clock_timestamp() + interval";
    stage.sql(&format!("{claim} '1 hour'")).await;
    let busy = create(&client, Provider::Spotify).await;
    assert_eq!(busy.verdict(), "200 provider_unavailable");
    assert!(told(&busy).contains("another replica"), "{}", told(&busy));
    assert_eq!(refreshes(&stage, Provider::Spotify), 0);
    // The holder is gone and its lease runs out; whoever waits for it takes over.
    stage.sql(&format!("{claim} '0'")).await;
    until(async || create(&client, Provider::Spotify).await.verdict() == "200 ok").await;
    assert_eq!(refreshes(&stage, Provider::Spotify), 1);
}

#[tokio::test]
async fn a_holder_that_lets_its_lease_run_out_may_still_store() {
    // The service ends the old refresh token at once, so that whoever takes over is refused.
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    end_access(&stage, Provider::Tidal).await;
    let hold = stage.sandbox().faults().push(at_refresh(Provider::Tidal, Effect::Hold).after_work());
    let take_over = async {
        until(async || refreshes(&stage, Provider::Tidal) == 1).await;
        stage.sql("UPDATE provider_sessions SET refresh_claimed_until = clock_timestamp() WHERE refresh_claim > 0").await;
        create(&clients[1], Provider::Tidal).await
    };
    let let_go = async {
        until(async || refreshes(&stage, Provider::Tidal) == 2).await;
        stage.sandbox().faults().remove(hold);
    };
    let (slow, quick, ()) = tokio::join!(create(&clients[0], Provider::Tidal), take_over, let_go);
    assert_eq!([slow.verdict(), quick.verdict()], ["200 ok", "200 ok"], "{}", quick.text());
    assert_eq!(refreshes(&stage, Provider::Tidal), 2, "the second one asked and was refused");
    assert_eq!(listed(&clients[1], Provider::Tidal).await["status"], "linked");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_asked_for() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    end_access(&stage, Provider::Spotify).await;
    // A read is recorded after it was done; its refresh is recorded before.
    let append = "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = 'audit_append_sized'";
    let function = stage.sql(append).await;
    stage.sql(&format!("REVOKE EXECUTE ON FUNCTION {function} FROM stagedoor_app")).await;
    let params = json!({ "name": "playlists_list", "arguments": { "provider": "spotify" } });
    let answer = client.try_rpc("tools/call", params.clone()).await;
    // Before anything can fail: rights outlive a stage.
    stage.sql(&format!("GRANT EXECUTE ON FUNCTION {function} TO stagedoor_app")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.verdict(), "200 audit_unavailable", "{}", answer.text());
    assert_eq!(refreshes(&stage, Provider::Spotify), 0);
    assert_eq!(client.rpc("tools/call", params).await.verdict(), "200 ok");
    assert_eq!(refreshes(&stage, Provider::Spotify), 1, "the claim was given back");
}
