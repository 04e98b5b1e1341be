//! What checkpoints and their archive find that a chain alone does not: a chain that was cut off, written anew, forged.

use std::fmt::Write as _;
use std::time::Duration;

use stagedoor_audit::FaultKind::{Archive, CheckpointChain, Head};
use stagedoor_audit::{DayRange, FaultKind, export, verify_export, verify_stored, verify_stored_against};
use stagedoor_crypto::{SigningKey, SystemEntropy};
use stagedoor_storage::{StoreError, signing_keys};
use uuid::Uuid;

use crate::checkpoints::{Found, archive, checkpointer, found, line, numbers, record, verify};
use crate::support::Database;
use crate::trail::{Trail, prompt, today};

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
    let hex = |bytes: &[u8]| {
        let mut text = String::new();
        for byte in bytes {
            write!(text, "{byte:02x}").unwrap();
        }
        text
    };
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
        database
            .tamper("DELETE FROM audit_checkpoints; INSERT INTO audit_checkpoints SELECT * FROM saved")
            .await;
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
    assert_eq!(
        told,
        [
            (FaultKind::Checkpoint, Some(8), Some(2)),
            (FaultKind::Checkpoint, Some(12), Some(3)),
            (CheckpointChain, None, Some(1))
        ]
    );
    restore().await;

    let tamperings: [(&str, Found); 6] = [
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
