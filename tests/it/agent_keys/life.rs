//! Changes, rotations and ends of keys, as replicas that remember them see it.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use stagedoor_domain::{Scope, ScopeSet};
use stagedoor_storage::api_keys::{self, KeyChanges};
use stagedoor_storage::{StoreError, TenantTransaction, provision};
use stagedoor_testkit::{Inhabited, KeySpec, Stage, TestGateway};

use super::{REFUSED, SERVED, count_look_ups, id_of, look_ups, told, until, verdict, watched};

async fn change(stage: &Stage, who: &Inhabited<'_>, key: &str, changes: &KeyChanges) {
    let (id, now) = (id_of(key), stage.clock().now());
    let update = async |tx: &mut TenantTransaction| api_keys::update(tx, &id, None, changes, now).await;
    let done = stage.admin().store().with_tenant::<_, StoreError>(who.tenant.context(), update).await;
    done.unwrap();
}

#[tokio::test]
async fn a_revocation_counts_on_every_replica_and_for_no_other_key() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let other = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let client = |gateway: &TestGateway, slug: &str, key: &str| gateway.client(slug, key);
    for gateway in &gateways {
        for (slug, key) in [("ada", &ada.key), ("ada", &other), ("bob", &bob.key)] {
            assert_eq!(verdict(&client(gateway, slug, key)).await, SERVED);
        }
    }
    let (admin, ctx) = (stage.admin(), ada.tenant.context());
    provision::revoke_api_key(admin, ctx, &id_of(&ada.key), "no longer needed").await.unwrap();
    for gateway in &gateways {
        let revoked = client(gateway, "ada", &ada.key);
        until("the revocation", async || verdict(&revoked).await == REFUSED).await;
        assert_eq!(verdict(&client(gateway, "ada", &other)).await, SERVED);
        assert_eq!(verdict(&client(gateway, "bob", &bob.key)).await, SERVED);
    }
    let revoked = told(&stage, &ada.tenant, &ada.key).await;
    assert_eq!(revoked.revoked_reason.as_deref(), Some("no longer needed"));
}

#[tokio::test]
async fn narrower_rights_hold_on_every_replica() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let clients = gateways.each_ref().map(|gateway| gateway.client("ada", &ada.key));
    for client in &clients {
        client.call("accounts_list", json!({})).await;
    }
    let scopes = Some(ScopeSet::empty().with(Scope::CatalogRead));
    change(&stage, &ada, &ada.key, &KeyChanges { scopes, ..KeyChanges::default() }).await;
    for client in &clients {
        let refused =
            async || client.tool("library_list", json!({})).await.verdict() == "403 insufficient_scope";
        until("the narrower scopes", refused).await;
    }
    let soon = stage.clock().now() + TimeDelta::milliseconds(1_500);
    let expires_at = Some(Some(soon));
    change(&stage, &ada, &ada.key, &KeyChanges { expires_at, ..KeyChanges::default() }).await;
    for client in &clients {
        until("the end", async || verdict(client).await == REFUSED).await;
    }
}

/// A tenant with many keys: one of them changes, and nothing is asked about the others.
#[tokio::test]
async fn a_change_has_no_key_looked_up_but_the_one() {
    let stage = Stage::start().await;
    count_look_ups(&stage).await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let mut keys = Vec::new();
    for _ in 0..30 {
        keys.push(ada.tenant.key(&KeySpec::for_user(ada.user)).await);
    }
    watched(&stage, &gateway).await;
    let clients: Vec<_> = keys.iter().map(|key| gateway.client("ada", key)).collect();
    for client in &clients {
        assert_eq!(verdict(client).await, SERVED);
    }
    let read_only = Some(true);
    change(&stage, &ada, &keys[7], &KeyChanges { read_only, ..KeyChanges::default() }).await;
    let seen = gateway.metric("tenant_changes").await;
    stage.sql("UPDATE tenants SET name = 'another'").await;
    let tools = async || clients[7].rpc("tools/list", json!({})).await.text().contains("playlist_create");
    until("the change", async || !tools().await).await;
    until("the tenant's change", async || gateway.metric("tenant_changes").await > seen).await;
    for client in &clients {
        assert_eq!(verdict(client).await, SERVED);
    }
    until("the change of the key", async || gateway.metric("key_changes").await == 1).await;
    gateway.stop().await;
    assert_eq!(look_ups(&stage).await, 31);
}

#[tokio::test]
async fn both_keys_work_while_a_rotation_overlaps() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let (admin, ctx, peppers) = (stage.admin(), ada.tenant.context(), stage.peppers());
    let old = gateway.client("ada", &ada.key);
    assert_eq!(verdict(&old).await, SERVED);
    let overlap = Duration::from_secs(2);
    let rotated = provision::rotate_api_key(admin, ctx, peppers, &id_of(&ada.key), overlap).await.unwrap();
    let new = gateway.client("ada", rotated.plain.expose_secret());
    assert_eq!(verdict(&new).await, SERVED);
    until("the end of the overlap", async || verdict(&old).await == REFUSED).await;
    assert_eq!(verdict(&new).await, SERVED);
    let ended = told(&stage, &ada.tenant, &ada.key).await;
    assert_eq!(ended.replaced_by, Some(rotated.new.id));
    assert_eq!(ended.revoked_at, None, "its time is over, nobody revoked it");
}
