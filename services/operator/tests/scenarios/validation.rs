//! What the definitions refuse. Only an API server can tell: without one these are skipped, and say so.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use stagedoor_bootstrap::config::variable;

use crate::stage::{KUBECONFIG, Stage};

struct Refusals {
    stage: Stage,
}

impl Refusals {
    async fn start(name: &str) -> Option<Self> {
        if variable(KUBECONFIG).is_none() {
            eprintln!("SKIPPED: {KUBECONFIG} names no kubeconfig, and the stand-in checks no schemas");
            return None;
        }
        Some(Self { stage: Stage::start(name).await })
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let plural = format!("{}s", kind.to_ascii_lowercase());
        let resource = ApiResource {
            group: "stagedoor.dev".to_owned(),
            version: "v1alpha1".to_owned(),
            api_version: "stagedoor.dev/v1alpha1".to_owned(),
            kind: kind.to_owned(),
            plural,
        };
        Api::namespaced_with(self.stage.client.clone(), &self.stage.namespace, &resource)
    }

    async fn make(&self, kind: &str, name: &str, spec: Value) -> Result<(), String> {
        let mut object =
            DynamicObject::new(name, &ApiResource::erase::<stagedoor_operator::resources::Tenant>(&()));
        object.types = Some(kube::core::TypeMeta {
            api_version: "stagedoor.dev/v1alpha1".to_owned(),
            kind: kind.to_owned(),
        });
        object.data = json!({"spec": spec});
        let made = self.api(kind).create(&PostParams::default(), &object).await;
        made.map(drop).map_err(|error| error.to_string())
    }

    async fn change(&self, kind: &str, name: &str, spec: Value) -> Result<(), String> {
        let patch = Patch::Merge(json!({"spec": spec}));
        let changed = self.api(kind).patch(name, &PatchParams::default(), &patch).await;
        changed.map(drop).map_err(|error| error.to_string())
    }

    async fn refuses(&self, kind: &str, name: &str, spec: Value, told: &str) {
        let error = self.make(kind, name, spec.clone()).await.expect_err(&format!("{kind} {spec}"));
        assert!(error.contains(told), "{kind} {spec}: {error}");
    }

    async fn refuses_change(&self, kind: &str, name: &str, spec: Value, told: &str) {
        let error = self.change(kind, name, spec.clone()).await.expect_err(&format!("{kind} {spec}"));
        assert!(error.contains(told), "{kind} {spec}: {error}");
    }
}

#[tokio::test]
async fn tenants_that_cannot_be_are_refused() {
    let Some(refusals) = Refusals::start("refused-tenants").await else { return };
    for (name, spec, told) in [
        ("a", json!({"slug": "platform"}), "platform is the installation's own tenant"),
        ("platform", json!({}), "platform is the installation's own tenant"),
        ("a", json!({"slug": "Acme"}), "spec.slug"),
        ("a.b", json!({}), "metadata.name is no slug"),
        ("a", json!({"deletionPolicy": "Erase"}), "spec.deletionPolicy"),
        ("a", json!({"settings": {"retention": {"auditDays": 1}}}), "spec.settings.retention.auditDays"),
        ("a", json!({"settings": {"devices": {"newDevice": "maybe"}}}), "spec.settings.devices.newDevice"),
        (
            "a",
            json!({"settings": {"limits": {"api": {"quotas": [{"capacity": 1, "windowSeconds": 0}]}}}}),
            "windowSeconds",
        ),
    ] {
        refusals.refuses("Tenant", name, spec, told).await;
    }
    refusals.refuses("Tenant", &"n".repeat(64), json!({"slug": "long"}), "at most 63").await;
    refusals.make("Tenant", "acme", json!({"slug": "acme"})).await.unwrap();
    let told = "slug cannot be changed";
    refusals.refuses_change("Tenant", "acme", json!({"slug": "other"}), told).await;
    refusals.refuses_change("Tenant", "acme", json!({"slug": null}), told).await;
    refusals.change("Tenant", "acme", json!({"plan": "gold"})).await.unwrap();
}

