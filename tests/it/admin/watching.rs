//! What admins see of a tenant and of the installation: the trail and its file, figures, keys, runs and backups; and the
//! requests of people that they begin.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stagedoor_audit::verify_export;
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::Browser;
use tonic::Code;

use super::frame::{office, reason, wrong_fields};
use crate::privacy;

#[tokio::test]
async fn a_trail_is_searched_page_by_page() {
    let office = office().await;
    let ada = office.stage.inhabit("ada").await;
    let client = office.gateway.client("ada", &ada.key);
    for query in ["a", "b", "c"] {
        client.call("search", json!({ "query": query, "provider": "tidal" })).await;
    }
    client.call("accounts_list", json!({})).await;
    office.gateway.flush_audit().await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&ada.tenant)).await;
    let (mut sequences, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = json!({
            "tenant": "ada", "action": "search", "outcome": "ok", "userId": ada.user.to_string(), "pageSize": 2,
            "pageToken": page_token,
        });
        let page = admin.call("AuditService/QueryAudit", request).await.unwrap();
        for record in page["records"].as_array().into_iter().flatten() {
            assert_eq!(
                (&record["action"], &record["eventType"]),
                (&json!("search"), &json!("api_call")),
                "{record}"
            );
            assert_eq!(record["userId"], json!(ada.user.to_string()));
            sequences.push(record["sequence"].as_str().unwrap().parse::<u64>().unwrap());
        }
        page_token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(sequences.len(), 3);
    assert!(sequences.is_sorted_by(|newer, older| newer > older), "the newest first: {sequences:?}");

    let wrong = json!({ "tenant": "ada", "userId": "Robin", "pageSize": 1 });
    let status = admin.call("AuditService/QueryAudit", wrong).await.unwrap_err();
    assert_eq!((status.code(), wrong_fields(&status)), (Code::InvalidArgument, vec!["user_id".to_owned()]));
    let wrong = json!({ "tenant": "ada", "pageToken": "x" });
    assert_eq!(reason(&admin.call("AuditService/QueryAudit", wrong).await.unwrap_err()), "INVALID_CURSOR");
}

