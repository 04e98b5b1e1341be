//! `AgentKey`: a key with which agents call a tenant's endpoint, held in a Secret that the operator writes and rotates.

use kube::{CustomResource, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};

use super::TenantRef;
use super::condition::{Condition, conditions_schema};
use super::span::Span;

/// What a key is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum KeyMode {
    /// The real thing: `sd_live_…`.
    #[default]
    Live,
    /// For trying out: `sd_test_…`.
    Test,
}

/// When a key is replaced by a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("duration(self.every) >= duration('5m')").message("every must be at least 5m").field_path(".every"))]
#[x_kube(validation = Rule::new("duration(self.overlap) <= duration('168h')").message("overlap must be at most 168h (7 days)").field_path(".overlap"))]
#[x_kube(validation = Rule::new("duration(self.overlap) < duration(self.every)").message("overlap must be shorter than every: no third key may be active").field_path(".overlap"))]
pub struct Rotation {
    /// How old a key becomes, such as `720h`.
    pub every: Span,
    /// How long the old key goes on beside the new one: at most `168h`; `24h` if it is not set.
    #[serde(default = "usual_overlap")]
    pub overlap: Span,
}

fn usual_overlap() -> Span {
    Span(std::time::Duration::from_hours(24))
}

/// What a key is to be.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "stagedoor.dev",
    version = "v1alpha1",
    kind = "AgentKey",
    plural = "agentkeys",
    namespaced,
    status = "AgentKeyStatus",
    doc = "A key with which agents call a tenant's endpoint, held in a Secret that the operator writes and rotates.",
    shortname = "sdak",
    category = "stagedoor",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters"),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenantRef.name"),
    printcolumn(name = "Key ID", type_ = "string", json_path = ".status.keyId"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Synced", type_ = "string", json_path = ".status.conditions[?(@.type=='Synced')].status", priority = "1"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = "1"),
    printcolumn(name = "Rotates", type_ = "date", json_path = ".status.rotateTime", priority = "1"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expireTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.userId) && has(self.externalSubject))").message("userId and externalSubject exclude each other: a key acts for one person").field_path(".externalSubject"))]
#[x_kube(validation = Rule::new("!(has(self.expireTime) && has(self.lifetime))").message("expireTime and lifetime exclude each other").field_path(".lifetime"))]
#[x_kube(validation = Rule::new("!has(self.lifetime) || !has(self.rotation) || duration(self.lifetime) >= duration(self.rotation.every) + duration(self.rotation.overlap)").message("lifetime must be at least rotation.every and rotation.overlap together: else the key ends before it is replaced").field_path(".lifetime"))]
#[x_kube(validation = Rule::new("has(self.userId) == has(oldSelf.userId) && (!has(self.userId) || self.userId == oldSelf.userId)").message("userId cannot be changed: what a key did is told by key; make another AgentKey").field_path(".userId"))]
#[x_kube(validation = Rule::new("has(self.externalSubject) == has(oldSelf.externalSubject) && (!has(self.externalSubject) || self.externalSubject == oldSelf.externalSubject)").message("externalSubject cannot be changed; make another AgentKey").field_path(".externalSubject"))]
#[x_kube(validation = Rule::new("has(self.keyName) == has(oldSelf.keyName) && (!has(self.keyName) || self.keyName == oldSelf.keyName)").message("keyName cannot be changed; make another AgentKey").field_path(".keyName"))]
#[x_kube(validation = Rule::new("has(self.secretName) == has(oldSelf.secretName) && (!has(self.secretName) || self.secretName == oldSelf.secretName)").message("secretName cannot be changed; make another AgentKey").field_path(".secretName"))]
pub struct AgentKeySpec {
    /// The tenant. It cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("tenantRef cannot be changed; make another AgentKey"))]
    pub tenant_ref: TenantRef,
    /// The tenant's name for the key; `NAMESPACE/NAME` of this object if it is not set. No other key has it. It cannot be
    /// changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub key_name: Option<String>,
    /// What it is for. It cannot be changed.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("mode cannot be changed; make another AgentKey"))]
    pub mode: KeyMode,
    /// What it may do, such as `catalog:read`; `all` alone for everything.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(validation = Rule::new("!self.exists(scope, scope == 'all') || size(self) == 1").message("all stands alone"))]
    pub scopes: Vec<String>,
    /// Which tools it is shown; all if the list is empty; left as it is if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub toolsets: Option<Vec<String>>,
    /// Whether tools that write are withheld.
    #[serde(default)]
    pub read_only: bool,
    /// The person whom it acts for, by id. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 36, max = 36),
        regex(pattern = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
    )]
    pub user_id: Option<String>,
    /// The person whom it acts for, by the subject of the person's tokens. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub external_subject: Option<String>,
    /// The networks that it may call from, such as `192.0.2.0/24`; any if the list is empty; left as they are if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 2, max = 64)))]
    pub allowed_networks: Option<Vec<String>>,
    /// When it ends for good (RFC 3339), however often it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 64))]
    pub expire_time: Option<String>,
    /// How long each key works from its making, such as `2160h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Span>,
    /// When it is replaced by a new one; never if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// The Secret that holds it; `metadata.name` if it is not set. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub secret_name: Option<String>,
}

/// What the operator knows of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentKeyStatus {
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
    /// The tenant's name in URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The Secret that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// The public part of the key that the Secret holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The public part of the key before, while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_key_id: Option<String>,
    /// When the key before ends (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_expire_time: Option<String>,
    /// When the key was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_time: Option<String>,
    /// When the key ends (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<String>,
    /// When the key is replaced (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_time: Option<String>,
}

/// The longest name that a key may have.
const LONGEST_NAME: usize = 100;

impl AgentKey {
    /// The Secret that holds the key.
    pub fn secret_name(&self) -> String {
        self.spec.secret_name.clone().unwrap_or_else(|| self.name_any())
    }

    /// The key's name in the admin API: no other key has it. What is too long for a name ends with a digest of itself.
    pub fn key_name(&self) -> String {
        if let Some(name) = &self.spec.key_name {
            return name.clone();
        }
        let name = format!("{}/{}", self.namespace().unwrap_or_default(), self.name_any());
        if name.len() <= LONGEST_NAME {
            return name;
        }
        let digest = stagedoor_crypto::digest::sha256(&[name.as_bytes()]);
        let digest = u64::from_be_bytes(std::array::from_fn(|index| digest[index]));
        let head: String = name.chars().take(LONGEST_NAME - 17).collect();
        format!("{head}~{digest:016x}")
    }
}
