//! What comes back from the store of backups, and when it is refused.

use serde_json::{Value, json};
use stagedoor_bootstrap::config::Config;
use stagedoor_domain::{BackupClass, Provider};
use stagedoor_keeper::jobs::Job;
use stagedoor_keeper::jobs::backup::Backup;
use stagedoor_keeper::jobs::restore::{Drill, Restore, Tombstones, What};
use stagedoor_keeper::{Ended, Ending, RunOptions};
use stagedoor_testkit::{Inhabited, KeySpec, Stage, StageOptions, TestGateway};
use url::Url;

use crate::{music, privacy};

/// A keeper's configuration with a store of backups, in chunks as small as they can be.
pub(crate) fn config(stage: &Stage) -> Config {
    let mut config = stage.keeper_config();
    config.backup.url = Some(Url::from_directory_path(stage.folder().join("backups")).unwrap());
    config.backup.chunk_bytes = 65_536;
    config
}

pub(crate) async fn keep(stage: &Stage, job: &dyn Job) -> Ended {
    stage.keep_by(config(stage), job, RunOptions::default()).await
}

/// Backs every class up now.
pub(crate) async fn back_up(stage: &Stage) {
    let ended = keep(stage, &Backup { force: true, ..Backup::default() }).await;
    assert_eq!(ended.ending, Ending::Succeeded, "{ended}");
}

/// Restores as `what` says.
pub(crate) async fn restore(stage: &Stage, what: What) -> Ended {
    keep(stage, &Restore::apply(what)).await
}

/// The whole of a tenant, onto nothing.
pub(crate) fn whole(tenant: &str) -> What {
    What {
        tenant: tenant.to_owned(),
        class: None,
        person: None,
        session: Vec::new(),
        set_aside: false,
        at: None,
        backup: None,
        partial: false,
        replace: false,
    }
}

/// Takes a tenant away, as a disaster does.
pub(crate) async fn lose(stage: &Stage, tenant: &str) {
    let order = [
        "audit_records",
        "audit_payloads",
        "audit_chain_heads",
        "audit_checkpoints",
        "audit_checkpoint_heads",
        "erasure_tombstones",
        "limit_violations",
        "idempotency_keys",
        "job_parts",
        "jobs",
        "link_attempts",
        "playlist_versions",
        "playlist_chunks",
        "consents",
        "preferences",
        "session_imports",
        "session_devices",
        "session_quarantine",
        "provider_sessions",
        "linked_accounts",
        "privacy_requests",
        "api_keys",
        "issuers",
        "provider_apps",
        "signing_keys",
        "key_rotations",
        "metric_rollups",
        "backups",
        "data_keys",
        "users",
        "tenants",
    ];
    let sql: Vec<String> =
        order.iter().map(|table| format!("DELETE FROM {table} WHERE tenant_id = '{tenant}'; ")).collect();
    stage.sql(&sql.concat()).await;
}

async fn prefer(gateway: &TestGateway, who: &Inhabited<'_>, seconds: u32) {
    let wishes = json!({ "preferences": { "cache_preferences": { "cache_duration": seconds } } });
    music::client(gateway, who).call("preferences_set", wishes).await;
}

async fn preferred(gateway: &TestGateway, who: &Inhabited<'_>) -> Value {
    let answer = music::client(gateway, who).call("preferences_get", json!({})).await;
    answer["preferences"]["cache_preferences"]["cache_duration"].clone()
}