#[tokio::test]
async fn a_trail_is_taken_away_as_a_file_that_proves_itself() {
    let office = office().await;
    let ada = office.stage.inhabit("ada").await;
    let client = office.gateway.client("ada", &ada.key);
    client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
    office.gateway.flush_audit().await;
    let key = office.stage.admin_key(AdminRole::Auditor, Some(ada.tenant.context().tenant_id())).await;
    let auditor = office.gateway.admin(Some(&key));
    let today = office.stage.clock().now().date_naive();
    let path = |from: &str, to: &str| format!("/v1/tenants/ada/audit/export?from_day={from}&to_day={to}");
    let answer = auditor.json("GET", &path(&today.to_string(), &today.to_string()), Value::Null).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let text = std::str::from_utf8(&answer.body).unwrap();
    let pieces = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let file: Vec<u8> =
        pieces.flat_map(|piece| STANDARD.decode(piece["data"].as_str().unwrap()).unwrap()).collect();
    let keys = privacy::keys(&office.stage, &ada.tenant).await;
    let report = verify_export(&*file, &keys).unwrap();
    assert_eq!((report.faults, report.tenant), (Vec::new(), Some(ada.tenant.context().tenant_id())));
    assert!(report.records > 0 && report.checkpoints > 0, "a checkpoint covers what was exported");
    assert!(
        std::str::from_utf8(&file).unwrap().contains("AuditService/ExportAudit"),
        "its own record is in it"
    );

    let chains = auditor.call("AuditService/ListChains", json!({ "tenant": "ada" })).await.unwrap();
    let chain = &chains["chains"][0];
    assert_eq!(chain["day"], json!(today.to_string()), "{chains}");
    let count = |name: &str| chain[name].as_str().unwrap_or("0").parse::<u64>().unwrap();
    assert!(count("signedRecords") > 0 && count("signedRecords") <= count("records"), "{chains}");

    let refused = auditor.json("GET", &path("2020-01-01", "2020-01-02"), Value::Null).await;
    assert_eq!(refused.code().as_deref(), Some("not_in_state"), "retention has dropped those days");
    let refused = auditor.json("GET", &path("tomorrow", "never"), Value::Null).await;
    assert_eq!(refused.code().as_deref(), Some("invalid_arguments"));
    office.gateway.flush_audit().await;
    let query = json!({ "tenant": "ada", "action": "audit_export", "pageSize": 100 });
    let exports = office.operator.call("AuditService/QueryAudit", query).await.unwrap();
    let outcomes: Vec<_> =
        exports["records"].as_array().unwrap().iter().map(|record| &record["outcome"]).collect();
    // Before each of the three, and after it.
    for (outcome, times) in [("pending", 3), ("ok", 1), ("not_in_state", 1), ("invalid_arguments", 1)] {
        assert_eq!(outcomes.iter().filter(|told| ***told == outcome).count(), times, "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_person_answers_on_a_page_what_an_admin_asked_for() {
    let office = office().await;
    let ada = office.stage.inhabit("ada").await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&ada.tenant)).await;
    let request = |kind: &str| json!({ "tenant": "ada", "userId": ada.user.to_string(), "kind": kind });
    let ask = async |kind: &str| {
        let kind = format!("PRIVACY_REQUEST_KIND_{kind}");
        admin.call("PrivacyService/CreatePrivacyRequest", request(&kind)).await.unwrap()
    };
    let mut look = request("PRIVACY_REQUEST_KIND_ERASURE");
    look["validateOnly"] = json!(true);
    let seen = admin.call("PrivacyService/CreatePrivacyRequest", look).await.unwrap();
    assert!(seen["url"].as_str().unwrap_or_default().is_empty(), "{seen}");
    assert_eq!(office.stage.sql("SELECT count(*) FROM privacy_requests").await, "0");

    let first = ask("EXPORT").await;
    let second = ask("EXPORT").await;
    let id = second["privacyRequest"]["privacyRequestId"].clone();
    assert_eq!(first["privacyRequest"]["privacyRequestId"], id, "one copy is asked for at a time");
    let browser = Browser::new();
    assert_eq!(browser.open(&privacy::page_of(&first)).await.status(), 404, "its page was replaced");
    let file = privacy::answer(&browser, &privacy::page_of(&second), "download").await;
    assert_eq!(file.status(), 200, "{}", file.text());
    let get = json!({ "tenant": "ada", "privacyRequestId": id });
    let done = admin.call("PrivacyService/GetPrivacyRequest", get).await.unwrap();
    assert!(done["requestedBy"].as_str().unwrap().starts_with("admin:"), "{done}");

    let erasure = ask("ERASURE").await;
    let open = office.operator.call("PrivacyService/ListOpenPrivacyRequests", json!({})).await.unwrap();
    let open = open["privacyRequests"].as_array().unwrap();
    assert!(
        open.iter()
            .any(|request| request["tenant"] == "ada" && request["kind"] == "PRIVACY_REQUEST_KIND_ERASURE")
    );
    assert!(
        open.iter().all(|request| request["userId"].as_str().unwrap_or_default().is_empty()),
        "whose is not told"
    );
    let confirmed = privacy::answer(&browser, &privacy::page_of(&erasure), "delete").await;
    assert_eq!(confirmed.verdict(), "200 ok", "{}", confirmed.text());
    privacy::receipt(&privacy::page_of(&erasure)).await;
    let listed = admin
        .call("PrivacyService/ListPrivacyRequests", json!({ "tenant": "ada", "pageSize": 1 }))
        .await
        .unwrap();
    let newest = &listed["privacyRequests"][0];
    assert_eq!(
        (&newest["state"], &newest["kind"]),
        (&json!("done"), &json!("PRIVACY_REQUEST_KIND_ERASURE")),
        "{listed}"
    );
    assert!(!newest["receipt"].as_str().unwrap_or_default().is_empty());
    let status =
        admin.call("PrivacyService/CreatePrivacyRequest", request("PRIVACY_REQUEST_KIND_EXPORT")).await;
    assert_eq!(reason(&status.unwrap_err()), "OBJECT_UNKNOWN", "nobody is there any more");
}

