//! What the trail says of the calls of admins: who tried what on whose tenant, what was made, what was changed, and with which
//! answer; and that nobody looks for what no record can have.

use futures_util::future::join_all;
use serde_json::{Value, json};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{Admin, generous};
use tonic::Code;

use super::frame::{Office, body, office, reason, wrong_fields};

/// What is recorded of what admins did about `tenant`: action, outcome, RPC, object.
async fn trail(office: &Office, tenant: &str) -> Vec<(String, String, String, String)> {
    office.gateway.flush_audit().await;
    let request = json!({ "tenant": tenant, "pageSize": 200, "oldestFirst": true });
    let found = office.operator.call("AuditService/QueryAudit", request).await.unwrap();
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let records = found["records"].as_array().unwrap().iter();
    records
        .map(|record| {
            let [action, outcome, kind, id] =
                ["action", "outcome", "resourceKind", "resourceId"].map(|name| text(record, name));
            (action, outcome, kind, id)
        })
        .collect()
}

#[tokio::test]
async fn what_was_tried_made_and_changed_can_be_read_in_the_trail() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    office.stage.tenant("umbrella", generous()).await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&acme)).await;
    let auditor = office.caller(AdminRole::Auditor, Some(&acme)).await;
    let done = async |admin: &Admin, rpc: &str, request: Value| admin.call(rpc, request).await;

    let foreign = done(&admin, "UserService/ListUsers", json!({ "tenant": "umbrella" })).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    let written = json!({ "tenant": "acme", "label": "Robin" });
    let denied = done(&auditor, "UserService/CreateUser", written.clone()).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let user = done(&admin, "UserService/CreateUser", written).await.unwrap();
    let user = user["userId"].as_str().unwrap();
    let key = json!({ "tenant": "acme", "name": "desk", "userId": user, "scopes": ["catalog:read"] });
    let key = done(&admin, "AgentKeyService/CreateAgentKey", key).await.unwrap();
    let key = key["agentKey"]["keyId"].as_str().unwrap();
    let issuer = json!({ "tenant": "acme", "issuer": { "issuer": "https://login.example.com" } });
    let issuer = done(&admin, "IssuerService/CreateIssuer", issuer).await.unwrap();
    let issuer = issuer["issuerId"].as_str().unwrap();
    let rotate = json!({ "tenant": "acme", "keyId": key });
    let rotated = done(&admin, "AgentKeyService/RotateAgentKey", rotate).await.unwrap();
    let new = rotated["agentKey"]["keyId"].as_str().unwrap();
    let change = json!({ "tenant": "acme", "keyId": new, "readOnly": true, "updateMask": "readOnly,name", "name": "x" });
    done(&admin, "AgentKeyService/UpdateAgentKey", change).await.unwrap();

    let trail = trail(&office, "acme").await;
    let closed = |outcome: &str, rpc: &str, id: &str| {
        let found = trail
            .iter()
            .any(|(_, ended, kind, object)| ended == outcome && kind == rpc && object.contains(id));
        assert!(found, "{outcome} {rpc} {id}: {trail:#?}");
    };
    closed("object_unknown", "UserService/ListUsers", "umbrella");
    closed("permission_denied", "UserService/CreateUser", "acme");
    closed("ok", "UserService/CreateUser", user);
    closed("ok", "AgentKeyService/CreateAgentKey", &format!("{key}/"));
    closed("ok", "IssuerService/CreateIssuer", &format!("{issuer}/https://login.example.com"));
    closed("ok", "AgentKeyService/RotateAgentKey", &format!("{new}/{key}"));
    let named = trail.iter().any(|(.., object)| object.contains("Robin"));
    assert!(!named, "what a person is called is not what a record is about");
    closed("ok", "AgentKeyService/UpdateAgentKey", &format!("{new}/x: read_only, name"));
}

#[tokio::test]
async fn what_no_record_can_have_is_not_looked_for() {
    let office = office().await;
    office.stage.tenant("acme", generous()).await;
    for (field, wrong, right) in
        [("action", "admin-write", "admin_write"), ("outcome", "foo", "object_unknown")]
    {
        let query = async |value: &str| {
            let mut request = json!({ "tenant": "acme" });
            request[field] = json!(value);
            office.operator.call("AuditService/QueryAudit", request).await
        };
        assert_eq!(wrong_fields(&query(wrong).await.unwrap_err()), [field]);
        assert!(query(right).await.is_ok());
    }
}

#[tokio::test]
async fn the_same_request_at_the_same_moment_makes_one_tenant_for_all() {
    let office = office().await;
    let id = "6f2f8a52-3c4f-4f0e-9d54-0f2b8d1f7a1b";
    for number in 2..6 {
        let made = join_all((0..6).map(|turn| {
            let id = if turn % 2 == 0 { id.to_uppercase() } else { id.to_owned() };
            let id = id.replace('2', &number.to_string());
            let request = json!({ "tenant": format!("t{number}"), "name": "One", "requestId": id });
            let office = &office;
            async move { office.operator.call("TenantService/CreateTenant", request).await }
        }))
        .await;
        for outcome in made {
            assert_eq!(outcome.map_err(|status| reason(&status)).unwrap()["name"], "One");
        }
    }
    let refused = office.gateway.admin(None).json("GET", "/v1/caller", Value::Null).await;
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("Bearer realm=\"stagedoor-admin\""))
    );
    let twice = json!({ "userId": "x", "externalSubject": "a", "external_subject": "b" });
    let twice = office.operator.json("POST", "/v1/tenants/t2/users", twice).await;
    assert_eq!(
        (twice.status, &body(&twice)["details"]["fields"][0]["field"]),
        (400, &json!("external_subject"))
    );
}
