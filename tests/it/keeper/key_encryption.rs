//! The rotation of the key-encryption key while two gateways serve: a version is pending until both have it, and goes once
//! nothing refers to it. One that does not have it holds everything up, and is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use stagedoor_keeper::jobs::backup::Backup;
use stagedoor_keeper::jobs::rotate_keys::{LayerArgument, RotateKeys};
use stagedoor_keeper::{Ended, Ending, RunOptions};
use stagedoor_storage::replicas::{LIVE_WITHIN, Replica};
use stagedoor_testkit::{Client, GatewayProcess, Inhabited, Stage};

use super::restore::config as backup_config;

/// A folder that holds the stage's key as version 1.
fn key_folder(stage: &Stage, name: &str) -> PathBuf {
    let folder = stage.folder().join(name);
    fs::create_dir(&folder).unwrap();
    fs::copy(stage.config().encryption.key_file.unwrap(), folder.join("1")).unwrap();
    folder
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A replica with its keys in `folder`, and a memory for opened keys of a second, so that keys are needed all the time.
async fn replica(stage: &Stage, name: &str, folder: &Path) -> GatewayProcess {
    let variables = [
        ("STAGEDOOR_ENCRYPTION__KEY_FILE", String::new()),
        ("STAGEDOOR_ENCRYPTION__KEY_DIRECTORY", folder.display().to_string()),
        ("STAGEDOOR_ENCRYPTION__OPENED_KEY_S", "1".to_owned()),
        ("STAGEDOOR_CACHE__ENABLED", "false".to_owned()),
    ];
    GatewayProcess::start(stage, name, &variables).await
}

/// Runs the job as a `CronJob` would, in a process that opens the keys anew.
async fn rotate(stage: &Stage, folder: &Path, layer: Option<LayerArgument>, seconds: u64) -> Ended {
    let mut config = stage.keeper_config();
    config.encryption.key_file = None;
    config.encryption.key_directory = Some(folder.to_owned());
    config.encryption.opened_key_s = 1;
    let job = RotateKeys { layer, replicas_within: seconds, ..RotateKeys::default() };
    stage.keep_by(config, &job, RunOptions::default()).await
}

async fn until_live(stage: &Stage, number: usize) -> Vec<Replica> {
    loop {
        let live = stage.reader().store().live_replicas(LIVE_WITHIN).await.unwrap();
        if live.len() == number {
            return live;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn wrapped_by(stage: &Stage) -> String {
    stage.sql("SELECT string_agg(DISTINCT wrapped_by::text, ',') FROM data_keys WHERE purpose = 1").await
}

/// Calls without a pause until `done`; what was answered other than "ok".
async fn call_until(
    done: &AtomicBool,
    clients: &[Client],
    answered: &AtomicU64,
    failures: &Mutex<Vec<String>>,
) {
    join_all(clients.iter().enumerate().map(async |(number, client)| {
        while !done.load(Ordering::Acquire) {
            let answer = if number.is_multiple_of(2) {
                client.tool("playlists_list", json!({ "provider": "spotify" })).await
            } else {
                let name = format!("Mix {}", answered.load(Ordering::Relaxed));
                client.tool("playlist_create", json!({ "provider": "tidal", "name": name })).await
            };
            answered.fetch_add(1, Ordering::Relaxed);
            if answer.verdict() != "200 ok" {
                failures.lock().unwrap().push(answer.verdict());
            }
        }
    }))
    .await;
}

fn clients(ada: &Inhabited<'_>, replicas: &[&GatewayProcess]) -> Vec<Client> {
    let each = replicas.iter().flat_map(|replica| [*replica; 4]);
    each.map(|replica| replica.client(ada.tenant.slug(), &ada.key)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_under_load_get_another_key_encryption_key_and_no_call_fails() {
    let stage = Stage::start().await;
    let (ada, folder) = (stage.inhabit("ada").await, key_folder(&stage, "keys"));
    stage.inhabit("bob").await;
    let (one, other) = (replica(&stage, "one", &folder).await, replica(&stage, "other", &folder).await);
    let before = wrapped_by(&stage).await;
    let (done, answered, failures) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::default());
    let clients = clients(&ada, &[&one, &other]);
    let rotating = async {
        let first = rotate(&stage, &folder, Some(LayerArgument::Kek), 60).await;
        let at_first = answered.load(Ordering::Relaxed);
        // What the first run retired goes in the next one that finds nothing under it.
        let second = rotate(&stage, &folder, None, 60).await;
        done.store(true, Ordering::Release);
        (first, at_first, second)
    };
    let ((), (first, at_first, second)) =
        tokio::join!(call_until(&done, &clients, &answered, &failures), rotating);
    assert_eq!(first.ending, Ending::Succeeded, "{first}");
    let counts = ["key_versions_made", "key_versions_activated", "key_versions_retired"];
    assert_eq!(counts.map(|name| first.count(name)), [1, 1, 1], "{first}");
    assert!(at_first > 0, "nobody called meanwhile");
    let after = wrapped_by(&stage).await;
    assert!(after != before && !after.contains(','), "{before} -> {after}");
    assert_eq!((second.ending, second.count("key_versions_removed")), (Ending::Succeeded, 1), "{second}");
    assert_eq!(files(&folder), ["2"]);
    assert_eq!(*failures.lock().unwrap(), Vec::<String>::new(), "of {answered:?} calls");
    for replica in [&one, &other] {
        assert!(replica.is_ready().await);
        assert_eq!(
            replica.metrics().await.sum("key_encryption_trouble", &[]),
            0,
            "a key that was let go is not missed"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_new_version_holds_it_up_and_is_named() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let (folder, elsewhere) = (key_folder(&stage, "keys"), key_folder(&stage, "not-mounted"));
    let _good = replica(&stage, "good", &folder).await;
    let good = until_live(&stage, 1).await;
    let behind = replica(&stage, "behind", &elsewhere).await;
    let all = until_live(&stage, 2).await;
    let known: Vec<_> = good.iter().map(|replica| replica.report.id).collect();
    let straggler = all.iter().find(|replica| !known.contains(&replica.report.id)).unwrap().report.id;
    let before = wrapped_by(&stage).await;

    let ended = rotate(&stage, &folder, Some(LayerArgument::Kek), 12).await;
    assert_eq!(ended.ending, Ending::Failed, "{ended}");
    let told = ended.remarks.join("\n");
    assert!(
        told.contains("version 2 does not open everywhere") && told.contains(&straggler.to_string()),
        "{told}"
    );
    assert!(known.iter().all(|id| !told.contains(&id.to_string())), "{told}");
    assert_eq!(files(&folder), ["1", "2.pending"], "nothing wraps with what one replica cannot open");
    assert_eq!(wrapped_by(&stage).await, before);
    behind.client("ada", &ada.key).call("playlists_list", json!({ "provider": "spotify" })).await;

    // The folder gets there after all, and follows as a mounted Secret would.
    let done = AtomicBool::new(false);
    let following = async {
        while !done.load(Ordering::Acquire) {
            follow(&folder, &elsewhere);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let rotating = async {
        let ended = rotate(&stage, &folder, Some(LayerArgument::Kek), 60).await;
        done.store(true, Ordering::Release);
        ended
    };
    let (ended, ()) = tokio::join!(rotating, following);
    assert_eq!(ended.ending, Ending::Succeeded, "{ended}");
    assert_eq!(ended.count("key_versions_made"), 0, "it went on with the one that was pending: {ended}");
    assert_eq!(files(&folder), ["1.retired", "2"]);
    let after = wrapped_by(&stage).await;
    assert!(after != before && !after.contains(','), "{before} -> {after}");
    behind.client("ada", &ada.key).call("playlists_list", json!({ "provider": "spotify" })).await;
}

#[tokio::test]
async fn a_key_that_wraps_for_90_days_is_followed_by_another_without_being_asked() {
    let stage = Stage::start().await;
    let folder = key_folder(&stage, "keys");
    stage.inhabit("ada").await;
    let before = wrapped_by(&stage).await;
    let since = |days: u8| {
        format!(
            "INSERT INTO key_encryption_keys VALUES ('{before}', now() - interval '{days} days')
            ON CONFLICT (key_id) DO UPDATE SET wraps_since = EXCLUDED.wraps_since"
        )
    };
    stage.sql(&since(89)).await;
    let early = rotate(&stage, &folder, None, 5).await;
    assert_eq!((early.ending, files(&folder)), (Ending::Succeeded, vec!["1".to_owned()]), "{early}");
    stage.sql(&since(91)).await;
    let due = rotate(&stage, &folder, None, 5).await;
    assert_eq!((due.ending, due.count("key_versions_activated")), (Ending::Succeeded, 1), "{due}");
    assert_eq!(files(&folder), ["1.retired", "2"]);
    assert_ne!(wrapped_by(&stage).await, before);
}

#[tokio::test]
async fn a_known_key_that_still_wraps_is_not_said_to_be_replaced() {
    let stage = Stage::start().await;
    stage.inhabit("ada").await;
    let known = RotateKeys { layer: Some(LayerArgument::Kek), compromised: true, ..RotateKeys::default() };
    let refused = stage.keep(&known).await;
    assert_eq!(refused.ending, Ending::Refused, "no place for another is named: {refused}");
    let later = stage.keep(&RotateKeys::default()).await;
    assert_eq!(later.ending, Ending::Partly, "{later}");
    assert!(
        later.to_string().contains("tenant ada: the key-encryption key that is known still wraps"),
        "{later}"
    );
    let state = "SELECT state || ' ' || compromised FROM key_rotations WHERE layer = 'kek'";
    assert_eq!(stage.sql(state).await, "resealing true");
}

#[tokio::test]
async fn a_key_stays_while_backups_that_the_catalogue_lost_may_need_it() {
    let stage = Stage::start().await;
    let folder = key_folder(&stage, "keys");
    stage.inhabit("ada").await;
    let config = || {
        let mut config = backup_config(&stage);
        config.encryption.key_file = None;
        config.encryption.key_directory = Some(folder.clone());
        config
    };
    let made = stage.keep_by(config(), &Backup::default(), RunOptions::default()).await;
    assert_eq!((made.ending, made.count("backups_made")), (Ending::Succeeded, 3), "{made}");
    stage.sql("DELETE FROM backups").await;
    let job = RotateKeys { layer: Some(LayerArgument::Kek), replicas_within: 5, ..RotateKeys::default() };
    let rotated = stage.keep_by(config(), &job, RunOptions::default()).await;
    assert_eq!(rotated.ending, Ending::Partly, "{rotated}");
    assert!(rotated.to_string().contains("3 backups in backup.url are not in the catalogue"), "{rotated}");
    assert_eq!(files(&folder), ["1", "2"]);
    let noted = stage.keep_by(config(), &Backup::default(), RunOptions::default()).await;
    assert_eq!(noted.ending, Ending::Succeeded, "{noted}");
    let later = stage.keep_by(config(), &RotateKeys::default(), RunOptions::default()).await;
    assert_eq!(
        (later.ending, files(&folder)),
        (Ending::Succeeded, vec!["1".to_owned(), "2".to_owned()]),
        "{later}"
    );
}

/// Makes one folder like another: what is new before what is gone, so that there is no moment without a key.
fn follow(folder: &Path, copy: &Path) {
    let there = files(folder);
    for name in there.iter().filter(|name| !name.starts_with('.')) {
        if let Ok(content) = fs::read(folder.join(name))
            && !copy.join(name).exists()
        {
            fs::write(copy.join(".new"), content).unwrap();
            fs::rename(copy.join(".new"), copy.join(name)).unwrap();
        }
    }
    for name in files(copy).iter().filter(|name| !there.contains(name)) {
        fs::remove_file(copy.join(name)).unwrap();
    }
}
