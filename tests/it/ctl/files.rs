//! What `get` printed, edited and handed back: with its etag, a file stands for the whole object.

use serde_json::{Value, json};
use stagedoor_ctl::Exit;

use super::{Desk, text};

const OF_ACME: &str = "settings update --tenant acme --concurrent-calls 3 --cache-ttl-seconds search=60 --devices.new-device warn";

/// Hands an object back, which has to succeed, and answers with what it is then.
async fn handed_back(desk: &Desk, update: &str, object: &Value) -> Value {
    let file = desk.file("edit.json", &object.to_string());
    desk.json(&format!("{update} --from-file {file}")).await
}

fn without(object: &Value, member: &str) -> Value {
    let mut object = object.clone();
    assert!(object.as_object_mut().unwrap().remove(member).is_some(), "no {member} in {object}");
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_from_the_whole_is_reset() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme").await;
    desk.json(OF_ACME).await;
    let whole = desk.json("settings get --tenant acme").await;
    assert_eq!(handed_back(&desk, "settings update", &whole).await, whole, "nothing was edited");

    let reset = handed_back(&desk, "settings update", &without(&whole, "cacheTtlSeconds")).await;
    assert_eq!(reset.get("cacheTtlSeconds"), None, "{reset}");
    assert_eq!(
        (&reset["concurrentCalls"], &reset["devices"]),
        (&whole["concurrentCalls"], &whole["devices"])
    );
    assert_eq!(without(&desk.json("settings get --tenant acme").await, "etag"), without(&reset, "etag"));

    let file = desk.file("stale.json", &without(&whole, "devices").to_string());
    let stale = desk.ctl(&format!("settings update --from-file {file}")).await;
    assert_eq!(stale.exit, Exit::Conflict, "{stale:?}");

    let part = json!({ "tenant": "acme", "cacheTtlSeconds": { "search": 5 } });
    let changed = handed_back(&desk, "settings update", &part).await;
    assert_eq!(changed["concurrentCalls"], 3, "without an etag the rest stays: {changed}");
    let narrow = json!({ "tenant": "acme", "concurrentCalls": 9, "etag": changed["etag"] });
    let narrow = handed_back(&desk, "settings update --update-mask concurrent-calls", &narrow).await;
    assert_eq!((&narrow["concurrentCalls"], text(&narrow, "/cacheTtlSeconds/search")), (&json!(9), "5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_admin_hands_back_what_only_operators_change() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme").await;
    desk.json(OF_ACME).await;
    let admin = "admin-keys create-for-tenant --tenant acme --name theirs --role tenant-admin";
    let admin = text(&desk.json(admin).await, "/secret").to_owned();
    let whole = desk.json("settings get --tenant acme").await;
    let edited = desk.file("edit.json", &without(&whole, "cacheTtlSeconds").to_string());
    let changed = desk.json_as(&admin, &format!("settings update --from-file {edited}")).await;
    assert_eq!((changed.get("cacheTtlSeconds"), &changed["concurrentCalls"]), (None, &json!(3)));
    let reserved = desk.file("reserved.json", &without(&changed, "concurrentCalls").to_string());
    let refused = desk.ctl_as(&admin, &format!("settings update --from-file {reserved}")).await;
    assert_eq!(refused.exit, Exit::NotPermitted, "{refused:?}");
    assert!(refused.messages.contains("concurrent_calls"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_can_be_handed_back() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme --name Acme").await;
    let user = desk.json("users create --tenant acme --label Robin --external-subject r@acme.example").await;
    let key = "agent-keys create --tenant acme --name desk --scopes all --read-only --expire-time 3d";
    let key = desk.json(key).await["agentKey"].clone();
    let secret = desk.file("secret", "of-the-client");
    let app = format!(
        "provider-apps create --tenant acme --provider spotify --client-id abc --client-secret-file {secret}"
    );
    let app = desk.json(&app).await;
    let issuer = "issuers create --tenant acme --issuer https://login.example.com --read-only";
    let issuer = desk.json(issuer).await;
    let tenant = desk.json("tenants get --tenant acme").await;
    for (update, object) in [
        ("tenants update", &tenant),
        ("users update --tenant acme", &user),
        ("agent-keys update --tenant acme", &key),
        ("provider-apps update --tenant acme", &app),
        ("issuers update --tenant acme", &issuer),
    ] {
        let same = handed_back(&desk, update, object).await;
        assert_eq!(same["etag"], object["etag"], "{update}: an unchanged file changes nothing: {same}");
    }
    for (update, object, member) in [
        ("users update --tenant acme", &user, "externalSubject"),
        ("agent-keys update --tenant acme", &key, "readOnly"),
        ("issuers update --tenant acme", &issuer, "readOnly"),
    ] {
        let reset = handed_back(&desk, update, &without(object, member)).await;
        assert_eq!(reset.get(member), None, "{update}: {reset}");
    }
    let app = handed_back(&desk, "provider-apps update --tenant acme", &without(&app, "mode")).await;
    assert_eq!(app["hasClientSecret"], true, "a secret that is never printed stays: {app}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_about_something_else_is_refused() {
    let desk = Desk::set().await;
    for tenant in ["acme", "birch"] {
        desk.json(&format!("tenants create --tenant {tenant}")).await;
    }
    desk.json(OF_ACME).await;
    let whole = desk.json("settings get --tenant acme").await;
    let file = desk.file("settings.json", &without(&whole, "etag").to_string());
    let refused = desk.ctl(&format!("settings update --tenant birch --from-file {file}")).await;
    assert!(refused.exit == Exit::Usage && refused.messages.contains("--tenant"), "{refused:?}");
    let user = desk.json("users create --tenant acme --label Robin").await;
    let file = desk.file("user.json", &user.to_string());
    let other = "00000000-0000-4000-8000-000000000001";
    let refused = desk.ctl(&format!("users update --tenant acme --user-id {other} --from-file {file}")).await;
    assert!(refused.exit == Exit::Usage && refused.messages.contains("--user-id"), "{refused:?}");
}
