//! Reports of keys that were found in public.

use std::net::SocketAddr;

use reqwest::StatusCode;
use serde_json::{Value, json};
use stagedoor_crypto::{KeyMode, PlainApiKey, SystemEntropy};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{KeySpec, Stage, TestGateway, TestTenant};

use super::{REFUSED, SERVED, told, until, verdict};

async fn send(gateway: SocketAddr, from: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{gateway}/leaked-keys");
    let sent = http.post(url).header("x-forwarded-for", from).body(body).send().await.unwrap();
    (sent.status(), sent.json().await.unwrap())
}

/// The labels of the answer, in the report's order.
async fn report(gateway: SocketAddr, from: &str, tokens: &[&str]) -> Vec<String> {
    let finding = |token: &&str| json!({ "token": token, "type": "stagedoor_key", "url": "https://example.com/x", "source": "content" });
    let findings: Vec<_> = tokens.iter().map(finding).collect();
    let (status, answer) = send(gateway, from, json!(findings).to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let verdicts = answer.as_array().unwrap().iter();
    let label = |verdict: &Value| {
        assert_eq!(verdict.as_object().unwrap().len(), 3, "{verdict}");
        assert_eq!(
            (verdict["token_hash"].as_str().unwrap().len(), &verdict["token_type"]),
            (64, &json!("stagedoor_key"))
        );
        verdict["label"].as_str().unwrap().to_owned()
    };
    verdicts.map(label).collect()
}

async fn leaks_on_record(gateway: &TestGateway, tenant: &TestTenant<'_>) -> Vec<String> {
    gateway.flush_audit().await;
    let trail = tenant.audit_trail().await;
    let payloads = trail.iter().filter_map(stagedoor_audit::AuditView::json);
    payloads
        .filter(|payload| payload.to_string().contains("key_leaked"))
        .map(|payload| payload.to_string())
        .collect()
}

const FALSE: &str = "false_positive";
const TRUE: &str = "true_positive";

#[tokio::test]
async fn a_key_that_was_found_in_public_ends_at_once_everywhere() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let other = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let clients = gateways.each_ref().map(|gateway| gateway.client("ada", &ada.key));
    for client in &clients {
        assert_eq!(verdict(client).await, SERVED);
    }
    let mut mistyped = bob.key.clone();
    mistyped.replace_range(30..31, if &mistyped[30..31] == "x" { "y" } else { "x" });
    let found = ["ghp_something_else", &ada.key, &mistyped];
    assert_eq!(report(gateways[0].address(), "198.51.100.1", &found).await, [FALSE, TRUE, FALSE]);
    for (gateway, client) in gateways.iter().zip(&clients) {
        until("the revocation", async || verdict(client).await == REFUSED).await;
        assert_eq!(verdict(&gateway.client("ada", &other)).await, SERVED);
        assert_eq!(verdict(&gateway.client("bob", &bob.key)).await, SERVED);
    }
    assert_eq!(told(&stage, &ada.tenant, &ada.key).await.revoked_reason.as_deref(), Some("leaked"));
    let recorded = leaks_on_record(&gateways[0], &ada.tenant).await;
    assert_eq!(recorded.len(), 2, "opened and closed: {recorded:?}");
    assert!(
        recorded.iter().all(|payload| payload.contains(&ada.key[8..20]) && !payload.contains(&ada.key[21..]))
    );
    assert!(
        !recorded.iter().any(|payload| payload.contains("example.com")),
        "where it was found is not kept"
    );

    // Found in several places: what is revoked already is no guess, and no news.
    for _ in 0..8 {
        assert_eq!(report(gateways[1].address(), "198.51.100.1", &[&ada.key]).await, [TRUE]);
    }
    assert_eq!(leaks_on_record(&gateways[1], &ada.tenant).await.len(), 2);
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
}

#[tokio::test]
async fn guesses_are_counted_by_network_and_reveal_nothing() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let made_up = || PlainApiKey::generate(&SystemEntropy, KeyMode::Live).expose_secret().to_owned();
    // An id that exists, whose key is another; and ids that do not exist.
    let wrong = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    stage.sql(&format!("UPDATE api_keys SET digest = sha256('') WHERE key_id = '{}'", &wrong[8..20])).await;
    let from = "203.0.113.9";
    let guesses = [wrong.clone(), made_up(), made_up(), made_up(), made_up()];
    for guess in &guesses {
        assert_eq!(report(gateway.address(), from, &[guess]).await, [FALSE]);
    }
    let (status, answer) = send(gateway.address(), from, json!([{ "token": made_up() }]).to_string()).await;
    assert_eq!((status.as_u16(), &answer["code"]), (429, &json!("too_many_attempts")));
    let elsewhere = send(gateway.address(), "203.0.114.9", json!([{ "token": made_up() }]).to_string()).await;
    assert_eq!(elsewhere.0, 200, "another network's guesses are its own");
    assert_eq!(report(gateway.address(), from, &["nonsense"]).await, [FALSE], "what is no key is no guess");
    assert_eq!(told(&stage, &ada.tenant, &wrong).await.revoked_at, None);

    // Made-up ones that were planted beside a real one do not keep it alive.
    let real = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let planted: Vec<String> = (0..20).map(|_| made_up()).chain([real.clone()]).collect();
    let planted: Vec<&str> = planted.iter().map(String::as_str).collect();
    let verdicts = report(gateway.address(), from, &planted).await;
    assert_eq!((verdicts.len(), verdicts.last().map(String::as_str)), (21, Some(TRUE)));
    assert!(told(&stage, &ada.tenant, &real).await.revoked_at.is_some());
}

#[tokio::test]
async fn a_report_is_bounded() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let code = async |body: String| send(gateway.address(), "203.0.113.1", body).await.1["code"].clone();
    assert_eq!(code("[{".to_owned()).await, "malformed_json");
    assert_eq!(code("{}".to_owned()).await, "invalid_request");
    assert_eq!(code(json!(vec![json!({ "token": "x" }); 101]).to_string()).await, "invalid_request");
    assert_eq!(code(json!([{ "token": "x".repeat(300_000) }]).to_string()).await, "body_too_large");
    let (status, answer) = send(gateway.address(), "203.0.113.1", "[]").await;
    assert_eq!((status.as_u16(), answer), (200, json!([])));
}

#[tokio::test]
async fn a_key_of_the_admin_api_ends_too() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateway = TestGateway::start(&stage).await;
    let key = stage.admin_key(AdminRole::TenantAdmin, Some(ada.tenant.context().tenant_id())).await;
    assert_eq!(report(gateway.address(), "198.51.100.1", &[&key]).await, [TRUE]);
    let told = stage.sql("SELECT revoked_at IS NOT NULL, revoked_reason FROM admin_keys").await;
    assert_eq!(told, "t|leaked");
    let recorded = leaks_on_record(&gateway, &ada.tenant).await;
    assert!(recorded.len() == 2 && recorded[0].contains("admin_key"), "{recorded:?}");
}
