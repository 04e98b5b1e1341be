//! Whatever is done to a stored chain is found, and replicas that append at once make one chain.

use stagedoor_audit::FaultKind::{self, Gap, Hash, Head, Payload, PreviousHash};
use stagedoor_audit::verify_chain;
use stagedoor_domain::ToolName;

use crate::support::Database;
use crate::trail::{OK, Trail, another_call, prompt, story, today};

#[tokio::test]
async fn every_kind_of_tampering_is_found() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    for _ in 0..12 {
        trail.read(&another_call(&database, &ada.context)).await;
    }
    trail.log.flush().await.unwrap();
    let day = today(&database);
    let faults = async || {
        let report = verify_chain(&database.vault, &ada.context, day).await.unwrap();
        report.faults.iter().map(|fault| (fault.seq, fault.kind)).collect::<Vec<_>>()
    };
    assert_eq!(faults().await, []);
    let save = "CREATE TABLE saved AS SELECT * FROM audit_records; CREATE TABLE saved_payloads AS SELECT * FROM \
        audit_payloads; CREATE TABLE saved_heads AS SELECT * FROM audit_chain_heads";
    database.tamper(save).await;
    let restore = "DELETE FROM audit_records; INSERT INTO audit_records SELECT * FROM saved; DELETE FROM \
        audit_payloads; INSERT INTO audit_payloads SELECT * FROM saved_payloads; DELETE FROM audit_chain_heads; \
        INSERT INTO audit_chain_heads SELECT * FROM saved_heads";

    let tamperings: [(&str, &[(i64, FaultKind)]); 13] = [
        (
            "UPDATE audit_records SET occurred_at = occurred_at + interval '1 microsecond' WHERE seq = 5",
            &[(5, Hash)],
        ),
        ("UPDATE audit_records SET type = 4 WHERE seq = 5", &[(5, Hash)]),
        ("UPDATE audit_records SET commitment = sha256('x') WHERE seq = 5", &[(5, Hash), (5, Payload)]),
        ("UPDATE audit_records SET hash = sha256('x') WHERE seq = 5", &[(5, Hash), (6, PreviousHash)]),
        ("UPDATE audit_records SET call_id = gen_random_uuid() WHERE seq = 5", &[(5, Payload)]),
        ("UPDATE audit_records SET bundle_position = 99 WHERE seq = 5", &[(5, Payload)]),
        ("DELETE FROM audit_records WHERE seq = 5", &[(6, Gap), (6, PreviousHash)]),
        ("DELETE FROM audit_records WHERE seq = 1", &[(2, Gap), (2, PreviousHash)]),
        ("DELETE FROM audit_records WHERE seq > 10", &[(12, Head)]),
        ("DELETE FROM audit_records", &[(12, Head)]),
        ("DELETE FROM audit_chain_heads", &[(0, Head)]),
        ("UPDATE audit_records SET bundle_id = gen_random_uuid() WHERE seq = 5", &[(5, Payload)]),
        ("DELETE FROM audit_payloads", &[(1, Payload), (12, Payload)]),
    ];
    for (tampering, expected) in tamperings {
        database.tamper(tampering).await;
        let found = faults().await;
        for fault in expected {
            assert!(found.contains(fault), "{tampering}: {found:?}");
        }
        database.tamper(restore).await;
        assert_eq!(faults().await, [], "restored after {tampering}");
    }

    let swap =
        "UPDATE audit_records r SET hash = o.hash, previous_hash = o.previous_hash, commitment = o.commitment
        FROM saved o WHERE r.seq IN (5, 6) AND o.seq = 11 - r.seq";
    database.tamper(swap).await;
    assert!(faults().await.contains(&(5, PreviousHash)), "two links in each other's place");
    database.tamper(restore).await;
    database
        .tamper("UPDATE audit_payloads SET sealed = set_byte(sealed, 100, get_byte(sealed, 100) # 1)")
        .await;
    assert!(faults().await.iter().all(|(_, kind)| *kind == Payload) && !faults().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_append_at_once_make_one_chain() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let replicas = [Trail::start(&database, prompt()), Trail::start(&database, prompt())];
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..40 {
        let log = replicas[number % 2].log.clone();
        let context = another_call(&database, &ada.context);
        let tool = if number % 5 == 0 { ToolName::PlaylistAdd } else { ToolName::Search };
        calls.spawn(async move {
            log.open(&context, crate::trail::opening(tool)).await.unwrap().close(OK).await;
        });
    }
    calls.join_all().await;
    for replica in &replicas {
        replica.log.flush().await.unwrap();
    }
    let story = story(&database, &ada.context).await;
    assert_eq!(story.iter().filter(|line| *line == "call search ok").count(), 32);
    assert_eq!(story.iter().filter(|line| *line == "opened playlist_add pending").count(), 8);
    assert_eq!(story.iter().filter(|line| *line == "closed playlist_add ok").count(), 8);
}

#[tokio::test]
async fn each_day_has_a_chain_of_its_own_and_its_partition_when_it_is_needed() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    trail.read(&ada.context).await;
    trail.log.flush().await.unwrap();
    assert_eq!(story(&database, &ada.context).await.len(), 1);
    // Beyond what the writer made ahead: the append itself makes the partition.
    database.clock.advance(std::time::Duration::from_hours(20 * 24));
    trail.read(&ada.context).await;
    trail.open(&ada.context, ToolName::PlaylistAdd).await.close(OK).await;
    trail.log.flush().await.unwrap();
    assert_eq!(story(&database, &ada.context).await.len(), 3);
    assert_eq!(database.tamper("SELECT count(*), max(seq) FROM audit_chain_heads").await, "2|3");
}
