//! `rotate-keys` and `rotate-sessions` beside a gateway: what was given out before is still good after, only old keys are
//! replaced unless one asks for more, and keys that someone knows end what they sealed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_domain::policy::{DevicePolicy, PolicyAction};
use stagedoor_keeper::jobs::doctor::Doctor;
use stagedoor_keeper::jobs::rotate_keys::{LayerArgument, RotateKeys};
use stagedoor_keeper::jobs::rotate_sessions::RotateSessions;
use stagedoor_keeper::{Ended, Ending, RunOptions};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{Client, GatewayProcess, Inhabited, KeySpec, Stage, TestGateway};

use crate::limits_hot_reload::until;

/// Runs the job with a memory for opened keys of a second, as the gateway has it.
pub(crate) async fn rotate(stage: &Stage, job: &RotateKeys, dry_run: bool) -> Ended {
    let mut config = stage.keeper_config();
    config.encryption.opened_key_s = 1;
    stage.keep_by(config, job, RunOptions { dry_run, ..RunOptions::default() }).await
}

/// Makes keys look as if they had been there for long.
pub(crate) async fn age(stage: &Stage, days: u32) {
    let sql = format!(
        "UPDATE data_keys SET created_at = created_at - interval '{days} days',
            activated_at = activated_at - interval '{days} days', retired_at = retired_at - interval '{days} days';
        UPDATE signing_keys SET created_at = created_at - interval '{days} days'"
    );
    stage.sql(&sql).await;
}

async fn states(stage: &Stage) -> String {
    stage.sql("SELECT string_agg(purpose || state, ' ' ORDER BY purpose, state) FROM data_keys").await
}

async fn gateway(stage: &Stage) -> TestGateway {
    TestGateway::start_with(stage, |config| config.encryption.opened_key_s = 1).await
}

#[tokio::test]
async fn only_old_keys_are_replaced_and_what_was_given_out_before_is_still_good() {
    let stage = Stage::start().await;
    let devices = DevicePolicy { new_device: PolicyAction::Refuse, ..DevicePolicy::default() };
    let settings = stagedoor_domain::TenantSettings { devices, ..stagedoor_testkit::generous() };
    let ada = stage.inhabit_with("ada", settings).await;
    let gateway = gateway(&stage).await;
    let client = gateway.client(ada.tenant.slug(), &ada.key);
    let page = client.call("search", json!({ "query": "a", "provider": "spotify", "limit": 2 })).await;
    let cursor = page["tracks"]["next_cursor"].as_str().unwrap().to_owned();
    let liked = client.tool("library_list", json!({ "provider": "spotify", "kind": "track" })).await;
    assert_eq!(liked.verdict(), "200 ok", "this device is the first, and no other may come");
    gateway.flush_audit().await;

    let nothing = rotate(&stage, &RotateKeys::default(), false).await;
    assert_eq!((nothing.ending, nothing.count("keys_switched")), (Ending::Succeeded, 0), "{nothing}");
    assert_eq!(states(&stage).await, "1active 2active");
    age(&stage, 91).await;
    let counted = rotate(&stage, &RotateKeys::default(), true).await;
    let due =
        (counted.count("tenant_keys_due"), counted.count("subject_keys_due"), counted.count("keys_switched"));
    assert_eq!(due, (1, 1, 0), "{counted}");
    assert_eq!(states(&stage).await, "1active 2active");
    let done = rotate(&stage, &RotateKeys::default(), false).await;
    assert_eq!((done.ending, done.count("keys_switched")), (Ending::Succeeded, 2), "{done}");
    assert_eq!(done.count("values_without_key") + done.count("values_unreadable"), 0, "{done}");
    assert!(
        done.count("values_resealed") >= 4 && done.count("keys_held") > 0,
        "the trail holds them: {done}"
    );
    assert_eq!(states(&stage).await, "1active 1decrypt_only 2active 2decrypt_only");

    // The gateway has the new keys by now, and the old cursor and the device are as they were.
    let rest = json!({ "query": "a", "provider": "spotify", "limit": 2, "cursor": cursor });
    assert_eq!(client.tool("search", rest).await.verdict(), "200 ok");
    let again =
        client.tool("library_list", json!({ "provider": "spotify", "kind": "track", "limit": 3 })).await;
    assert_eq!(again.verdict(), "200 ok", "{}", again.text());
    let status = rotate(&stage, &RotateKeys { status: true, ..RotateKeys::default() }, false).await;
    let shown = &status.answer.as_ref().unwrap().json[0];
    assert_eq!(
        (&shown["old_keys"], &shown["rotations"][0]["state"]),
        (&json!(2), &json!("settling")),
        "{shown}"
    );

    // With the trail resealed, and a day later, nothing holds them.
    age(&stage, 2).await;
    let ended = rotate(&stage, &RotateKeys { audit: true, ..RotateKeys::default() }, false).await;
    assert_eq!((ended.ending, ended.count("keys_destroyed")), (Ending::Succeeded, 2), "{ended}");
    assert_eq!(states(&stage).await, "1active 1destroyed 2active 2destroyed");
    assert!(ada.tenant.verify_chain().await.faults.is_empty());
    assert_eq!(client.tool("accounts_list", json!({})).await.verdict(), "200 ok");
}