#[tokio::test]
async fn clients_that_cannot_be_are_refused() {
    let Some(refusals) = Refusals::start("refused-apps").await else { return };
    let spec = |more: Value| {
        let mut spec = json!({"tenantRef": {"name": "acme"}, "provider": "tidal", "clientId": "x"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    for (more, told) in [
        (json!({"provider": "napster"}), "spec.provider"),
        (json!({"mode": "Extended"}), "only spotify has the mode Extended"),
        (json!({"clientId": "a b"}), "spec.clientId"),
        (json!({"publicClient": true, "clientSecretRef": {"name": "s"}}), "exclude each other"),
        (json!({"tenantRef": {"name": ""}}), "spec.tenantRef.name"),
    ] {
        refusals.refuses("ProviderApp", "a", spec(more), told).await;
    }
    refusals.make("ProviderApp", "tidal", spec(json!({}))).await.unwrap();
    for (change, told) in [
        (json!({"provider": "spotify"}), "provider cannot be changed"),
        (json!({"clientId": "y"}), "clientId cannot be changed"),
        (json!({"tenantRef": {"name": "other"}}), "tenantRef cannot be changed"),
    ] {
        refusals.refuses_change("ProviderApp", "tidal", change, told).await;
    }
    refusals.change("ProviderApp", "tidal", json!({"publicClient": true})).await.unwrap();
}

#[tokio::test]
async fn keys_that_cannot_be_are_refused() {
    let Some(refusals) = Refusals::start("refused-keys").await else { return };
    let spec = |more: Value| {
        let mut spec = json!({"tenantRef": {"name": "acme"}, "scopes": ["catalog:read"]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let person = "0199aaaa-0000-7000-8000-000000000001";
    for (more, told) in [
        (json!({"scopes": []}), "spec.scopes"),
        (json!({"scopes": ["all", "catalog:read"]}), "all stands alone"),
        (json!({"userId": person, "externalSubject": "robin"}), "exclude each other"),
        (
            json!({"expireTime": "2030-01-01T00:00:00Z", "lifetime": "2h"}),
            "expireTime and lifetime exclude each other",
        ),
        (json!({"expireTime": "tomorrow"}), "spec.expireTime"),
        (json!({"lifetime": "30d"}), "spec.lifetime"),
        (json!({"rotation": {"every": "1m", "overlap": "10s"}}), "every must be at least 5m"),
        (json!({"rotation": {"every": "720h", "overlap": "169h"}}), "overlap must be at most 168h"),
        (json!({"rotation": {"every": "1h"}}), "overlap must be shorter than every"),
        (
            json!({"lifetime": "24h", "rotation": {"every": "24h", "overlap": "1h"}}),
            "lifetime must be at least",
        ),
        (json!({"secretName": "Up"}), "spec.secretName"),
    ] {
        refusals.refuses("AgentKey", "a", spec(more), told).await;
    }
    let whole = json!({
        "userId": person, "keyName": "desk", "secretName": "desk-key", "lifetime": "25h",
        "rotation": {"every": "24h", "overlap": "1h"},
    });
    refusals.make("AgentKey", "desk", spec(whole)).await.unwrap();
    for (change, told) in [
        (json!({"userId": null}), "userId cannot be changed"),
        (json!({"keyName": "other"}), "keyName cannot be changed"),
        (json!({"secretName": null}), "secretName cannot be changed"),
        (json!({"mode": "Test"}), "mode cannot be changed"),
        (json!({"tenantRef": {"name": "other"}}), "tenantRef cannot be changed"),
    ] {
        refusals.refuses_change("AgentKey", "desk", change, told).await;
    }
    refusals.change("AgentKey", "desk", json!({"scopes": ["all"], "readOnly": true})).await.unwrap();
}