#[tokio::test]
async fn a_tenant_that_was_lost_comes_back_and_is_served() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    prefer(&gateway, &ada, 111).await;
    let made = music::client(&gateway, &ada)
        .tool("playlist_create", json!({ "name": "Mine", "provider": Provider::Spotify }))
        .await;
    assert_eq!(made.verdict(), "200 ok");
    gateway.flush_audit().await;
    gateway.stop().await;
    back_up(&stage).await;
    let sessions = stage.sql("SELECT count(*) FROM provider_sessions").await;

    // What is there is not overwritten.
    let refused = restore(&stage, whole("ada")).await;
    assert_eq!((refused.ending, refused.ending.code()), (Ending::Refused, 2));
    assert!(refused.to_string().contains("--replace"), "{refused}");

    lose(&stage, &ada.tenant.id()).await;
    let keeper = stage.keeper_with(config(&stage)).await;
    let plan = RunOptions { dry_run: true, ..RunOptions::default() };
    let planned = keeper.execute(&Restore::apply(whole("ada")), plan).await.unwrap();
    keeper.finish().await.unwrap();
    assert_eq!(stage.sql("SELECT count(*) FROM tenants WHERE slug = 'ada'").await, "0");
    let restored = restore(&stage, whole("ada")).await;
    assert_eq!(restored.ending, Ending::Succeeded, "{restored}");
    assert_eq!(planned.counts, restored.counts, "a plan counts what is then done");
    assert!(restored.count("rows_restored") > 10, "{restored}");
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, sessions);

    let gateway = TestGateway::start(&stage).await;
    assert_eq!(preferred(&gateway, &ada).await, 111);
    for who in [&ada, &bob] {
        let account = who.account(Provider::Spotify).id.to_string();
        let lists = music::client(&gateway, who).tool("playlists_list", json!({ "account": account })).await;
        assert_eq!(lists.verdict(), "200 ok");
    }
    gateway.flush_audit().await;
    let chain = ada.tenant.verify_chain().await;
    assert_eq!(chain.faults.len(), 0, "{chain:?}");
    let trail = ada.tenant.audit_trail().await;
    let done = trail.iter().filter_map(stagedoor_audit::AuditView::json).filter(|record| {
        record["action"] == "restore" && record["record"] == "closed" && record["details"]["outcome"] == "ok"
    });
    assert_eq!(done.count(), 1);
}

#[tokio::test]
async fn one_person_or_one_class_comes_back_and_nobody_else_changes() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let eve = ada.tenant.person("Eve").await;
    let eves = gateway.client("ada", &ada.tenant.key(&KeySpec::for_user(eve)).await);
    prefer(&gateway, &ada, 111).await;
    let wishes =
        |seconds: u32| json!({ "preferences": { "cache_preferences": { "cache_duration": seconds } } });
    eves.call("preferences_set", wishes(222)).await;
    back_up(&stage).await;
    prefer(&gateway, &ada, 333).await;
    stage.sql(&format!("DELETE FROM preferences WHERE user_id = '{eve}'")).await;

    let person = What { person: Some(eve.to_string()), ..whole("ada") };
    let restored = restore(&stage, person).await;
    assert_eq!((restored.ending, restored.count("rows_restored")), (Ending::Succeeded, 1), "{restored}");
    let of_eve = eves.call("preferences_get", json!({})).await;
    assert_eq!(of_eve["preferences"]["cache_preferences"]["cache_duration"], 222);
    assert_eq!(preferred(&gateway, &ada).await, 333);
    let nobody = What { person: Some("nobody".to_owned()), ..whole("ada") };
    assert_eq!(restore(&stage, nobody).await.ending, Ending::Refused);

    // What is there stays, and with --replace it does not.
    let class = What { class: Some(BackupClass::Preferences), ..whole("ada") };
    let kept = restore(&stage, class.clone()).await;
    assert_eq!(kept.ending, Ending::Succeeded, "{kept}");
    assert_eq!((preferred(&gateway, &ada).await, kept.count("rows_kept") > 0), (json!(333), true));
    let replaced = restore(&stage, What { replace: true, ..class }).await;
    assert_eq!(replaced.ending, Ending::Succeeded, "{replaced}");
    assert_eq!(preferred(&gateway, &ada).await, 111);
    gateway.flush_audit().await;
    assert_eq!(ada.tenant.verify_chain().await.faults.len(), 0);
}