#[tokio::test]
async fn known_keys_end_sessions_and_what_was_given_out() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let gateway = gateway(&stage).await;
    let client = gateway.client(ada.tenant.slug(), &ada.key);
    let preferences = json!({ "preferences": { "search_defaults": { "limit": 7 } } });
    assert_eq!(client.tool("preferences_set", preferences).await.verdict(), "200 ok");
    gateway.flush_audit().await;
    let unsure =
        RotateKeys { compromised: true, layer: Some(LayerArgument::Tenant), ..RotateKeys::default() };
    let done = rotate(&stage, &unsure, false).await;
    assert_eq!(done.ending, Ending::Succeeded, "{done}");
    assert_eq!((done.count("sessions_ended"), done.count("keys_destroyed")), (2, 2), "{done}");
    assert_eq!(
        done.count("signing_keys_destroyed"),
        u64::from(done.count("signing_keys_switched") > 0),
        "{done}"
    );
    assert!(done.remarks.iter().any(|said| said.contains("must be linked again")), "{done}");
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, "0");
    let refused = client.tool("library_list", json!({ "provider": "spotify", "kind": "track" })).await;
    assert_eq!(refused.code().as_deref(), Some("relink_needed"), "{}", refused.text());
    let kept = client.call("preferences_get", json!({})).await;
    assert_eq!(kept["preferences"]["search_defaults"]["limit"], 7, "what is no secret of a service is kept");
    assert!(ada.tenant.verify_chain().await.faults.is_empty());
}

#[tokio::test]
async fn a_second_rotator_does_nothing_and_a_status_is_shown() {
    let stage = Stage::start().await;
    let _ada = stage.inhabit("ada").await;
    let all = RotateKeys { layer: Some(LayerArgument::All), ..RotateKeys::default() };
    let (first, second) = tokio::join!(rotate(&stage, &all, false), rotate(&stage, &all, false));
    let endings = [first.ending, second.ending];
    assert!(endings.contains(&Ending::Succeeded) && endings.contains(&Ending::Elsewhere), "{first}{second}");
    assert_eq!(first.count("keys_switched") + second.count("keys_switched"), 2);
    let shown = stage.run_keeper(&["rotate-keys", "--status"]).await;
    assert_eq!(shown.code, Some(0), "{}", shown.said);
    assert!(shown.output.contains("ada: subject"), "{}", shown.output);
    let unsaid = stage.run_keeper(&["rotate-keys", "--compromised"]).await;
    assert_eq!(unsaid.code, Some(2), "{}", unsaid.said);
}

