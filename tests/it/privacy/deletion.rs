//! Deletions: the second step, what ends at once, what is gone afterwards, the receipt, a provider that is away.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Browser, KeySpec, Stage, TestGateway};

use super::held::Held;
use super::{
    REVOKE, answer, ask, confirm_deletion, keys, lines, live, page_of, reached, receipt, state, trail,
};

/// Rows of the tenant that say whose they are, by table.
async fn rows_of(stage: &Stage, user: &str) -> String {
    let tables = [
        "users",
        "linked_accounts",
        "api_keys",
        "preferences",
        "consents",
        "jobs",
        "idempotency_keys",
        "playlist_versions",
        "link_attempts",
        "audit_payloads",
        "data_keys",
        "limit_violations",
        "privacy_requests",
    ];
    let counts: Vec<String> = tables
        .iter()
        .map(|table| format!("SELECT '{table}' AS t, count(*) AS n FROM {table} WHERE user_id = '{user}'"))
        .collect();
    let sql = format!(
        "SELECT coalesce(string_agg(t || '=' || n, ' '), '') FROM ({}) x WHERE n > 0",
        counts.join(" UNION ALL ")
    );
    stage.sql(&sql).await.trim().to_owned()
}

#[tokio::test]
async fn a_person_is_deleted_after_the_second_step_and_gets_a_receipt() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let neighbour = ada.tenant.person("Neighbour").await;
    ada.tenant.link(neighbour, Provider::Tidal).await;
    let neighbours_key = ada.tenant.key(&KeySpec::for_user(neighbour)).await;
    let (client, next_door) = (gateway.client("ada", &ada.key), gateway.client("ada", &neighbours_key));
    live(&client, &stage, &ada, "Evening").await;
    let wishes = json!({ "preferences": { "cache_preferences": { "cache_duration": 88 } } });
    next_door.call("preferences_set", wishes).await;

    // The tool deletes nothing, and neither does looking at the page or keeping everything.
    let page = ask(&client, "delete_my_data").await;
    let browser = Browser::new();
    let shown = browser.open(&page).await;
    assert_eq!(shown.heading(), "Delete everything about you?");
    assert!(shown.text().contains("Your linked accounts</dt><dd>2"), "{}", shown.text());
    assert!(shown.text().contains("cannot be undone"));
    client.call("profile", json!({ "provider": "tidal" })).await;
    let kept = answer(&browser, &page, "keep").await;
    assert_eq!(kept.heading(), "Nothing was deleted");
    client.call("profile", json!({ "provider": "tidal" })).await;

    // Nor does asking once more; the page of the second question is another.
    let page = confirm_deletion(&client).await;
    let file = receipt(&page).await;
    let refused = client.tool("profile", json!({})).await;
    assert_eq!(refused.status, 401, "{}", refused.text());

    let public = keys(&stage, &ada.tenant).await;
    let told = lines(&file, &public);
    assert_eq!(told[0]["format"], "stagedoor/erasure-receipt/1");
    let deleted = &told[1]["deleted"];
    assert_eq!(
        (&deleted["rows"]["users"], &deleted["rows"]["linked_accounts"]),
        (&json!(1), &json!(2)),
        "{deleted}"
    );
    assert!(deleted["rows"]["playlist_versions"].as_u64().unwrap() >= 2, "{deleted}");
    let grants: Vec<(&Value, &Value)> =
        deleted["grants"].as_array().unwrap().iter().map(|one| (&one["provider"], &one["outcome"])).collect();
    assert_eq!(
        grants,
        [(&json!("spotify"), &json!("unsupported")), (&json!("tidal"), &json!("revoked"))],
        "{deleted}"
    );
    let text = String::from_utf8(file.clone()).unwrap();
    for personal in ["Robin", "Evening", &ada.user.to_string(), &ada.account(Provider::Tidal).account] {
        assert!(!text.contains(personal), "{personal} is in the receipt");
    }
    // The receipt can be had again, the same.
    assert_eq!(receipt(&page).await, file);

    assert_eq!(rows_of(&stage, &ada.user.to_string()).await, "");
    let tombstones = stage.sql("SELECT count(*) FROM erasure_tombstones").await;
    assert_eq!(tombstones.trim(), "1");
    gateway.flush_audit().await;
    let chain = ada.tenant.verify_chain().await;
    assert!(chain.faults.is_empty() && chain.erased > 0, "{chain:?}");
    let trail = trail(&ada.tenant).await;
    assert!(trail.contains("erasure_step") && !trail.contains(&ada.user.to_string()), "{trail}");

    // The neighbour is as before.
    let still = next_door.call("preferences_get", json!({})).await;
    assert!(still.to_string().contains("88"), "{still}");
    next_door.call("profile", json!({ "provider": "tidal" })).await;
}

