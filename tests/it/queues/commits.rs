//! Bringing a queue to a playlist, to another service, to the player; and a replica that dies on the way.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{GatewayProcess, Stage, TestGateway};

use super::{Band, COMMIT, EDIT, text};
use crate::music;

fn held(stage: &Stage, playlist: &str) -> Vec<String> {
    let (provider, id) = (playlist.split(':').next().unwrap(), playlist.rsplit(':').next().unwrap());
    let ids = stage.sandbox().playlist_tracks(provider.parse().unwrap(), id).unwrap();
    ids.iter().map(|id| format!("{provider}:track:{id}")).collect()
}

#[tokio::test]
async fn a_queue_becomes_a_playlist_once() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    band.add(0..5).await;
    let new =
        json!({ "queue": band.queue, "name": "From a queue", "provider": "spotify", "idempotency_key": "a" });
    let first = band.owner.call(COMMIT, new.clone()).await;
    assert_eq!((&first["done"], &first["written"]), (&json!(true), &json!(5)), "{first}");
    let playlist = text(&first["playlist"]);
    assert_eq!(held(&stage, &playlist), band.tracks[..5]);
    assert_eq!(band.owner.call(COMMIT, new).await, first);
    let more = json!({ "queue": band.queue, "playlist": playlist, "idempotency_key": "b" });
    for _ in 0..2 {
        assert_eq!(band.owner.call(COMMIT, more.clone()).await["written"], 5);
    }
    assert_eq!(held(&stage, &playlist).len(), 10, "each commit once");
    let other = json!({ "queue": band.queue, "player": true, "idempotency_key": "b" });
    assert_eq!(band.owner.tool(COMMIT, other).await.code().as_deref(), Some("idempotency_mismatch"));
}

#[tokio::test]
async fn a_queue_is_matched_at_another_service_if_the_tenant_may() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) =
        (stage.inhabit("ada").await, stage.inhabit_with("bob", music::everything_allowed()).await);
    let commit = |band: &Band<'_>| json!({ "queue": band.queue, "name": "Over there", "provider": "tidal", "idempotency_key": "k" });
    let closed = Band::form(&stage, &gateway, &ada).await;
    closed.add(0..1).await;
    let refused = closed.owner.tool(COMMIT, commit(&closed)).await;
    assert_eq!(refused.code().as_deref(), Some("policy_gate_closed"));

    let open = Band::form(&stage, &gateway, &bob).await;
    open.add(0..30).await;
    let brought = open.owner.call(COMMIT, commit(&open)).await;
    assert_eq!(brought["done"], true, "{brought}");
    let left_out = brought.get("left_out").and_then(|list| list.as_array()).map_or(0, Vec::len);
    let written = usize::try_from(brought["written"].as_u64().unwrap()).unwrap();
    assert!(written > 15 && written + left_out == 30, "{brought}");
    assert_eq!(held(&stage, &text(&brought["playlist"])).len(), written);
}

#[tokio::test]
async fn a_queue_is_played_and_what_is_uncertain_is_not_sent_again() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    band.add(0..4).await;
    let devices = band.owner.call("devices", json!({})).await;
    let play = json!({
        "queue": band.queue, "player": true, "device": devices["devices"][0]["id"], "idempotency_key": "play"
    });
    // The second is taken, but nobody is told.
    let queue_add = "POST /me/player/queue";
    let rule = |effect| FaultRule::new(Provider::Spotify, effect).operation(queue_add);
    stage.sandbox().faults().push(rule(Effect::Delay { milliseconds: 0 }).times(1));
    stage.sandbox().faults().push(rule(Effect::CloseConnection).after_work());
    assert!(band.owner.tool(COMMIT, play.clone()).await.code().is_some());
    stage.sandbox().faults().clear();
    let sent = stage.sandbox().requests(Provider::Spotify)[queue_add];
    let brought = loop {
        let answer = band.owner.tool(COMMIT, play.clone()).await;
        match answer.code() {
            None => break answer.result()["structuredContent"].clone(),
            Some(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    };
    assert_eq!(
        (&brought["written"], &brought["left_out"][0]["is"]),
        (&json!(3), &json!("unknown")),
        "{brought}"
    );
    assert_eq!(brought["left_out"][0]["ref"], band.tracks[1]);
    assert_eq!(
        stage.sandbox().requests(Provider::Spotify)[queue_add],
        sent + 2,
        "only what was not sent before"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_on_the_way_adds_nothing_twice() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    for first in [0, 40, 80] {
        band.add(first..first + 40).await;
    }
    let slow = FaultRule::new(Provider::Spotify, Effect::delay(Duration::from_millis(400)));
    let write = "PUT /playlists/{id}/items";
    for operation in [write, "POST /playlists/{id}/items"] {
        stage.sandbox().faults().push(slow.clone().operation(operation).after_work());
    }
    let new = json!({ "queue": band.queue, "name": "Killed", "provider": "spotify", "idempotency_key": "k" });
    for (number, wait) in [300, 700].into_iter().enumerate() {
        let mut replica = GatewayProcess::start(&stage, &format!("doomed-{number}"), &[]).await;
        let client = replica.client(ada.tenant.slug(), &ada.key);
        let call = client.try_rpc("tools/call", json!({ "name": COMMIT, "arguments": new }));
        let kill = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            replica.kill().await;
        };
        drop(tokio::join!(call, kill));
        // The turns of the dead are over.
        stage.sql("UPDATE idempotency_keys SET claimed_until = clock_timestamp()").await;
        stage.sql("UPDATE shared_queue_commits SET claimed_until = clock_timestamp()").await;
    }
    stage.sandbox().faults().clear();
    let brought = band.owner.tool(COMMIT, new).await;
    match brought.code().as_deref() {
        None => {
            let brought = brought.result()["structuredContent"].clone();
            assert_eq!(brought["written"], 120, "{brought}");
            assert_eq!(held(&stage, &text(&brought["playlist"])), band.tracks[..120]);
        }
        // It died while the playlist was being made: nobody knows, and so nothing is done again.
        Some(code) => assert_eq!(code, "outcome_unknown", "{}", brought.text()),
    }
    band.owner.call(EDIT, json!({ "action": "end", "queue": band.queue })).await;
}
