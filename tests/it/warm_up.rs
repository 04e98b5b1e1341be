//! A replica that starts knows what was asked for most before anyone asks it.

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Stage, TestGateway};

use crate::limits_hot_reload::until;
use crate::music;

#[tokio::test]
async fn what_was_popular_is_there_after_a_start() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let track = format!("spotify:track:{}", music::known_tracks(&stage, Provider::Spotify)[0].id);
    let first = TestGateway::start(&stage).await;
    for who in [&ada, &bob] {
        let client = music::client(&first, who);
        let consent = json!({ "purpose": "analytics", "granted": true, "policy_version": "1" });
        client.call("consent_set", consent).await;
        for _ in 0..3 {
            client.call("track_get", json!({ "ref": track })).await;
        }
    }
    // At its end a replica writes down what it was asked for.
    first.stop().await;
    // Of a suspended tenant nothing is fetched.
    bob.tenant.suspend().await;

    let second = TestGateway::start(&stage).await;
    until("warm", async || second.metric("cache_warmed").await >= 1).await;
    stage.sandbox().reset_requests();
    music::client(&second, &ada).call("track_get", json!({ "ref": track })).await;
    let metrics = second.metrics().await;
    assert_eq!(metrics.sum("cache_calls", &[("class", "track"), ("outcome", "hit_l1")]), 1);
    assert_eq!(metrics.sum("cache_calls", &[("outcome", "hit_l2")]), 0);
    assert!(stage.sandbox().request_log().is_empty());

    let cold = TestGateway::start_with(&stage, |config| config.cache.warm_up = false).await;
    music::client(&cold, &ada).call("track_get", json!({ "ref": track })).await;
    let metrics = cold.metrics().await;
    assert_eq!(
        (metrics.sum("cache_warmed", &[]), metrics.sum("cache_calls", &[("outcome", "hit_l2")])),
        (0, 1)
    );
}
