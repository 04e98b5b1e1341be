//! Checkpoints: made in time and once, in one line of their own, kept outside of the database too.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use stagedoor_audit::FaultKind::CheckpointChain;
use stagedoor_audit::{
    Archived, AuditFault, Checkpoint, CheckpointArchive, Checkpointer, DayRange, FaultKind, SealError,
    VerificationReport, verify_stored,
};
use stagedoor_domain::{Clock as _, TenantId};
use stagedoor_storage::audit::{self, StoredCheckpoint};
use stagedoor_storage::{StoreError, signing_keys};
use url::Url;

use crate::support::{Database, Inhabited};
use crate::trail::{Trail, another_call, prompt, today};

/// A fault, its record and its checkpoint.
pub(crate) type Found = (FaultKind, Option<i64>, Option<i64>);

const MINUTE: Duration = Duration::from_mins(1);

pub(crate) fn checkpointer(database: &Database, archive: Option<&CheckpointArchive>) -> Checkpointer {
    Checkpointer::new(database.vault.clone(), archive.cloned(), MINUTE)
}

pub(crate) fn archive(database: &Database) -> CheckpointArchive {
    let url = Url::from_directory_path(database.folder.path().join("archive")).unwrap();
    CheckpointArchive::open(&url, []).unwrap()
}

pub(crate) async fn record(trail: &Trail, database: &Database, whose: &Inhabited, calls: usize) {
    for _ in 0..calls {
        trail.read(&another_call(database, &whose.as_user(whose.user))).await;
    }
    trail.log.flush().await.unwrap();
}

pub(crate) async fn line(database: &Database, whose: &Inhabited) -> Vec<StoredCheckpoint> {
    let read = async |tx: &mut _| audit::checkpoints_after(tx, 0, 100).await;
    database.vault.store().with_tenant::<_, StoreError>(&whose.context, read).await.unwrap()
}

pub(crate) async fn verify(
    database: &Database,
    whose: &Inhabited,
    archive: Option<&CheckpointArchive>,
) -> VerificationReport {
    let yesterday = today(database).pred_opt().unwrap();
    let days = DayRange::new(yesterday, today(database)).unwrap();
    verify_stored(&database.vault, &whose.context, days, archive).await.unwrap()
}

pub(crate) fn found(report: &VerificationReport) -> Vec<Found> {
    let tell = |fault: &AuditFault| (fault.kind, fault.seq, fault.checkpoint);
    report.faults.iter().map(tell).collect()
}

#[tokio::test]
async fn each_chain_that_grew_is_sealed_in_time_by_whichever_replica_comes_first() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let trail = Trail::start(&database, prompt());
    let replicas = [checkpointer(&database, None), checkpointer(&database, None)];
    let look = async || {
        let (first, second) = tokio::join!(replicas[0].look(), replicas[1].look());
        first.and(second).unwrap();
    };
    look().await;
    assert!(line(&database, &ada).await.is_empty(), "nothing was recorded");

    record(&trail, &database, &ada, 3).await;
    record(&trail, &database, &bob, 1).await;
    look().await;
    let sealed = line(&database, &ada).await;
    assert_eq!(sealed.iter().map(|one| (one.number, one.seq)).collect::<Vec<_>>(), [(1, 3)]);
    assert_eq!(line(&database, &bob).await.len(), 1);

    record(&trail, &database, &ada, 2).await;
    database.clock.advance(Duration::from_secs(30));
    look().await;
    assert_eq!(line(&database, &ada).await.len(), 1, "once a minute is enough");
    assert_eq!(replicas[0].counts().oldest_unsealed, Some(Duration::from_secs(30)));
    database.clock.advance(Duration::from_secs(16));
    look().await;
    look().await;
    let sealed = line(&database, &ada).await;
    assert_eq!(sealed.iter().map(|one| (one.number, one.seq)).collect::<Vec<_>>(), [(1, 3), (2, 5)]);
    assert_eq!(replicas[0].counts().oldest_unsealed, None);

    // The next day's chain goes on with the same line.
    database.clock.advance(Duration::from_hours(24));
    record(&trail, &database, &ada, 1).await;
    look().await;
    let sealed = line(&database, &ada).await;
    assert_eq!(sealed.iter().map(|one| (one.number, one.seq)).collect::<Vec<_>>(), [(1, 3), (2, 5), (3, 1)]);
    let made: u64 = replicas.iter().map(|replica| replica.counts().written).sum();
    assert_eq!(made, 4, "three of Ada's and one of Bob's");
    let report = verify(&database, &ada, None).await;
    assert_eq!(found(&report), []);
    assert_eq!((report.chains, report.records, report.checkpoints), (2, 6, 3));
}

