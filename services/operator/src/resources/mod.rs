//! The custom resources of group `stagedoor.dev`: what people write, what the operator answers in `status`, and the manifests
//! of their definitions. All three kinds live in namespaces, so that a team's rights on its namespace are its rights on its
//! tenants, and an object names others of its own namespace only.

#![expect(unreachable_pub, reason = "what kube's derive writes for a schema is public inside of a function")]

mod agent_key;
mod condition;
mod provider_app;
mod settings;
mod span;
mod tenant;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{CustomResourceExt, KubeSchema};
use serde::{Deserialize, Serialize};

pub use agent_key::{AgentKey, AgentKeySpec, AgentKeyStatus, KeyMode, Rotation};
pub use condition::{Condition, ConditionType, condition, set_condition};
pub use provider_app::{
    AppMode, MusicService, ProviderApp, ProviderAppSpec, ProviderAppStatus, SecretKeyRef,
};
pub use settings::{
    AuditSettings, DefaultCache, DefaultPreferences, DefaultPrivacy, DefaultSearch, DevicePolicy, GateList,
    PenaltyList, PenaltyStep, PrivacyTerms, Quota, QuotaList, Retention, TenantSettings,
};
pub use span::Span;
pub use tenant::{DeletionPolicy, Tenant, TenantSpec, TenantStatus};

/// The group of the resources.
pub const GROUP: &str = "stagedoor.dev";

/// Names a `Tenant` object of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantRef {
    /// The name of the `Tenant` object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The definitions of all kinds, in the order in which they depend on each other.
pub fn definitions() -> [CustomResourceDefinition; 3] {
    let mut definitions = [Tenant::crd(), ProviderApp::crd(), AgentKey::crd()];
    for version in definitions.iter_mut().flat_map(|definition| &mut definition.spec.versions) {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            plain(schema);
        }
    }
    definitions
}

/// Kubernetes knows signed numbers only and warns of other formats; the schema's `minimum` says the same.
fn plain(schema: &mut JSONSchemaProps) {
    // Nothing here is ever null: what is not set is left out.
    schema.nullable = None;
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = Some("int64".to_owned());
    }
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(plain);
    match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(inner)) => plain(inner),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => {}
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(inner)) => plain(inner),
        Some(JSONSchemaPropsOrArray::Schemas(inner)) => inner.iter_mut().for_each(plain),
        None => {}
    }
}

/// The manifest of a definition as YAML, and the name of its file.
///
/// # Errors
/// None that is known: definitions are plain data.
pub fn manifest(definition: &CustomResourceDefinition) -> Result<(String, String), serde_saphyr::ser::Error> {
    let name = format!("{GROUP}_{}.yaml", definition.spec.names.plural);
    let yaml = serde_saphyr::to_string(definition)?;
    let head = "# Written by `stagedoor-operator crds`; a test compares. Change services/operator/src/resources instead.\n";
    Ok((name, format!("{head}{yaml}")))
}
