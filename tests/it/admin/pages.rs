//! Every list has pages, and together they are the whole list: nothing twice, nothing left out.

use prost_reflect::MethodDescriptor;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_proto::dynamic;
use stagedoor_testkit::Admin;
use tonic::Code;

use super::frame::{office, reason};
use super::matrix::plausible::Things;
use crate::limits_hot_reload::until;

fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

/// What a page lists, each by its first field, which is its name or id; and the token of the next page.
async fn page(operator: &Admin, method: &MethodDescriptor, request: &Value) -> (Vec<String>, String) {
    let asked = operator.call(&name(method), request.clone()).await;
    let answer = asked.unwrap_or_else(|status| panic!("{}: {request}: {status:?}", name(method)));
    let listed = method.output().fields().find(prost_reflect::FieldDescriptor::is_list).unwrap();
    let kind = listed.kind();
    let first = kind.as_message().unwrap().get_field(1).unwrap();
    let items = answer[listed.json_name()].as_array().cloned().unwrap_or_default();
    let named = items.iter().map(|item| item[first.json_name()].to_string()).collect();
    (named, answer["nextPageToken"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_one_make_up_every_list() {
    let office = office().await;
    let ada = Things::make(&office, "ada").await;
    let bob = Things::make(&office, "bob").await;
    ada.tenant.set_up(Provider::Tidal).await;
    let second = json!({ "tenant": "ada", "issuer": { "issuer": "https://second.example.com", "subjectPrefix": "s:" } });
    office.operator.call("IssuerService/CreateIssuer", second).await.unwrap();
    office
        .operator
        .call("UserService/CreateUser", json!({ "tenant": "ada", "label": "Second" }))
        .await
        .unwrap();
    for day in ["2026-11-20", "2026-11-21"] {
        let figure = "'day', '{day}', 'calls', false, 3".replace("{day}", day);
        let id = ada.tenant.id();
        let insert = "INSERT INTO metric_rollups (tenant_id, period, starts_on, metric, is_level, value)";
        office.stage.sql(&format!("{insert} VALUES ('{id}', {figure})")).await;
    }
    // The replica says of itself that it is there once it is.
    let replicas = "SELECT count(*) FROM replicas";
    until("the replica tells of itself", async || office.stage.sql(replicas).await != "0").await;
    let mut several = Vec::new();
    let methods = dynamic::services().flat_map(|service| service.methods().collect::<Vec<_>>());
    // The trail grows by each look at it; its pages are looked at where nothing else happens.
    let methods = methods.filter(|method| {
        method.input().get_field_by_name("page_token").is_some() && !name(method).starts_with("AuditService")
    });
    for method in methods {
        let mut request = ada.request(&method, false);
        request["pageSize"] = json!(500);
        let (all, next) = page(&office.operator, &method, &request).await;
        assert_eq!(next, "", "{}", name(&method));
        request["pageSize"] = json!(1);
        let mut told = Vec::new();
        loop {
            let (items, next) = page(&office.operator, &method, &request).await;
            assert!(items.len() <= 1, "{}: {items:?}", name(&method));
            told.extend(items);
            if next.is_empty() {
                break;
            }
            request["pageToken"] = json!(next);
        }
        assert_eq!(told, all, "{}", name(&method));
        if told.len() > 1 {
            several.push(name(&method));
        }
        request["pageToken"] = json!("!");
        let foreign = office.operator.call(&name(&method), request).await.unwrap_err();
        assert_eq!((foreign.code(), &*reason(&foreign)), (Code::InvalidArgument, "INVALID_CURSOR"));
    }
    for rpc in [
        "IssuerService/ListIssuers",
        "PrivacyService/ListOpenPrivacyRequests",
        "ProviderAppService/ListProviderApps",
        "TenantService/ListTenants",
        "UsageService/ListDailyFigures",
        "UserService/ListUsers",
    ] {
        assert!(several.iter().any(|found| found == rpc), "{rpc} had one page only: {several:?}");
    }
    drop(bob);
}
