//! A tenant's log of a day that is full: reads stop, changes and what is about the trail itself go on.

use serde_json::json;
use stagedoor_domain::TenantSettings;
use stagedoor_domain::policy::AuditSettings;
use stagedoor_testkit::{Stage, TestGateway, generous};

use crate::music;

#[tokio::test]
async fn a_full_log_stops_reads_before_it_stops_evidence() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let audit = AuditSettings { max_log_size_bytes: Some(1_024) };
    let ada = stage.inhabit_with("ada", TenantSettings { audit, ..generous() }).await;
    let bob = stage.inhabit("bob").await;
    let (client, neighbour) = (music::client(&gateway, &ada), music::client(&gateway, &bob));
    // Whatever is written first takes more than that.
    client.call("playlist_create", json!({ "name": "One", "provider": "spotify" })).await;
    gateway.flush_audit().await;

    let refused = client.tool("accounts_list", json!({})).await;
    assert_eq!(refused.code().as_deref(), Some("audit_log_full"), "{}", refused.text());
    assert!(refused.text().contains("retry_after_seconds"), "{}", refused.text());
    client.call("playlist_create", json!({ "name": "Two", "provider": "spotify" })).await;
    let found = client.call("audit_query", json!({ "tool": "playlist_create", "outcome": "ok" })).await;
    assert_eq!(found["records"].as_array().unwrap().len(), 2, "changes are on record: {found}");
    neighbour.call("accounts_list", json!({})).await;
    assert!(gateway.metric("audit_log_full").await >= 1);
    assert_eq!(ada.tenant.verify_chain().await.faults, []);

    let raised = json!({ "max_log_size_bytes": 0 });
    stage
        .sql(&format!(
            "UPDATE tenants SET settings = jsonb_set(settings, '{{audit}}', '{raised}') WHERE tenant_id = '{}'",
            ada.tenant.id()
        ))
        .await;
    // Seen within a second, as every change of a tenant.
    while client.tool("accounts_list", json!({})).await.code().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
