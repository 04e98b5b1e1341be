//! What the keeper backs up, when, what it removes again, and what a kill or a full store leaves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_archive::{ArchiveReader, BackupStore, Class, Found, Trust};
use stagedoor_assembly::{backup_store, keys};
use stagedoor_audit::AuditView;
use stagedoor_bootstrap::config::SecretUrl;
use stagedoor_crypto::{KekProvider, SystemEntropy};
use stagedoor_domain::{Clock, TenantId};
use stagedoor_keeper::jobs::backup::{Backup, VerifyBackups};
use stagedoor_keeper::{Ending, RunOptions};
use stagedoor_testkit::{FrozenClock, Stage, StageOptions, generous};

use super::restore::{config, keep};

const HOUR: Duration = Duration::from_hours(1);

pub(crate) async fn small_stage() -> Stage {
    Stage::start_with(StageOptions { redis: false, ..StageOptions::default() }).await
}

pub(crate) fn folder(stage: &Stage) -> PathBuf {
    stage.folder().join("backups")
}

pub(crate) async fn key_encryption(stage: &Stage) -> Arc<dyn KekProvider> {
    keys::open(&config(stage).encryption, stage.clock(), &SystemEntropy).await.unwrap().0
}

async fn in_store(store: &BackupStore) -> Vec<Found> {
    let listing = store.list(None).await.unwrap();
    assert_eq!(listing.unfinished, []);
    listing.found
}

/// `class state count`, a line each.
async fn catalogue(stage: &Stage) -> String {
    stage
        .sql("SELECT class || ' ' || state || ' ' || count(*) FROM backups GROUP BY class, state ORDER BY class, state")
        .await
}

#[tokio::test]
async fn each_class_is_backed_up_when_it_is_due_and_removed_when_its_time_is_over() {
    let clock = Arc::new(FrozenClock::now());
    let options = StageOptions { redis: false, clock: clock.clone(), ..StageOptions::default() };
    let stage = Stage::start_with(options).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let store = backup_store(&config(&stage)).unwrap();

    let keeper = stage.keeper_with(config(&stage)).await;
    let dry = RunOptions { dry_run: true, ..RunOptions::default() };
    let counted = keeper.execute(&Backup::default(), dry).await.unwrap();
    keeper.finish().await.unwrap();
    assert_eq!((counted.count("backups_due"), counted.count("backups_made")), (6, 0), "{counted}");
    assert_eq!((in_store(&store).await.len(), catalogue(&stage).await.as_str()), (0, ""));

    let first = keep(&stage, &Backup::default()).await;
    assert_eq!(first.ending, Ending::Succeeded, "{first}");
    assert_eq!((first.count("backups_made"), first.count("backups_verified")), (6, 6), "{first}");
    assert_eq!(catalogue(&stage).await, "audit verified 2\npreferences verified 2\nsessions verified 2");
    let again = keep(&stage, &Backup::default()).await;
    assert_eq!((again.ending, again.count("backups_due")), (Ending::Succeeded, 0), "{again}");

    // On record in each tenant's own trail, opened before and closed after.
    for inhabited in [&ada, &bob] {
        let trail = inhabited.tenant.audit_trail().await;
        let made = trail.iter().filter_map(AuditView::json).filter(|record| {
            record["action"] == "backup"
                && record["record"] == "closed"
                && record["details"]["outcome"] == "ok"
        });
        assert_eq!(made.count(), 3);
    }

    // What is in it is what is in the database, and the trail's keys vouch for it.
    let keks = key_encryption(&stage).await;
    let public = stage.reader().store();
    let public = public.with_tenant(ada.tenant.context(), stagedoor_storage::signing_keys::public_keys).await;
    let verifying: Vec<_> = public.unwrap().into_iter().map(|key| key.key).collect();
    let found = in_store(&store).await;
    let sessions =
        |found: &&Found| found.class == Class::Sessions && found.tenant == ada.tenant.context().tenant_id();
    let of_ada = found.iter().find(sessions).unwrap();
    let mut reader = ArchiveReader::open(&store, of_ada, &*keks, &verifying).await.unwrap();
    assert_eq!(reader.trust(), Trust::Signed(verifying[0].id()));
    assert_eq!(reader.manifest().tenant_slug, "ada");
    let mut rows = Vec::new();
    while let Some(chunk) = reader.next().await {
        rows.extend(chunk.unwrap().records);
    }
    for (table, rows_there) in [("provider_sessions", 2), ("users", 1), ("tenants", 1)] {
        assert_eq!(rows.iter().filter(|record| record.table == table).count(), rows_there, "{table}");
    }
    assert!(rows.iter().all(|record| record.row.contains(&ada.tenant.id())), "another tenant's row");
    assert!(store.tombstones(of_ada.tenant, &verifying).await.unwrap().unwrap().entries.is_empty());

    // A day a run, for nine days; the audit trail's turn comes once more.
    clock.advance(23 * HOUR);
    for _ in 0..9 {
        let ended = keep(&stage, &Backup::default()).await;
        assert_eq!(ended.ending, Ending::Succeeded, "{ended}");
        clock.advance(24 * HOUR);
    }
    let kept = "audit verified 4\npreferences verified 20\nsessions expired 6\nsessions verified 14";
    assert_eq!(catalogue(&stage).await, kept);
    let found = in_store(&store).await;
    assert_eq!(found.len(), 38);
    let mut trails = Vec::new();
    for found in found.iter().filter(|found| found.class == Class::Audit && found.tenant == of_ada.tenant) {
        trails.push(store.manifest(found).await.unwrap().days.unwrap());
    }
    assert_eq!(trails[1].first, trails[0].last, "the day that was not over is taken again");
    assert!(trails[1].last > trails[0].last, "{trails:?}");

    // The last sound one stays, however old it is; a damaged one does not.
    stage
        .sql("UPDATE backups SET state = 'damaged' WHERE class = 'preferences' AND state = 'verified'")
        .await;
    clock.advance(24 * 20 * HOUR);
    let mut short = config(&stage);
    short.backup.preferences_days = 20;
    let keeper = stage.keeper_with(short).await;
    let counted = keeper.execute(&Backup::default(), dry).await.unwrap();
    keeper.finish().await.unwrap();
    assert_eq!(counted.count("backups_expired"), 2 * (6 + 10), "{counted}");

    // Nothing is kept of a tenant that is deleted.
    stage.sql("UPDATE tenants SET status = 'deleted' WHERE slug = 'bob'").await;
    let work = keep(&stage, &Backup { classes: vec![Class::Sessions], ..Backup::default() }).await;
    assert_eq!(work.ending, Ending::Succeeded, "{work}");
    let bobs = TenantId(bob.tenant.id().parse().unwrap());
    assert_eq!(store.list(Some(bobs)).await.unwrap().found, []);
    assert_eq!(store.deleted(bobs).await.unwrap().unwrap(), clock.now());
    assert_eq!(store.deleted(of_ada.tenant).await.unwrap(), None);
    assert!(work.count("backups_of_deleted_tenants") > 0, "{work}");
}

