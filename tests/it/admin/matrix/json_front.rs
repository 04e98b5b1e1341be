//! The same matrix through the JSON front: it lets nobody do what gRPC does not.

use std::collections::BTreeSet;

use prost_reflect::MethodDescriptor;
use serde_json::{Map, Value};
use stagedoor_proto::admin::v1::{AccessScope, Effect};
use stagedoor_proto::dynamic;
use stagedoor_testkit::{Admin, Answer};
use url::form_urlencoded;

use super::plausible::Things;
use super::{Verdict, callers, everything, expected, methods, name};
use crate::admin::frame::body;
use crate::admin::token_office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_does_for_everyone_what_the_options_say() {
    let with_tokens = token_office::open().await;
    let office = &with_tokens.office;
    let ada = Things::make(office, "ada").await;
    let bob = Things::make(office, "bob").await;
    let callers = callers(&with_tokens, &ada.tenant, &ada.agent_key).await;
    let before = everything(office).await;
    let mut wrong = BTreeSet::new();
    for method in methods() {
        let access = dynamic::access(&method).unwrap();
        let about_a_tenant = access.scope() == AccessScope::Tenant;
        for who in &callers {
            for (things, foreign) in [(&ada, false), (&bob, true)] {
                if foreign && !about_a_tenant {
                    continue;
                }
                let expected = expected(&access, who, foreign);
                let only_checked = expected == Verdict::Done && access.effect() == Effect::Write;
                let answer = send(&who.admin, &method, things.request(&method, only_checked)).await;
                let verdict = verdict(&answer);
                if verdict != expected {
                    let tenant = if foreign { "foreign" } else { "own" };
                    let cell = format!("{} {} {tenant}", name(&method), who.name);
                    wrong.insert(format!("{cell}: {verdict:?} instead of {expected:?}"));
                }
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new(), "what JSON does is not what the options say");
    assert_eq!(
        everything(office).await,
        before,
        "a call that was refused, or only checked, changed something"
    );
}

/// Sends a request to the path of its RPC: what stands in the path there, the rest as query or body.
async fn send(admin: &Admin, method: &MethodDescriptor, request: Value) -> Answer {
    let route = dynamic::http_route(method).unwrap();
    let mut fields = request.as_object().cloned().unwrap();
    let mut path = route.path.clone();
    for field in method.input().fields() {
        let place = format!("{{{}}}", field.name());
        if path.contains(&place) {
            let value = fields.remove(field.json_name()).unwrap();
            path = path.replace(&place, value.as_str().unwrap());
        }
    }
    if route.has_body {
        return admin.json(&route.method, &path, Value::Object(fields)).await;
    }
    admin.json(&route.method, &format!("{path}?{}", query(&fields)), Value::Null).await
}

fn query(fields: &Map<String, Value>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        let values = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
        for value in values {
            query.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    query.finish()
}

fn verdict(answer: &Answer) -> Verdict {
    let problem = body(answer);
    let code = problem["code"].as_str().unwrap_or_default();
    match (answer.status, code) {
        (200, _) | (409, "not_in_state") => Verdict::Done,
        (401, "unauthenticated") | (429, "too_many_attempts") => Verdict::Unauthenticated,
        (403, "permission_denied") => Verdict::Denied,
        (404, "object_unknown") if problem["details"]["kind"] == "tenant" => Verdict::TenantMissing,
        (status, code) => Verdict::Otherwise(format!("{status} {code}: {}", problem["detail"])),
    }
}
