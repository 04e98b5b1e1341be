//! Every change of a stored backup is found, and named.

use object_store::ObjectStoreExt;
use object_store::path::Path;
use stagedoor_archive::{ArchiveReader, Class, Damage, DamageKind, Manifest, ReadError, Trusted, verify};
use stagedoor_crypto::{SigningKey, SystemEntropy};

use crate::support::Scene;

fn chunk(manifest: &Manifest, number: usize) -> Path {
    Path::from(format!("{}/chunk-{number:05}", manifest.found().folder()))
}

fn manifest_of(manifest: &Manifest) -> Path {
    Path::from(format!("{}/manifest.json", manifest.found().folder()))
}

async fn damages(scene: &Scene, manifest: &Manifest) -> Vec<Damage> {
    let known = [scene.signing.verifying_key()];
    let trusted = Trusted { keys: &scene.keys, verifying: &known };
    verify(&scene.store, &manifest.found(), trusted).await.unwrap().damages
}

async fn kinds(scene: &Scene, manifest: &Manifest) -> Vec<DamageKind> {
    damages(scene, manifest).await.into_iter().map(|damage| damage.kind).collect()
}

#[tokio::test]
async fn what_becomes_of_a_chunk_is_named_with_the_rows_that_it_costs() {
    let scene = Scene::new();
    let manifest = scene.backup(1, Class::Preferences, 1, 100).await;
    let other = scene.backup(1, Class::Preferences, 2, 100).await;
    let [second, third] = [1, 2].map(|number| chunk(&manifest, number));
    let (original, neighbour) = (scene.read(&second).await, scene.read(&third).await);

    let mut flipped = original.clone();
    flipped[200] ^= 8;
    scene.put(&second, flipped).await;
    let found = damages(&scene, &manifest).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].chunk, &found[0].kind), (Some(1), &DamageKind::Altered));
    assert_eq!(found[0].lost, manifest.rows_in(1));
    let lost = &found[0].lost[0];
    assert_eq!(
        (lost.table.as_str(), lost.first),
        (Class::Preferences.tables()[0], manifest.chunks[0].rows[0].rows + 1)
    );
    assert!(
        found[0].to_string().contains("chunk-00001: the chunk was altered; it held rows "),
        "{}",
        found[0]
    );

    scene.put(&second, original[..original.len() - 1].to_vec()).await;
    let length = original.len() as u64;
    assert_eq!(kinds(&scene, &manifest).await, [DamageKind::Length { expected: length, found: length - 1 }]);
    scene.objects.delete(&second).await.unwrap();
    assert_eq!(kinds(&scene, &manifest).await, [DamageKind::Missing]);

    scene.put(&second, neighbour).await;
    scene.put(&third, original.clone()).await;
    assert_eq!(kinds(&scene, &manifest).await, [DamageKind::Swapped(2), DamageKind::Swapped(1)]);
    // The other chunks are read all the same.
    let mut reader = ArchiveReader::open(&scene.store, &manifest.found(), &scene.keys, &[]).await.unwrap();
    let (mut sound, mut broken) = (0, 0);
    while let Some(chunk) = reader.next().await {
        match chunk {
            Ok(_) => sound += 1,
            Err(ReadError::Damage(_)) => broken += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((sound, broken), (reader.chunks() - 2, 2));

    scene.put(&second, scene.read(&chunk(&other, 1)).await).await;
    assert_eq!(kinds(&scene, &manifest).await[0], DamageKind::Foreign(other.backup_id.0));
    scene.put(&chunk(&other, 99), original).await;
    assert_eq!(kinds(&scene, &other).await, [DamageKind::Stray]);
}

#[tokio::test]
async fn what_becomes_of_a_manifest_is_named() {
    let scene = Scene::new();
    let manifest = scene.backup(1, Class::Preferences, 1, 3).await;
    let others = [
        scene.backup(2, Class::Preferences, 2, 3).await,
        scene.backup(1, Class::Sessions, 3, 3).await,
        scene.backup(1, Class::Preferences, 4, 3).await,
    ];
    let path = manifest_of(&manifest);
    let file = scene.read(&path).await;
    for other in &others {
        scene.put(&path, scene.read(&manifest_of(other)).await).await;
        let expected =
            DamageKind::Elsewhere { tenant: other.tenant_id, class: other.class, backup: other.backup_id };
        assert_eq!(kinds(&scene, &manifest).await, [expected]);
    }
    scene.objects.delete(&path).await.unwrap();
    assert_eq!(kinds(&scene, &manifest).await, [DamageKind::NoManifest]);

    // Every bit counts, with the signing key at hand and without it.
    let trusted = Trusted { keys: &scene.keys, verifying: &[] };
    for position in 0..file.len() {
        let mut altered = file.clone();
        altered[position] ^= 1 << (position % 8);
        scene.put(&path, altered).await;
        assert_eq!(damages(&scene, &manifest).await.len(), 1, "byte {position}");
        match verify(&scene.store, &manifest.found(), trusted).await {
            Ok(report) => assert!(!report.is_sound(), "byte {position}"),
            // Whose key it was wrapped by is in the wrap: an altered one names a key that nobody has.
            Err(error) => assert!(matches!(error, ReadError::Key(_)), "byte {position}: {error:?}"),
        }
    }
    for cut in (0..file.len()).step_by(7) {
        scene.put(&path, file[..cut].to_vec()).await;
        assert_eq!(damages(&scene, &manifest).await.len(), 1, "cut at {cut}");
    }
    scene.put(&path, [&file[..], b" "].concat()).await;
    assert!(matches!(kinds(&scene, &manifest).await[..], [DamageKind::Unreadable(_)]));
    let later = String::from_utf8(file.clone()).unwrap().replace("stagedoor/backup/1", "stagedoor/backup/2");
    scene.put(&path, later.into_bytes()).await;
    assert_eq!(kinds(&scene, &manifest).await, [DamageKind::UnknownFormat("stagedoor/backup/2".to_owned())]);

    // A key that has the tenant's id and is another.
    scene.put(&path, file).await;
    let impostor = SigningKey::generate(scene.signing.id(), &SystemEntropy).verifying_key();
    let trusted = Trusted { keys: &scene.keys, verifying: &[impostor] };
    let report = verify(&scene.store, &manifest.found(), trusted).await.unwrap();
    assert_eq!(report.damages[0].kind, DamageKind::Signature);
}

#[tokio::test]
async fn a_whole_backup_that_was_moved_is_found() {
    let scene = Scene::new();
    let manifest = scene.backup(1, Class::Preferences, 1, 40).await;
    let mut elsewhere = manifest.clone();
    elsewhere.tenant_id = stagedoor_domain::TenantId(uuid::Uuid::from_u128(9));
    let mut later = manifest.clone();
    later.taken_at += chrono::TimeDelta::days(1);
    for moved in [&elsewhere, &later] {
        for number in 0..manifest.chunks.len() {
            scene.put(&chunk(moved, number), scene.read(&chunk(&manifest, number)).await).await;
        }
        scene.put(&manifest_of(moved), scene.read(&manifest_of(&manifest)).await).await;
    }
    assert!(matches!(kinds(&scene, &elsewhere).await[..], [DamageKind::Elsewhere { .. }]));
    assert_eq!(kinds(&scene, &later).await, [DamageKind::OtherTime]);
    assert_eq!(kinds(&scene, &manifest).await, []);
}
