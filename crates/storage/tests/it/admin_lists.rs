//! Lists that the admin API shows page by page: chains, data keys, runs, backups and requests under the law. Each is whole,
//! in order, without anything twice, and of one tenant.

use chrono::{DateTime, Days, Utc};
use stagedoor_domain::{BackupClass, Clock as _};
use stagedoor_storage::privacy_requests::Kind;
use stagedoor_storage::{StoreError, TenantTransaction, audit, backups, data_keys, privacy_requests};
use uuid::Uuid;

use crate::persons::{audited, offer};
use crate::support::{Database, Inhabited};

async fn as_admin<T>(
    database: &Database,
    one: &Inhabited,
    work: impl AsyncFnOnce(&mut TenantTransaction) -> Result<T, StoreError>,
) -> T {
    database.admin.store().with_tenant(&one.context, work).await.unwrap()
}

/// Everything that `page` has, two at a time.
async fn all<T, P: Copy>(page: impl AsyncFn(Option<P>) -> Vec<T>, place: impl Fn(&T) -> P) -> Vec<T> {
    let mut listed: Vec<T> = Vec::new();
    loop {
        let found = page(listed.last().map(&place)).await;
        assert!(found.len() <= 2);
        if found.is_empty() {
            return listed;
        }
        listed.extend(found);
    }
}

#[tokio::test]
async fn chains_tell_how_much_of_them_is_signed_and_archived() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let today = database.clock.now().date_naive();
    audited(&database, &ada, b"one").await.unwrap();
    audited(&database, &ada, b"two").await.unwrap();
    audited(&database, &bob, b"his").await.unwrap();
    let id = ada.context.tenant_id();
    for back in 1..4 {
        let day = today.checked_sub_days(Days::new(back)).unwrap();
        let head = format!(
            "INSERT INTO audit_chain_heads (tenant_id, day, seq, hash) VALUES ('{id}', '{day}', {back}, sha256('x'))"
        );
        database.tamper(&head).await;
    }
    let yesterday = today.pred_opt().unwrap();
    let signed = format!(
        "INSERT INTO audit_checkpoints (tenant_id, day, seq, hash, number, previous_digest, signed_at, signing_key_id, signature)
            VALUES ('{id}', '{yesterday}', 1, sha256('x'), 7, sha256('y'), now(), '{key}', decode(repeat('00', 64), 'hex'));
        UPDATE audit_chain_heads SET sealed_seq = 1 WHERE tenant_id = '{id}' AND day = '{yesterday}';
        INSERT INTO audit_checkpoint_heads (tenant_id, number, digest, archived) VALUES ('{id}', 7, sha256('z'), 6)",
        key = Uuid::nil()
    );
    database.tamper(&signed).await;
    let page = async |before| as_admin(&database, &ada, async |tx| audit::chains(tx, before, 2).await).await;
    let chains = all(page, |chain| chain.day).await;
    let told: Vec<_> =
        chains.iter().map(|chain| (chain.day, chain.records, chain.signed, chain.archived)).collect();
    let day = |back| today.checked_sub_days(Days::new(back)).unwrap();
    assert_eq!(
        told,
        [(today, 2, 0, false), (day(1), 1, 1, false), (day(2), 2, 0, false), (day(3), 3, 0, false)]
    );
    assert!(chains[1].signed_at.is_some() && chains[0].signed_at.is_none());
    database
        .tamper(&format!("UPDATE audit_checkpoint_heads SET archived = 7 WHERE tenant_id = '{id}'"))
        .await;
    let now = as_admin(&database, &ada, async |tx| audit::chains(tx, None, 9).await).await;
    assert!(now[1].archived && !now[0].archived);
}

