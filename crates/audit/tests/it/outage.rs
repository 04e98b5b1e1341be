//! PostgreSQL goes away and comes back.

use std::time::Duration;

use stagedoor_domain::{ErrorCode, ToolName};

use crate::support::Database;
use crate::trail::{OK, Trail, opening, prompt, story};

#[tokio::test]
async fn records_wait_for_the_database_and_arrive_in_order() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::over(database.impatient().await, prompt());
    trail.read(&ada.context).await;
    trail.log.flush().await.unwrap();
    let write = trail.open(&ada.context, ToolName::PlaylistCreate).await;

    database.postgres.kill().await;
    for _ in 0..3 {
        trail.read(&ada.context).await;
    }
    write.close(OK).await;
    let refused = trail.log.open(&ada.context, opening(ToolName::PlaylistAdd)).await.unwrap_err();
    assert_eq!(refused.public().code, ErrorCode::AuditUnavailable, "class A: no record, no effect");
    while trail.log.counts().retries == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    database.postgres.restart().await.unwrap();
    trail.log.flush().await.unwrap();

    assert_eq!(
        story(&database, &ada.context).await,
        [
            "call search ok",
            "opened playlist_create pending",
            "call search ok",
            "call search ok",
            "call search ok",
            "closed playlist_create ok",
        ]
    );
    let counts = trail.log.counts();
    assert_eq!((counts.dropped, counts.late_closings, counts.written), (0, 1, 6));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_written_twice() {
    use stagedoor_storage::audit::{AuditBundle, NewAuditRecord, append};
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let day = crate::trail::today(&database);
    database.vault.store().ensure_audit_partitions(day, 1).await.unwrap();
    let id = ada.account.0;
    let bundle = AuditBundle { id, user: None, records: 1, sealed: vec![1] };
    let record = NewAuditRecord {
        kind: 3,
        at: stagedoor_domain::Clock::now(&*database.clock),
        commitment: [7; 32],
        call: ada.context.call(),
        bundle: id,
        position: 0,
    };
    for _ in 0..2 {
        let append = async |tx: &mut _| {
            append(tx, day, std::slice::from_ref(&bundle), std::slice::from_ref(&record)).await
        };
        assert_eq!(database.vault.store().with_tenant(&ada.context, append).await.unwrap().length, 1);
    }
    assert_eq!(database.tamper("SELECT count(*) FROM audit_records").await, "1");
}
