//! Issuers of tokens, registered over the API and used by agents.

use serde_json::{Value, json};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{Client, TestIssuer};
use tonic::Code;

use super::frame::{office, reason, wrong_fields};

const SUBJECT: &str = "robin@example.com";

/// Waits until an agent with that token is let in, or is not.
async fn is_let_in(client: &Client, wanted: bool) {
    loop {
        let verdict = client.tool("usage_status", json!({})).await.verdict();
        assert!(verdict == "200 ok" || verdict == "401 unauthenticated", "{verdict}");
        if (verdict == "200 ok") == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn tokens_are_good_while_their_issuer_is_registered_and_enabled() {
    let office = office().await;
    let ada = office.stage.tenant("ada", stagedoor_testkit::generous()).await;
    ada.person_called(&format!("login:{SUBJECT}")).await;
    let test_issuer = TestIssuer::start(office.stage.clock()).await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&ada)).await;
    let issuer = json!({
        "issuer": test_issuer.url(),
        "subjectPrefix": "login:",
        "scopeMap": { "music": "catalog:read library:read", "lists": "playlists:read", "rest": "history:read" },
    });
    let request =
        json!({ "tenant": "ada", "issuer": issuer, "requestId": "6a4a7a0e-0000-4000-8000-000000000001" });
    let made = admin.call("IssuerService/CreateIssuer", request.clone()).await.unwrap();
    let audience = made["audience"].as_str().unwrap();
    assert_eq!(audience, format!("http://{}/t/ada/mcp", office.gateway.address()));
    assert_eq!(made["algorithms"], json!(["RS256", "PS256", "ES256", "EdDSA"]));
    let again = admin.call("IssuerService/CreateIssuer", request).await.unwrap();
    assert_eq!(again, made, "the same request makes nothing twice");
    let token = test_issuer.token(&test_issuer.claims(audience, SUBJECT, "music"));
    let agent = office.gateway.client("ada", &token);
    is_let_in(&agent, true).await;

    let id = made["issuerId"].clone();
    let update = |change: Value, etag: &Value| json!({ "tenant": "ada", "issuerId": id, "issuer": change, "etag": etag });
    let disabled =
        admin.call("IssuerService/UpdateIssuer", update(json!({ "disabled": true }), &made["etag"])).await;
    let disabled = disabled.unwrap();
    assert_ne!(disabled["etag"], made["etag"]);
    assert_eq!(disabled["scopeMap"], made["scopeMap"], "what is not named stays");
    is_let_in(&agent, false).await;
    let stale =
        admin.call("IssuerService/UpdateIssuer", update(json!({ "readOnly": true }), &made["etag"])).await;
    assert_eq!(reason(&stale.unwrap_err()), "ETAG_MISMATCH");
    let mut enable = update(json!({}), &json!(""));
    enable["updateMask"] = json!("disabled");
    admin.call("IssuerService/UpdateIssuer", enable).await.unwrap();
    is_let_in(&agent, true).await;

    let delete = |look: bool| json!({ "tenant": "ada", "issuerId": id, "validateOnly": look });
    admin.call("IssuerService/DeleteIssuer", delete(true)).await.unwrap();
    let listed = admin.call("IssuerService/ListIssuers", json!({ "tenant": "ada" })).await.unwrap();
    assert_eq!(listed["issuers"].as_array().unwrap().len(), 1, "a look deletes nothing");
    admin.call("IssuerService/DeleteIssuer", delete(false)).await.unwrap();
    is_let_in(&agent, false).await;
    let gone = admin.call("IssuerService/GetIssuer", json!({ "tenant": "ada", "issuerId": id })).await;
    assert_eq!(gone.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_issuer_that_is_not_right_is_refused_by_field() {
    let office = office().await;
    office.stage.tenant("ada", stagedoor_testkit::generous()).await;
    let create = async |issuer: Value| {
        let request = json!({ "tenant": "ada", "issuer": issuer });
        office.operator.call("IssuerService/CreateIssuer", request).await
    };
    for (issuer, field) in [
        (json!({ "issuer": "login.example.com" }), "issuer.issuer"),
        (json!({ "issuer": "ftp://login.example.com" }), "issuer.issuer"),
        (json!({ "issuer": "https://a.example", "jwksUri": "keys" }), "issuer.jwks_uri"),
        (json!({ "issuer": "https://a.example", "algorithms": ["ES256", "none"] }), "issuer.algorithms[1]"),
        (json!({ "issuer": "https://a.example", "algorithms": ["HS256"] }), "issuer.algorithms[0]"),
        (json!({ "issuer": "https://a.example", "subjectPrefix": "no colon" }), "issuer.subject_prefix"),
        (json!({ "issuer": "https://a.example", "toolsets": ["everything"] }), "issuer.toolsets[0]"),
        (
            json!({ "issuer": "https://a.example", "scopeMap": { "music": "catalog:reed" } }),
            "issuer.scope_map[\"music\"][0]",
        ),
    ] {
        let status = create(issuer.clone()).await.unwrap_err();
        assert_eq!(
            (status.code(), wrong_fields(&status)),
            (Code::InvalidArgument, vec![field.to_owned()]),
            "{issuer}"
        );
    }
    create(json!({ "issuer": "https://a.example" })).await.unwrap();
    assert_eq!(
        reason(&create(json!({ "issuer": "https://a.example" })).await.unwrap_err()),
        "ALREADY_EXISTS"
    );
    let alike = create(json!({ "issuer": "https://b.example" })).await.unwrap_err();
    assert_eq!(wrong_fields(&alike), ["issuer.subject_prefix"], "each could sign in as the other's people");
    for number in 1..16 {
        let issuer =
            json!({ "issuer": format!("https://{number}.example"), "subjectPrefix": format!("{number}:") });
        create(issuer).await.unwrap();
    }
    let many =
        create(json!({ "issuer": "https://many.example", "subjectPrefix": "many:" })).await.unwrap_err();
    assert_eq!(reason(&many), "NOT_IN_STATE");
}
