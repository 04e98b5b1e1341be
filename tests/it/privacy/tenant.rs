//! The deletion of a whole tenant by an operator, and what operators see of requests.

use serde_json::{Value, json};
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Browser, GatewayProcess, KeySpec, Stage, TestGateway};

use super::{ask, keys, lines, live};

/// Provisioning's connection, which only the command has.
fn provisioning(stage: &Stage) -> [(&'static str, String); 1] {
    let url = stage.postgres().url_for("stagedoor", "stagedoor_admin");
    [("STAGEDOOR_STORAGE__ADMIN_DATABASE_URL", url)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_with_all_of_its_people_and_leaves_a_receipt() {
    let stage = Stage::start().await;
    let gateway = GatewayProcess::start(&stage, "gateway", &[]).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let second = ada.tenant.person("Second").await;
    ada.tenant.link(second, Provider::Tidal).await;
    ada.tenant.person("Without anything").await;
    live(&gateway.client("ada", &ada.key), &stage, &ada, "Ours").await;
    live(&gateway.client("bob", &bob.key), &stage, &bob, "Theirs").await;
    // One person's own deletion has begun before, another's was only asked for.
    ask(&gateway.client("ada", &ada.key), "delete_my_data").await;
    let public = keys(&stage, &ada.tenant).await;

    // The name must be said twice, and provisioning's role be had.
    let wrong = stage.run(&["tenant", "delete", "ada", "--confirm", "bob"]).await;
    assert_eq!(wrong.code, Some(1), "{}", wrong.said);
    let weak = stage.run(&["tenant", "delete", "ada", "--confirm", "ada"]).await;
    assert!(weak.code == Some(1) && weak.said.contains("admin_database_url"), "{}", weak.said);
    gateway.client("ada", &ada.key).call("usage_status", json!({})).await;

    let deleted = stage.begin(&["tenant", "delete", "ada", "--confirm", "ada"], &provisioning(&stage));
    let deleted = deleted.finished().await;
    assert_eq!(deleted.code, Some(0), "{}", deleted.said);
    let now = keys(&stage, &ada.tenant).await;
    assert!(now.starts_with(&public), "public keys stay");
    let receipt = lines(deleted.output.as_bytes(), &now);
    assert_eq!(
        (&receipt[0]["kind"], &receipt[1]["deleted"]["people"]["deleted"]),
        (&json!("tenant_erasure"), &json!(3))
    );
    assert_eq!(receipt[1]["deleted"]["people"]["rows"]["users"], json!(3), "{}", receipt[1]);
    // What checks it is where it says.
    let published = receipt[1]["deleted"]["public_keys"].as_str().unwrap();
    assert!(published.contains("/t/deleted-"), "{published}");
    let published = Browser::new().open(&published.parse().unwrap()).await;
    let published: Value = serde_json::from_slice(&published.answer.body).unwrap();
    let jwks: Vec<Value> = now.iter().map(VerifyingKey::to_jwk).map(|jwk| json!(jwk)).collect();
    assert_eq!(published, json!({ "keys": jwks }));

    let refused = gateway.client("ada", &ada.key).tool("profile", json!({})).await;
    assert_eq!(refused.status, 401);
    let left = stage
        .sql(&format!(
            "SELECT (SELECT count(*) FROM users WHERE tenant_id = '{0}') + (SELECT count(*) FROM api_keys WHERE tenant_id = '{0}')
                + (SELECT count(*) FROM provider_apps WHERE tenant_id = '{0}')
                + (SELECT count(*) FROM data_keys WHERE tenant_id = '{0}' AND wrapped_key IS NOT NULL)
                + (SELECT count(*) FROM signing_keys WHERE tenant_id = '{0}' AND private_key IS NOT NULL)",
            ada.tenant.id()
        ))
        .await;
    assert_eq!(left.trim(), "0");
    let row = stage
        .sql(&format!("SELECT status, name, slug FROM tenants WHERE tenant_id = '{}'", ada.tenant.id()))
        .await;
    assert!(row.starts_with("deleted||deleted-"), "{row}");
    // Its chain is whole, and the neighbour is served.
    assert!(ada.tenant.verify_chain().await.faults.is_empty());
    gateway.client("bob", &bob.key).call("profile", json!({ "provider": "tidal" })).await;
    assert!(bob.tenant.verify_chain().await.faults.is_empty());
}

#[tokio::test]
async fn an_operator_sees_what_is_open_and_what_is_late_but_not_whose() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let page = ask(&gateway.client("ada", &ada.key), "delete_my_data").await;
    ask(&gateway.client("bob", &bob.key), "export_my_data").await;
    let listed = stage.run(&["privacy", "list", "--output", "json"]).await;
    assert_eq!((listed.code, listed.lines().len()), (Some(0), 2), "{}", listed.said);
    assert_eq!(stage.run(&["privacy", "list", "--late"]).await.code, Some(0));

    // A deletion that nobody works on, five weeks after it was confirmed.
    stage
        .sql("UPDATE privacy_requests SET requested_at = requested_at - interval '35 days', due_by = due_by - interval '35 days'
            WHERE kind = 'erasure'")
        .await;
    let late = stage.run(&["privacy", "list", "--late", "--output", "json"]).await;
    assert_eq!(late.code, Some(1), "{}", late.said);
    let lines = late.lines();
    assert_eq!((lines.len(), &lines[0]["tenant"], &lines[0]["late"]), (1, &json!("ada"), &json!(true)));
    assert_eq!(stage.run(&["privacy", "list", "--late", "--tenant", "bob"]).await.code, Some(0));
    while gateway.metric("privacy_requests_late").await != 1 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let id = lines[0]["request"].as_str().unwrap();
    let shown = stage.run(&["privacy", "show", id, "--tenant", "ada", "--output", "json"]).await;
    assert_eq!(shown.lines()[0]["state"], "requested", "{}", shown.said);
    let other = stage.run(&["privacy", "show", id, "--tenant", "bob"]).await;
    assert_eq!(other.code, Some(1), "{}", other.output);
    for said in [&listed.output, &late.output, &shown.output] {
        for personal in [&ada.user.to_string(), "Robin", page.path().rsplit('/').next().unwrap()] {
            assert!(!said.contains(personal), "{personal} in {said}");
        }
    }
    let kept = Browser::new().open(&page).await;
    assert_eq!(kept.verdict(), "200 ok");
    let narrow = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let own = gateway.client("ada", &narrow).call("privacy_requests", json!({})).await;
    assert_eq!(own["requests"][0]["id"], json!(id));
}
