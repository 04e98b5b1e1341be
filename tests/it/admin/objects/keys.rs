//! Keys of agents and of the API itself.

use serde_json::{Value, json};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::generous;
use tonic::Code;

use super::text;
use crate::admin::frame::{office, reason, wrong_fields};
use crate::limits_hot_reload::until;

const REQUEST: &str = "7c1f1a52-3c4f-4f0e-9d54-0f2b8d1f7a10";

#[tokio::test]
async fn an_agents_key_lives_from_its_making_to_its_end() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    let person = acme.person("Robin").await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&acme)).await;
    let call = async |rpc: &str, mut request: Value| {
        request["tenant"] = json!("acme");
        admin.call(&format!("AgentKeyService/{rpc}"), request).await
    };
    let create = json!({ "name": "assistant", "scopes": ["catalog:read"], "userId": person.to_string(),
        "requestId": REQUEST });
    let mut look = create.clone();
    look["validateOnly"] = json!(true);
    let looked = call("CreateAgentKey", look).await.unwrap();
    assert_eq!((looked.get("secret"), looked["agentKey"].get("keyId")), (None, None));
    assert_eq!(looked["agentKey"]["name"], "assistant");
    assert_eq!(office.stage.sql("SELECT count(*) FROM api_keys").await, "0");

    let made = call("CreateAgentKey", create.clone()).await.unwrap();
    let (secret, id) = (text(&made, "secret"), text(&made["agentKey"], "keyId"));
    assert!(secret.starts_with(&format!("sd_live_{id}_")));
    let again = call("CreateAgentKey", create).await.unwrap();
    assert_eq!((again.get("secret"), &again["agentKey"]), (None, &made["agentKey"]), "told once");
    let status =
        async |secret: &str| office.gateway.client("acme", secret).rpc("tools/list", json!({})).await.status;
    assert_eq!(status(&secret).await, 200);

    let wrong = json!({ "name": "", "scopes": ["all", "nonsense"], "allowedNetworks": ["x"],
        "expireTime": "2020-01-01T00:00:00Z" });
    let wrong = call("CreateAgentKey", wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&wrong), ["name"], "required fields come first");
    let wrong = json!({ "name": " x", "scopes": ["all", "nonsense"], "allowedNetworks": ["x"] });
    let wrong = call("CreateAgentKey", wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&wrong), ["name", "scopes[0]", "scopes[1]", "allowed_networks[0]"]);
    let over = json!({ "name": "x", "scopes": ["all"], "expireTime": "2020-01-01T00:00:00Z" });
    assert_eq!(wrong_fields(&call("CreateAgentKey", over).await.unwrap_err()), ["expire_time"]);

    let update =
        json!({ "keyId": id, "readOnly": true, "scopes": ["all"], "updateMask": "readOnly,allowedNetworks" });
    let updated = call("UpdateAgentKey", update).await.unwrap();
    assert_eq!(
        (&updated["readOnly"], &updated["scopes"]),
        (&json!(true), &json!(["catalog:read"])),
        "as the mask says"
    );
    let stale = json!({ "keyId": id, "name": "x", "etag": made["agentKey"]["etag"] });
    assert_eq!(&*reason(&call("UpdateAgentKey", stale).await.unwrap_err()), "ETAG_MISMATCH");

    let rotate = json!({ "keyId": id, "overlap": "3600s", "requestId": REQUEST });
    let rotated = call("RotateAgentKey", rotate.clone()).await.unwrap();
    let (second, newer) = (text(&rotated, "secret"), text(&rotated["agentKey"], "keyId"));
    assert_eq!(rotated["oldAgentKey"]["replacedBy"], json!(newer));
    let again = call("RotateAgentKey", rotate).await.unwrap();
    assert_eq!((again.get("secret"), &again["agentKey"]["keyId"]), (None, &json!(newer)));
    assert_eq!((status(&secret).await, status(&second).await), (200, 200), "both, as long as they overlap");
    let twice = call("RotateAgentKey", json!({ "keyId": id })).await.unwrap_err();
    assert_eq!((twice.code(), &*reason(&twice)), (Code::FailedPrecondition, "NOT_IN_STATE"));

    let revoked = call("RevokeAgentKey", json!({ "keyId": newer, "reason": "lost" })).await.unwrap();
    assert_eq!((&revoked["state"], &revoked["revokeReason"]), (&json!("KEY_STATE_REVOKED"), &json!("lost")));
    until("the end of a key", async || status(&second).await == 401).await;
    let active = call("ListAgentKeys", json!({ "state": "KEY_STATE_ACTIVE" })).await.unwrap();
    assert_eq!(active["agentKeys"].as_array().map(Vec::len), Some(1));
    let unknown = call("GetAgentKey", json!({ "keyId": "abcdefghijkl" })).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn a_tenants_admin_makes_keys_of_its_own_tenant_and_no_operators() {
    let office = office().await;
    let (acme, other) =
        (office.stage.tenant("acme", generous()).await, office.stage.tenant("other", generous()).await);
    let admin = office.caller(AdminRole::TenantAdmin, Some(&acme)).await;
    let create = json!({ "tenant": "acme", "name": "a second one", "role": "ROLE_TENANT_ADMIN", "requestId": REQUEST });
    let made = admin.call("AdminKeyService/CreateTenantAdminKey", create.clone()).await.unwrap();
    let again = admin.call("AdminKeyService/CreateTenantAdminKey", create.clone()).await.unwrap();
    assert_eq!((again.get("secret"), &again["adminKey"]["keyId"]), (None, &made["adminKey"]["keyId"]));
    let mut otherwise = create.clone();
    otherwise["name"] = json!("another");
    let otherwise = admin.call("AdminKeyService/CreateTenantAdminKey", otherwise).await.unwrap_err();
    assert_eq!(&*reason(&otherwise), "IDEMPOTENCY_MISMATCH");

    let second = office.gateway.admin(Some(&text(&made, "secret")));
    let caller = second.call("CallerService/GetCaller", json!({})).await.unwrap();
    assert_eq!((&caller["role"], &caller["tenant"]), (&json!("ROLE_TENANT_ADMIN"), &json!("acme")));
    for role in ["ROLE_PLATFORM_OPERATOR", "ROLE_UNSPECIFIED"] {
        let request = json!({ "tenant": "acme", "name": "x", "role": role });
        let refused = second.call("AdminKeyService/CreateTenantAdminKey", request).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), ["role"], "{role}");
    }
    let theirs = json!({ "tenant": "other", "name": "x", "role": "ROLE_AUDITOR" });
    let theirs = office.operator.call("AdminKeyService/CreateTenantAdminKey", theirs).await.unwrap();
    let revoke = json!({ "tenant": "acme", "keyId": theirs["adminKey"]["keyId"] });
    let refused = second.call("AdminKeyService/RevokeTenantAdminKey", revoke).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "another tenant's key");
    let listed =
        second.call("AdminKeyService/ListTenantAdminKeys", json!({ "tenant": "acme" })).await.unwrap();
    assert_eq!(listed["adminKeys"].as_array().map(Vec::len), Some(2));
    assert!(!listed.to_string().contains(other.slug()));

    let revoke = json!({ "tenant": "acme", "keyId": made["adminKey"]["keyId"], "reason": "test" });
    admin.call("AdminKeyService/RevokeTenantAdminKey", revoke).await.unwrap();
    assert_eq!(
        second.call("CallerService/GetCaller", json!({})).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn the_last_operator_stays() {
    let office = office().await;
    let operators = async || {
        let request = json!({ "state": "KEY_STATE_ACTIVE" });
        let listed = office.operator.call("AdminKeyService/ListAdminKeys", request).await.unwrap();
        let keys = listed["adminKeys"].as_array().cloned().unwrap_or_default();
        let operators = keys.into_iter().filter(|key| key["role"] == "ROLE_PLATFORM_OPERATOR");
        operators.map(|key| text(&key, "keyId")).collect::<Vec<_>>()
    };
    let only = operators().await.remove(0);
    for look in [true, false] {
        let request = json!({ "keyId": only, "validateOnly": look });
        let refused = office.operator.call("AdminKeyService/RevokeAdminKey", request).await.unwrap_err();
        assert_eq!(&*reason(&refused), "NOT_IN_STATE", "validate only: {look}");
    }
    let create = json!({ "name": "a second one", "role": "ROLE_PLATFORM_OPERATOR" });
    let second = office.operator.call("AdminKeyService/CreateAdminKey", create).await.unwrap();
    assert_eq!(operators().await.len(), 2);
    let request = json!({ "keyId": only, "validateOnly": true });
    office.operator.call("AdminKeyService/RevokeAdminKey", request).await.unwrap();
    assert_eq!(operators().await.len(), 2, "a look revokes nothing");
    let second = office.gateway.admin(Some(&text(&second, "secret")));
    second.call("AdminKeyService/RevokeAdminKey", json!({ "keyId": only })).await.unwrap();
    let gone = office.operator.call("CallerService/GetCaller", json!({})).await.unwrap_err();
    assert_eq!(gone.code(), Code::Unauthenticated);
}
