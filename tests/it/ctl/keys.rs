//! An agent's key from its making to its end, and the key of a tenant's own admin.

use serde_json::json;
use stagedoor_ctl::Exit;

use super::{Desk, text};

async fn is_let_in(desk: &Desk, key: &str) -> bool {
    desk.gateway.client("acme", key).rpc("tools/list", json!({})).await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_changed_rotated_and_revoked() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme").await;
    let line =
        "agent-keys create --tenant acme --name bot --scopes catalog:read,library:read --expire-time 30d";
    let made = desk.json(line).await;
    let (id, secret) = (text(&made, "/agentKey/keyId"), text(&made, "/secret"));
    assert!(is_let_in(&desk, secret).await);

    let shown = desk.ctl("agent-keys list --tenant acme").await;
    assert!(shown.output.contains(id) && shown.output.contains("in 30 d"), "{shown:?}");
    assert!(!shown.output.contains(secret), "{shown:?}");

    let of_key = format!("--tenant acme --key-id {id}");
    let changed = desk.json(&format!("agent-keys update {of_key} --read-only --scopes catalog:read")).await;
    assert_eq!((&changed["readOnly"], &changed["scopes"]), (&json!(true), &json!(["catalog:read"])));
    assert!(changed.get("expireTime").is_some(), "what was not named stays: {changed}");
    let changed = desk.json(&format!("agent-keys update {of_key} --update-mask expire-time")).await;
    assert_eq!(changed.get("expireTime"), None, "what was named and not given is gone: {changed}");

    let stale = text(&made, "/agentKey/etag");
    let refused = desk.ctl(&format!("agent-keys update {of_key} --name other --etag {stale}")).await;
    assert_eq!(refused.exit, Exit::Conflict, "{refused:?}");

    let rotated = desk.json(&format!("agent-keys rotate {of_key} --overlap 1h30m")).await;
    let new = text(&rotated, "/secret");
    assert!(is_let_in(&desk, secret).await && is_let_in(&desk, new).await, "both hold during the overlap");

    desk.json(&format!("agent-keys revoke {of_key} --reason lost")).await;
    while is_let_in(&desk, secret).await {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(is_let_in(&desk, new).await, "the other one goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_by_its_flag() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme").await;
    let ended = desk.ctl("agent-keys create --tenant acme --name bot --scopes catalog:reed").await;
    assert_eq!(ended.exit, Exit::Usage, "{ended:?}");
    assert!(ended.messages.contains("--scopes"), "{ended:?}");
    let ended = desk.ctl("agent-keys create --tenant acme --name bot --scopes all --expire-time -1d").await;
    assert_eq!(ended.exit, Exit::Usage, "{ended:?}");
    assert!(ended.messages.contains("--expire-time"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_makes_no_key() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme").await;
    let ended = desk.ctl("agent-keys create --tenant acme --name bot --scopes all --dry-run").await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let none = desk.json("agent-keys list --tenant acme").await;
    assert_eq!(none.get("agentKeys"), None, "{none}");
}
