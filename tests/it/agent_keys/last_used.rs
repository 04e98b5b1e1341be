//! When a key was last used: written seldom, and never forgotten by a replica that ends.

use stagedoor_testkit::{KeySpec, Stage, TestGateway};

use super::{REFUSED, SERVED, told, until, verdict};

#[tokio::test]
async fn many_calls_are_one_write() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let unused = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let clients = gateways.each_ref().map(|gateway| gateway.client("ada", &ada.key));
    let before = stage.clock().now() - chrono::TimeDelta::seconds(1);
    for _ in 0..20 {
        for client in &clients {
            assert_eq!(verdict(client).await, SERVED);
        }
    }
    let written = async || {
        let (one, two) = (&gateways[0], &gateways[1]);
        one.metric("key_uses_written").await + two.metric("key_uses_written").await
    };
    until("the time of use", async || written().await > 0).await;
    let first = told(&stage, &ada.tenant, &ada.key).await;
    assert!(first.last_used_at.is_some_and(|at| at > before && at <= stage.clock().now()));
    assert_eq!(first.revision, 1, "a use is no change");
    for client in &clients {
        assert_eq!(verdict(client).await, SERVED);
    }
    for gateway in gateways {
        gateway.stop().await;
    }
    assert_eq!(
        told(&stage, &ada.tenant, &ada.key).await,
        first,
        "one write, whatever else there was to tell"
    );
    assert_eq!(told(&stage, &ada.tenant, &unused).await.last_used_at, None);
}

#[tokio::test]
async fn a_replica_that_ends_tells_what_it_has_not_told_yet() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let over = KeySpec { expires_at: Some(stage.clock().now()), ..KeySpec::for_user(ada.user) };
    let over = ada.tenant.key(&over).await;
    let gateway = TestGateway::start(&stage).await;
    assert_eq!(verdict(&gateway.client("ada", &ada.key)).await, SERVED);
    assert_eq!(verdict(&gateway.client("ada", &over)).await, REFUSED);
    gateway.stop().await;
    assert!(told(&stage, &ada.tenant, &ada.key).await.last_used_at.is_some());
    assert_eq!(told(&stage, &ada.tenant, &over).await.last_used_at, None, "a refusal is no use");
}
