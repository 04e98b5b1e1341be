//! What a tenant's own admin and an auditor can do, and how a refusal ends.

use stagedoor_ctl::Exit;
use stagedoor_storage::admin_keys::AdminRole;

use super::{Desk, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_admin_runs_its_own_tenant_only() {
    let desk = Desk::set().await;
    for tenant in ["acme", "birch"] {
        desk.json(&format!("tenants create --tenant {tenant}")).await;
    }
    let made =
        desk.json("admin-keys create-for-tenant --tenant acme --name theirs --role tenant-admin").await;
    let key = text(&made, "/secret").to_owned();
    let caller = desk.json_as(&key, "caller get").await;
    assert_eq!((text(&caller, "/role"), text(&caller, "/tenant")), ("ROLE_TENANT_ADMIN", "acme"));
    desk.json_as(&key, "users create --tenant acme --label Robin").await;
    let foreign = desk.ctl_as(&key, "users list --tenant birch").await;
    let unknown = desk.ctl_as(&key, "users list --tenant nobody").await;
    assert_eq!(foreign.exit, Exit::NotFound, "{foreign:?}");
    assert_eq!(
        foreign.messages.replace("birch", "nobody"),
        unknown.messages,
        "a foreign tenant looks missing"
    );
    let platform = desk.ctl_as(&key, "tenants list").await;
    assert_eq!(platform.exit, Exit::NotPermitted, "{platform:?}");
    assert!(platform.messages.contains("caller get"), "{platform:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_reads_and_changes_nothing() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme").await;
    let key = desk.stage.admin_key(AdminRole::Auditor, None).await;
    desk.json_as(&key, "tenants list").await;
    let ended = desk.ctl_as(&key, "tenants suspend --tenant acme --reason no").await;
    assert_eq!(ended.exit, Exit::NotPermitted, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_without_an_admin_key() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme").await;
    let agent = desk.json("agent-keys create --tenant acme --name bot --scopes all").await;
    for key in ["sd_admin_nonsense", text(&agent, "/secret")] {
        let ended = desk.ctl_as(key, "tenants list").await;
        assert_eq!(ended.exit, Exit::NotPermitted, "{ended:?}");
        assert!(ended.messages.contains("--key-file") && !ended.messages.contains(key), "{ended:?}");
    }
}
