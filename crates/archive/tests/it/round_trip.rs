//! What is written is what is read, in pieces of a bounded size, and nothing is a backup before its end.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use object_store::memory::InMemory;
use stagedoor_archive::{
    ArchiveReader, BackupStore, Class, DamageKind, ReadError, RowDigest, Trust, Trusted, verify, verify_while,
};
use stagedoor_crypto::{KekError, KeyEncryptionKeys, SystemEntropy};
use url::Url;

use crate::support::{CHUNK, Full, Scene, opening, row};

#[tokio::test]
async fn rows_come_back_as_they_were_in_chunks_of_a_bounded_size() {
    let scene = Scene::new();
    let manifest = scene.backup(1, Class::Preferences, 1, 100).await;
    let found = manifest.found();
    assert_eq!(scene.store.list(None).await.unwrap().found, std::slice::from_ref(&found));
    assert_eq!(scene.store.list(Some(found.tenant)).await.unwrap().unfinished, []);
    assert_eq!(scene.store.tenants().await.unwrap(), [found.tenant]);
    assert_eq!(scene.store.manifest(&found).await.unwrap(), manifest);

    assert!(manifest.chunks.len() > 4, "{manifest:?}");
    assert!(manifest.chunks.iter().all(|chunk| chunk.plain_bytes <= CHUNK as u64), "{manifest:?}");
    assert_eq!((manifest.rows(), manifest.tombstones), (200, 3));

    let known = [scene.signing.verifying_key()];
    let mut reader = ArchiveReader::open(&scene.store, &found, &scene.keys, &known).await.unwrap();
    assert_eq!(reader.trust(), Trust::Signed(scene.signing.id()));
    assert_eq!(reader.manifest(), &manifest);
    let mut records = Vec::new();
    while let Some(chunk) = reader.next().await {
        records.extend(chunk.unwrap().records);
    }
    let tables = &Class::Preferences.tables()[..2];
    let wanted = tables.iter().flat_map(|table| (0..100).map(|number| (*table, row(table, number))));
    assert!(wanted.eq(records.iter().map(|record| (record.table.as_str(), record.row.clone()))));
    let mut digest = RowDigest::default();
    records[..100].iter().for_each(|record| digest.push(&record.row));
    let entry = manifest.table(tables[0]).unwrap();
    assert_eq!((digest.rows(), digest.finish()), (entry.rows, entry.sha256));

    // The seal vouches for it where no signing key is at hand.
    let trusted = Trusted { keys: &scene.keys, verifying: &[] };
    let report = verify(&scene.store, &found, trusted).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.trust, Some(Trust::Sealed(scene.signing.id())));
    assert_eq!((report.rows, report.bytes), (manifest.rows(), manifest.bytes()));
}

#[tokio::test]
async fn nothing_at_all_and_one_long_row_are_backups_too() {
    let scene = Scene::new();
    let known = [scene.signing.verifying_key()];
    let trusted = Trusted { keys: &scene.keys, verifying: &known };
    let empty = scene.backup(1, Class::Audit, 1, 0).await;
    assert_eq!((empty.chunks.len(), empty.rows()), (1, 0));
    assert!(verify(&scene.store, &empty.found(), trusted).await.unwrap().is_sound());

    let entropy = Arc::new(SystemEntropy);
    let opening = opening(1, Class::Sessions, 2);
    let begun =
        stagedoor_archive::ArchiveWriter::begin(scene.store.clone(), opening, &scene.keys, entropy).await;
    let mut writer = begun.unwrap();
    writer.table("tenants", Vec::new());
    for length in [10, 5 * CHUNK, 10] {
        writer.push("x".repeat(length)).await.unwrap();
    }
    let manifest = writer.finish(stagedoor_archive::Closing::default(), &scene.signing).await.unwrap();
    let rows: Vec<_> = manifest.chunks.iter().map(|chunk| chunk.rows[0].rows).collect();
    assert_eq!(rows, [1, 1, 1], "the long one is alone");
    assert!(verify(&scene.store, &manifest.found(), trusted).await.unwrap().is_sound());
}