#[tokio::test]
async fn an_earlier_backup_is_taken_by_its_time_or_its_id() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    prefer(&gateway, &ada, 111).await;
    back_up(&stage).await;
    let listed = Restore::list().without_keeper(&config(&stage)).await.unwrap().unwrap().json;
    let mut first = listed["backups"].as_array().unwrap().iter();
    let first = first.rfind(|backup| backup["class"] == "preferences").unwrap().clone();
    assert_eq!((&first["tenant"], first["rows"].as_u64() > Some(0)), (&json!("ada"), true), "{first}");
    let second: chrono::DateTime<chrono::Utc> = first["taken_at"].as_str().unwrap().parse().unwrap();
    // Folders name whole seconds.
    while stage.clock().now() < second + chrono::TimeDelta::seconds(1) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    prefer(&gateway, &ada, 222).await;
    back_up(&stage).await;
    prefer(&gateway, &ada, 333).await;
    let replacing = What { class: Some(BackupClass::Preferences), replace: true, ..whole(&ada.tenant.id()) };
    for (what, wanted) in [
        (replacing.clone(), 222),
        (What { at: Some(second), ..replacing.clone() }, 111),
        (What { backup: None, ..replacing.clone() }, 222),
        (
            What { backup: first["backup_id"].as_str().map(|id| id.parse().unwrap()), ..replacing.clone() },
            111,
        ),
    ] {
        let restored = restore(&stage, what).await;
        assert_eq!(restored.ending, Ending::Succeeded, "{restored}");
        assert_eq!(preferred(&gateway, &ada).await, wanted);
    }
    let none = What { at: Some(second - chrono::TimeDelta::days(1)), ..replacing };
    assert_eq!(restore(&stage, none).await.ending, Ending::Refused);
}

#[tokio::test]
async fn whoever_is_back_with_the_database_is_erased_again() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let page = {
        let client = music::client(&gateway, &ada);
        let kept = "CREATE TABLE kept AS SELECT to_jsonb(u) AS row FROM users u";
        stage.sql(kept).await;
        privacy::confirm_deletion(&client).await
    };
    privacy::receipt(&page).await;
    back_up(&stage).await;
    // As if the database had been put back to before the erasure.
    stage
        .sql(
            "DELETE FROM erasure_tombstones; DELETE FROM privacy_requests; \
             INSERT INTO users SELECT r.* FROM kept, jsonb_populate_record(NULL::users, kept.row) r",
        )
        .await;
    // Backups that are made before somebody tells the database do not make the store forget, and say what is to be done.
    for _ in 0..4 {
        let told = keep(&stage, &Backup { force: true, ..Backup::default() }).await;
        assert_eq!((told.ending, told.count("backups_made")), (Ending::Partly, 3), "{told}");
        assert!(told.to_string().contains("restore tombstones"), "{told}");
    }
    let told = keep(&stage, &Restore::tombstones(Tombstones::default())).await;
    assert_eq!(told.ending, Ending::Succeeded, "{told}");
    assert_eq!((told.count("tombstones_added"), told.count("people_erased_again")), (1, 1), "{told}");
    back_up(&stage).await;
    let left = format!("SELECT count(*) FROM users WHERE user_id = '{}'", ada.user);
    while stage.sql(&left).await != "0" {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_list_needs_no_database_and_a_drill_says_what_it_lacks() {
    let stage = Stage::start().await;
    let _ada = stage.inhabit("ada").await;
    back_up(&stage).await;
    let backups = ("STAGEDOOR_BACKUP__URL", config(&stage).backup.url.unwrap().to_string());
    let nowhere = (
        "STAGEDOOR_STORAGE__KEEPER_DATABASE_URL",
        "postgres://stagedoor_keeper@127.0.0.1:1/nowhere".to_owned(),
    );
    let listed = stage.begin_keeper(&["--json", "restore", "list"], &[backups, nowhere]).finished().await;
    assert_eq!(listed.code, Some(0), "{}", listed.said);
    let json: Value = serde_json::from_str(&listed.output).unwrap();
    assert_eq!(json["backups"].as_array().unwrap().len(), 3, "{json}");

    let mut without = config(&stage);
    without.storage.owner_database_url = None;
    let keeper = stage.keeper_with(without).await;
    let drill = Restore::drill(Drill::default());
    let refused = keeper.execute(&drill, RunOptions::default()).await.unwrap();
    keeper.finish().await.unwrap();
    assert_eq!(refused.ending, Ending::Refused);
    assert!(refused.to_string().contains("storage.owner_database_url"), "{refused}");
}

#[tokio::test]
async fn a_backup_that_does_not_open_stands_in_nobodys_way() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    back_up(&stage).await;
    let first = stage.clock().now();
    while stage.clock().now() < first + chrono::TimeDelta::seconds(2) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    back_up(&stage).await;
    for class in ["sessions", "audit"] {
        let folder = stage.folder().join("backups/backups/v1").join(ada.tenant.id()).join(class);
        let mut backups: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        backups.sort();
        assert_eq!(backups.len(), 2);
        std::fs::write(backups[1].join("manifest.json"), "{}").unwrap();
    }
    lose(&stage, &ada.tenant.id()).await;
    let whole = whole(&ada.tenant.id());
    let refused = restore(&stage, whole.clone()).await;
    assert_eq!(refused.ending, Ending::Refused, "{refused}");
    assert!(refused.to_string().contains("--partial"), "{refused}");
    let restored = restore(&stage, What { partial: true, ..whole.clone() }).await;
    assert_eq!(restored.ending, Ending::Partly, "{restored}");
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, "2");

    // The newest backup that has a grant in order is taken.
    stage.sql("UPDATE provider_sessions SET quarantined_at = now(), quarantine_reason = 'damaged'").await;
    let recovered = restore(&stage, What { set_aside: true, ..whole }).await;
    assert_eq!(recovered.count("sessions_restored"), 2, "{recovered}");
}

