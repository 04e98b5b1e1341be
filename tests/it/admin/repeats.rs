//! What is sent twice is done once: addresses for people are made once and told once; and what was changed meanwhile is left
//! as it is, which JSON says with 412.

use serde_json::{Value, json};
use stagedoor_testkit::Browser;
use tonic::Code;

use super::frame::{body, office, reason};
use crate::linking::Newcomer;
use crate::privacy;

const REQUEST: &str = "0d3c5c0e-4a4f-4c3e-8f0f-6a9c55f3a6b1";

fn url(answer: &Value) -> &str {
    answer["url"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_link_that_is_asked_for_twice_is_begun_once() {
    let office = office().await;
    let ada = Newcomer::arrive(&office.stage, &office.gateway, "ada").await;
    let request = |provider: &str| {
        json!({
            "tenant": "ada", "userId": ada.user.to_string(), "provider": provider, "requestId": REQUEST
        })
    };
    let begin = async |request: Value| office.operator.call("LinkedAccountService/BeginLink", request).await;
    let mut look = request("PROVIDER_TIDAL");
    look["validateOnly"] = json!(true);
    begin(look).await.unwrap();
    let first = begin(request("PROVIDER_TIDAL")).await.unwrap();
    let again = begin(request("PROVIDER_TIDAL")).await.unwrap();
    assert!(!url(&first).is_empty(), "a look before it claims nothing");
    assert_eq!((url(&again), &again["expireTime"]), ("", &first["expireTime"]), "told once");
    assert_eq!(office.stage.sql("SELECT count(*) FROM link_attempts").await, "1");
    let page = Browser::new().open(&url(&first).parse().unwrap()).await;
    assert_eq!(page.status(), 200, "the page that was told is still the one: {}", page.text());
    let other = begin(request("PROVIDER_SPOTIFY")).await.unwrap_err();
    assert_eq!((other.code(), &*reason(&other)), (Code::Aborted, "IDEMPOTENCY_MISMATCH"));
}

#[tokio::test]
async fn a_privacy_request_that_is_asked_for_twice_keeps_its_page() {
    let office = office().await;
    let ada = office.stage.inhabit("ada").await;
    let request = |kind: &str| json!({ "tenant": "ada", "userId": ada.user.to_string(), "kind": kind, "requestId": REQUEST });
    let ask =
        async |request: Value| office.operator.call("PrivacyService/CreatePrivacyRequest", request).await;
    let first = ask(request("PRIVACY_REQUEST_KIND_EXPORT")).await.unwrap();
    let again = ask(request("PRIVACY_REQUEST_KIND_EXPORT")).await.unwrap();
    assert_eq!(
        (url(&again), &again["privacyRequest"], &again["expireTime"]),
        ("", &first["privacyRequest"], &first["expireTime"])
    );
    let page = Browser::new().open(&privacy::page_of(&first)).await;
    assert_eq!(page.status(), 200, "{}", page.text());
    let other = ask(request("PRIVACY_REQUEST_KIND_ERASURE")).await.unwrap_err();
    assert_eq!(&*reason(&other), "IDEMPOTENCY_MISMATCH");
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_neither_changed_nor_deleted() {
    let office = office().await;
    let made = office.operator.call("TenantService/CreateTenant", json!({ "tenant": "acme" })).await.unwrap();
    let seen = made["etag"].clone();
    let change = json!({ "plan": "gold", "updateMask": "plan", "etag": seen });
    let changed = office.operator.json("PATCH", "/v1/tenants/acme", change.clone()).await;
    assert_eq!(changed.status, 200);
    let stale = office.operator.json("PATCH", "/v1/tenants/acme", change).await;
    assert_eq!((stale.status, &body(&stale)["code"]), (412, &json!("etag_mismatch")));
    let mut delete = json!({ "tenant": "acme", "confirm": "acme", "etag": seen });
    let stale = office.operator.call("TenantService/DeleteTenant", delete.clone()).await.unwrap_err();
    assert_eq!((stale.code(), &*reason(&stale)), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(office.stage.sql("SELECT status FROM tenants WHERE slug = 'acme'").await, "active");
    delete["etag"] = body(&changed)["etag"].clone();
    assert!(office.operator.call("TenantService/DeleteTenant", delete).await.is_ok());
}
