//! Everything that can be read, in every form; settings from the printed file back to the server; the signed export.

use serde_json::json;
use stagedoor_ctl::Exit;

use super::{Desk, text};

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_read_in_every_form() {
    let desk = Desk::set().await;
    let home = desk.stage.inhabit("acme").await;
    let user = home.user;
    let of_user = format!("linked-accounts list --tenant acme --user-id {user}");
    let commands = [
        "tenants list",
        "tenants get --tenant acme",
        "users list --tenant acme --all",
        "provider-apps list --tenant acme",
        "provider-apps get --tenant acme --provider tidal",
        of_user.as_str(),
        "agent-keys list --tenant acme --limit 3",
        "admin-keys list",
        "admin-keys list-for-tenant --tenant acme",
        "issuers list --tenant acme",
        "settings get --tenant acme",
        "settings get --tenant acme --effective",
        "audit query --tenant acme --from -1h --all",
        "audit list-chains --tenant acme",
        "usage query --tenant acme --from -1d --group-by tool,interval",
        "usage summarize",
        "usage list-daily-figures --tenant acme",
        "keys list-data-keys --tenant acme",
        "keys list-rotations --tenant acme",
        "keys list-replicas --all",
        "keeper list-runs",
        "keeper list-backups --tenant acme",
        "privacy list --tenant acme",
        "privacy list-open --late --all",
        "caller get",
    ];
    for command in commands {
        for form in ["table", "json", "yaml"] {
            let ended = desk.ctl(&format!("{command} --output {form}")).await;
            assert_eq!(ended.exit, Exit::Done, "{command}: {ended:?}");
            assert!(
                !ended.output.contains("[object") && !ended.output.is_empty() || form == "table",
                "{command}: {ended:?}"
            );
        }
    }
    let users = desk.ctl("users list --tenant acme").await;
    assert!(users.output.contains(&user.to_string()) && users.output.starts_with("USER ID"), "{users:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_printed_edited_and_handed_back() {
    let desk = Desk::set().await;
    desk.json("tenants create --tenant acme").await;
    let line = "settings update --tenant acme --concurrent-calls 3 --cache-ttl-seconds search=60 --devices.new-device warn";
    desk.json(line).await;
    desk.json("settings update --tenant acme --devices.too-many refuse").await;
    let printed = desk.ctl("settings get --tenant acme -o yaml").await.output;
    assert!(printed.contains("newDevice: warn") && printed.contains("tooMany: refuse"), "{printed}");
    let edited = printed.replace("concurrentCalls: 3", "concurrentCalls: 5");
    assert_ne!(printed, edited);
    let ended = desk.ctl_with(&desk.key, "settings update --tenant acme --from-file -", &edited).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let stale = desk.ctl_with(&desk.key, "settings update --tenant acme --from-file -", &printed).await;
    assert_eq!(stale.exit, Exit::Conflict, "the file is older than the settings: {stale:?}");
    let settings = desk.json("settings get --tenant acme").await;
    assert_eq!(settings["concurrentCalls"], json!(5));
    assert_eq!(text(&settings, "/cacheTtlSeconds/search"), "60");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_a_whole_signed_file() {
    let desk = Desk::set().await;
    let home = desk.stage.inhabit("acme").await;
    desk.gateway.client("acme", &home.key).call("accounts_list", json!({})).await;
    desk.gateway.flush_audit().await;
    let today = desk.stage.clock().now().date_naive();
    let first = today.pred_opt().unwrap();
    let file = desk.file("trail.jsonl", "");
    let line = format!("audit export --tenant acme --from-day {first} --to-day {today} --to-file {file}");
    let ended = desk.ctl(&line).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    let keys = crate::privacy::keys(&desk.stage, &home.tenant).await;
    let lines = crate::privacy::lines(&std::fs::read(&file).unwrap(), &keys);
    assert!(lines.len() > 1, "{lines:?}");
}
