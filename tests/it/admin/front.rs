//! The port of operators as they meet it: one API over gRPC and JSON, errors that say what would be right, creates that may be
//! repeated, looks that change nothing, and a record of every call.

use serde_json::{Value, json};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{KeySpec, generous};
use tonic::Code;

use super::frame::{body, office, reason, wrong_fields};
use crate::limits_hot_reload::until;

const REQUEST: &str = "6f2f8a52-3c4f-4f0e-9d54-0f2b8d1f7a10";

#[tokio::test]
async fn grpc_and_json_are_one_api() {
    let office = office().await;
    let made = office.operator.json("POST", "/v1/tenants", json!({ "tenant": "acme", "name": "Acme" })).await;
    let (made, etag) = (body(&made), made.header("etag").map(str::to_owned));
    assert_eq!(
        (&made["name"], &made["plan"], &made["state"]),
        (&json!("Acme"), &json!("standard"), &json!("TENANT_STATE_ACTIVE"))
    );
    assert!(made["endpoint"].as_str().unwrap().ends_with("/t/acme/mcp"));
    assert_eq!(etag, Some(format!("{:?}", made["etag"].as_str().unwrap())), "the header says the same");

    let change = json!({ "tenant": "acme", "plan": "gold", "updateMask": "plan", "etag": made["etag"] });
    let changed = office.operator.call("TenantService/UpdateTenant", change.clone()).await.unwrap();
    assert_eq!((&changed["name"], &changed["plan"]), (&json!("Acme"), &json!("gold")));
    let stale = office.operator.call("TenantService/UpdateTenant", change).await.unwrap_err();
    assert_eq!((stale.code(), &*reason(&stale)), (Code::Aborted, "ETAG_MISMATCH"));

    let seen = body(&office.operator.json("GET", "/v1/tenants/acme", Value::Null).await);
    assert_eq!(seen["etag"], changed["etag"]);
    let listed = body(&office.operator.json("GET", "/v1/tenants?pageSize=1", Value::Null).await);
    assert_eq!(listed["tenants"][0]["tenant"], "acme");
    let token = listed["nextPageToken"].as_str().unwrap();
    let rest = format!("/v1/tenants?page_token={token}&state=suspended");
    let rest = body(&office.operator.json("GET", &rest, Value::Null).await);
    assert_eq!(rest["tenants"][0]["tenant"], "platform", "the installation's own, which holds its trail");
    assert_eq!(rest["nextPageToken"], "");
}

#[tokio::test]
async fn a_suspended_tenants_agents_are_refused_until_it_is_resumed() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    let person = acme.person("Robin").await;
    let key = acme.key(&KeySpec::for_user(person)).await;
    let client = office.gateway.client("acme", &key);
    let status = async || client.rpc("tools/list", json!({})).await.status;
    assert_eq!(status().await, 200);
    for (rpc, wanted) in [("TenantService/SuspendTenant", 401), ("TenantService/ResumeTenant", 200)] {
        office.operator.call(rpc, json!({ "tenant": "acme" })).await.unwrap();
        until(rpc, async || status().await == wanted).await;
    }
    let own = office
        .operator
        .call("TenantService/ResumeTenant", json!({ "tenant": "platform" }))
        .await
        .unwrap_err();
    assert_eq!((own.code(), &*reason(&own)), (Code::FailedPrecondition, "NOT_IN_STATE"));
}

#[tokio::test]
async fn what_is_wrong_is_named_by_field_with_what_would_be_right() {
    let office = office().await;
    let create =
        async |request: Value| office.operator.call("TenantService/CreateTenant", request).await.unwrap_err();
    let missing = create(json!({ "name": "Acme", "requestId": "17" })).await;
    assert_eq!(
        (missing.code(), wrong_fields(&missing)),
        (Code::InvalidArgument, vec!["tenant".into(), "request_id".into()])
    );
    for name in ["Acme", "-a", "a b", &"a".repeat(41)] {
        let wrong = create(json!({ "tenant": name })).await;
        assert_eq!(
            (wrong_fields(&wrong), &*reason(&wrong)),
            (vec!["tenant".to_owned()], "INVALID_ARGUMENTS"),
            "{name}"
        );
        assert!(wrong.message().contains("lower-case"), "{}", wrong.message());
    }
    let unknown =
        office.operator.call("TenantService/GetTenant", json!({ "tenant": "nobody" })).await.unwrap_err();
    assert_eq!((unknown.code(), &*reason(&unknown)), (Code::NotFound, "OBJECT_UNKNOWN"));

    for (method, path, sent, status, code, says) in [
        (
            "POST",
            "/v1/tenants",
            json!({ "tenant": "acme", "label": "Acme" }),
            400,
            "invalid_arguments",
            "label",
        ),
        ("POST", "/v1/tenants", json!(["acme"]), 400, "malformed_json", "object"),
        ("PATCH", "/v1/tenants/acme", json!({ "updateMask": "tenant" }), 404, "object_unknown", "acme"),
        (
            "PATCH",
            "/v1/tenants/platform",
            json!({ "updateMask": "tenant" }),
            400,
            "invalid_arguments",
            "name, plan",
        ),
        ("GET", "/v1/tenants?pageSize=many", Value::Null, 400, "invalid_arguments", "pageSize"),
        ("GET", "/v1/tenants?size=1", Value::Null, 400, "invalid_arguments", "pageSize"),
        ("GET", "/v1/tenants?pageToken=x", Value::Null, 400, "invalid_cursor", "page_token"),
        ("GET", "/v1/tenants?pageSize=-1", Value::Null, 400, "invalid_arguments", "page_size"),
        ("DELETE", "/v1/tenants/acme", Value::Null, 405, "method_not_allowed", "openapi"),
        ("POST", "/v1/tenants/acme/suspend?validateOnly=true", json!({}), 400, "invalid_request", "body"),
        ("GET", "/v1/nothing", Value::Null, 404, "not_found", "openapi"),
    ] {
        let answer = office.operator.json(method, path, sent).await;
        let problem = body(&answer);
        assert_eq!(answer.status, status, "{method} {path}: {problem}");
        assert_eq!(problem["code"].as_str().unwrap_or_default(), code, "{method} {path}: {problem}");
        assert!(problem.to_string().contains(says), "{method} {path}: {problem}");
    }
}

