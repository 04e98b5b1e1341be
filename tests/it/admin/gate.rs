//! What stands before the calls of the port of operators: nobody's body is read before it is known who sends it, floods are
//! slowed down, what can be read in two ways is refused, no whole key is ever recorded, and no key makes one that
//! reaches further.

use chrono::TimeDelta;
use reqwest::Client;
use serde_json::{Value, json};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{Admin, KeySpec, generous};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use super::frame::{Office, body, office, office_with, reason, wrong_fields};

#[tokio::test]
async fn a_stranger_is_turned_away_before_the_body_is_read() {
    let office = office().await;
    let mut stream = TcpStream::connect(office.gateway.admin_address().unwrap()).await.unwrap();
    let head = "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(std::str::from_utf8(&answer), Ok("HTTP/1.1 401"));
    let refused = office.gateway.admin(None).json("GET", "/v1/tenants", Value::Null).await;
    assert_eq!((refused.status, &body(&refused)["code"]), (401, &json!("unauthenticated")));
}

#[tokio::test]
async fn who_sends_too_much_is_told_so_in_the_way_of_its_call() {
    let office = office_with(|config| {
        config.rate_limiting.per_ip_per_second = 1;
        config.rate_limiting.per_ip_burst = 2;
    })
    .await;
    let mut refused = Vec::new();
    while refused.is_empty() {
        let who = office.operator.call("CallerService/GetCaller", json!({})).await;
        refused.extend(who.err());
    }
    assert_eq!((refused[0].code(), &*reason(&refused[0])), (Code::ResourceExhausted, "RATE_LIMITED"));
    let mut answer = office.operator.json("GET", "/v1/tenants", Value::Null).await;
    while answer.status == 200 {
        answer = office.operator.json("GET", "/v1/tenants", Value::Null).await;
    }
    assert_eq!((answer.status, &body(&answer)["code"]), (429, &json!("rate_limited")));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let office = office().await;
    let key = office.stage.admin_key(AdminRole::PlatformOperator, None).await;
    let made = office.operator.json("POST", "/v1/tenants", json!({ "tenant": "acme", "name": "Acme" })).await;
    let etag = made.header("etag").unwrap().to_owned();
    let url = format!("http://{}/v1/tenants", office.gateway.admin_address().unwrap());
    let http = Client::builder().no_proxy().build().unwrap();
    let send = async |request: reqwest::RequestBuilder| {
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        let (status, problem) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        (status, problem["code"].as_str().unwrap_or_default().to_owned(), problem)
    };
    let bearer = format!("Bearer {key}");
    for twice in [
        r#"{"tenant":"b","name":"B","name":"C"}"#,
        r#"{"tenant":"b","tenant":"acme","name":"B"}"#,
        &format!("{}1{}", r#"{"tenant":"b","name":"#.to_owned() + &"[".repeat(40), "]".repeat(40) + "}"),
    ] {
        let request = http.post(&url).header("authorization", &bearer).body(twice.to_owned());
        let (status, code, problem) = send(request).await;
        assert_eq!((status, &*code), (400, "malformed_json"), "{twice}: {problem}");
    }
    let two = http.get(&url).header("authorization", &bearer).header("authorization", &bearer);
    let (status, code, _) = send(two).await;
    assert_eq!((status, &*code), (401, "unauthenticated"), "of two keys, another may have checked the other");

    let acme = format!("{url}/acme");
    let change = json!({ "name": "New", "updateMask": "name" });
    let update = async |tags: &[&str], sent: &Value| {
        let mut request = http.patch(&acme).header("authorization", &bearer).body(sent.to_string());
        for tag in tags {
            request = request.header("if-match", *tag);
        }
        send(request).await
    };
    let weak = format!("W/{etag}");
    let several = format!("{etag}, \"x\"");
    for wrong in [&[&*weak][..], &[&*several], &["x"], &["\"\""], &[&*etag, "\"x\""]] {
        let (status, code, problem) = update(wrong, &change).await;
        assert_eq!((status, &*code), (400, "invalid_arguments"), "{wrong:?}: {problem}");
        assert_eq!(problem["details"]["fields"][0]["field"], "If-Match");
    }
    let mut other = change.clone();
    other["etag"] = json!("another");
    assert_eq!(update(&[&etag], &other).await.0, 400, "the header and the body do not agree");
    let versionless = http.post(format!("{acme}/users")).header("authorization", &bearer);
    let (status, ..) = send(versionless.header("if-match", &etag).body(r#"{"label":"Robin"}"#)).await;
    assert_eq!(status, 400, "what is made has no version yet");
    assert_eq!(update(&[&etag], &change).await.2["name"], "New");
}

#[tokio::test]
async fn a_whole_key_that_stands_where_its_id_belongs_is_not_recorded() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    let robin = acme.person("Robin").await;
    let key = acme.key(&KeySpec::for_user(robin)).await;
    let whole = json!({ "tenant": "acme", "keyId": key });
    let refused = office.operator.call("AgentKeyService/RevokeAgentKey", whole).await.unwrap_err();
    assert_eq!((refused.code(), wrong_fields(&refused)), (Code::InvalidArgument, vec!["key_id".to_owned()]));
    assert!(refused.message().contains(&key[8..20]) && !refused.message().contains(&key), "{refused:?}");
    let suspend = json!({ "tenant": "acme", "reason": format!("{key} was found") });
    office.operator.call("TenantService/SuspendTenant", suspend).await.unwrap();
    office.gateway.flush_audit().await;
    let trail = office.operator.call("AuditService/QueryAudit", json!({ "tenant": "acme" })).await.unwrap();
    let trail = trail.to_string();
    assert!(trail.contains(&key[8..20]) && !trail.contains(&key[21..50]), "its id alone: {trail}");
}

/// A key of the installation that is made with the operator's own.
async fn made(office: &Office, request: Value) -> Admin {
    let made = office.operator.call("AdminKeyService/CreateAdminKey", request).await.unwrap();
    office.gateway.admin(made["secret"].as_str())
}

#[tokio::test]
async fn no_key_makes_one_that_reaches_further() {
    let office = office().await;
    let end = office.stage.clock().now() + TimeDelta::days(2);
    let at = |days: i64| json!((end + TimeDelta::days(days)).to_rfc3339());
    let role = "ROLE_PLATFORM_OPERATOR";
    let limited =
        json!({ "name": "limited", "role": role, "allowedNetworks": ["127.0.0.0/8"], "expireTime": at(0) });
    let limited = made(&office, limited).await;
    let create = async |networks: Value, expire_time: Value| {
        let mut request = json!({ "name": "child", "role": role });
        if !networks.is_null() {
            request["allowedNetworks"] = networks;
        }
        if !expire_time.is_null() {
            request["expireTime"] = expire_time;
        }
        let outcome = limited.call("AdminKeyService/CreateAdminKey", request).await;
        outcome.map_err(|refused| wrong_fields(&refused))
    };
    for (networks, end, wrong) in [
        (Value::Null, at(-1), "allowed_networks"),
        (json!(["10.0.0.0/8"]), at(-1), "allowed_networks"),
        (json!(["127.0.0.1", "0.0.0.0/0"]), at(-1), "allowed_networks"),
        (json!(["127.0.0.1"]), Value::Null, "expire_time"),
        (json!(["127.0.0.1"]), at(1), "expire_time"),
    ] {
        assert_eq!(
            create(networks.clone(), end.clone()).await,
            Err(vec![wrong.to_owned()]),
            "{networks} {end}"
        );
    }
    assert!(create(json!(["127.0.0.1"]), at(-1)).await.is_ok());
}
