//! The same against an installation that runs: `STAGEDOOR_E2E_ADMIN_URL` and `STAGEDOOR_E2E_ADMIN_KEY_FILE` name its admin API
//! and a platform operator's key, such as those of `./dev demo`. Without them it is skipped, and says so.

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use stagedoor_bootstrap::Health;
use stagedoor_bootstrap::config::{OperatorConfig, variable};
use stagedoor_bootstrap::health::Importance;
use stagedoor_domain::Clock;
use stagedoor_operator::admin::AdminApi;
use stagedoor_operator::metrics::OperatorMetrics;
use stagedoor_operator::resources::{AgentKey, ProviderApp, Tenant};
use stagedoor_proto::admin::v1::{
    GetAgentKeyRequest, GetProviderAppRequest, GetSettingsRequest, GetTenantRequest, KeyState,
    RevokeAgentKeyRequest, TenantState, UpdateAgentKeyRequest, UpdateTenantRequest,
};

use crate::stage::{Stage, until};

const ADMIN_URL: &str = "STAGEDOOR_E2E_ADMIN_URL";
const ADMIN_KEY_FILE: &str = "STAGEDOOR_E2E_ADMIN_KEY_FILE";

fn real(stage: &Stage) -> Option<OperatorConfig> {
    let (Some(url), Some(file)) = (variable(ADMIN_URL), variable(ADMIN_KEY_FILE)) else {
        eprintln!("SKIPPED: {ADMIN_URL} and {ADMIN_KEY_FILE} name no installation");
        return None;
    };
    Some(OperatorConfig { admin_url: url, admin_key_file: Some(file.into()), ..stage.config() })
}

#[tokio::test]
async fn objects_are_brought_about_kept_and_taken_back_in_a_real_installation() {
    let stage = Stage::start("real").await;
    let Some(config) = real(&stage) else { return };
    let check = Health::new().register("admin_api", Importance::Informative);
    let clock: std::sync::Arc<dyn Clock> = stage.clock.clone();
    let admin = AdminApi::new(&config, std::sync::Arc::new(OperatorMetrics::new()), clock, check).unwrap();
    let slug = format!("e2e-{}", stage.clock.now().timestamp_millis());
    let running = stage.operator_with("one", config);

    let settings = json!({
        "limits": {"api": {"quotas": [{"capacity": 60, "windowSeconds": 60}]}},
        "policyGates": {"spotify": {"gates": {"transfer": true}}},
        "cacheTtlSeconds": {"search": 0},
        "concurrentCalls": 4,
    });
    let spec = json!({"slug": slug, "displayName": "End to end", "plan": "gold", "deletionPolicy": "Delete", "settings": settings});
    stage.make::<Tenant>("acme", spec).await;
    stage.ready::<Tenant>("acme", "Available").await;
    let get = GetTenantRequest { tenant: slug.clone() };
    let tenant = admin.call(get.clone()).await.unwrap();
    assert_eq!((tenant.plan.as_str(), tenant.name.as_str()), ("gold", "End to end"));
    let stored = admin.call(GetSettingsRequest { tenant: slug.clone(), effective: false }).await.unwrap();
    assert_eq!(
        (stored.concurrent_calls, stored.limits.len(), stored.cache_ttl_seconds["search"]),
        (Some(4), 1, 0)
    );

    stage.secret("client", "clientSecret", "0123456789abcdef").await;
    let app = json!({"tenantRef": {"name": "acme"}, "provider": "spotify", "clientId": "5f1c", "clientSecretRef": {"name": "client"}});
    stage.make::<ProviderApp>("spotify", app).await;
    stage.ready::<ProviderApp>("spotify", "Available").await;
    let app = GetProviderAppRequest { tenant: slug.clone(), provider: 1 };
    assert!(admin.call(app.clone()).await.unwrap().has_client_secret);

    let key = json!({
        "tenantRef": {"name": "acme"}, "scopes": ["all"], "lifetime": "720h", "allowedNetworks": ["192.0.2.1"],
        "rotation": {"every": "24h", "overlap": "1h"},
    });
    stage.make::<AgentKey>("desk", key).await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    let held = async || stage.secret_text("desk", "keyId").await;
    let first = held().await.unwrap();
    let look = |id: &str| GetAgentKeyRequest { tenant: slug.clone(), key_id: id.to_owned() };
    let made = admin.call(look(&first)).await.unwrap();
    assert_eq!(
        (made.state(), made.allowed_networks.as_slice()),
        (KeyState::Active, &["192.0.2.1/32".to_owned()][..])
    );

    // What nobody changes is not written again.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let quiet = running
        .metric("stagedoor_operator_changes_total{kind=\"AgentKey\",change=\"drift_corrected\"}")
        + running.metric("stagedoor_operator_changes_total{kind=\"Tenant\",change=\"drift_corrected\"}")
        + running.metric("stagedoor_operator_changes_total{kind=\"ProviderApp\",change=\"drift_corrected\"}");
    assert_eq!(quiet, 0, "{:?}", stage.events().await);

    // Changed by hand, and changed back.
    let mask = |path: &str| Some(prost_types::FieldMask { paths: vec![path.to_owned()] });
    let plan = UpdateTenantRequest {
        tenant: slug.clone(),
        plan: "iron".to_owned(),
        update_mask: mask("plan"),
        ..Default::default()
    };
    admin.call(plan).await.unwrap();
    let narrow = UpdateAgentKeyRequest {
        tenant: slug.clone(),
        key_id: first.clone(),
        scopes: vec!["catalog:read".to_owned()],
        update_mask: mask("scopes"),
        ..Default::default()
    };
    admin.call(narrow).await.unwrap();
    until("both are changed back", async || {
        let plan = admin.call(get.clone()).await.unwrap().plan == "gold";
        let scopes = admin.call(look(&first)).await.unwrap().scopes.len() > 1;
        (plan && scopes).then_some(())
    })
    .await;

    // The Secret is lost: another key, while the first goes on; then that is revoked by hand.
    stage.delete::<Secret>("desk").await;
    let second = until("there is another key", async || held().await.filter(|id| *id != first)).await;
    assert_eq!(admin.call(look(&first)).await.unwrap().state(), KeyState::Active);
    let revoke = RevokeAgentKeyRequest { tenant: slug.clone(), key_id: second.clone(), ..Default::default() };
    admin.call(revoke).await.unwrap();
    let third = until("there is a third key", async || held().await.filter(|id| *id != second)).await;

    stage.delete::<AgentKey>("desk").await;
    stage.gone::<AgentKey>("desk").await;
    assert_eq!(admin.call(look(&third)).await.unwrap().state(), KeyState::Revoked);
    stage.delete::<ProviderApp>("spotify").await;
    stage.gone::<ProviderApp>("spotify").await;
    assert!(admin.call(app).await.unwrap_err().is_missing());
    stage.delete::<Tenant>("acme").await;
    until("the tenant is erased", async || match admin.call(get.clone()).await {
        Ok(tenant) => matches!(tenant.state(), TenantState::Deleting | TenantState::Deleted).then_some(()),
        Err(failure) => failure.is_missing().then_some(()),
    })
    .await;
    running.end().await;
}