#[tokio::test]
async fn keys_are_told_by_their_ids_destroyed_ones_too() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let id = ada.context.tenant_id();
    for state in ["decrypt_only", "destroyed"] {
        let wrapped = if state == "destroyed" { "NULL" } else { "'\\x00'" };
        database
            .tamper(&format!(
                "INSERT INTO data_keys (tenant_id, key_id, purpose, user_id, state, wrapped_key, wrapped_by, created_at)
                SELECT '{id}', gen_random_uuid(), 2, '{}', '{state}', {wrapped}, gen_random_uuid(), '2026-01-01' FROM generate_series(1, 2)",
                ada.user
            ))
            .await;
    }
    let page =
        async |before| as_admin(&database, &ada, async |tx| data_keys::list(tx, before, 2).await).await;
    let keys = all(page, |key| (key.created_at, key.id)).await;
    assert!(keys.is_sorted_by_key(|key| std::cmp::Reverse((key.created_at, key.id))));
    let in_database =
        database.tamper(&format!("SELECT count(*) FROM data_keys WHERE tenant_id = '{id}'")).await;
    assert_eq!(keys.len().to_string(), in_database, "all of them, and none of bob's");
    assert!(keys.iter().any(|key| key.user.is_none() && key.state == "active"), "the tenant's own");
    assert_eq!(keys.iter().filter(|key| key.state == "destroyed" && key.user == Some(ada.user)).count(), 2);
    assert!(!as_admin(&database, &bob, async |tx| data_keys::list(tx, None, 9).await).await.is_empty());
}

#[tokio::test]
async fn runs_and_backups_are_listed_from_the_newest_on() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    for (job, count) in [("retention", 3), ("backup", 2)] {
        // At one and the same moment, so that only their ids tell them apart.
        database
            .tamper(&format!(
                "INSERT INTO keeper_runs (run_id, job, dry_run, outcome, host, started_at, heartbeat_at, ended_at)
                SELECT gen_random_uuid(), '{job}', false, 'succeeded', 'here', '2026-01-01', now(), now()
                FROM generate_series(1, {count})"
            ))
            .await;
    }
    let store = database.admin.store();
    let runs = async |job: Option<&'static str>| {
        let page = async |before: Option<(DateTime<Utc>, Uuid)>| {
            store.keeper_runs_before(job, before, 2).await.unwrap()
        };
        all(page, |run| (run.started_at, run.id)).await
    };
    assert_eq!(
        (runs(None).await.len(), runs(Some("retention")).await.len(), runs(Some("none")).await.len()),
        (5, 3, 0)
    );
    assert!(runs(None).await.is_sorted_by_key(|run| std::cmp::Reverse((run.started_at, run.id))));

    for (one, class, state) in [
        (&ada, "sessions", "expired"),
        (&ada, "sessions", "verified"),
        (&ada, "audit", "damaged"),
        (&bob, "audit", "written"),
    ] {
        let ended = if state == "expired" { "now()" } else { "NULL" };
        database
            .tamper(&format!(
                "INSERT INTO backups (tenant_id, backup_id, class, taken_at, state, wrapped_by, row_count, ended_at)
                VALUES ('{}', gen_random_uuid(), '{class}', '2026-01-01', '{state}', gen_random_uuid(), 12, {ended})",
                one.context.tenant_id()
            ))
            .await;
    }
    let listed = async |class: Option<BackupClass>| {
        let page = async |before: Option<(DateTime<Utc>, Uuid)>| {
            as_admin(&database, &ada, async |tx| backups::list(tx, class, before, 2).await).await
        };
        all(page, |backup| (backup.taken_at, backup.id)).await
    };
    let states = async |class| {
        let mut states: Vec<_> = listed(class).await.iter().map(|backup| backup.state.as_str()).collect();
        states.sort_unstable();
        states
    };
    assert_eq!(states(None).await, ["damaged", "expired", "verified"]);
    assert_eq!(states(Some(BackupClass::Sessions)).await, ["expired", "verified"]);
}

#[tokio::test]
async fn requests_are_listed_from_the_newest_on() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    for number in 0..5_u8 {
        offer(&database, &ada, Kind::Export, &[number]).await;
        // Over, so that the next one is another.
        database
            .tamper("UPDATE privacy_requests SET state = 'cancelled', completed_at = now(), due_at = NULL")
            .await;
    }
    offer(&database, &bob, Kind::Export, b"his").await;
    let store = database.admin.store();
    let page = async |before| privacy_requests::list_before(store, &ada.context, before, 2).await.unwrap();
    let listed = all(page, |request| (request.requested_at, request.id)).await;
    assert_eq!(listed.len(), 5);
    assert!(listed.is_sorted_by_key(|request| std::cmp::Reverse((request.requested_at, request.id.0))));
}
