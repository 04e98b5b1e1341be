//! Requests with which an RPC would do something, made from its descriptor: every field by its name, or the test says
//! which one it has no value for.

use prost_reflect::{FieldDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};
use stagedoor_domain::Provider;
use stagedoor_proto::dynamic;
use stagedoor_testkit::{KeySpec, TestTenant, generous};

use super::super::frame::Office;

/// What there is in a tenant to be named in requests.
pub(crate) struct Things<'a> {
    pub(crate) tenant: TestTenant<'a>,
    pub(crate) agent_key: String,
    user: String,
    account: String,
    issuer: String,
    admin_key: String,
    platform_key: String,
    privacy_request: String,
    today: String,
}

impl<'a> Things<'a> {
    pub(crate) async fn make(office: &'a Office, slug: &str) -> Self {
        let tenant = office.stage.tenant(slug, generous()).await;
        let user = tenant.person("Robin").await;
        tenant.set_up(Provider::Spotify).await;
        let account = tenant.link(user, Provider::Spotify).await.id.to_string();
        let agent_key = tenant.key(&KeySpec::for_user(user)).await;
        let user = user.to_string();
        let made = async |rpc: &str, request: Value, id: &str| {
            let made = office.operator.call(rpc, request).await;
            let made = made.unwrap_or_else(|status| panic!("{rpc}: {status:?}"));
            made.pointer(id).and_then(Value::as_str).unwrap_or_else(|| panic!("{rpc}: {made}")).to_owned()
        };
        let issuer = json!({ "tenant": slug, "issuer": { "issuer": format!("https://{slug}.example.com") } });
        let issuer = made("IssuerService/CreateIssuer", issuer, "/issuerId").await;
        let request = json!({ "tenant": slug, "userId": user, "kind": "PRIVACY_REQUEST_KIND_EXPORT" });
        let path = "/privacyRequest/privacyRequestId";
        let privacy_request = made("PrivacyService/CreatePrivacyRequest", request, path).await;
        let key = json!({ "tenant": slug, "name": "spare", "role": "ROLE_AUDITOR" });
        let admin_key = made("AdminKeyService/CreateTenantAdminKey", key, "/adminKey/keyId").await;
        let key = json!({ "name": format!("spare of {slug}"), "role": "ROLE_AUDITOR" });
        let platform_key = made("AdminKeyService/CreateAdminKey", key, "/adminKey/keyId").await;
        let today = office.stage.clock().now().date_naive().to_string();
        Self { tenant, agent_key, user, account, issuer, admin_key, platform_key, privacy_request, today }
    }

    /// A request of `method` about this tenant.
    pub(crate) fn request(&self, method: &MethodDescriptor, validate_only: bool) -> Value {
        let mut request = Map::new();
        let writes = dynamic::access(method).unwrap().effect() == stagedoor_proto::admin::v1::Effect::Write;
        let mut can_be_checked = false;
        for field in method.input().fields() {
            let value = if field.name() == "validate_only" {
                can_be_checked = true;
                validate_only.then_some(json!(true))
            } else {
                self.value(method.name(), &field)
            };
            let required = dynamic::field_behavior(&field).required;
            assert!(value.is_some() || !required, "{} wants a plausible value", field.full_name());
            request.extend(value.map(|value| (field.json_name().to_owned(), value)));
        }
        assert_eq!(can_be_checked, writes, "{}: every write can be checked only", method.full_name());
        Value::Object(request)
    }

    fn value(&self, rpc: &str, field: &FieldDescriptor) -> Option<Value> {
        let value = match (rpc, field.name()) {
            ("CreateTenant", "tenant") => json!("made-by-the-matrix"),
            (_, "tenant" | "confirm") => json!(self.tenant.slug()),
            (_, "user_id") => json!(self.user),
            (_, "account_id") => json!(self.account),
            (_, "issuer_id") => json!(self.issuer),
            (_, "privacy_request_id") => json!(self.privacy_request),
            ("RevokeAdminKey", "key_id") => json!(self.platform_key),
            ("RevokeTenantAdminKey", "key_id") => json!(self.admin_key),
            (_, "key_id") => json!(key_id(&self.agent_key)),
            // A person's tenant has Spotify, and could have Tidal.
            ("CreateProviderApp", "provider") => json!("PROVIDER_TIDAL"),
            (_, "provider") => json!("PROVIDER_SPOTIFY"),
            (_, "role") => json!("ROLE_AUDITOR"),
            (_, "kind") => json!("PRIVACY_REQUEST_KIND_EXPORT"),
            ("CreateAgentKey", "scopes") => json!(["catalog:read"]),
            ("CreateIssuer", "issuer") => {
                json!({ "issuer": "https://login.example.com", "subjectPrefix": "b:" })
            }
            (_, "issuer") => json!({ "readOnly": true }),
            (_, "settings") => json!({ "cacheTtlSeconds": { "search": "7" } }),
            (_, "name" | "plan" | "label") => json!("Changed by the matrix"),
            (_, "client_id" | "client_secret") => json!("changed-by-the-matrix"),
            (_, "from_day" | "to_day") => json!(self.today),
            (_, "page_size") => json!(2),
            _ => return None,
        };
        // A filter by name would find nothing.
        (!rpc.starts_with("List") || field.name() != "name").then_some(value)
    }
}

/// The public id in a key, such as `sd_live_<id>_…`.
pub(crate) fn key_id(key: &str) -> String {
    key.split('_').nth(2).unwrap()[..12].to_owned()
}
