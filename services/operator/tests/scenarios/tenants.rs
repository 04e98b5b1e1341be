//! Tenants: made, changed, changed back, suspended, left or erased.

use serde_json::json;
use stagedoor_operator::resources::Tenant;
use stagedoor_proto::admin::v1::TenantState;

use crate::stage::{Stage, until};

#[tokio::test]
async fn a_tenant_is_made_and_kept_as_its_object_says() {
    let stage = Stage::start("tenant-made").await;
    let running = stage.operator("one");
    stage
        .make::<Tenant>(
            "acme",
            json!({"displayName": "Acme", "plan": "gold", "settings": {"concurrentCalls": 4, "limits": {"api": {"quotas": [{"capacity": 9, "windowSeconds": 60}]}}}}),
        )
        .await;
    let tenant = stage.ready::<Tenant>("acme", "Available").await;
    let status = tenant.status.clone().unwrap();
    assert_eq!(status.endpoint.as_deref(), Some("https://music.example.com/t/acme/mcp"));
    assert_eq!((status.state.as_deref(), status.plan.as_deref()), (Some("Active"), Some("gold")));
    assert_eq!(status.observed_generation, tenant.metadata.generation);
    assert_eq!(status.managed_settings, ["concurrent_calls", "limits.api"]);
    assert_eq!(tenant.metadata.finalizers.as_deref(), Some(&["stagedoor.dev/operator".to_owned()][..]));
    {
        let seen = stage.installation().seen();
        assert_eq!((seen.tenants["acme"].name.as_str(), seen.count("CreateTenant")), ("Acme", 1));
        assert_eq!(seen.settings["acme"]["limits"]["api"]["quotas"][0]["capacity"], 9);
    }
    stage.event("TenantCreated").await;

    // Changed: one member goes from the object, and back to its default; what others set stays.
    stage.installation().seen().settings.get_mut("acme").unwrap()["retention"] = json!({"audit_days": 100});
    stage.change::<Tenant>("acme", json!({"plan": "silver", "settings": {"concurrentCalls": null}})).await;
    stage.ready::<Tenant>("acme", "Available").await;
    until("the change is there", async || {
        let seen = stage.installation().seen();
        let settings = &seen.settings["acme"];
        let done = seen.tenants["acme"].plan == "silver" && settings["concurrent_calls"].is_null();
        (done && settings["retention"]["audit_days"] == 100).then_some(())
    })
    .await;
    running.end().await;
}

#[tokio::test]
async fn what_someone_changed_by_hand_is_changed_back_and_what_is_not_named_is_left() {
    let stage = Stage::start("tenant-drift").await;
    let running = stage.operator("one");
    stage.make::<Tenant>("acme", json!({"plan": "gold", "suspended": false})).await;
    stage.ready::<Tenant>("acme", "Available").await;
    {
        let mut seen = stage.installation().seen();
        let tenant = seen.tenants.get_mut("acme").unwrap();
        tenant.plan = "iron".to_owned();
        tenant.name = "By hand".to_owned();
        tenant.state = TenantState::Suspended.into();
    }
    until("it is changed back", async || {
        let seen = stage.installation().seen();
        let tenant = &seen.tenants["acme"];
        (tenant.plan == "gold" && tenant.state() == TenantState::Active && tenant.name == "By hand")
            .then_some(())
    })
    .await;
    assert!(stage.event("DriftCorrected").await.contains("plan"));
    assert!(
        running.metric("stagedoor_operator_changes_total{kind=\"Tenant\",change=\"drift_corrected\"}") > 0
    );
    running.end().await;
}

#[tokio::test]
async fn a_suspended_tenant_is_not_ready_and_says_why() {
    let stage = Stage::start("tenant-suspended").await;
    let running = stage.operator("one");
    stage.make::<Tenant>("acme", json!({"suspended": true})).await;
    stage.ready::<Tenant>("acme", "Suspended").await;
    stage.change::<Tenant>("acme", json!({"suspended": false})).await;
    stage.ready::<Tenant>("acme", "Available").await;
    running.end().await;
}

#[tokio::test]
async fn a_deleted_object_leaves_its_tenant_where_it_is_to_be_retained() {
    let stage = Stage::start("tenant-retained").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    stage.delete::<Tenant>("acme").await;
    stage.gone::<Tenant>("acme").await;
    assert_eq!(stage.installation().seen().tenants["acme"].state(), TenantState::Active);
    assert_eq!(stage.installation().seen().count("DeleteTenant"), 0);
    running.end().await;
}