#[tokio::test]
async fn the_same_create_again_makes_nothing_twice_and_a_look_makes_nothing() {
    let office = office().await;
    let create = async |request: Value| office.operator.call("TenantService/CreateTenant", request).await;
    let looked = create(json!({ "tenant": "acme", "validateOnly": true })).await.unwrap();
    assert_eq!(looked["tenant"], "acme");
    assert!(
        create(json!({ "tenant": "Acme", "validateOnly": true })).await.is_err(),
        "a look finds what is wrong"
    );
    let count = async || office.stage.sql("SELECT count(*) FROM tenants WHERE slug <> 'platform'").await;
    assert_eq!(count().await, "0");

    let request = json!({ "tenant": "acme", "requestId": REQUEST });
    let made = create(request.clone()).await.unwrap();
    let (again, beside) = tokio::join!(create(request.clone()), create(request.clone()));
    assert_eq!((again.unwrap(), beside.unwrap()), (made.clone(), made));
    let other = create(json!({ "tenant": "acme", "name": "Other", "requestId": REQUEST })).await.unwrap_err();
    assert_eq!((other.code(), &*reason(&other)), (Code::Aborted, "IDEMPOTENCY_MISMATCH"));
    let taken = create(json!({ "tenant": "acme" })).await.unwrap_err();
    assert_eq!((taken.code(), &*reason(&taken)), (Code::AlreadyExists, "ALREADY_EXISTS"));
    assert_eq!(count().await, "1");
}

#[tokio::test]
async fn every_call_is_on_record_where_it_belongs() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    let auditor = office.caller(AdminRole::Auditor, Some(&acme)).await;
    office.operator.call("TenantService/GetTenant", json!({ "tenant": "acme" })).await.unwrap();
    office
        .operator
        .call("TenantService/SuspendTenant", json!({ "tenant": "acme", "validateOnly": true }))
        .await
        .unwrap();
    office.operator.call("TenantService/SuspendTenant", json!({ "tenant": "acme" })).await.unwrap();
    let refused = auditor.call("TenantService/ResumeTenant", json!({ "tenant": "acme" })).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::PermissionDenied, "PERMISSION_DENIED"));
    office.operator.call("TenantService/ListTenants", json!({})).await.unwrap();
    office.gateway.flush_audit().await;
    let records = async |tenant: &str| {
        let query = json!({ "tenant": tenant, "pageSize": 500, "oldestFirst": true });
        let found = office.operator.call("AuditService/QueryAudit", query).await.unwrap();
        let records = found["records"].as_array().cloned().unwrap_or_default();
        let told = |record: &Value| {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("action"), text("resourceKind"), text("error"))
        };
        records.iter().map(told).collect::<Vec<_>>()
    };
    let of_acme = records("acme").await;
    assert!(of_acme.contains(&"admin_read TenantService/GetTenant ".to_owned()), "{of_acme:#?}");
    assert!(of_acme.contains(&"admin_read TenantService/SuspendTenant ".to_owned()), "a look: {of_acme:#?}");
    let writes = of_acme.iter().filter(|told| told.starts_with("admin_write TenantService/SuspendTenant"));
    assert!(writes.count() >= 1, "{of_acme:#?}");
    assert!(of_acme.iter().any(|told| told.ends_with("permission_denied")), "{of_acme:#?}");
    let of_platform = records("platform").await;
    assert!(of_platform.contains(&"admin_read TenantService/ListTenants ".to_owned()), "{of_platform:#?}");
    assert_eq!(acme.verify_chain().await.faults, []);
}

#[tokio::test]
async fn everything_is_described_to_programs() {
    let office = office().await;
    let stranger = office.gateway.admin(None);
    let document = body(&stranger.json("GET", "/openapi.json", Value::Null).await);
    let operations = document["paths"].as_object().unwrap().values();
    let named: Vec<_> = operations
        .flat_map(|methods| methods.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let rpcs: Vec<_> = stagedoor_proto::dynamic::services()
        .flat_map(|service| service.methods().map(|method| method.name().to_owned()).collect::<Vec<_>>())
        .collect();
    assert!(rpcs.len() > 40);
    for rpc in &rpcs {
        assert!(named.contains(&rpc.as_str()), "{rpc}");
    }
    let turned_away = stranger.json("GET", "/v1/tenants", Value::Null).await;
    assert_eq!((turned_away.status, &body(&turned_away)["code"]), (401, &json!("unauthenticated")));
}
