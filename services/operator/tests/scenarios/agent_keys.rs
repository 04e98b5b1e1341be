//! Keys: in a Secret, rotated with overlap, replaced where they are lost, revoked at the end.

use chrono::TimeDelta;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use stagedoor_operator::resources::AgentKey;
use stagedoor_proto::admin::v1::{KeyState, User};

use crate::stage::{Stage, until};

fn spec(more: &Value) -> Value {
    let mut spec = json!({"tenantRef": {"name": "acme"}, "scopes": ["catalog:read", "library:read"]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

async fn key_id(stage: &Stage) -> String {
    stage.secret_text("desk", "keyId").await.unwrap()
}

#[tokio::test]
async fn a_key_is_put_into_a_secret_with_all_that_an_agent_needs() {
    let stage = Stage::start("key-made").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.make::<AgentKey>("desk", spec(&json!({"toolsets": ["search"], "lifetime": "2h"}))).await;
    let object = stage.ready::<AgentKey>("desk", "Issued").await;
    let key = stage.secret_text("desk", "key").await.unwrap();
    let id = key_id(&stage).await;
    assert!(key.starts_with(&format!("sd_live_{id}_")), "the Secret holds the key whose id it names");
    let endpoint = stage.secret_text("desk", "endpoint").await.unwrap();
    assert_eq!(endpoint, "https://music.example.com/t/acme/mcp");
    let mcp: Value = serde_json::from_str(&stage.secret_text("desk", "mcp.json").await.unwrap()).unwrap();
    let server = &mcp["mcpServers"]["stagedoor"];
    assert_eq!(
        (&server["url"], &server["headers"]["Authorization"]),
        (&json!(endpoint), &json!(format!("Bearer {key}")))
    );
    let status = object.status.clone().unwrap();
    assert_eq!((status.key_id.as_deref(), status.secret_name.as_deref()), (Some(id.as_str()), Some("desk")));
    {
        let seen = stage.installation().seen();
        let (_, made) = &seen.keys[&id];
        assert_eq!(made.name, format!("{}/desk", stage.namespace));
        assert_eq!(
            (made.scopes.len(), made.read_only, made.toolsets.as_slice()),
            (2, false, &["search".to_owned()][..])
        );
        let life = made.expire_time.unwrap().seconds - made.create_time.unwrap().seconds;
        assert_eq!(life, 7_200);
    }
    let secret = stage.api::<Secret>().get("desk").await.unwrap();
    let owner = &secret.metadata.owner_references.unwrap()[0];
    assert_eq!(Some(&owner.uid), object.metadata.uid.as_ref());
    let told = format!("{object:?} {:?} {}", stage.events().await, running.metrics.render());
    assert!(!told.contains(&key), "no one but the Secret has the key");
    running.end().await;
}

#[tokio::test]
async fn rights_that_were_changed_by_hand_come_back() {
    let stage = Stage::start("key-drift").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.make::<AgentKey>("desk", spec(&json!({}))).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    let id = key_id(&stage).await;
    stage.installation().seen().keys.get_mut(&id).unwrap().1.scopes = vec!["privacy:manage".to_owned()];
    until("the scopes are back", async || {
        (stage.installation().seen().keys[&id].1.scopes.len() == 2).then_some(())
    })
    .await;
    stage.event("DriftCorrected").await;
    stage.change::<AgentKey>("desk", json!({"readOnly": true})).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    assert!(stage.installation().seen().keys[&id].1.read_only);
    assert_eq!(key_id(&stage).await, id, "the key stays the same");
    running.end().await;
}

#[tokio::test]
async fn a_key_is_rotated_when_it_is_due_and_the_old_one_goes_on_for_the_overlap() {
    let stage = Stage::start("key-rotated").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.make::<AgentKey>("desk", spec(&json!({"rotation": {"every": "1h", "overlap": "10m"}}))).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    let first = key_id(&stage).await;
    stage.clock.forward(TimeDelta::minutes(61));
    let second =
        until("another key is in the Secret", async || Some(key_id(&stage).await).filter(|id| *id != first))
            .await;
    assert_eq!(stage.installation().seen().active().len(), 2, "both work");
    let status = until("the status knows both", async || {
        let status = stage.api::<AgentKey>().get("desk").await.unwrap().status?;
        (status.key_id.as_deref() == Some(second.as_str())).then_some(status)
    })
    .await;
    assert_eq!(status.previous_key_id.as_deref(), Some(first.as_str()));
    stage.event("KeyRotated").await;
    stage.clock.forward(TimeDelta::minutes(11));
    until("the old key is over", async || {
        let status = stage.api::<AgentKey>().get("desk").await.unwrap().status?;
        status.previous_key_id.is_none().then_some(())
    })
    .await;
    assert_eq!(key_id(&stage).await, second);
    assert_eq!(stage.installation().seen().count("RotateAgentKey"), 1);
    running.end().await;
}

#[tokio::test]
async fn a_secret_that_is_gone_or_damaged_gets_a_new_key_and_the_old_one_goes_on() {
    let stage = Stage::start("key-lost").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.make::<AgentKey>("desk", spec(&json!({"rotation": {"every": "24h", "overlap": "1h"}}))).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    let first = key_id(&stage).await;
    stage.delete::<Secret>("desk").await;
    let second = until("there is a Secret again", async || stage.secret_text("desk", "keyId").await).await;
    assert_ne!(first, second);
    assert_eq!(stage.installation().seen().active().len(), 2);
    stage.secret("desk", "key", "sd_live_broken").await;
    let third =
        until("there is a third key", async || Some(key_id(&stage).await).filter(|id| *id != second)).await;
    let state = |id: &String| stage.installation().seen().keys[id].1.state();
    assert_eq!(state(&third), KeyState::Active);
    assert_eq!(state(&first), KeyState::Revoked, "two of a name are active at most");
    running.end().await;
}

#[tokio::test]
async fn a_revoked_key_is_replaced_and_one_that_was_rotated_by_hand_too() {
    let stage = Stage::start("key-by-hand").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.make::<AgentKey>("desk", spec(&json!({}))).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    let first = key_id(&stage).await;
    stage.installation().seen().keys.get_mut(&first).unwrap().1.state = KeyState::Revoked.into();
    let second =
        until("another key is there", async || Some(key_id(&stage).await).filter(|id| *id != first)).await;
    {
        let mut seen = stage.installation().seen();
        let (tenant, mut other) = seen.keys[&second].clone();
        other.key_id = "byhand".to_owned();
        seen.keys.insert("byhand".to_owned(), (tenant, other));
        seen.keys.get_mut(&second).unwrap().1.replaced_by = "byhand".to_owned();
    }
    until("a third key is there", async || Some(key_id(&stage).await).filter(|id| *id != second)).await;
    assert_eq!(stage.installation().seen().keys["byhand"].1.state(), KeyState::Revoked);
    running.end().await;
}

#[tokio::test]
async fn a_key_for_a_person_waits_until_the_person_is_known() {
    let stage = Stage::start("key-person").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.make::<AgentKey>("desk", spec(&json!({"externalSubject": "robin@acme.example"}))).await;
    stage.ready::<AgentKey>("desk", "PersonMissing").await;
    let id = "0199aaaa-0000-7000-8000-000000000001".to_owned();
    let user =
        User { user_id: id.clone(), external_subject: "robin@acme.example".to_owned(), ..User::default() };
    stage.installation().seen().users.push(user);
    stage.ready::<AgentKey>("desk", "Issued").await;
    assert_eq!(stage.installation().seen().active()[0].user_id, id);
    running.end().await;
}

#[tokio::test]
async fn someone_elses_secret_is_never_touched() {
    let stage = Stage::start("key-foreign").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.secret("desk", "password", "mine").await;
    stage.make::<AgentKey>("desk", spec(&json!({}))).await;
    stage.ready::<AgentKey>("desk", "SecretTaken").await;
    assert_eq!(stage.installation().seen().count("CreateAgentKey"), 0);
    stage.delete::<AgentKey>("desk").await;
    stage.gone::<AgentKey>("desk").await;
    assert_eq!(stage.secret_text("desk", "password").await.as_deref(), Some("mine"));
    assert_eq!(stage.secret_text("desk", "key").await, None);
    running.end().await;
}

#[tokio::test]
async fn all_keys_of_a_deleted_object_are_revoked_and_after_its_end_none_is_made() {
    let stage = Stage::start("key-revoked").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.make::<AgentKey>("desk", spec(&json!({"rotation": {"every": "1h", "overlap": "30m"}}))).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    let first = key_id(&stage).await;
    stage.clock.forward(TimeDelta::minutes(61));
    until("it is rotated", async || {
        let status = stage.api::<AgentKey>().get("desk").await.unwrap().status?;
        (status.previous_key_id.as_ref() == Some(&first)).then_some(())
    })
    .await;
    stage.delete::<AgentKey>("desk").await;
    stage.gone::<AgentKey>("desk").await;
    assert!(stage.installation().seen().active().is_empty(), "the one in use and the one before it");

    stage.make::<AgentKey>("guest", spec(&json!({"expireTime": "2020-01-01T00:00:00Z"}))).await;
    stage.ready::<AgentKey>("guest", "Expired").await;
    assert!(stage.installation().seen().active().is_empty());
    running.end().await;
}