#[tokio::test]
async fn a_deleted_object_goes_when_its_tenant_is_erased_where_that_is_its_policy() {
    let stage = Stage::start("tenant-erased").await;
    let mut config = stage.config();
    config.resync_seconds = 1;
    let running = stage.operator_with("one", config);
    stage.make::<Tenant>("acme", json!({"deletionPolicy": "Delete"})).await;
    stage.ready::<Tenant>("acme", "Available").await;
    stage.delete::<Tenant>("acme").await;
    stage.ready::<Tenant>("acme", "Erasing").await;
    assert_eq!(stage.installation().seen().tenants["acme"].state(), TenantState::Deleting);
    stage.installation().seen().tenants.get_mut("acme").unwrap().state = TenantState::Deleted.into();
    stage.gone::<Tenant>("acme").await;
    assert_eq!(stage.installation().seen().count("DeleteTenant"), 1);
    running.end().await;
}

#[tokio::test]
async fn a_tenant_that_was_made_elsewhere_is_neither_changed_nor_erased_unless_it_may_be_adopted() {
    let stage = Stage::start("tenant-adopted").await;
    let running = stage.operator("one");
    stage.tenant("acme").await;
    running.end().await;
    {
        // As if someone had made it by hand.
        let mut seen = stage.installation().seen();
        seen.requests.clear();
        let mut other = seen.tenants["acme"].clone();
        other.tenant = "other".to_owned();
        other.tenant_id = "made-by-hand".to_owned();
        seen.tenants.insert("other".to_owned(), other);
    }
    let running = stage.operator("two");
    stage.make::<Tenant>("other", json!({"plan": "gold", "deletionPolicy": "Delete", "adopt": true})).await;
    stage.ready::<Tenant>("other", "TenantExists").await;
    stage.delete::<Tenant>("other").await;
    stage.gone::<Tenant>("other").await;
    assert_eq!(stage.installation().seen().tenants["other"].plan, "standard");
    assert_eq!(stage.installation().seen().tenants["other"].state(), TenantState::Active);
    running.end().await;

    let mut config = stage.config();
    config.platform_namespaces = vec![stage.namespace.clone()];
    let running = stage.operator_with("three", config);
    stage.make::<Tenant>("other", json!({"plan": "gold", "adopt": true})).await;
    let adopted = stage.ready::<Tenant>("other", "Available").await;
    assert_eq!(adopted.status.unwrap().tenant_id.as_deref(), Some("made-by-hand"));
    assert_eq!(stage.installation().seen().tenants["other"].plan, "gold");
    running.end().await;
}

#[tokio::test]
async fn of_two_objects_with_one_slug_the_first_has_it() {
    let stage = Stage::start("tenant-claims").await;
    let running = stage.operator("one");
    stage.make::<Tenant>("first", json!({"slug": "acme"})).await;
    stage.ready::<Tenant>("first", "Available").await;
    stage.make::<Tenant>("second", json!({"slug": "acme", "deletionPolicy": "Delete"})).await;
    stage.ready::<Tenant>("second", "SlugTaken").await;
    stage.delete::<Tenant>("second").await;
    stage.gone::<Tenant>("second").await;
    assert_eq!(stage.installation().seen().tenants["acme"].state(), TenantState::Active);
    running.end().await;
}

#[tokio::test]
async fn another_tenant_that_took_the_slug_is_neither_changed_nor_erased() {
    let stage = Stage::start("tenant-other-id").await;
    let running = stage.operator("one");
    stage.make::<Tenant>("acme", json!({"plan": "gold", "deletionPolicy": "Delete"})).await;
    stage.ready::<Tenant>("acme", "Available").await;
    {
        let mut seen = stage.installation().seen();
        let tenant = seen.tenants.get_mut("acme").unwrap();
        tenant.tenant_id = "of-someone-else".to_owned();
        tenant.plan = "theirs".to_owned();
    }
    stage.ready::<Tenant>("acme", "TenantExists").await;
    stage.delete::<Tenant>("acme").await;
    stage.gone::<Tenant>("acme").await;
    let tenant = stage.installation().seen().tenants["acme"].clone();
    assert_eq!((tenant.plan.as_str(), tenant.state()), ("theirs", TenantState::Active));
    running.end().await;
}
