//! What is said, and with which exit code, when the server refuses.

use stagedoor_ctl::Exit;

use crate::server::{Fixture, KEY};

#[tokio::test]
async fn each_kind_of_refusal_has_its_exit_code() {
    let fixture = Fixture::start().await;
    fixture.has_tenants(&["acme"]);
    for (line, exit, words) in [
        ("tenants get --tenant nobody", Exit::NotFound, "OBJECT_UNKNOWN"),
        ("tenants create --tenant acme", Exit::Conflict, "ALREADY_EXISTS"),
        ("tenants update --tenant acme --name A --etag \"0\"", Exit::Conflict, "Look at it again"),
        ("tenants suspend --tenant acme", Exit::NotPermitted, "caller get"),
        ("tenants create --tenant a_b", Exit::Usage, "--tenant: lower-case letters"),
        ("tenants delete --tenant acme --confirm acme", Exit::Failed, "older than this program"),
        ("tenants resume --tenant acme --timeout 1s", Exit::Unavailable, "--timeout"),
    ] {
        let ended = fixture.ctl(line).await;
        assert_eq!(ended.exit, exit, "{line}: {ended:?}");
        assert!(ended.messages.contains(words), "{line}: {ended:?}");
        assert_eq!(ended.output, "", "{line}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_known_says_where_keys_come_from() {
    let fixture = Fixture::start().await;
    let environment = [
        ("STAGEDOOR_SERVER", format!("http://{}", fixture.address)),
        ("STAGEDOOR_ADMIN_KEY", "sd_admin_old".to_owned()),
    ];
    let ended = fixture.ctl_with("tenants list", &environment, "").await;
    assert_eq!(ended.exit, Exit::NotPermitted);
    assert!(ended.messages.contains("STAGEDOOR_ADMIN_KEY_FILE"), "{ended:?}");
    assert!(!ended.messages.contains("sd_admin_old"), "a key is never repeated: {ended:?}");
}

#[tokio::test]
async fn programs_get_refusals_as_an_object() {
    let fixture = Fixture::start().await;
    let ended = fixture.ctl("tenants create --tenant a_b -o json").await;
    let json: serde_json::Value = serde_json::from_str(&ended.messages).unwrap();
    assert_eq!(json["error"]["code"], "INVALID_ARGUMENT");
    assert_eq!(json["error"]["reason"], "INVALID_ARGUMENTS");
    assert_eq!(json["error"]["violations"][0]["at"], "--tenant");
    for line in
        ["tenants lst -o json", "tenants list --wrong --output=yaml", "tenants update --tenant a -o json"]
    {
        let ended = fixture.ctl(line).await;
        assert_eq!(ended.exit, Exit::Usage, "{line}");
        let json: serde_json::Value = serde_json::from_str(&ended.messages).unwrap();
        assert!(json["error"]["message"].is_string() && json["error"]["code"].is_null(), "{line}: {json}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let fixture = Fixture::start().await;
    let environment = [("STAGEDOOR_ADMIN_KEY", KEY.to_owned())];
    let ended = fixture.ctl_with("tenants list --server http://127.0.0.1:1", &environment, "").await;
    assert_eq!(ended.exit, Exit::Unavailable, "{ended:?}");
    assert!(ended.messages.contains("127.0.0.1:1") && ended.messages.contains("refused"), "{ended:?}");
}
