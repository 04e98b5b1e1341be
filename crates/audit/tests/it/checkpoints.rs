//! Checkpoints: made in time and once, in one line of their own, kept outside of the database too, and what they find
//! that a chain alone does not.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use stagedoor_audit::FaultKind::{Archive, CheckpointChain, Head};
use stagedoor_audit::{
    Archived, AuditFault, Checkpoint, CheckpointArchive, Checkpointer, DayRange, FaultKind, SealError,
    VerificationReport, export, verify_export, verify_stored, verify_stored_against,
};
use stagedoor_crypto::{SigningKey, SystemEntropy};
use stagedoor_domain::{Clock as _, TenantId};
use stagedoor_storage::audit::{self, StoredCheckpoint};
use stagedoor_storage::{StoreError, signing_keys};
use url::Url;
use uuid::Uuid;

use crate::support::{Database, Inhabited};
use crate::trail::{Trail, another_call, prompt, today};

const MINUTE: Duration = Duration::from_mins(1);

fn checkpointer(database: &Database, archive: Option<&CheckpointArchive>) -> Checkpointer {
    Checkpointer::new(database.vault.clone(), archive.cloned(), MINUTE)
}

fn archive(database: &Database) -> CheckpointArchive {
    let url = Url::from_directory_path(database.folder.path().join("archive")).unwrap();
    CheckpointArchive::open(&url, []).unwrap()
}

pub(crate) async fn record(trail: &Trail, database: &Database, whose: &Inhabited, calls: usize) {
    for _ in 0..calls {
        trail.read(&another_call(database, &whose.as_user(whose.user))).await;
    }
    trail.log.flush().await.unwrap();
}

async fn line(database: &Database, whose: &Inhabited) -> Vec<StoredCheckpoint> {
    let read = async |tx: &mut _| audit::checkpoints_after(tx, 0, 100).await;
    database.vault.store().with_tenant::<_, StoreError>(&whose.context, read).await.unwrap()
}

async fn verify(
    database: &Database,
    whose: &Inhabited,
    archive: Option<&CheckpointArchive>,
) -> VerificationReport {
    let yesterday = today(database).pred_opt().unwrap();
    let days = DayRange::new(yesterday, today(database)).unwrap();
    verify_stored(&database.vault, &whose.context, days, archive).await.unwrap()
}

fn found(report: &VerificationReport) -> Vec<(FaultKind, Option<i64>, Option<i64>)> {
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

async fn numbers(archive: &CheckpointArchive, tenant: TenantId, day: NaiveDate) -> Vec<i64> {
    archive.numbers(tenant, day).await.unwrap().into_keys().collect()
}

#[tokio::test]
async fn a_database_that_was_set_back_goes_on_archiving_and_is_told() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    let archive = archive(&database);
    let sealer = checkpointer(&database, Some(&archive));
    for _ in 0..3 {
        record(&trail, &database, &ada, 4).await;
        sealer.seal(&ada.context, [today(&database)]).await.unwrap();
    }
    database.tamper("CREATE TABLE saved_checkpoints AS SELECT * FROM audit_checkpoints").await;
    database.tamper(&cut(4)).await;
    for _ in 0..3 {
        record(&trail, &database, &ada, 1).await;
        sealer.seal(&ada.context, [today(&database)]).await.unwrap();
    }
    let (tenant, day) = (ada.context.tenant_id(), today(&database));
    assert_eq!(numbers(&archive, tenant, day).await, [1, 2, 3, 4]);
    assert_eq!(sealer.counts().archive_failures, 2);
    assert_eq!(found(&verify(&database, &ada, None).await), []);
    assert_eq!(
        found(&verify(&database, &ada, Some(&archive)).await),
        [(Archive, Some(5), Some(2)), (Archive, Some(6), Some(3))]
    );
}

