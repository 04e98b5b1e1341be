//! What a provider's terms forbid is refused until the tenant's operator opens the gate, and again once it is closed.

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Inhabited, KeySpec, Stage, TestGateway, generous};

use crate::limits_hot_reload::until;
use crate::music::{self, everything_allowed};

async fn set_gates(stage: &Stage, who: &Inhabited<'_>, gates: Value) {
    let settings = json!({ "policy_gates": gates });
    let id = who.tenant.id();
    stage
        .sql(&format!("UPDATE tenants SET settings = settings || '{settings}' WHERE tenant_id = '{id}'"))
        .await;
}

fn asked(stage: &Stage) -> u64 {
    Provider::ALL.iter().map(|provider| stage.sandbox().requests(*provider).values().sum::<u64>()).sum()
}

#[tokio::test]
async fn a_gate_is_closed_until_it_is_opened_and_a_cached_answer_opens_none() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let query = json!({ "query": "a" });
    let before = asked(&stage);
    let refused = clients[0].tool("search_all", query.clone()).await;
    assert_eq!(refused.verdict(), "200 policy_gate_closed");
    let message = refused.message();
    for part in ["cross_provider_view", "Spotify's developer policy"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let told = refused.result()["_meta"]["dev.stagedoor/error"].clone();
    assert_eq!(told["details"]["setting"], "policy_gates.spotify.cross_provider_view", "{told}");
    assert!(told["hint"].as_str().unwrap().contains("operator"), "{told}");
    assert_eq!(asked(&stage), before, "a service was asked for what must not be shown");

    set_gates(&stage, &ada, json!({ "spotify": { "cross_provider_view": true } })).await;
    for client in &clients {
        until("the gate open", async || client.tool("search_all", query.clone()).await.verdict() == "200 ok")
            .await;
    }
    let after = asked(&stage);
    let found = clients[0].call("search_all", query.clone()).await;
    assert_eq!(asked(&stage), after, "it is kept as any search is");
    let services: Vec<&Value> =
        found["services"].as_array().unwrap().iter().map(|service| &service["provider"]).collect();
    assert_eq!(services, ["spotify", "tidal"]);
    for service in found["services"].as_array().unwrap() {
        let of_service = format!("{}:track:", service["provider"].as_str().unwrap());
        let tracks = service["tracks"].as_array().unwrap();
        assert!(!tracks.is_empty(), "{service}");
        for track in tracks {
            assert!(track["ref"].as_str().unwrap().starts_with(&of_service), "{track}");
        }
    }
    let other = music::client(&gateways[0], &bob).tool("search_all", query.clone()).await;
    assert_eq!(other.verdict(), "200 policy_gate_closed", "another tenant's gate is as it was");

    set_gates(
        &stage,
        &ada,
        json!({ "tidal": { "cross_provider_view": false }, "spotify": { "cross_provider_view": true } }),
    )
    .await;
    for client in &clients {
        let closed =
            async || client.tool("search_all", query.clone()).await.verdict() == "200 policy_gate_closed";
        until("the gate closed, whatever is cached", closed).await;
    }
    let told = clients[0].tool("search_all", query).await.message();
    assert!(told.contains("closed for Tidal: the tenant's operator has closed it"), "{told}");
}

#[tokio::test]
async fn one_service_that_fails_does_not_take_the_other_with_it() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", everything_allowed()).await;
    let client = music::client(&gateway, &ada);
    let away = FaultRule::new(Provider::Tidal, Effect::status(503));
    stage.sandbox().faults().push(away);
    let found = client.call("search_all", json!({ "query": "a", "kinds": ["track", "album"] })).await;
    let services = found["services"].as_array().unwrap();
    assert!(!services[0]["tracks"].as_array().unwrap().is_empty(), "{found}");
    assert_eq!(services[1]["failure"]["code"], "provider_unavailable", "{found}");
    stage.sandbox().faults().push(FaultRule::new(Provider::Spotify, Effect::status(503)));
    let none = client.tool("search_all", json!({ "query": "night" })).await;
    assert_eq!(none.verdict(), "200 provider_unavailable");
}

#[tokio::test]
async fn where_there_is_one_service_nothing_is_mixed() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let tenant = stage.tenant("solo", generous()).await;
    let person = tenant.person("Robin").await;
    tenant.set_up(Provider::Spotify).await;
    let client = gateway.client("solo", &tenant.key(&KeySpec::for_user(person)).await);
    let found = client.call("search_all", json!({ "query": "a" })).await;
    assert_eq!(found["services"].as_array().unwrap().len(), 1, "{found}");
}

#[tokio::test]
async fn a_transfer_takes_an_open_gate_on_both_sides() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (from, to) in [(Provider::Spotify, Provider::Tidal), (Provider::Tidal, Provider::Spotify)] {
        let made = client.call("playlist_create", json!({ "name": "To move", "provider": from })).await;
        let before = asked(&stage);
        let transfer = json!({ "ref": made["playlist"]["ref"], "to_provider": to });
        let refused = client.tool("playlist_transfer", transfer).await;
        assert_eq!(refused.verdict(), "200 policy_gate_closed", "{}", refused.text());
        assert!(refused.message().contains("transfer is closed for Spotify"), "{}", refused.message());
        assert_eq!(asked(&stage), before, "nothing was read for it");
    }
}