#[tokio::test]
async fn asking_again_leads_to_the_same_request_and_confirming_again_changes_nothing() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    let first = client.call("delete_my_data", json!({})).await;
    let second = client.call("delete_my_data", json!({})).await;
    assert_eq!(first["request"]["id"], second["request"]["id"]);
    // The newer page takes the place of the older.
    assert_eq!(Browser::new().open(&page_of(&first)).await.verdict(), "404 link_unknown");

    let (page, browser) = (page_of(&second), Browser::new());
    let shown = browser.open(&page).await;
    for _ in 0..2 {
        let confirmed = browser.submit(&shown, &[("decision", "delete")]).await;
        assert_eq!(confirmed.verdict(), "200 ok", "{}", confirmed.text());
    }
    // Too late to keep it: the page shows how it is.
    let late = browser.submit(&shown, &[("decision", "keep")]).await;
    assert!(late.heading().starts_with("Everything is"), "{}", late.heading());
    let file = receipt(&page).await;
    assert!(!lines(&file, &keys(&stage, &ada.tenant).await).is_empty());
    let requests = stage.sql("SELECT count(*) FROM privacy_requests").await;
    assert_eq!(requests.trim(), "1");
}

#[tokio::test]
async fn a_provider_that_is_away_is_tried_for_a_while_and_then_noted() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    let away = FaultRule::new(Provider::Tidal, Effect::status(503)).path_prefix(REVOKE);
    stage.sandbox().faults().push(away);
    let page = confirm_deletion(&client).await;
    // Each wait is cut short; how often it is tried is what counts.
    let tries = async || {
        let sql = "SELECT coalesce(max((g.value ->> 'tries')::int), 0) FROM privacy_requests r,
            jsonb_each(r.progress -> 'grants') g WHERE g.value ->> 'provider' = 'tidal' AND r.state = 'verified'";
        stage.sql(sql).await.trim().parse::<u32>().unwrap()
    };
    let mut seen = 0;
    while state(&stage, "erasure").await == "verified" {
        let now = tries().await;
        if now > seen {
            seen = now;
            stage
                .sql("UPDATE privacy_requests SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")
                .await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen >= 3, "it was given up after {seen} tries");
    let file = receipt(&page).await;
    let told = lines(&file, &keys(&stage, &ada.tenant).await);
    let grants = told[1]["deleted"]["grants"].to_string();
    assert!(grants.contains(r#"{"grants":1,"outcome":"unconfirmed","provider":"tidal"}"#), "{grants}");
}

#[tokio::test]
async fn nothing_is_deleted_while_nothing_can_be_recorded() {
    let stage = Arc::new(Stage::start().await);
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    let page = ask(&client, "delete_my_data").await;
    let browser = Browser::new();
    let shown = browser.open(&page).await;
    let trail = Held::take(&stage, "audit_chain_heads").await;
    let refused = browser.submit(&shown, &[("decision", "delete")]).await;
    assert_eq!(refused.verdict(), "503 audit_unavailable");
    assert_eq!(state(&stage, "erasure").await, "requested");
    trail.release().await;
    let confirmed = browser.submit(&shown, &[("decision", "delete")]).await;
    assert_eq!(confirmed.verdict(), "200 ok", "{}", confirmed.text());
    reached(&stage, "erasure", "done").await;
}

#[tokio::test]
async fn a_deletion_goes_on_where_it_was_when_the_database_comes_back() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    live(&client, &stage, &ada, "Night").await;
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::Hold).path_prefix(REVOKE));
    let page = confirm_deletion(&client).await;
    assert_eq!(state(&stage, "erasure").await, "verified");
    stage.postgres().kill().await;
    stage.sandbox().faults().clear();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stage.postgres().restart().await.unwrap();
    reached(&stage, "erasure", "done").await;
    let file = receipt(&page).await;
    assert!(!lines(&file, &keys(&stage, &ada.tenant).await).is_empty());
    assert_eq!(rows_of(&stage, &ada.user.to_string()).await, "");
}
