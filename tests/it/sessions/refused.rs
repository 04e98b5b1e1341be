//! What a provider refuses: a grant, one call, a token without successor. Only a grant that is refused everywhere asks the
//! person to link again.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Stage, TestGateway};

use super::{create, end_access, frozen, listed, refreshes, told, until};
use crate::music;

const NO_REFRESH_TOKEN: &str = "UPDATE provider_sessions SET refresh_token = NULL";

fn refused(operation: &str) -> FaultRule {
    FaultRule::new(Provider::Spotify, Effect::status(401)).operation(operation)
}

#[tokio::test]
async fn one_call_that_is_refused_says_nothing_about_the_account() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    stage.sandbox().faults().push(refused("POST /me/playlists"));
    let answer = create(&client, Provider::Spotify).await;
    assert_eq!(answer.verdict(), "200 provider_unavailable");
    assert!(told(&answer).contains("refused this call"), "{}", told(&answer));
    assert_eq!(refreshes(&stage, Provider::Spotify), 1, "it was tried with new tokens first");
    assert_eq!(listed(&client, Provider::Spotify).await["status"], "linked");
    client.call("playlists_list", json!({ "provider": "spotify" })).await;

    // Whose token it is, a service tells of every grant.
    stage.sandbox().faults().push(refused("GET /me"));
    let answer = create(&client, Provider::Spotify).await;
    assert_eq!(answer.verdict(), "200 relink_needed");
    assert!(told(&answer).contains("link"), "{}", told(&answer));
    assert_eq!(refreshes(&stage, Provider::Spotify), 2);
    assert_eq!(listed(&client, Provider::Spotify).await["status"], "relink_needed");
    assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 relink_needed");
    assert_eq!(refreshes(&stage, Provider::Spotify), 2);
}

#[tokio::test]
async fn a_token_that_nothing_renews_is_used_until_the_provider_refuses_it() {
    let (stage, clock) = frozen().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    stage.sql(NO_REFRESH_TOKEN).await;
    // By this replica's clock it has ended; the service has the say.
    stage.sql("UPDATE provider_sessions SET token_expires_at = now() - interval '1 minute'").await;
    assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 ok");
    clock.advance(Duration::from_hours(2));
    for _ in 0..2 {
        assert_eq!(create(&client, Provider::Spotify).await.verdict(), "200 relink_needed");
    }
    assert_eq!(listed(&client, Provider::Spotify).await["status"], "relink_needed");
    assert_eq!(refreshes(&stage, Provider::Spotify), 0);
}

/// A replica of the release before makes no claim: it has exchanged, and stores a moment later.
#[tokio::test]
async fn a_refused_grant_is_looked_at_for_a_while_before_its_account_is_marked() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let [other, client] = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    end_access(&stage, Provider::Tidal).await;
    let row = "SELECT format('UPDATE provider_sessions SET access_token = %L, refresh_token = %L, revision = %L, \
        token_expires_at = %L WHERE session_id = %L', s.access_token, s.refresh_token, s.revision, s.token_expires_at, \
        s.session_id) FROM provider_sessions s JOIN linked_accounts USING (account_id) WHERE provider = 'tidal'";
    let before = stage.sql(row).await;
    assert_eq!(create(&other, Provider::Tidal).await.verdict(), "200 ok");
    let after = stage.sql(row).await;
    stage.sql(&before).await;
    let store = async {
        until(async || refreshes(&stage, Provider::Tidal) == 2).await;
        // The answer is a refusal; whoever looked only once has looked by now.
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.sql(&after).await;
    };
    let (answer, ()) = tokio::join!(create(&client, Provider::Tidal), store);
    assert_eq!(answer.verdict(), "200 ok", "{}", answer.text());
    assert_eq!(listed(&client, Provider::Tidal).await["status"], "linked");
}
