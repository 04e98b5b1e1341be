//! `stagedoor demo` as people run it: starts, serves, ends within two seconds, survives being killed, keeps its data.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use stagedoor_domain::{Clock, SystemClock};
use stagedoor_testkit::{Browser, Client, DemoProcess};

/// A folder that the database's account can reach.
fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::Builder::new().prefix("stagedoor-demo-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

/// Processes that name `folder` on their command line or work in it.
fn processes_of(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let works_there =
            std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        let own = pid == std::process::id();
        if !own && (works_there || command.contains(&*folder.to_string_lossy())) {
            found.push(format!("{pid} {command}"));
        }
    }
    found
}

/// What the greeting suggests, followed in a browser through the sandbox's own pages.
async fn links_another_account(client: &Client) {
    let asked = client.call("account_link", json!({ "provider": "spotify" })).await;
    let browser = Browser::new();
    let consent = browser.open(&asked["url"].as_str().unwrap().parse().unwrap()).await;
    let log_in = browser.submit(&consent, &[("decision", "agree")]).await;
    let answers = [("account", "new"), ("name", "Robin's other"), ("country", "SE"), ("decision", "allow")];
    let last = browser.submit(&log_in, &answers).await;
    assert_eq!(last.heading(), "Your Spotify account is linked", "{}", last.text());
    let accounts = client.call("accounts_list", json!({})).await;
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 3, "{accounts}");
}

#[tokio::test]
async fn it_serves_and_ends_within_two_seconds_leaving_nothing_running() {
    let folder = folder();
    let data = folder.path().join("data");
    let mut demo = DemoProcess::start(&data, &[]).await;
    for member in ["endpoint", "api_key", "ops_url", "tenant"] {
        assert!(demo.greeting[member].is_string(), "{}", demo.greeting);
    }
    assert!(demo.greeting["api_key"].as_str().unwrap().starts_with("sd_test_"));
    let client = demo.client();
    for provider in ["spotify", "tidal"] {
        let created = client.call("playlist_create", json!({ "name": "Tried", "provider": provider })).await;
        let found = client.call("search", json!({ "query": "river", "provider": provider })).await;
        let track = &found["tracks"]["items"][0]["ref"];
        let playlist = &created["playlist"]["ref"];
        let added = client.call("playlist_add", json!({ "ref": playlist, "tracks": [track] })).await;
        assert_eq!(added["added"], 1);
    }
    let kept = demo.keep(&["--json", "run-due"]).await;
    assert_eq!(kept.code, Some(0), "{}{}", kept.output, kept.said);
    let read_back = demo.keep(&["--json", "restore", "list"]).await;
    let backups = &read_back.lines()[0]["backups"];
    // Three classes, of the tenant and of the installation's own trail.
    assert_eq!(backups.as_array().map(Vec::len), Some(6), "{}{}", read_back.output, read_back.said);
    let (status, said) = DemoProcess::refused(&data, &[]).await;
    assert!(!status.success() && said.contains("in use") && !said.contains("panicked"), "{said}");
    client.call("usage_status", json!({})).await;

    let clock = SystemClock::new();
    demo.program().signal(Signal::INT);
    let status = demo.program().ended().await;
    let took = clock.elapsed();
    assert!(status.success(), "{status}: {}", demo.program().said());
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    drop(demo);
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn it_starts_again_after_a_kill_with_the_same_key_and_data_until_reset() {
    let folder = folder();
    let data = folder.path().join("data");
    let mut demo = DemoProcess::start(&data, &[]).await;
    let first = demo.greeting.clone();
    let client = demo.client();
    client.call("playlist_create", json!({ "name": "Kept", "provider": "tidal" })).await;
    demo.program().signal(Signal::KILL);
    demo.program().ended().await;
    drop(demo);

    let mut demo = DemoProcess::start(&data, &[]).await;
    assert_eq!(demo.greeting["api_key"], first["api_key"]);
    let listed = demo.client().call("playlists_list", json!({ "provider": "tidal" })).await;
    assert!(listed.to_string().contains("Kept"), "{listed}");
    links_another_account(&demo.client()).await;
    demo.program().signal(Signal::TERM);
    assert!(demo.program().ended().await.success());
    drop(demo);

    let mut demo = DemoProcess::start(&data, &["--reset"]).await;
    assert_ne!(demo.greeting["api_key"], first["api_key"]);
    let listed = demo.client().call("playlists_list", json!({ "provider": "tidal" })).await;
    assert_eq!(listed["playlists"], json!([]));
    demo.program().signal(Signal::INT);
    assert!(demo.program().ended().await.success());
    drop(demo);
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}
