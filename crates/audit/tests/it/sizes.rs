//! How big a tenant's log of a day may become, and what it takes.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_audit::{AuditAction, AuditClass, AuditClient, AuditError, AuditOpening, AuditOptions};
use stagedoor_domain::{AuditSettings, ErrorCode, TenantContext, ToolName};
use stagedoor_storage::{StoreError, audit};

use crate::checkpoints::record;
use crate::support::{Database, Inhabited};
use crate::trail::{OK, Trail, opening, prompt, story, today};

async fn bytes(database: &Database, whose: &Inhabited) -> i64 {
    let day = today(database);
    let read = async |tx: &mut _| audit::head(tx, day).await;
    let head = database.vault.store().with_tenant::<_, StoreError>(&whose.context, read).await.unwrap();
    head.unwrap().bytes
}

/// The same call, of a tenant that set a size of its own.
#[expect(clippy::disallowed_methods, reason = "tests build contexts")]
fn with_size(context: &TenantContext, size: u64) -> TenantContext {
    let mut tenant = context.tenant().clone();
    tenant.settings.audit = AuditSettings { max_log_size_bytes: Some(size) };
    TenantContext::for_request(Arc::new(tenant), context.principal().clone().into(), context.call())
}

#[tokio::test]
async fn a_log_that_has_reached_its_size_stops_reads_and_nothing_else() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let trail = Trail::start(&database, AuditOptions { max_log_size: 10_000, ..prompt() });
    record(&trail, &database, &bob, 1).await;
    let mut reads = 0;
    let refused = loop {
        match trail.log.open(&ada.context, opening(ToolName::Search)).await {
            Ok(entry) => entry.close(OK).await,
            Err(refused) => break refused,
        }
        trail.log.flush().await.unwrap();
        reads += 1;
    };
    let size = bytes(&database, &ada).await;
    assert!((10_000..12_000).contains(&size) && reads > 5, "{size} bytes after {reads} reads");
    assert!(matches!(refused, AuditError::LogFull { .. }), "{refused:?}");
    let told = refused.public();
    assert_eq!((told.code, told.retry_after), (ErrorCode::AuditLogFull, Some(Duration::from_hours(1))));
    let counts = trail.log.counts();
    assert_eq!((counts.log_full, counts.log_nearly_full), (1, 1));

    // Evidence goes on: writes, what is about the trail itself, refused writes.
    trail.open(&ada.context, ToolName::PlaylistAdd).await.close(OK).await;
    trail.open(&ada.context, ToolName::AuditQuery).await.close(OK).await;
    let refused_write = AuditOpening { class: AuditClass::Deferred, ..opening(ToolName::PlaylistAdd) };
    trail.log.open(&ada.context, refused_write).await.unwrap().close(OK).await;
    let auth = AuditOpening::new(AuditAction::Authenticate, AuditClient::default());
    trail.log.open(&ada.context, auth).await.unwrap().close(OK).await;
    // So do other tenants, and this one with a size of its own, or none.
    record(&trail, &database, &bob, 1).await;
    for size in [1_000_000, 0] {
        trail.read(&with_size(&ada.context, size)).await;
    }
    trail.log.flush().await.unwrap();
    assert!(trail.log.open(&ada.context, opening(ToolName::Search)).await.is_err());
    let small = with_size(&bob.context, 10);
    assert!(
        trail.log.open(&small, opening(ToolName::Search)).await.is_err(),
        "a tenant may set a smaller one"
    );
    assert_eq!(story(&database, &ada.context).await.len(), reads + 9);

    // Half an hour before midnight the wait is that long; then a new log begins.
    database.clock.advance(Duration::from_mins(13 * 60 + 30));
    let AuditError::LogFull { retry_after } =
        trail.log.open(&ada.context, opening(ToolName::Search)).await.unwrap_err()
    else {
        panic!("another refusal")
    };
    assert_eq!(retry_after.as_secs(), 30 * 60 - 1);
    database.clock.advance(retry_after + Duration::from_secs(1));
    trail.read(&ada.context).await;
    trail.log.flush().await.unwrap();
    assert_eq!(story(&database, &ada.context).await.len(), 1);
}

#[tokio::test]
async fn what_replicas_of_the_release_before_append_counts_too() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    record(&trail, &database, &ada, 1).await;
    let before = bytes(&database, &ada).await;
    let append = format!(
        "SET stagedoor.tenant_id = '{}'; SELECT audit_append('{}', ARRAY[gen_random_uuid()], ARRAY[NULL::uuid], \
        ARRAY[1], ARRAY['\\x0102'::bytea], ARRAY[3::smallint], ARRAY['{}T10:00:00Z'::timestamptz], \
        ARRAY[sha256('x')], ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY[0])",
        ada.context.tenant_id(),
        today(&database),
        today(&database),
    );
    assert!(database.tamper(&append).await.ends_with('2'), "the chain's length");
    assert_eq!(bytes(&database, &ada).await, before + 272 + 224 + 2);
}

/// The count is made without looking at the tables; it must not be far from what these take.
#[tokio::test]
async fn what_is_counted_is_about_what_the_disk_gives() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    record(&trail, &database, &ada, 50).await;
    let store = database.vault.store();
    let (before, counted) = (audit::footprint(store).await.unwrap(), bytes(&database, &ada).await);
    record(&trail, &database, &ada, 3_000).await;
    let after = audit::footprint(store).await.unwrap();
    let counted = bytes(&database, &ada).await - counted;
    let taken = after.records + after.payloads - before.records - before.payloads;
    let percent = counted * 100 / taken;
    assert!((70..140).contains(&percent), "{counted} bytes were counted, {taken} were taken");
    let million = after.per_million_since(before, 3_000) / 1_048_576.0;
    assert!((300.0..2_000.0).contains(&million), "{million} MiB for a million calls");
}