#[tokio::test]
async fn who_forges_all_of_it_has_another_key() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    record(&trail, &database, &ada, 4).await;
    checkpointer(&database, None).seal(&ada.context, [today(&database)]).await.unwrap();
    let read = async |tx: &mut _| signing_keys::public_keys(tx).await;
    let keys = database.vault.store().with_tenant::<_, StoreError>(&ada.context, read).await.unwrap();
    let keys: Vec<_> = keys.into_iter().map(|public| public.key).collect();
    let days = DayRange::of(today(&database));
    let against = async || {
        let (vault, context) = (&database.vault, &ada.context);
        found(&verify_stored_against(vault, context, days, &keys, None).await.unwrap())
    };
    assert_eq!(against().await, []);

    // A key of the forger's own, and every checkpoint signed anew with it.
    let forger = SigningKey::generate(Uuid::from_u128(7), &SystemEntropy);
    let [stored] = &line(&database, &ada).await[..] else { panic!("one") };
    let mut forged = stored.clone();
    forged.key_id = forger.id();
    let message = [
        b"stagedoor/audit-checkpoint/1",
        &ada.context.tenant_id().0.as_bytes()[..],
        forged.day.to_string().as_bytes(),
        &forged.seq.to_be_bytes(),
        &forged.hash,
        &forged.number.to_be_bytes(),
        &forged.previous_digest,
        &forged.signed_at.timestamp_micros().to_be_bytes(),
        forged.key_id.as_bytes(),
    ]
    .concat();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (tenant, id) = (ada.context.tenant_id(), forger.id());
    let (public, signature) = (hex(forger.verifying_key().bytes()), hex(&forger.sign(&message)));
    database
        .tamper(&format!(
            "INSERT INTO signing_keys (tenant_id, key_id, state, public_key, created_at)
                VALUES ('{tenant}', '{id}', 'destroyed', '\\x{public}', now());
            UPDATE audit_checkpoints SET signing_key_id = '{id}', signature = '\\x{signature}'"
        ))
        .await;
    let report = verify(&database, &ada, None).await;
    assert_eq!(found(&report), [], "by itself the database is consistent");
    assert_eq!(report.keys.len(), 2, "which is why the report names the keys that it trusted");
    let told = against().await;
    assert!(told.contains(&(FaultKind::Checkpoint, Some(4), Some(1))), "{told:?}");
    assert!(told.contains(&(FaultKind::Key, None, None)), "{told:?}");
}

#[tokio::test]
async fn checkpoints_at_the_edges_of_what_is_checked_are_missed_too() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    let sealer = checkpointer(&database, None);
    let mut days = Vec::new();
    for _ in 0..3 {
        for _ in 0..2 {
            record(&trail, &database, &ada, 1).await;
            sealer.seal(&ada.context, [today(&database)]).await.unwrap();
        }
        days.push(today(&database));
        database.clock.advance(Duration::from_hours(24));
    }
    let middle = DayRange::of(days[1]);
    let read = async |tx: &mut _| signing_keys::public_keys(tx).await;
    let keys = database.vault.store().with_tenant::<_, StoreError>(&ada.context, read).await.unwrap();
    let keys: Vec<_> = keys.into_iter().map(|public| public.key).collect();
    let check = async || {
        let stored = verify_stored(&database.vault, &ada.context, middle, None).await.unwrap();
        let mut file = Vec::new();
        export(&database.vault, &ada.context, middle, &mut file).await.unwrap();
        let exported = verify_export(&file[..], &keys).unwrap();
        assert_eq!(exported.checkpoints, stored.checkpoints);
        (found(&stored), found(&exported))
    };
    assert_eq!(check().await, (Vec::new(), Vec::new()));
    database.tamper("CREATE TABLE saved AS SELECT * FROM audit_checkpoints").await;
    for number in [2, 3, 4, 5] {
        database.tamper(&format!("DELETE FROM audit_checkpoints WHERE number = {number}")).await;
        let expected = [(CheckpointChain, None, Some(number))];
        assert_eq!(check().await, (expected.to_vec(), expected.to_vec()), "{number}");
        database.tamper("DELETE FROM audit_checkpoints; INSERT INTO audit_checkpoints SELECT * FROM saved").await;
    }
    database.tamper("DELETE FROM audit_checkpoints WHERE number = 6").await;
    assert_eq!(check().await.0, [(CheckpointChain, None, Some(6))], "the end of the line");
}

/// Cuts the chain behind its first `length` records, with all that the database has of the rest.
fn cut(length: i64) -> String {
    format!(
        "DELETE FROM audit_records WHERE seq > {length};
        UPDATE audit_chain_heads h SET seq = {length}, sealed_seq = {length}, hash = r.hash FROM audit_records r
            WHERE r.tenant_id = h.tenant_id AND r.day = h.day AND r.seq = {length};
        DELETE FROM audit_checkpoints WHERE seq > {length};
        UPDATE audit_checkpoint_heads SET number = 1, archived = 1, digest =
            (SELECT c.previous_digest FROM saved_checkpoints c WHERE c.number = 2);"
    )
}