#[tokio::test]
async fn the_database_takes_no_checkpoint_that_states_something_else() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    record(&trail, &database, &ada, 2).await;
    let (store, day) = (database.vault.store(), today(&database));
    let head = store.with_tenant(&ada.context, async |tx| audit::head(tx, day).await).await.unwrap().unwrap();
    let key = signing_keys::active(&database.vault, &ada.context).await.unwrap();
    let honest = StoredCheckpoint {
        day,
        seq: 2,
        hash: head.hash.clone(),
        number: 1,
        previous_digest: Checkpoint::genesis(ada.context.tenant_id()).to_vec(),
        signed_at: database.clock.now(),
        key_id: key.id(),
        signature: vec![7; 64],
    };
    let add = async |checkpoint: StoredCheckpoint| {
        let add = async |tx: &mut _| audit::add_checkpoint(tx, &checkpoint).await;
        store.with_tenant::<_, StoreError>(&ada.context, add).await
    };
    for wrong in [
        StoredCheckpoint { hash: vec![1; 32], ..honest.clone() },
        StoredCheckpoint { seq: 1, ..honest.clone() },
        StoredCheckpoint { key_id: ada.account.0, ..honest.clone() },
        StoredCheckpoint { signature: vec![7; 63], ..honest.clone() },
    ] {
        assert!(add(wrong.clone()).await.is_err(), "{wrong:?}");
    }
    for late in [
        StoredCheckpoint { number: 2, ..honest.clone() },
        StoredCheckpoint { previous_digest: vec![0; 32], ..honest.clone() },
    ] {
        assert!(!add(late.clone()).await.unwrap(), "{late:?}");
    }
    assert!(add(honest.clone()).await.unwrap());
    assert!(!add(honest).await.unwrap(), "once");
    let report = verify(&database, &ada, None).await;
    assert_eq!(
        found(&report),
        [(FaultKind::Checkpoint, Some(2), Some(1)), (CheckpointChain, None, Some(1))],
        "a signature that nobody made is found by the check"
    );
}

#[tokio::test]
async fn the_archive_catches_up_after_it_was_away() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    let archive = archive(&database);
    let checkpointer = checkpointer(&database, Some(&archive));
    record(&trail, &database, &ada, 1).await;
    checkpointer.look().await.unwrap();
    let (tenant, day) = (ada.context.tenant_id(), today(&database));
    assert_eq!(numbers(&archive, tenant, day).await, [1]);

    let folder = database.folder.path().join("archive");
    let aside = database.folder.path().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    for _ in 0..3 {
        database.clock.advance(MINUTE);
        record(&trail, &database, &ada, 1).await;
        checkpointer.look().await.unwrap();
    }
    let counts = checkpointer.counts();
    assert_eq!((counts.written, counts.archived, counts.archive_lag), (4, 1, 3));
    assert_eq!(counts.archive_failures, 3);
    let refused = checkpointer.seal(&ada.context, [day]).await.unwrap_err();
    assert!(matches!(refused, SealError::Archive(_)), "{refused:?}");

    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    checkpointer.look().await.unwrap();
    assert_eq!((checkpointer.counts().archived, checkpointer.counts().archive_lag), (4, 0));
    assert_eq!(numbers(&archive, tenant, day).await, [1, 2, 3, 4]);
    let stored = line(&database, &ada).await;
    let last = archive.get(tenant, day, 4).await.unwrap().unwrap();
    assert_eq!((last.seq, &last.signature[..]), (4, &stored[3].signature[..]));
    assert_eq!(found(&verify(&database, &ada, Some(&archive)).await), []);

    // What was archived is never replaced: another one of that number is kept beside it, and told.
    assert_eq!(archive.put(&last).await.unwrap(), Archived::Same);
    assert_eq!(found(&verify(&database, &ada, Some(&archive)).await), []);
    let other = Checkpoint { seq: 3, ..last.clone() };
    for _ in 0..2 {
        assert_eq!(archive.put(&other).await.unwrap(), Archived::Forked);
    }
    assert_eq!(archive.get(tenant, day, 4).await.unwrap(), Some(last));
    assert_eq!(archive.numbers(tenant, day).await.unwrap().get(&4), Some(&true));
}

/// As the end of a tenant has it: `privacy_destroy_tenant`.
const END_OF_A_TENANT: &str = "UPDATE data_keys SET state = 'destroyed', wrapped_key = NULL;
    UPDATE signing_keys SET state = 'destroyed', private_key = NULL;
    UPDATE tenants SET status = 'deleted', name = '', settings = '{}', slug = 'deleted-' || replace(tenant_id::text, '-', '')";

#[tokio::test]
async fn every_day_is_sealed_before_a_tenant_ends_and_the_archive_gets_it_afterwards() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    let mut days = Vec::new();
    for _ in 0..3 {
        record(&trail, &database, &ada, 2).await;
        days.push(today(&database));
        database.clock.advance(Duration::from_hours(24));
    }
    let archive = archive(&database);
    let folder = database.folder.path().join("archive");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let checkpointer = checkpointer(&database, Some(&archive));
    let refused = checkpointer.seal_all(&ada.context).await.unwrap_err();
    assert!(matches!(refused, SealError::Archive(_)), "{refused:?}");
    let sealed: Vec<_> = line(&database, &ada).await.iter().map(|one| (one.day, one.seq)).collect();
    assert_eq!(sealed, days.iter().map(|day| (*day, 2)).collect::<Vec<_>>());

    // Without any key of the tenant, under its last name.
    database.tamper(END_OF_A_TENANT).await;
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    checkpointer.look().await.unwrap();
    assert_eq!((checkpointer.counts().archived, checkpointer.counts().archive_lag), (3, 0));
    for (number, day) in (1..).zip(days) {
        assert_eq!(numbers(&archive, ada.context.tenant_id(), day).await, [number]);
    }
}

pub(crate) async fn numbers(archive: &CheckpointArchive, tenant: TenantId, day: NaiveDate) -> Vec<i64> {
    archive.numbers(tenant, day).await.unwrap().into_keys().collect()
}

#[tokio::test]
async fn a_running_checkpointer_seals_without_being_asked() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    record(&trail, &database, &ada, 1).await;
    let checkpointer = Checkpointer::new(Arc::clone(&database.vault), None, Duration::from_millis(40));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    let (other, context, day) = (checkpointer.clone(), ada.context.clone(), today(&database));
    tasks.spawn(async move { drop(other.seal(&context, [day]).await) });
    tasks.spawn(checkpointer.clone().run(shutdown.clone()));
    while checkpointer.counts().written == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(line(&database, &ada).await.len(), 1);
}
