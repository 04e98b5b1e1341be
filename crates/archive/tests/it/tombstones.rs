//! Who was erased is known beside the database, and whether that was altered.

use chrono::TimeDelta;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt};
use stagedoor_archive::{DamageKind, Hash, ReadError, Tombstone, Tombstones};
use stagedoor_domain::TenantId;
use uuid::Uuid;

use crate::support::{Scene, start};

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

fn tombstones(hours: i64, people: u8) -> Tombstones {
    let taken_at = start() + TimeDelta::hours(hours);
    let entries = (0..people).map(|person| Tombstone {
        subject_digest: Hash([person; 32]),
        request_id: Uuid::from_u128(person.into()),
        erased_at: taken_at,
        requested_at: taken_at,
        due_by: taken_at + TimeDelta::days(30),
        completed_at: (person % 2 == 0).then_some(taken_at),
        receipt: (person % 2 == 0).then(|| "{\"format\":\"receipt\"}\n".to_owned()),
    });
    Tombstones { taken_at, entries: entries.collect() }
}

#[tokio::test]
async fn the_newest_tombstones_are_read_and_a_few_older_ones_kept() {
    let scene = Scene::new();
    let known = [scene.signing.verifying_key()];
    assert_eq!(scene.store.tombstones(TENANT, &known).await.unwrap(), None);
    for hours in 0..5 {
        let people = u8::try_from(hours).unwrap();
        let put = scene.store.put_tombstones(TENANT, tombstones(hours, people), &scene.signing, &known).await;
        assert_eq!(put.unwrap(), 0);
    }
    assert_eq!(scene.store.tombstones(TENANT, &known).await.unwrap(), Some(tombstones(4, 4)));
    let folder = Path::from(format!("tombstones/v1/{TENANT}"));
    assert_eq!(scene.objects.list_with_delimiter(Some(&folder)).await.unwrap().objects.len(), 3);
    let other = TenantId(Uuid::from_u128(2));
    assert_eq!(scene.store.tombstones(other, &known).await.unwrap(), None);

    assert_eq!(scene.store.deleted(TENANT).await.unwrap(), None);
    scene.store.put_deleted(TENANT, start()).await.unwrap();
    assert_eq!(scene.store.deleted(TENANT).await.unwrap(), Some(start()));
    assert_eq!(scene.store.deleted(other).await.unwrap(), None);
}

#[tokio::test]
async fn whoever_was_known_once_stays_known() {
    let scene = Scene::new();
    let known = [scene.signing.verifying_key()];
    let put = async |hours, people: &[u8]| {
        let mut tombstones = tombstones(hours, 4);
        tombstones.entries.retain(|entry| people.contains(&entry.subject_digest.0[0]));
        scene.store.put_tombstones(TENANT, tombstones, &scene.signing, &known).await
    };
    let people = async || {
        let stored = scene.store.tombstones(TENANT, &known).await.unwrap().unwrap();
        stored.entries.iter().map(|entry| entry.subject_digest.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(put(0, &[0, 1, 2]).await.unwrap(), 0);
    // A database that was put back knows less, for longer than older files are kept, and then of somebody else.
    for hours in 1..6 {
        assert_eq!(put(hours, &[0]).await.unwrap(), 2);
    }
    assert_eq!(put(6, &[0, 3]).await.unwrap(), 2);
    assert_eq!(people().await, [0, 1, 2, 3]);
    assert_eq!(put(7, &[0, 1, 2, 3]).await.unwrap(), 0);

    // A receipt that only the store has stays; one that comes later is taken.
    let mut without = tombstones(8, 2);
    without.entries[0].receipt = None;
    without.entries[1].receipt = Some("a receipt".to_owned());
    scene.store.put_tombstones(TENANT, without, &scene.signing, &known).await.unwrap();
    let stored = scene.store.tombstones(TENANT, &known).await.unwrap().unwrap();
    let receipts: Vec<_> = stored.entries.iter().map(|entry| entry.receipt.as_deref()).collect();
    assert_eq!(receipts, [Some("{\"format\":\"receipt\"}\n"), Some("a receipt"), receipts[0], None]);

    // What does not open is not written over.
    let path = Path::from(format!("tombstones/v1/{TENANT}/20261122T180000Z.jsonl"));
    let file = scene.read(&path).await;
    scene.put(&path, b"{}".to_vec()).await;
    assert!(matches!(put(9, &[0]).await, Err(ReadError::Damage(_))));
    let unknown_key = scene.store.put_tombstones(TENANT, tombstones(9, 1), &scene.signing, &[]).await;
    assert!(matches!(unknown_key, Err(ReadError::Damage(_))));
    scene.put(&path, file).await;
    assert_eq!(people().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn altered_or_foreign_tombstones_are_refused() {
    let scene = Scene::new();
    let known = [scene.signing.verifying_key()];
    scene.store.put_tombstones(TENANT, tombstones(0, 3), &scene.signing, &known).await.unwrap();
    let path = Path::from(format!("tombstones/v1/{TENANT}/20261122T100000Z.jsonl"));
    let file = scene.read(&path).await;
    for position in 0..file.len() {
        let mut altered = file.clone();
        altered[position] ^= 1;
        scene.put(&path, altered).await;
        let read = scene.store.tombstones(TENANT, &known).await;
        assert!(matches!(read, Err(ReadError::Damage(_))), "byte {position}: {read:?}");
    }
    scene.put(&path, file.clone()).await;
    assert!(scene.store.tombstones(TENANT, &[]).await.is_err(), "nobody vouches for them");
    assert!(scene.store.tombstones(TENANT, &known).await.is_ok());

    // Those of another tenant, and older ones under a newer name.
    let foreign = Path::from(format!("tombstones/v1/{}/20261122T100000Z.jsonl", Uuid::from_u128(2)));
    scene.put(&foreign, file.clone()).await;
    assert!(scene.store.tombstones(TenantId(Uuid::from_u128(2)), &known).await.is_err());
    let newer = Path::from(format!("tombstones/v1/{TENANT}/20261123T100000Z.jsonl"));
    scene.put(&newer, file).await;
    let read = scene.store.tombstones(TENANT, &known).await.unwrap_err();
    assert!(matches!(read, ReadError::Damage(damage) if damage.kind == DamageKind::OtherTime));
    scene.objects.delete(&newer).await.unwrap();
    assert!(scene.store.tombstones(TENANT, &known).await.is_ok());
}
