//! The channel on which the database tells of changes: changes are seen with it and without, and a replica that lost it
//! knows.

use std::time::Duration;

use stagedoor_bootstrap::private_servers::PrivatePgBouncer;
use stagedoor_storage::{Store, StoreError, StoreOptions, provision};
use stagedoor_testkit::{KeySpec, Stage, TestGateway};

use super::{REFUSED, SERVED, id_of, until, verdict};

const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE query LIKE 'LISTEN%' OR (query LIKE '%alive%' AND application_name = 'stagedoor-gateway')";

#[tokio::test]
async fn a_replica_that_lost_the_channel_knows_and_opens_it_again() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let open = async || gateway.metric("change_channel_open").await;
    until("the channel", async || open().await == 1).await;
    let client = gateway.client("ada", &ada.key);
    assert_eq!(verdict(&client).await, SERVED);
    assert_ne!(stage.sql(CUT).await, "0", "the listener was found");
    until("the loss", async || gateway.metric("change_channel_losses").await == 1).await;
    // Whether or not it is open again by now.
    provision::revoke_api_key(stage.admin(), ada.tenant.context(), &id_of(&ada.key), "over").await.unwrap();
    until("the revocation", async || verdict(&client).await == REFUSED).await;
    until("the channel again", async || open().await == 1).await;
    let heard = gateway.metric("change_channel_heard").await;
    stage.sql("UPDATE tenants SET name = 'heard'").await;
    until("a change that is heard", async || gateway.metric("change_channel_heard").await > heard).await;
}

#[tokio::test]
async fn without_a_channel_changes_are_seen_by_asking() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start_with(&stage, |config| config.storage.listen = false).await;
    let client = gateway.client("ada", &ada.tenant.key(&KeySpec::for_user(ada.user)).await);
    assert_eq!(verdict(&client).await, SERVED);
    assert_eq!(stage.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'").await, "0");
    assert!(!gateway.metrics().await.text().contains("change_channel_open"));
    stage.sql("UPDATE api_keys SET revoked_at = now()").await;
    until("the revocation", async || verdict(&client).await == REFUSED).await;
}

/// Listening succeeds there, and nothing ever arrives: that is found out before anyone relies on it.
#[tokio::test]
async fn behind_a_transaction_pooler_there_is_no_channel() {
    let stage = Stage::start().await;
    let folder = stage.folder().join("pgbouncer");
    std::fs::create_dir(&folder).unwrap();
    let pooler = PrivatePgBouncer::start(&folder, stage.postgres(), &["stagedoor_app"]).await.unwrap();
    let options = StoreOptions {
        statement_cache: false,
        ..StoreOptions::new(pooler.url_for("stagedoor", "stagedoor_app"))
    };
    let store = Store::connect(&options).await.unwrap();
    let refused = store.change_channel(Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Deaf), "{refused:?}");
}