#[tokio::test]
async fn a_keeper_that_is_killed_leaves_nothing_that_the_next_one_does_not_mend() {
    let stage = small_stage().await;
    for number in 0..8 {
        stage.tenant(&format!("tenant-{number}"), generous()).await;
    }
    let url = config(&stage).backup.url.unwrap().to_string();
    let variables = [("STAGEDOOR_BACKUP__URL", url)];
    let store = backup_store(&config(&stage)).unwrap();
    let mut killed = 0;
    for manifests in [1, 9, 17] {
        let keeper = stage.begin_keeper(&["backup"], &variables);
        while store.list(None).await.unwrap().found.len() < manifests {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ended = stage.kill_keeper(keeper).await;
        // One that was faster than the signal has done its work.
        assert!(matches!(ended.code, None | Some(0)), "{}{}", ended.output, ended.said);
        killed += u32::from(ended.code.is_none());
    }
    assert!(killed > 0, "after a whole run the next one is killed at its start");
    let whole = stage.begin_keeper(&["backup", "--json"], &variables).finished().await;
    assert_eq!(whole.code, Some(0), "{}{}", whole.output, whole.said);
    assert_eq!(in_store(&store).await.len(), 24);
    let states = catalogue(&stage).await;
    let states: Vec<_> = states.lines().filter(|line| !line.contains("abandoned")).collect();
    assert_eq!(states, ["audit verified 8", "preferences verified 8", "sessions verified 8"]);
    let checked = stage.begin_keeper(&["verify-backups", "--json"], &variables).finished().await;
    assert_eq!((checked.code, &checked.lines()[0]["counts"]["backups_verified"]), (Some(0), &24.into()));
}

#[tokio::test]
async fn a_store_that_refuses_one_tenant_leaves_no_half_backup_and_the_others_are_made() {
    let stage = small_stage().await;
    let (ada, _bob) = (stage.tenant("ada", generous()).await, stage.tenant("bob", generous()).await);
    let store = backup_store(&config(&stage)).unwrap();
    // Where the tenant's folder should be there is a file.
    let blocked = folder(&stage).join("backups/v1").join(ada.id());
    std::fs::create_dir_all(blocked.parent().unwrap()).unwrap();
    std::fs::write(&blocked, b"").unwrap();
    let ended = keep(&stage, &Backup::default()).await;
    assert_eq!((ended.ending, ended.count("backups_made")), (Ending::Partly, 3), "{ended}");
    assert!(ended.to_string().contains("tenant ada"), "{ended}");
    assert_eq!(in_store(&store).await.len(), 3);

    std::fs::remove_file(&blocked).unwrap();
    let ended = keep(&stage, &Backup::default()).await;
    assert_eq!((ended.ending, ended.count("backups_made")), (Ending::Succeeded, 3), "{ended}");
    assert_eq!(in_store(&store).await.len(), 6);
    let left = stage.sql("SELECT DISTINCT state FROM backups ORDER BY 1").await;
    assert_eq!(left, "abandoned\nverified");
}

#[tokio::test]
async fn damage_is_found_and_the_next_backup_does_not_wait_for_its_day() {
    let stage = small_stage().await;
    let ada = stage.inhabit("ada").await;
    let made = keep(&stage, &Backup::default()).await;
    assert_eq!(made.ending, Ending::Succeeded, "{made}");
    let store = backup_store(&config(&stage)).unwrap();
    let found = in_store(&store).await;
    let of = |class: Class| found.iter().find(|found| found.class == class).unwrap();
    let chunk = folder(&stage).join(of(Class::Sessions).folder()).join("chunk-00000");
    let mut bytes = std::fs::read(&chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&chunk, bytes).unwrap();
    std::fs::remove_dir_all(folder(&stage).join(of(Class::Preferences).folder())).unwrap();

    let checked = keep(&stage, &VerifyBackups::default()).await;
    assert_eq!((checked.ending, checked.ending.code()), (Ending::Partly, 3), "{checked}");
    assert_eq!((checked.count("backups_verified"), checked.count("backups_damaged")), (1, 2), "{checked}");
    let told = checked.to_string();
    assert!(told.contains("chunk-00000: the chunk was altered; it held row 1 of tenants"), "{told}");
    assert!(told.contains("its manifest is not in the store"), "{told}");
    assert_eq!(catalogue(&stage).await, "audit verified 1\npreferences damaged 1\nsessions damaged 1");

    let mended = keep(&stage, &Backup::default()).await;
    assert_eq!((mended.ending, mended.count("backups_made")), (Ending::Succeeded, 2), "{mended}");
    drop(ada);
}

#[tokio::test]
async fn what_will_not_mend_itself_is_refused_and_what_may_is_tried_again() {
    let stage = small_stage().await;
    let other_role = SecretUrl::new(stage.postgres().url_for("stagedoor", "stagedoor_app"));
    let away = SecretUrl::new("postgres://stagedoor_backup@127.0.0.1:1/stagedoor");
    let with = |url: Option<&SecretUrl>| {
        let mut config = config(&stage);
        config.storage.backup_database_url = url.cloned();
        config
    };
    for (config, ending, said) in [
        (stage.keeper_config(), Ending::Refused, "backup.url is not set; such as "),
        (with(None), Ending::Refused, "storage.backup_database_url is not set; such as "),
        (with(Some(&other_role)), Ending::Refused, "connect as stagedoor_backup"),
        (with(Some(&away)), Ending::Failed, "storage.backup_database_url"),
    ] {
        let ended = stage.keep_by(config, &Backup::default(), RunOptions::default()).await;
        assert_eq!(ended.ending, ending, "{ended}");
        assert!(ended.to_string().contains(said), "{ended}");
    }
}

#[tokio::test]
async fn what_lacks_its_manifest_for_a_while_is_kept() {
    let stage = small_stage().await;
    stage.inhabit("ada").await;
    assert_eq!(keep(&stage, &Backup::default()).await.ending, Ending::Succeeded);
    let store = backup_store(&config(&stage)).unwrap();
    let found = in_store(&store).await;
    let sessions = found.iter().find(|found| found.class == Class::Sessions).unwrap();
    let manifest = folder(&stage).join(sessions.folder()).join("manifest.json");
    let aside = stage.folder().join("aside");
    std::fs::rename(&manifest, &aside).unwrap();
    let missed = keep(&stage, &Backup::default()).await;
    assert_eq!(
        (missed.ending, missed.count("unfinished_cleared"), missed.count("backups_made")),
        (Ending::Partly, 0, 1),
        "another is made: {missed}"
    );
    std::fs::rename(&aside, &manifest).unwrap();
    let back = keep(&stage, &VerifyBackups::default()).await;
    assert_eq!((back.ending, back.count("backups_verified")), (Ending::Succeeded, 4), "{back}");
    assert_eq!(catalogue(&stage).await, "audit verified 1\npreferences verified 1\nsessions verified 2");
}

#[tokio::test]
async fn a_backup_from_the_future_keeps_none_from_being_made() {
    let stage = small_stage().await;
    stage.inhabit("ada").await;
    assert_eq!(keep(&stage, &Backup::default()).await.count("backups_made"), 3);
    assert_eq!(keep(&stage, &Backup::default()).await.count("backups_made"), 0, "nothing is due");
    stage.sql("UPDATE backups SET taken_at = taken_at + interval '2 days'").await;
    let made = keep(&stage, &Backup::default()).await;
    assert_eq!((made.ending, made.count("backups_made")), (Ending::Succeeded, 3), "{made}");
}