#[tokio::test]
async fn a_store_that_fills_up_leaves_nothing_that_verifies() {
    let scene = Scene::new();
    let whole = scene.backup(1, Class::Sessions, 1, 60).await;
    let size = whole.bytes() + 10_000;
    let trusted = Trusted { keys: &scene.keys, verifying: &[] };
    let (mut refused, mut finished) = (0, 0);
    for room in (0..size).step_by(997) {
        let inner = Arc::new(InMemory::new());
        let full = Full { inner: inner.clone(), left: AtomicU64::new(room) };
        let written =
            scene.write(&BackupStore::over(Arc::new(full)), opening(1, Class::Sessions, 1), 60).await;
        let store = BackupStore::over(inner);
        let listing = store.list(None).await.unwrap();
        if let Ok(manifest) = written {
            finished += 1;
            assert!(verify(&store, &manifest.found(), trusted).await.unwrap().is_sound(), "{room}");
        } else {
            refused += 1;
            assert_eq!(listing.found, [], "{room}");
            for half in listing.unfinished {
                let report = verify(&store, &half.0, trusted).await.unwrap();
                assert_eq!(report.damages[0].kind, DamageKind::NoManifest, "{room}");
                assert!(!report.is_sound());
                store.remove(&half.0).await.unwrap();
            }
            assert!(store.list(None).await.unwrap().unfinished.is_empty());
        }
    }
    assert!(refused > 10 && finished > 0, "{refused} refused, {finished} finished");
}

#[tokio::test]
async fn a_folder_is_a_store_and_what_is_half_written_is_removed_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("backups of acme");
    let url = Url::from_directory_path(&place).unwrap();
    let store = BackupStore::open(&url, []).unwrap();
    let scene = Scene::new();
    let manifest = scene.write(&store, opening(1, Class::Sessions, 1), 50).await.unwrap();
    let found = manifest.found();
    let trusted = Trusted { keys: &scene.keys, verifying: &[] };
    assert!(verify(&store, &found, trusted).await.unwrap().is_sound());

    // As a process leaves it that is killed while it writes.
    let inside = place.join(found.folder());
    std::fs::write(inside.join("chunk-00099#1"), b"half").unwrap();
    store.remove(&found).await.unwrap();
    assert!(!inside.exists());
    store.remove(&found).await.unwrap();
    for refused in ["ftp://host/x", "http://host/x", "memory:///"] {
        assert!(BackupStore::open(&Url::parse(refused).unwrap(), []).is_err(), "{refused}");
    }
}

#[tokio::test]
async fn without_the_key_nothing_is_said_about_the_backup() {
    let scene = Scene::new();
    let manifest = scene.backup(1, Class::Sessions, 1, 5).await;
    let other =
        KeyEncryptionKeys::from_files([("1", &b"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="[..])]).unwrap();
    let trusted = Trusted { keys: &other, verifying: &[] };
    let told = verify(&scene.store, &manifest.found(), trusted).await.unwrap_err();
    assert!(
        matches!(told, ReadError::Key(KekError::UnknownKey(id)) if id == manifest.key.wrapped_by),
        "{told:?}"
    );
}

#[tokio::test]
async fn reading_back_stops_between_two_chunks_when_it_is_told_to() {
    let scene = Scene::new();
    let manifest = scene.backup(1, Class::Preferences, 1, 100).await;
    let trusted = Trusted { keys: &scene.keys, verifying: &[] };
    let asked = Cell::new(0);
    let go_on = || asked.replace(asked.get() + 1) < 2;
    let told = verify_while(&scene.store, &manifest.found(), trusted, go_on).await;
    assert!(matches!(told, Err(ReadError::Stopped)), "{told:?}");
    assert_eq!(asked.get(), 3, "before each chunk");
}
