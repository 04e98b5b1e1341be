//! A mounted Secret that changes under a running gateway.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_crypto::{KekError, KekProvider};
use stagedoor_key_encryption::{DirectoryKeys, KeySource};
use tokio_util::sync::CancellationToken;

use crate::support::{StillClock, data_key, unwrap, wrap, write_key};

const SETTLE: u64 = 120;

fn open(folder: &Path, clock: &Arc<StillClock>) -> DirectoryKeys {
    let source = KeySource::Directory(folder.to_owned());
    DirectoryKeys::open(source, Duration::from_secs(SETTLE), clock.clone()).unwrap()
}

/// As the kubelet does it: the files are links through `..data`, which is swapped as a whole.
fn mount(folder: &Path, generation: &str, keys: &[(&str, u8)]) {
    let data = folder.join(format!("..{generation}"));
    std::fs::create_dir(&data).unwrap();
    for (name, fill) in keys {
        write_key(&data, name, *fill);
        let link = folder.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    symlink(data.file_name().unwrap(), folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[tokio::test]
async fn a_new_version_of_a_mounted_secret_wraps_once_it_has_settled() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), StillClock::new());
    mount(folder.path(), "2026_01", &[("1", 1)]);
    let keys = open(folder.path(), &clock);
    let (before, first) = (data_key(1), keys.active_id());
    let old = wrap(&keys, &before).await.unwrap();

    mount(folder.path(), "2026_02", &[("1", 1), ("2", 2)]);
    keys.reload().await;
    assert_eq!((keys.ids().len(), keys.active_id(), keys.problem()), (2, first, None));
    clock.advance(SETTLE - 1);
    assert_eq!(wrap(&keys, &data_key(2)).await.unwrap().wrapped_by, first.unwrap());
    clock.advance(1);
    let new = wrap(&keys, &before).await.unwrap();
    assert_ne!(Some(new.wrapped_by), first);
    for wrapped in [&old, &new] {
        unwrap(&keys, &before, wrapped).await.unwrap();
    }
    assert_eq!(
        open(folder.path(), &clock).active_id(),
        Some(new.wrapped_by),
        "at the start all have settled"
    );
}

#[tokio::test]
async fn an_unknown_id_makes_the_folder_be_read_at_once() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), StillClock::new());
    write_key(folder.path(), "1", 1);
    let behind = open(folder.path(), &clock);
    write_key(folder.path(), "2", 2);
    let (key, ahead) = (data_key(1), open(folder.path(), &clock));
    let wrapped = wrap(&ahead, &key).await.unwrap();
    unwrap(&behind, &key, &wrapped).await.unwrap();
    assert_ne!(behind.active_id(), ahead.active_id(), "it unwraps at once and wraps later");

    let elsewhere = tempfile::tempdir().unwrap();
    write_key(elsewhere.path(), "1", 9);
    let foreign = wrap(&open(elsewhere.path(), &clock), &key).await.unwrap();
    let unknown = unwrap(&behind, &key, &foreign).await;
    assert!(matches!(unknown, Err(KekError::UnknownKey(id)) if id == foreign.wrapped_by), "{unknown:?}");

    // Unknown ids may not be used to make a replica read its disk without end: the next look is a second later.
    write_key(folder.path(), "9", 9);
    unwrap(&behind, &key, &foreign).await.unwrap_err();
    clock.advance(1);
    unwrap(&behind, &key, &foreign).await.unwrap();
}

#[tokio::test]
async fn a_vanished_key_opens_what_it_sealed_and_is_complained_about() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), StillClock::new());
    write_key(folder.path(), "v1", 1);
    write_key(folder.path(), "v2", 2);
    let keys = open(folder.path(), &clock);
    let key = data_key(1);
    let wrapped = wrap(&keys, &key).await.unwrap();
    std::fs::remove_file(folder.path().join("v2")).unwrap();
    keys.reload().await;
    unwrap(&keys, &key, &wrapped).await.unwrap();
    assert!(keys.problem().unwrap().contains("version 2"), "{:?}", keys.problem());
    assert_ne!(wrap(&keys, &key).await.unwrap().wrapped_by, wrapped.wrapped_by);

    std::fs::remove_dir_all(folder.path()).unwrap();
    keys.reload().await;
    unwrap(&keys, &key, &wrapped).await.unwrap();
    let refused = wrap(&keys, &key).await;
    assert!(matches!(refused, Err(KekError::Unreachable { .. })), "{refused:?}");
    assert_eq!(keys.active_id(), None);

    std::fs::create_dir(folder.path()).unwrap();
    write_key(folder.path(), "v1", 1);
    write_key(folder.path(), "v2", 2);
    keys.reload().await;
    assert_eq!((keys.problem(), keys.active_id()), (None, Some(wrapped.wrapped_by)));
}

#[tokio::test]
async fn a_damaged_file_changes_nothing_and_is_named() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), StillClock::new());
    write_key(folder.path(), "1", 1);
    let keys = open(folder.path(), &clock);
    let active = keys.active_id();
    for (name, content) in [
        ("2", "c2hvcnQ="),
        ("2", "not base64"),
        ("readme", "hello"),
        ("v1", "AQEB"),
        ("3", &"A".repeat(9000)),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        keys.reload().await;
        let problem = keys.problem().unwrap();
        assert!(problem.contains(&file.display().to_string()), "{problem}");
        assert!(!problem.contains(content), "{problem}");
        assert_eq!((keys.active_id(), keys.ids().len()), (active, 1));
        assert!(
            DirectoryKeys::open(
                KeySource::Directory(folder.path().to_owned()),
                Duration::ZERO,
                clock.clone()
            )
            .is_err(),
            "a start with a damaged key is refused"
        );
        std::fs::remove_file(file).unwrap();
    }
    keys.reload().await;
    assert_eq!(keys.problem(), None);
}

#[tokio::test]
async fn a_start_without_any_key_is_refused() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), StillClock::new());
    let absent = folder.path().join("absent");
    for source in [
        KeySource::Directory(folder.path().to_owned()),
        KeySource::Directory(absent.clone()),
        KeySource::File(absent),
    ] {
        let error = DirectoryKeys::open(source, Duration::ZERO, clock.clone()).unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_folder_is_polled_until_the_end() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), StillClock::new());
    write_key(folder.path(), "1", 1);
    let (keys, stop) = (open(folder.path(), &clock), CancellationToken::new());
    write_key(folder.path(), "2", 2);
    let changed = async {
        while keys.ids().len() == 1 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        stop.cancel();
    };
    tokio::join!(keys.run(stop.clone()), changed);
}
