//! How long calls may take: the operators' own limit, a caller's, and that each is told so in its own way.

use std::time::Duration;

use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use stagedoor_proto::dynamic::{self, DynamicCodec};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::generous;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use super::frame::{Office, body, office, office_with, reason};
use crate::limits_hot_reload::until;

/// Holds every list of people up while `work` is done.
async fn held_up<T>(office: &Office, seconds: u32, work: impl Future<Output = T>) -> T {
    let hold =
        format!("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT");
    let held = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND relation = 'users'::regclass";
    let work = async {
        until("people are held up", async || office.stage.sql(held).await == "1").await;
        work.await
    };
    tokio::join!(office.stage.sql(&hold), work).1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_takes_too_long_is_given_up_in_the_way_of_its_caller() {
    let office = office_with(|config| config.admin.request_deadline_ms = 400).await;
    office.stage.tenant("acme", generous()).await;
    held_up(&office, 4, async {
        let grpc = office.operator.call("UserService/ListUsers", json!({ "tenant": "acme" })).await;
        let status = grpc.unwrap_err();
        assert_eq!((status.code(), &*reason(&status)), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
        let answer = office.operator.json("GET", "/v1/tenants/acme/users", Value::Null).await;
        let problem = body(&answer);
        assert_eq!((answer.status, &problem["code"]), (504, &json!("deadline_exceeded")), "{problem}");
        assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("repeat")), "{problem}");
    })
    .await;
    let listed = office.operator.call("UserService/ListUsers", json!({ "tenant": "acme" })).await;
    assert!(listed.is_ok(), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_waits_less_is_answered_before_it_leaves() {
    let office = office().await;
    office.stage.tenant("acme", generous()).await;
    let key = office.stage.admin_key(AdminRole::Auditor, None).await;
    let address = office.gateway.admin_address().unwrap();
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let service = dynamic::services().find(|service| service.name() == "UserService").unwrap();
    let method = service.methods().find(|method| method.name() == "ListUsers").unwrap();
    let message = DynamicMessage::deserialize(method.input(), json!({ "tenant": "acme" })).unwrap();
    held_up(&office, 4, async {
        let mut client = Grpc::new(channel);
        client.ready().await.unwrap();
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        // The client sends this as `grpc-timeout`, and would say CANCELLED of itself.
        request.set_timeout(Duration::from_secs(1));
        let path = dynamic::grpc_path(&method).parse().unwrap();
        let status = client.unary(request, path, DynamicCodec::new(method.output())).await.unwrap_err();
        assert_eq!((status.code(), &*reason(&status)), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    })
    .await;
}