#[tokio::test]
async fn keys_replicas_runs_and_backups_are_shown_and_no_key_is() {
    let office = office().await;
    let ada = office.stage.inhabit("ada").await;
    let id = ada.tenant.id();
    office
        .stage
        .sql(&format!(
            "INSERT INTO keeper_runs (run_id, job, dry_run, outcome, host, started_at, heartbeat_at, ended_at, counts)
                VALUES (gen_random_uuid(), 'backup', false, 'partly', 'here', now(), now(), now(), '{{\"tenants\": 3}}');
            INSERT INTO backups (tenant_id, backup_id, class, taken_at, state, wrapped_by, row_count)
                VALUES ('{id}', gen_random_uuid(), 'audit', now(), 'verified', gen_random_uuid(), 12)"
        ))
        .await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&ada.tenant)).await;
    let keys = admin.call("KeyService/ListDataKeys", json!({ "tenant": "ada" })).await.unwrap();
    let owners: Vec<_> =
        keys["dataKeys"].as_array().unwrap().iter().map(|key| key["owner"].as_str().unwrap()).collect();
    assert!(owners.contains(&"tenant") && owners.contains(&&*ada.user.to_string()), "{keys}");
    let rotations = admin.call("KeyService/ListRotations", json!({ "tenant": "ada" })).await.unwrap();
    assert_eq!(rotations["rotations"].as_array().map_or(0, Vec::len), 0, "{rotations}");
    let backups =
        admin.call("KeeperService/ListBackups", json!({ "tenant": "ada", "class": "audit" })).await.unwrap();
    assert_eq!(
        (&backups["backups"][0]["state"], &backups["backups"][0]["rows"]),
        (&json!("verified"), &json!("12"))
    );
    let status = admin.call("KeeperService/ListBackups", json!({ "tenant": "ada", "class": "music" })).await;
    assert_eq!(wrong_fields(&status.unwrap_err()), ["class"]);

    let runs = office.operator.call("KeeperService/ListRuns", json!({ "job": "backup" })).await.unwrap();
    assert_eq!(
        (&runs["runs"][0]["outcome"], &runs["runs"][0]["counts"]["tenants"]),
        (&json!("partly"), &json!("3"))
    );
    let replicas = loop {
        // The replica says of itself that it is there once it is.
        let replicas = office.operator.call("KeyService/ListReplicas", json!({})).await.unwrap();
        if replicas["replicas"].as_array().is_some_and(|found| !found.is_empty()) {
            break replicas;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(!replicas["replicas"][0]["wrapsWith"].as_str().unwrap().is_empty(), "{replicas}");
}

#[tokio::test]
async fn figures_are_told_apart_as_asked_and_summed_over_tenants() {
    let office = office().await;
    let (ada, bob) = (office.stage.inhabit("ada").await, office.stage.inhabit("bob").await);
    office.stage.sql("SELECT ensure_usage_partitions((now() AT TIME ZONE 'UTC')::date - 1, 2)").await;
    for (who, tool, calls) in [(&ada, "search", 3), (&ada, "profile", 2), (&bob, "search", 9)] {
        office
            .stage
            .sql(&format!(
                "INSERT INTO usage_minutes VALUES ('{}', date_trunc('minute', now()) - interval '5 minutes', '{}', 'key:x',
                    '{tool}', 'none', gen_random_uuid(), 1, false, {calls}, 1, 1, 0, 0, 0, 1, 4, 2, 5, '')",
                who.tenant.id(),
                who.user
            ))
            .await;
    }
    let admin = office.caller(AdminRole::TenantAdmin, Some(&ada.tenant)).await;
    let ask = async |request: Value| admin.call("UsageService/QueryUsage", request).await;
    let by_tool =
        ask(json!({ "tenant": "ada", "groupBy": ["USAGE_GROUP_TOOL"], "pageSize": 1 })).await.unwrap();
    let figures = &by_tool["figures"][0];
    assert_eq!(
        (&figures["tool"], &figures["calls"], &figures["denials"]),
        (&json!("search"), &json!("3"), &json!("1"))
    );
    assert_eq!(figures["denialsByReason"], json!({ "limit": "1" }));
    let token = by_tool["nextPageToken"].clone();
    let next =
        ask(json!({ "tenant": "ada", "groupBy": ["USAGE_GROUP_TOOL"], "pageSize": 1, "pageToken": token }))
            .await;
    let next = next.unwrap();
    assert_eq!(
        (&next["figures"][0]["tool"], &next["nextPageToken"]),
        (&json!("profile"), &Value::Null),
        "{next}"
    );
    let sum = ask(json!({ "tenant": "ada" })).await.unwrap();
    assert_eq!((&sum["figures"][0]["calls"], &sum["figures"][0]["errors"]), (&json!("5"), &json!("2")));
    assert!(sum["completeUntil"].is_string());
    let by_content = ask(json!({ "tenant": "ada", "groupBy": ["USAGE_GROUP_CONTENT"] })).await.unwrap();
    let of_content = &by_content["figures"][0];
    assert_eq!((&of_content["content"], &of_content["calls"]), (&json!("none"), &json!("5")));
    assert_eq!((&of_content["cacheMisses"], &of_content["searchWords"]), (&json!("8"), &json!("10")));
    let of_tracks = ask(json!({ "tenant": "ada", "content": "track" })).await.unwrap();
    assert_eq!(of_tracks.get("figures"), None, "only of that kind");
    let all = office.operator.call("UsageService/SummarizeUsage", json!({})).await.unwrap();
    let told: Vec<_> = all["tenants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (&of["tenant"], &of["figures"]["calls"]))
        .collect();
    assert_eq!(told, [(&json!("bob"), &json!("9")), (&json!("ada"), &json!("5"))], "the busiest first");
    let status =
        ask(json!({ "tenant": "ada", "from": "2026-01-01T00:00:00Z", "interval": "USAGE_INTERVAL_MINUTE" }))
            .await;
    assert_eq!(wrong_fields(&status.unwrap_err()), ["interval"]);
}