#[tokio::test]
async fn what_a_rewritten_chain_hides_its_checkpoints_tell() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    let archive = archive(&database);
    let sealer = checkpointer(&database, Some(&archive));
    for _ in 0..3 {
        record(&trail, &database, &ada, 4).await;
        sealer.seal(&ada.context, [today(&database)]).await.unwrap();
    }
    assert_eq!(found(&verify(&database, &ada, Some(&archive)).await), []);
    let tables = ["audit_records", "audit_chain_heads", "audit_checkpoints", "audit_checkpoint_heads"];
    for table in tables {
        let name = table.replace("audit_", "saved_");
        database.tamper(&format!("CREATE TABLE {name} AS SELECT * FROM {table}")).await;
    }
    let restore = async || {
        for table in tables {
            let name = table.replace("audit_", "saved_");
            database.tamper(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {name}")).await;
        }
        assert_eq!(found(&verify(&database, &ada, Some(&archive)).await), []);
    };

    // The end of the chain is cut off, with its checkpoints: only the archive still has them.
    database.tamper(&cut(4)).await;
    assert_eq!(found(&verify(&database, &ada, None).await), []);
    let told = found(&verify(&database, &ada, Some(&archive)).await);
    for number in [2, 3] {
        assert!(told.contains(&(Archive, Some(number * 4), Some(number))), "{told:?}");
        assert!(told.contains(&(FaultKind::Checkpoint, Some(number * 4), Some(number))), "{told:?}");
    }
    restore().await;

    // The same, and other records in the place of those: a chain that is valid by itself.
    database.tamper(&cut(4).replace("DELETE FROM audit_checkpoints WHERE seq > 4;", "")).await;
    let told = found(&verify(&database, &ada, None).await);
    assert!(told.contains(&(FaultKind::Checkpoint, Some(8), Some(2))), "{told:?}");
    record(&trail, &database, &ada, 8).await;
    let told = found(&verify(&database, &ada, None).await);
    assert_eq!(told, [(FaultKind::Checkpoint, Some(8), Some(2)), (FaultKind::Checkpoint, Some(12), Some(3))]);
    restore().await;

    let tamperings: [(&str, (FaultKind, Option<i64>, Option<i64>)); 6] = [
        ("DELETE FROM audit_checkpoints WHERE number = 2", (CheckpointChain, None, Some(2))),
        (
            "UPDATE audit_checkpoints SET signature = set_byte(signature, 3, get_byte(signature, 3) # 1)
            WHERE number = 2",
            (FaultKind::Checkpoint, Some(8), Some(2)),
        ),
        (
            "UPDATE audit_checkpoints SET signed_at = signed_at + interval '1 second' WHERE number = 3",
            (FaultKind::Checkpoint, Some(12), Some(3)),
        ),
        (
            "UPDATE audit_checkpoints SET previous_digest = sha256('x') WHERE number = 2",
            (FaultKind::Checkpoint, Some(8), Some(2)),
        ),
        ("UPDATE audit_checkpoints SET seq = 7 WHERE number = 2", (FaultKind::Checkpoint, Some(7), Some(2))),
        ("DELETE FROM audit_records WHERE seq > 10", (Head, Some(12), None)),
    ];
    for (tampering, expected) in tamperings {
        database.tamper(tampering).await;
        let told = found(&verify(&database, &ada, None).await);
        assert!(told.contains(&expected), "{tampering}: {told:?}");
        restore().await;
    }

    // The archive lost one that it had.
    let day = today(&database);
    let lost = format!("{}/{day}/{:012}.json", ada.context.tenant_id(), 2);
    std::fs::remove_file(database.folder.path().join("archive").join(lost)).unwrap();
    assert_eq!(found(&verify(&database, &ada, Some(&archive)).await), [(Archive, Some(8), Some(2))]);
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
    tasks.spawn(checkpointer.clone().run(shutdown.clone()));
    while checkpointer.counts().written == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(line(&database, &ada).await.len(), 1);
}
