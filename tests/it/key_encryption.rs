//! Key-encryption keys as an operator meets them: a mounted folder that changes under a running gateway, a salt.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_testkit::{Stage, TestGateway};

/// The folder of a mounted Secret that holds the stage's key as version 1.
fn mounted(stage: &Stage) -> std::path::PathBuf {
    let folder = stage.folder().join("mounted-keys");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(stage.config().encryption.key_file.unwrap(), folder.join("1")).unwrap();
    folder
}

async fn started(stage: &Stage, folder: &Path) -> TestGateway {
    TestGateway::start_with(stage, |config| {
        config.encryption.key_file = None;
        config.encryption.key_directory = Some(folder.to_owned());
    })
    .await
}

/// The report of `/readyz` and its check `keys`.
async fn readiness(gateway: &TestGateway) -> (Value, Value) {
    let report = reqwest::get(format!("http://{}/readyz", gateway.ops_address())).await.unwrap();
    let report: Value = report.json().await.unwrap();
    let keys = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "keys").cloned();
    (report["ready"].clone(), keys.unwrap())
}

async fn until_keys_are(gateway: &TestGateway, state: &str) -> Value {
    loop {
        let (ready, keys) = readiness(gateway).await;
        if keys["state"] == state {
            assert_eq!(ready, true, "all replicas share their keys: none is taken out for them");
            return keys;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_key_file_that_goes_is_said_and_costs_nothing_while_it_runs() {
    let stage = Stage::start().await;
    let folder = mounted(&stage);
    let gateway = started(&stage, &folder).await;
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    client.call("playlists_list", json!({ "provider": "spotify" })).await;
    until_keys_are(&gateway, "passing").await;
    assert_eq!(gateway.metric("key_encryption_trouble").await, 0);

    std::fs::remove_file(folder.join("1")).unwrap();
    let keys = until_keys_are(&gateway, "failing").await;
    assert!(keys["reason"].as_str().unwrap().contains("version 1"), "{keys}");
    assert_eq!(gateway.metric("key_encryption_trouble").await, 1);
    // What is still to be opened opens: this tenant's keys were never open here.
    let bob = stage.inhabit("bob").await;
    let client = gateway.client("bob", &bob.key);
    client.call("playlists_list", json!({ "provider": "spotify" })).await;

    std::fs::write(folder.join("2"), "no key at all").unwrap();
    loop {
        let keys = until_keys_are(&gateway, "failing").await;
        if keys["reason"].as_str().unwrap().contains(&folder.join("2").display().to_string()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut config = stage.config();
    (config.encryption.key_file, config.encryption.key_directory) = (None, Some(folder));
    let refused = TestGateway::try_start(&stage, &config).await.unwrap_err();
    assert!(format!("{refused:#}").contains("encryption.key_directory"), "{refused:#}");
}

#[tokio::test]
async fn a_salt_is_made_by_a_command() {
    let stage = Stage::start().await;
    let made = stage.run(&["keys", "salt"]).await;
    assert_eq!(made.code, Some(0), "{}", made.said);
    assert!(made.output.starts_with("pbkdf2-hmac-sha256$600000$"), "{}", made.output);
    let folder = stage.folder().join("passphrases");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("1.salt"), &made.output).unwrap();
    std::fs::write(folder.join("1.passphrase"), "a passphrase for an escrow").unwrap();
    let mut config = stage.config();
    config.encryption.passphrase_directory = Some(folder);
    config.encryption.wrap_with = Some(stagedoor_bootstrap::config::WrapWith::Passphrase);
    config.validate().unwrap();
    let gateway = TestGateway::try_start(&stage, &config).await.unwrap();
    assert_eq!(gateway.metric("key_encryption_keys").await, 2);
    let ada = stage.inhabit("ada").await;
    let client = gateway.client("ada", &ada.key);
    client.call("playlists_list", json!({ "provider": "spotify" })).await;

    let weak = stage.run(&["keys", "salt", "--rounds", "1000"]).await;
    assert_eq!(weak.code, Some(1));
    assert!(weak.output.is_empty() && weak.said.contains("1000 rounds"), "{}", weak.said);
}
