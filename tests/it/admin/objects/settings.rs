//! What a tenant overrides.

use serde_json::{Value, json};
use stagedoor_domain::TenantSettings;
use stagedoor_storage::admin_keys::AdminRole;

use crate::admin::frame::{office, reason, wrong_fields};
use crate::limits_hot_reload::until;

#[tokio::test]
async fn only_what_is_named_is_changed_and_slips_are_told_with_their_place() {
    let office = office().await;
    let acme = office.stage.tenant("acme", TenantSettings::default()).await;
    let admin = &office.operator;
    let own = office.caller(AdminRole::TenantAdmin, Some(&acme)).await;
    let limits = json!({ "tenantLimits": { "api": { "quotas": [{ "capacity": 5, "windowSeconds": 60 }] } } });
    for (named, settings, refused) in [
        ("tenantLimits", limits, true),
        ("concurrentCalls", json!({ "concurrentCalls": 7 }), true),
        // Handed back as it is.
        ("policyGates", json!({}), false),
        ("cacheTtlSeconds", json!({}), false),
    ] {
        let request = json!({ "tenant": "acme", "settings": settings, "updateMask": named });
        let done = own.call("SettingsService/UpdateSettings", request).await;
        assert_eq!(done.is_err(), refused, "{named}: {done:?}");
    }
    let store =
        r#"UPDATE tenants SET settings = '{"later": {"x": 1}, "concurrent_calls": 7}' WHERE slug = 'acme'"#;
    office.stage.sql(store).await;
    let update = async |settings: Value, mask: &str| {
        let request = json!({ "tenant": "acme", "settings": settings, "updateMask": mask });
        admin.call("SettingsService/UpdateSettings", request).await
    };
    let stored = async || {
        let text = office.stage.sql("SELECT settings FROM tenants WHERE slug = 'acme'").await;
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let limits = json!({ "limits": { "api": { "quotas": [{ "capacity": 5, "windowSeconds": 60 }] } } });
    let updated = update(limits.clone(), "").await.unwrap();
    assert_eq!((&updated["limits"], &updated["concurrentCalls"]), (&limits["limits"], &json!(7)));
    let wanted = json!({ "later": { "x": 1 }, "concurrent_calls": 7,
        "limits": { "api": [{ "capacity": 5, "window_seconds": 60 }] } });
    assert_eq!(stored().await, wanted, "what this version does not know stays");

    let devices = json!({ "devices": { "newDevice": "refuse", "tooMany": "refuse" } });
    update(devices, "devices.newDevice").await.unwrap();
    assert_eq!(stored().await["devices"], json!({ "new_device": "refuse" }));
    update(json!({}), "concurrentCalls,devices").await.unwrap();
    assert_eq!((stored().await.get("concurrent_calls"), stored().await.get("devices")), (None, None));

    let wrong = json!({
        "limits": { "serch": { "quotas": [{ "capacity": 1, "windowSeconds": 0 }] } },
        "retention": { "auditDays": 1 },
        "devices": { "newDevice": "forbid" },
    });
    let told = wrong_fields(&update(json!({ "limits": wrong["limits"] }), "").await.unwrap_err());
    assert_eq!(told, ["settings.limits.serch[0].window_seconds"]);
    let rest = json!({ "retention": wrong["retention"], "devices": wrong["devices"] });
    let mut told = wrong_fields(&update(rest, "").await.unwrap_err());
    told.sort();
    assert_eq!(told, ["settings.devices.new_device", "settings.retention.audit_days"]);
    let unknown = update(json!({}), "nonsense").await.unwrap_err();
    assert_eq!(wrong_fields(&unknown), ["update_mask"]);

    let now = admin.call("SettingsService/GetSettings", json!({ "tenant": "acme" })).await.unwrap();
    let seen = json!({ "tenant": "acme", "settings": { "concurrentCalls": 1 }, "etag": now["etag"] });
    admin.call("SettingsService/UpdateSettings", seen).await.unwrap();
    let stale = json!({ "tenant": "acme", "settings": { "concurrentCalls": 2 }, "etag": updated["etag"] });
    let stale = admin.call("SettingsService/UpdateSettings", stale).await.unwrap_err();
    assert_eq!(&*reason(&stale), "ETAG_MISMATCH");

    let effective = json!({ "tenant": "acme", "effective": true });
    let effective = admin.call("SettingsService/GetSettings", effective).await.unwrap();
    assert_eq!(effective["limits"]["search"]["quotas"][0]["capacity"], 20);
    assert_eq!(effective["retention"]["auditDays"], 90);
}

#[tokio::test]
async fn a_gate_that_is_opened_is_open_without_a_restart() {
    let office = office().await;
    let acme = office.stage.inhabit("acme").await;
    let client = office.gateway.client("acme", &acme.key);
    let verdict = async || client.tool("search_all", json!({ "query": "a" })).await.verdict();
    assert_eq!(verdict().await, "200 policy_gate_closed");
    let open = json!({ "tenant": "acme",
        "settings": { "policyGates": { "spotify": { "gates": { "cross_provider_view": true } } } },
        "updateMask": "policyGates.spotify.crossProviderView" });
    office.operator.call("SettingsService/UpdateSettings", open).await.unwrap();
    until("the gate open", async || verdict().await == "200 ok").await;
    let close = json!({ "tenant": "acme", "settings": {}, "updateMask": "policyGates" });
    office.operator.call("SettingsService/UpdateSettings", close).await.unwrap();
    until("the gate closed", async || verdict().await == "200 policy_gate_closed").await;
}
