//! Unlinking an account while its tokens are being refreshed: whatever comes of the refresh, no grant outlives it.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Inhabited, Stage, TestGateway};

use super::{create, end_access, recorded, refreshes, until};
use crate::music;

/// The refresh tokens of Ada's account that the provider still accepts.
fn left(stage: &Stage, ada: &Inhabited<'_>) -> usize {
    stage.sandbox().refresh_tokens_of(Provider::Tidal, &ada.account(Provider::Tidal).account)
}

fn of_tidal(ada: &Inhabited<'_>) -> Value {
    json!({ "account": ada.account(Provider::Tidal).id.to_string() })
}

/// Holds the answer to a refresh, whose work is done, until the rule is removed.
fn held() -> FaultRule {
    FaultRule::new(Provider::Tidal, Effect::Hold).grant_type("refresh_token").after_work()
}

#[tokio::test]
async fn a_refresh_that_is_under_way_is_waited_for_and_what_it_brings_is_revoked() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let [first, second] = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    end_access(&stage, Provider::Tidal).await;
    let hold = stage.sandbox().faults().push(held());
    let unlink = async {
        until(async || refreshes(&stage, Provider::Tidal) == 1).await;
        second.call("account_unlink", of_tidal(&ada)).await
    };
    let release = async {
        until(async || refreshes(&stage, Provider::Tidal) == 1).await;
        // Whoever does not wait has deleted the account by now.
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.sandbox().faults().remove(hold);
    };
    let (_, unlinked, ()) = tokio::join!(create(&first, Provider::Tidal), unlink, release);
    assert_eq!(unlinked["revocation"], "revoked", "{unlinked}");
    assert_eq!(unlinked["deleted"]["sessions"], 1, "{unlinked}");
    assert_eq!(left(&stage, &ada), 0, "what the refresh brought is still good");
    assert_eq!(create(&second, Provider::Tidal).await.verdict(), "200 account_not_linked");
}

#[tokio::test]
async fn a_refresh_that_is_not_waited_for_any_longer_revokes_what_it_brings_itself() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    end_access(&stage, Provider::Tidal).await;
    let hold = stage.sandbox().faults().push(held());
    let unlink = async {
        until(async || refreshes(&stage, Provider::Tidal) == 1).await;
        let unlinked = client.call("account_unlink", of_tidal(&ada)).await;
        assert_eq!(left(&stage, &ada), 1, "the provider has given out what nobody knows yet");
        stage.sandbox().faults().remove(hold);
        unlinked
    };
    let (called, unlinked) = tokio::join!(create(&client, Provider::Tidal), unlink);
    assert_eq!(unlinked["revocation"], "unconfirmed", "{unlinked}");
    assert!(unlinked["next"].as_str().unwrap().contains("remove the app"), "{unlinked}");
    assert_ne!(called.verdict(), "200 ok");
    until(async || left(&stage, &ada) == 0).await;
    gateway.flush_audit().await;
    assert_eq!(recorded(&ada, "account_unlink").await, ["ok"]);
}

/// A replica that died in mid-refresh: nobody can say what it exchanged.
#[tokio::test]
async fn a_grant_whose_last_refresh_never_ended_is_not_called_revoked() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    stage
        .sql("UPDATE provider_sessions SET refresh_claim = 1, refresh_claimed_until = clock_timestamp() - interval '1 s'")
        .await;
    let unlinked = client.call("account_unlink", of_tidal(&ada)).await;
    assert_eq!(unlinked["revocation"], "unconfirmed", "{unlinked}");
    assert_eq!(left(&stage, &ada), 0);
}

#[tokio::test]
async fn a_session_that_cannot_be_read_for_another_reason_than_damage_is_not_given_up() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    // A column that only the reading of a session needs.
    stage.sql("ALTER TABLE provider_sessions RENAME COLUMN last_accessed TO away").await;
    let refused = client.tool("account_unlink", of_tidal(&ada)).await;
    assert_eq!(refused.code().as_deref(), Some("internal"), "{}", refused.text());
    assert_eq!(left(&stage, &ada), 1, "{}", refused.text());
    stage.sql("ALTER TABLE provider_sessions RENAME COLUMN away TO last_accessed").await;
    let unlinked = client.call("account_unlink", of_tidal(&ada)).await;
    assert_eq!(unlinked["revocation"], "revoked", "{unlinked}");
    assert_eq!(left(&stage, &ada), 0, "{unlinked}");
}

#[tokio::test]
async fn a_session_that_unlinking_rotates_is_recorded_as_such() {
    let (stage, clock) = super::frozen().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    clock.advance(Duration::from_hours(24));
    music::client(&gateway, &ada).call("account_unlink", of_tidal(&ada)).await;
    gateway.flush_audit().await;
    assert_eq!(recorded(&ada, "session_rotate").await, ["ok"]);
    assert_eq!(left(&stage, &ada), 0);
}
