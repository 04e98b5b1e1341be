//! People of a tenant.

use serde_json::{Value, json};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::generous;
use tonic::Code;

use super::text;
use crate::admin::frame::{office, reason, wrong_fields};

const REQUEST: &str = "0d5e6b2e-6b53-4f3a-8f43-7d2a8a6c1c11";

#[tokio::test]
async fn people_are_added_once_found_by_their_subject_and_changed_by_whoever_saw_them() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    office.stage.tenant("other", generous()).await;
    let admin = office.caller(AdminRole::TenantAdmin, Some(&acme)).await;
    let create =
        json!({ "tenant": "acme", "externalSubject": "robin", "label": "Robin", "requestId": REQUEST });
    let made = admin.call("UserService/CreateUser", create.clone()).await.unwrap();
    assert_eq!(admin.call("UserService/CreateUser", create).await.unwrap(), made);
    let taken = json!({ "tenant": "acme", "externalSubject": "robin" });
    let taken = admin.call("UserService/CreateUser", taken).await.unwrap_err();
    assert_eq!((taken.code(), &*reason(&taken)), (Code::AlreadyExists, "ALREADY_EXISTS"));
    let wrong = json!({ "tenant": "acme", "externalSubject": "a\nb", "label": " x" });
    let wrong = admin.call("UserService/CreateUser", wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&wrong), ["external_subject", "label"]);

    let id = text(&made, "userId");
    let update = async |change: Value| {
        let mut request = json!({ "tenant": "acme", "userId": id });
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        admin.call("UserService/UpdateUser", request).await
    };
    let renamed = update(json!({ "label": "Robin R.", "etag": made["etag"] })).await.unwrap();
    assert_eq!((&renamed["label"], &renamed["externalSubject"]), (&json!("Robin R."), &json!("robin")));
    let stale = update(json!({ "label": "X", "etag": made["etag"] })).await.unwrap_err();
    assert_eq!(&*reason(&stale), "ETAG_MISMATCH");
    let looked = update(json!({ "updateMask": "externalSubject", "validateOnly": true })).await.unwrap();
    assert_eq!(looked.get("externalSubject"), None, "what would be");
    let get = json!({ "tenant": "acme", "userId": id });
    assert_eq!(
        admin.call("UserService/GetUser", get.clone()).await.unwrap(),
        renamed,
        "a look changed nothing"
    );

    let list = json!({ "tenant": "acme", "externalSubject": "robin" });
    let listed = admin.call("UserService/ListUsers", list).await.unwrap();
    assert_eq!(listed["users"], json!([renamed]));
    let foreign = json!({ "tenant": "other", "userId": id });
    let foreign = office.operator.call("UserService/GetUser", foreign).await.unwrap_err();
    assert_eq!((foreign.code(), &*reason(&foreign)), (Code::NotFound, "OBJECT_UNKNOWN"));
    let platform = json!({ "tenant": "platform", "label": "X" });
    let platform = office.operator.call("UserService/CreateUser", platform).await.unwrap_err();
    assert_eq!(&*reason(&platform), "NOT_IN_STATE");
}

#[tokio::test]
async fn a_long_list_of_people_comes_page_by_page() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    for number in 0..5 {
        acme.person(&format!("person {number}")).await;
    }
    let (mut token, mut labels) = (String::new(), Vec::new());
    loop {
        let request = json!({ "tenant": "acme", "pageSize": 2, "pageToken": token });
        let page = office.operator.call("UserService/ListUsers", request).await.unwrap();
        let users = page["users"].as_array().unwrap();
        assert!(users.len() <= 2);
        labels.extend(users.iter().map(|user| text(user, "label")));
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(labels, (0..5).map(|number| format!("person {number}")).collect::<Vec<_>>());
}
