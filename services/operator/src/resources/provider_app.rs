//! `ProviderApp`: a tenant's own client at a music service. Its secret is in a Secret, never here.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::TenantRef;
use super::condition::{Condition, conditions_schema};
use super::tenant::DeletionPolicy;

/// A music service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MusicService {
    /// Spotify.
    Spotify,
    /// Tidal.
    Tidal,
}

impl MusicService {
    /// Its name, such as `spotify`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spotify => "spotify",
            Self::Tidal => "tidal",
        }
    }
}

/// The provider's tier of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum AppMode {
    /// Spotify's development mode; Tidal's only mode.
    Development,
    /// Spotify's extended quota mode.
    Extended,
}

/// A key of a Secret of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it; `clientSecret` if it is not set.
    #[serde(default = "usual_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn usual_key() -> String {
    "clientSecret".to_owned()
}

/// What a tenant's client is to be.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "stagedoor.dev",
    version = "v1alpha1",
    kind = "ProviderApp",
    plural = "providerapps",
    namespaced,
    status = "ProviderAppStatus",
    doc = "A tenant's own client at a music service, brought about through the admin API of a Stagedoor installation.",
    shortname = "sdpa",
    category = "stagedoor",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters"),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenantRef.name"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Synced", type_ = "string", json_path = ".status.conditions[?(@.type=='Synced')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = "1"),
    printcolumn(name = "Redirect URI", type_ = "string", json_path = ".status.redirectUri", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.clientSecretRef) && has(self.publicClient) && self.publicClient)").message("clientSecretRef and publicClient exclude each other: a public client has no secret").field_path(".clientSecretRef"))]
#[x_kube(validation = Rule::new("!has(self.mode) || self.mode != 'Extended' || self.provider == 'spotify'").message("only spotify has the mode Extended").field_path(".mode"))]
pub struct ProviderAppSpec {
    /// The tenant. It cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("tenantRef cannot be changed; make another ProviderApp"))]
    pub tenant_ref: TenantRef,
    /// The music service. It cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("provider cannot be changed; make another ProviderApp"))]
    pub provider: MusicService,
    /// The service's id of the client. It cannot be changed: people consented to that client.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[!-~]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("clientId cannot be changed: people consented to that client; delete this object (with the tenant's deletionPolicy Delete, or the client in the admin API) and make another"))]
    pub client_id: String,
    /// Where its secret is. What was stored before is left if neither this nor `publicClient` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// Whether it is a public client, which has no secret; a stored one is removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public_client: bool,
    /// Its tier; left as it is if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AppMode>,
    /// Where the API is, version included; left as it is if it is not set, the service's own if it is empty. The operator's
    /// configuration must allow another one for the namespace (`operator.platform_namespaces`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub api_base_url: Option<String>,
    /// Where tokens are given out; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub auth_base_url: Option<String>,
    /// Where people are sent to consent; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub authorize_url: Option<String>,
}

/// What the operator knows of a tenant's client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderAppStatus {
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
    /// What to register with the music service as the redirect address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// The version of the client as it was last written; another one was written by someone else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Which version of the Secret was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_version: Option<String>,
    /// The tenant's deletion policy as it was last seen, for when the `Tenant` object is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}
