//! Contexts, as one uses them.

use stagedoor_ctl::Exit;

use crate::server::{Fixture, KEY};

#[tokio::test]
async fn a_context_has_all_that_a_command_needs() {
    let fixture = Fixture::start().await;
    fixture.has_tenants(&["acme"]);
    let add = format!("context add here --server http://{} --store-key - --tenant acme", fixture.address);
    let ended = fixture.ctl_with(&add, &[], &format!("{KEY}\n")).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let ended = fixture.ctl_with("tenants get", &[], "").await;
    assert!(ended.exit == Exit::Done && ended.output.contains("The acme"), "{ended:?}");
    let list = fixture.ctl_with("context list", &[], "").await;
    assert!(list.output.contains("here") && list.output.contains("stored"), "{list:?}");
    assert!(!list.output.contains(KEY), "{list:?}");
}

#[tokio::test]
async fn a_key_goes_to_its_own_server_only() {
    let fixture = Fixture::start().await;
    let other = Fixture::start().await;
    let add = format!("context add here --server http://{} --store-key -", other.address);
    fixture.ctl_with(&add, &[], KEY).await;
    let line = format!("tenants list --server http://{}", fixture.address);
    let ended = fixture.ctl_with(&line, &[], "").await;
    assert_eq!(ended.exit, Exit::NotPermitted, "no key is sent: {ended:?}");
    let line = format!("tenants list --server http://{}", other.address);
    assert_eq!(fixture.ctl_with(&line, &[], "").await.exit, Exit::Done, "the same server has it");
}

#[tokio::test]
async fn contexts_are_chosen_and_removed() {
    let fixture = Fixture::start().await;
    for name in ["one", "two"] {
        let add = format!("context add {name} --server https://{name}.example.org");
        assert_eq!(fixture.ctl_with(&add, &[], "").await.exit, Exit::Done);
    }
    let current = fixture.ctl_with("context current -o json", &[], "").await;
    assert!(current.output.contains("\"one\""), "the first is the current one: {current:?}");
    fixture.ctl_with("context use two", &[], "").await;
    let current = fixture.ctl_with("context current -o json", &[], "").await;
    assert!(current.output.contains("two.example.org"), "{current:?}");
    let dry = fixture.ctl_with("context remove two --dry-run", &[], "").await;
    assert_eq!(dry.exit, Exit::Done);
    assert_eq!(fixture.ctl_with("context use two", &[], "").await.exit, Exit::Done, "it is still there");
    fixture.ctl_with("context remove two", &[], "").await;
    let gone = fixture.ctl_with("context use two", &[], "").await;
    assert!(gone.exit == Exit::Usage && gone.messages.contains("known: one"), "{gone:?}");
    assert_eq!(fixture.ctl_with("context current", &[], "").await.exit, Exit::Usage);
    let unsafe_server = fixture.ctl_with("context add three --server http://example.org", &[], "").await;
    assert_eq!(unsafe_server.exit, Exit::Usage, "{unsafe_server:?}");
}