#[tokio::test]
async fn a_tenant_that_was_deleted_and_is_back_is_not_served() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    back_up(&stage).await;
    let note = stage.folder().join("backups/tombstones/v1").join(ada.tenant.id()).join("deleted.json");
    stage.sql("UPDATE tenants SET status = 'deleted'").await;
    back_up(&stage).await;
    assert!(note.exists(), "the store knows that it was deleted");
    stage.sql("UPDATE tenants SET status = 'active'").await;
    let told = keep(&stage, &Restore::tombstones(Tombstones::default())).await;
    assert_eq!((told.ending, told.count("tenants_suspended")), (Ending::Partly, 1), "{told}");
    assert_eq!(stage.sql("SELECT status FROM tenants").await, "suspended");
}

#[tokio::test]
async fn a_drill_fails_if_what_is_sealed_does_not_open() {
    let stage = Stage::start().await;
    let _ada = stage.inhabit("ada").await;
    stage.sql("UPDATE data_keys SET state = 'destroyed', wrapped_key = NULL WHERE purpose = 2").await;
    back_up(&stage).await;
    let drill = keep(&stage, &Restore::drill(Drill::default())).await;
    assert_eq!(drill.ending, Ending::Partly, "{drill}");
    assert!(drill.to_string().contains("provider_sessions"), "{drill}");
}

#[tokio::test]
async fn a_lost_tenant_is_known_by_its_name_though_its_newest_manifest_is_damaged() {
    let stage = Stage::start_with(StageOptions { redis: false, ..StageOptions::default() }).await;
    let ada = stage.inhabit("ada").await;
    back_up(&stage).await;
    let store = stagedoor_assembly::backup_store(&config(&stage)).unwrap();
    let found = store.list(None).await.unwrap().found;
    let newest = found.iter().max_by_key(|found| (found.taken_at, found.id.0)).unwrap();
    let manifest = stage.folder().join("backups").join(newest.folder()).join("manifest.json");
    std::fs::OpenOptions::new().write(true).open(manifest).unwrap().set_len(100).unwrap();
    lose(&stage, &ada.tenant.id()).await;
    let refused = restore(&stage, whole("ada")).await;
    assert_eq!(refused.ending, Ending::Refused, "{refused}");
    assert!(refused.to_string().contains("manifest"), "it knows who ada is: {refused}");
    let unknown = restore(&stage, whole("eve")).await;
    assert!(
        unknown.to_string().contains("neither the database nor a backup knows a tenant eve"),
        "{unknown}"
    );
}
