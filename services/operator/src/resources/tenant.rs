//! `Tenant`: a tenant of the installation, what it is called, what it overrides, and what becomes of it when its object goes.

use kube::{CustomResource, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};

use super::condition::{Condition, conditions_schema};
use super::settings::TenantSettings;

/// What becomes of a tenant, and of its clients at music services, when their objects are deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DeletionPolicy {
    /// It stays as it is in the installation.
    #[default]
    Retain,
    /// It is erased for good with its people and all that is theirs.
    Delete,
}

/// What a tenant is to be.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "stagedoor.dev",
    version = "v1alpha1",
    kind = "Tenant",
    plural = "tenants",
    namespaced,
    status = "TenantStatus",
    doc = "A tenant of a Stagedoor installation, brought about through its admin API.",
    shortname = "sdt",
    category = "stagedoor",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters"),
    validation = Rule::new("has(self.spec.slug) || self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$')").message("metadata.name is no slug (1 to 40 lower-case letters, digits and inner hyphens); set spec.slug"),
    validation = Rule::new("has(self.spec.slug) || self.metadata.name != 'platform'").message("platform is the installation's own tenant; take another name"),
    validation = Rule::new("!has(self.spec.installation) || !has(self.status) || !has(self.status.installation) || self.spec.installation == self.status.installation").message("the operator of another installation has this object; delete it, and make it with spec.installation"),
    printcolumn(name = "Slug", type_ = "string", json_path = ".status.slug"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".status.plan", priority = "1"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Synced", type_ = "string", json_path = ".status.conditions[?(@.type=='Synced')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = "1"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.installation) || (has(self.installation) && self.installation == oldSelf.installation)").message("installation cannot be changed once it is set; make another Tenant").field_path(".installation"))]
#[x_kube(validation = Rule::new("has(self.slug) == has(oldSelf.slug) && (!has(self.slug) || self.slug == oldSelf.slug)").message("slug cannot be changed: agents' addresses and audiences hold it; make another Tenant").field_path(".slug"))]
pub struct TenantSpec {
    /// The tenant's name in URLs: 1 to 40 lower-case letters, digits and inner hyphens; `metadata.name` if it is not set. It
    /// cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self != 'platform'").message("platform is the installation's own tenant; take another slug"))]
    pub slug: Option<String>,
    /// The installation that it is a tenant of (`operator.installation` of its operator's configuration); the one whose operator
    /// comes to it first if it is not set. What names this object follows it. It cannot be changed once it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub installation: Option<String>,
    /// What it is called; left as it is if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub display_name: Option<String>,
    /// Its plan; left as it is if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub plan: Option<String>,
    /// Whether its agents are refused; left as it is if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
    /// What it overrides. What is not named here is left as it is; what was named here once and is not any more is back at
    /// its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<TenantSettings>,
    /// What becomes of the tenant when this object is deleted. `Delete` erases it for good.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Takes over a tenant of that slug which nobody manages from here. The operator's configuration must allow it for the
    /// namespace (`operator.platform_namespaces`).
    #[serde(default)]
    pub adopt: bool,
}

/// What the operator knows of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// The generation of the object that was last brought about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How it stands.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The installation whose operator acts on the object: written before anything is done, and never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<String>,
    /// Its id in the installation, a UUID. Set once the object owns the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Its name in URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// `Active`, `Suspended`, `Deleting` or `Deleted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Where its agents connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Which settings this object has set, such as `limits.api`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_settings: Vec<String>,
}

impl Tenant {
    /// Its name in URLs.
    pub fn slug(&self) -> String {
        self.spec.slug.clone().unwrap_or_else(|| self.name_any())
    }

    /// The installation that it belongs to, if that is known.
    pub fn installation(&self) -> Option<&str> {
        let claimed = self.status.as_ref().and_then(|status| status.installation.as_deref());
        self.spec.installation.as_deref().or(claimed)
    }
}