const SECOND_PEPPER: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// A folder with the stage's pepper as version 1.
fn pepper_folder(stage: &Stage) -> PathBuf {
    let folder = stage.folder().join("peppers");
    fs::create_dir(&folder).unwrap();
    fs::copy(stage.folder().join("pepper.key"), folder.join("1")).unwrap();
    folder
}

async fn peppered(stage: &Stage, folder: &std::path::Path, name: &str) -> GatewayProcess {
    let variables = [
        ("STAGEDOOR_ENCRYPTION__API_KEY_PEPPER_FILE", String::new()),
        ("STAGEDOOR_ENCRYPTION__API_KEY_PEPPER_DIRECTORY", folder.display().to_string()),
    ];
    GatewayProcess::start(stage, name, &variables).await
}

async fn rotate_peppers(stage: &Stage, folder: &std::path::Path, compromised: bool) -> Ended {
    let mut config = stage.keeper_config();
    config.encryption.api_key_pepper_file = None;
    config.encryption.api_key_pepper_directory = Some(folder.to_owned());
    config.encryption.opened_key_s = 1;
    let layer = Some(LayerArgument::Pepper);
    let job = RotateKeys { layer, compromised, ..RotateKeys::default() };
    stage.keep_by(config, &job, RunOptions::default()).await
}

async fn accounts(client: &Client) -> String {
    client.tool("accounts_list", json!({})).await.verdict()
}

#[tokio::test]
async fn keys_come_under_a_new_pepper_when_they_sign_in() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let unused = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    let folder = pepper_folder(&stage);
    let versions = "SELECT string_agg(pepper_version::text, ' ' ORDER BY pepper_version) FROM api_keys WHERE revoked_at IS NULL";
    fs::write(folder.join("2.pending"), SECOND_PEPPER).unwrap();
    let pending = peppered(&stage, &folder, "pending").await;
    assert_eq!(accounts(&pending.client(ada.tenant.slug(), &ada.key)).await, "200 ok");
    fs::rename(folder.join("2.pending"), folder.join("2")).unwrap();
    let active = peppered(&stage, &folder, "active").await;
    assert_eq!(accounts(&active.client(ada.tenant.slug(), &ada.key)).await, "200 ok");
    while stage.sql(versions).await != "1 2" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        accounts(&pending.client(ada.tenant.slug(), &ada.key)).await,
        "200 ok",
        "whoever is behind follows"
    );
    let waits = rotate_peppers(&stage, &folder, false).await;
    assert_eq!((waits.ending, waits.count("api_keys_under_old_pepper")), (Ending::Succeeded, 1), "{waits}");
    let ends = rotate_peppers(&stage, &folder, true).await;
    assert_eq!((ends.ending, ends.count("api_keys_revoked")), (Ending::Succeeded, 1), "{ends}");
    fs::remove_file(folder.join("1")).unwrap();
    let alone = peppered(&stage, &folder, "alone").await;
    assert_eq!(accounts(&alone.client(ada.tenant.slug(), &ada.key)).await, "200 ok");
    assert_eq!(alone.client(ada.tenant.slug(), &unused).tool("accounts_list", json!({})).await.status, 401);
}

