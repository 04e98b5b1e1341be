//! Keys from files and the environment; help, versions and completion, which need no server.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use stagedoor_ctl::Exit;

use crate::server::{Fixture, KEY};

#[tokio::test]
async fn the_key_is_read_from_a_file() {
    let fixture = Fixture::start().await;
    let file = fixture.home.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let server = ("STAGEDOOR_SERVER", format!("http://{}", fixture.address));
    let by_flag = format!("tenants list --key-file {}", file.display());
    let wrong = ("STAGEDOOR_ADMIN_KEY", "wrong".to_owned());
    assert_eq!(
        fixture.ctl_with(&by_flag, &[server.clone(), wrong], "").await.exit,
        Exit::Done,
        "flags go first"
    );
    let by_environment = ("STAGEDOOR_ADMIN_KEY_FILE", file.display().to_string());
    assert_eq!(
        fixture.ctl_with("tenants list", &[server.clone(), by_environment], "").await.exit,
        Exit::Done
    );
    let missing = ("STAGEDOOR_ADMIN_KEY_FILE", "/nowhere/key".to_owned());
    let ended = fixture.ctl_with("tenants list", &[server, missing], "").await;
    assert!(ended.exit == Exit::Failed && ended.messages.contains("/nowhere/key"), "{ended:?}");
}

#[tokio::test]
async fn a_key_that_others_can_read_is_used_with_a_warning() {
    let fixture = Fixture::start().await;
    let file = fixture.home.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let line = format!("tenants list --key-file {} --server http://{}", file.display(), fixture.address);
    for (mode, is_warned) in [(0o640, true), (0o600, false), (0o604, true), (0o400, false)] {
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let ended = fixture.ctl_with(&line, &[], "").await;
        assert_eq!(ended.exit, Exit::Done, "{ended:?}");
        assert_eq!(ended.messages.contains("chmod 600"), is_warned, "{mode:o}: {ended:?}");
    }
}

#[tokio::test]
async fn a_file_that_does_not_fit_is_told_by_its_flag() {
    let fixture = Fixture::start().await;
    let empty = fixture.home.path().join("empty.pem");
    std::fs::write(&empty, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let empty = empty.display();
    for (flags, exit, words) in [
        (format!("--ca-file {empty}"), Exit::Usage, "--ca-file: there is no certificate in"),
        (
            format!("--client-certificate {empty} --client-key {empty}"),
            Exit::Usage,
            "--client-certificate: there is no certificate in",
        ),
        ("--ca-file /nowhere".to_owned(), Exit::Failed, "--ca-file: /nowhere"),
        ("--key-file /nowhere".to_owned(), Exit::Failed, "--key-file: /nowhere"),
    ] {
        let ended = fixture.ctl(&format!("tenants list --server https://127.0.0.1:1 {flags}")).await;
        assert_eq!(ended.exit, exit, "{flags}: {ended:?}");
        assert!(ended.messages.contains(words), "{flags}: {ended:?}");
    }
    let ended = fixture.ctl("settings update --tenant acme --from-file /nowhere").await;
    assert!(ended.messages.contains("--from-file: /nowhere"), "{ended:?}");
}

#[tokio::test]
async fn what_needs_no_server_asks_for_none() {
    let fixture = Fixture::start().await;
    for (line, words) in [
        ("version", env!("CARGO_PKG_VERSION")),
        ("--help", "Exit codes"),
        ("agent-keys rotate --help", "How long the old key goes on"),
        ("completion bash", "agent-keys"),
        ("completion fish", "agent-keys"),
        ("reference", "# The admin API"),
    ] {
        let ended = fixture.ctl_with(line, &[], "").await;
        assert_eq!(ended.exit, Exit::Done, "{line}");
        assert!(ended.output.contains(words), "{line}: {}", ended.output);
        assert_eq!(ended.messages, "", "{line}");
    }
    let ended = fixture.ctl_with("tenants list", &[], "").await;
    assert!(ended.exit == Exit::Usage && ended.messages.contains("which server"), "{ended:?}");
}

#[tokio::test]
async fn quickstart_names_all_that_is_missing_where_nobody_can_be_asked() {
    let fixture = Fixture::start().await;
    let ended = fixture.ctl("quickstart --tenant acme").await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.messages.contains("--provider, --client-id, --user-label"), "{ended:?}");
    assert!(fixture.seen().creates.is_empty());
}