#[tokio::test]
async fn keys_of_the_admin_api_come_under_a_new_pepper_too() {
    let stage = Stage::start().await;
    let folder = pepper_folder(&stage);
    fs::write(folder.join("2"), SECOND_PEPPER).unwrap();
    let gateway = TestGateway::start_with(&stage, |config| {
        stage.with_admin(config);
        config.encryption.api_key_pepper_file = None;
        config.encryption.api_key_pepper_directory = Some(folder.clone());
    })
    .await;
    let operator = stage.admin_key(AdminRole::PlatformOperator, None).await;
    let auditor = stage.admin_key(AdminRole::Auditor, None).await;
    let versions = "SELECT string_agg(role || pepper_version, ' ' ORDER BY role) FROM admin_keys";
    assert_eq!(stage.sql(versions).await, "auditor1 platform_operator1");
    let who = async |key: &str| gateway.admin(Some(key)).call("CallerService/GetCaller", json!({})).await;
    assert!(who(&operator).await.is_ok());
    assert_eq!(stage.sql(versions).await, "auditor1 platform_operator2", "by the first call");
    assert!(who(&operator).await.is_ok());

    let waits = rotate_peppers(&stage, &folder, false).await;
    assert_eq!((waits.ending, waits.count("api_keys_under_old_pepper")), (Ending::Succeeded, 1), "{waits}");
    fs::rename(folder.join("1"), stage.folder().join("away")).unwrap();
    let mut config = stage.keeper_config();
    config.encryption.api_key_pepper_file = None;
    config.encryption.api_key_pepper_directory = Some(folder.clone());
    let ill = stage.keep_by(config, &Doctor::default(), RunOptions::default()).await;
    assert!(ill.to_string().contains("version 1 of the pepper is missing, without which 1 keys"), "{ill}");
    fs::rename(stage.folder().join("away"), folder.join("1")).unwrap();

    until("the replica is known", async || stage.sql("SELECT count(*) FROM replicas").await == "1").await;
    let ends = rotate_peppers(&stage, &folder, true).await;
    assert_eq!((ends.ending, ends.count("admin_keys_revoked")), (Ending::Succeeded, 1), "{ends}");
    assert!(who(&auditor).await.is_err() && who(&operator).await.is_ok());
}

#[tokio::test]
async fn sessions_that_nobody_uses_get_their_daily_seal() {
    let stage = Stage::start().await;
    let ada: Inhabited<'_> = stage.inhabit("ada").await;
    let facts =
        "SELECT string_agg(session_id::text || revision, ' ' ORDER BY account_id) FROM provider_sessions";
    let before = stage.sql(facts).await;
    let none = stage.keep(&RotateSessions::default()).await;
    assert_eq!((none.ending, none.count("sessions_due")), (Ending::Succeeded, 0), "{none}");
    stage.sql("UPDATE provider_sessions SET rotation_due = now() - interval '1 hour'").await;
    let dry = stage
        .keep_with(&RotateSessions::default(), RunOptions { dry_run: true, ..RunOptions::default() })
        .await;
    assert_eq!((dry.count("sessions_due"), stage.sql(facts).await == before), (2, true), "{dry}");
    let done = stage.keep(&RotateSessions::default()).await;
    assert_eq!((done.ending, done.count("sessions_rotated")), (Ending::Succeeded, 2), "{done}");
    assert_ne!(stage.sql(facts).await, before);
    let gateway = TestGateway::start(&stage).await;
    let client = gateway.client(ada.tenant.slug(), &ada.key);
    for provider in Provider::ALL {
        let arguments: Value = json!({ "provider": provider.as_str(), "kind": "track" });
        assert_eq!(client.tool("library_list", arguments).await.verdict(), "200 ok");
    }
}

#[tokio::test]
async fn old_keys_are_kept_for_as_long_as_the_slowest_replica_remembers_them() {
    let stage = Stage::start().await;
    stage.inhabit("ada").await;
    stage
        .sql(
            "INSERT INTO replicas (replica_id, host, version, key_encryption_keys, pepper_versions, opened_key_s,
                configuration_digest, own_time)
            VALUES (gen_random_uuid(), 'slow', '1', '{}', '{1}', 3600, sha256(''), now())",
        )
        .await;
    let rotating = stage.begin_keeper(&["rotate-keys", "--layer", "subject"], &[]);
    until("it says how long it waits", async || rotating.said().contains("of 36")).await;
    rotating.signal(Signal::TERM);
    assert_eq!(rotating.finished().await.code, Some(75));
}
