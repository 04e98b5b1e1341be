//! A tenant whose records cannot be written: nothing is lost, its calls are refused in time, other tenants' are not.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use stagedoor_audit::{AuditError, AuditOptions};
use stagedoor_domain::{ErrorCode, ToolName};

use crate::support::{Database, Inhabited};
use crate::trail::{OK, Trail, opening, prompt, story};

const DAMAGE: &str =
    "UPDATE data_keys SET wrapped_key = set_byte(wrapped_key, 100, get_byte(wrapped_key, 100) # 1)";
const MINUTE: Duration = Duration::from_mins(1);

/// Waits for a condition; the bound is there for the case that it never comes true.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..2_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {what}");
}

/// Holds the tenant's chain until the connection is closed.
async fn hold_chain(database: &Database, whose: &Inhabited) -> PgConnection {
    use secrecy::ExposeSecret as _;
    let mut holder = PgConnection::connect(database.superuser_url().expose_secret()).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut holder).await.unwrap();
    let held = sqlx::query("SELECT seq FROM audit_chain_heads WHERE tenant_id = $1 FOR UPDATE")
        .bind(whose.context.tenant_id().0)
        .fetch_all(&mut holder)
        .await
        .unwrap();
    assert_eq!(held.len(), 1);
    holder
}

#[tokio::test]
async fn a_tenant_whose_keys_do_not_open_is_refused_and_loses_nothing() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let options = AuditOptions { drain_timeout: Duration::from_millis(100), ..prompt() };
    let person = ada.as_user(ada.user);
    for (damaged, context) in [("purpose = 1", &ada.context), ("purpose = 2", &person)] {
        let trail = Trail::start(&database, options);
        let before = story(&database, &person).await.len();
        trail.read(context).await;
        let begun = trail.open(context, ToolName::TrackGet).await;
        eventually("the first record is written", async || trail.log.counts().written == 1).await;
        let damage = format!("{DAMAGE} WHERE {damaged} AND tenant_id = '{}'", ada.context.tenant_id());
        database.tamper(&damage).await;
        database.clock.advance(MINUTE);

        for tool in [ToolName::Search, ToolName::PlaylistAdd] {
            let refused = trail.log.open(context, opening(tool)).await.unwrap_err();
            assert_eq!(refused.public().code, ErrorCode::KeyUnavailable);
            assert!(matches!(refused, AuditError::NotSealable(_)), "{refused:?}");
        }
        begun.close(OK).await;
        eventually("it is parked", async || trail.log.counts().parked == 1).await;
        trail.read(&bob.context).await;
        eventually("the other tenant's is written", async || trail.log.counts().written == 2).await;
        assert!(matches!(trail.log.flush().await, Err(AuditError::StillWaiting)));

        database.tamper(&damage).await;
        eventually("it is written after all", async || trail.log.flush().await.is_ok()).await;
        let counts = trail.log.counts();
        assert_eq!((counts.written, counts.dropped, counts.parked), (3, 0, 0));
        let story = story(&database, &person).await;
        assert_eq!(story[before..], ["call search ok", "call track_get ok"]);
        trail.read(context).await;
        eventually("it goes on", async || trail.log.counts().written == 4).await;
    }
}

#[tokio::test]
async fn a_chain_that_is_held_stops_no_other_tenant() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let options = AuditOptions { tenant_capacity: 3, drain_timeout: Duration::from_mins(1), ..prompt() };
    let trail = Trail::start(&database, options);
    trail.read(&ada.context).await;
    trail.log.flush().await.unwrap();
    let holder = hold_chain(&database, &ada).await;

    trail.read(&ada.context).await;
    trail.open(&ada.context, ToolName::TrackGet).await.close(OK).await;
    for number in 1..=3 {
        trail.read(&bob.context).await;
        let written = async || story(&database, &bob.context).await.len() == number;
        eventually("bob's record is written while ada's chain is held", written).await;
    }
    eventually("ada's are parked", async || trail.log.counts().parked == 2).await;
    assert_eq!(story(&database, &ada.context).await.len(), 1);

    trail.read(&ada.context).await;
    eventually("ada's room is used up", async || trail.log.counts().parked == 3).await;
    for tool in [ToolName::Search, ToolName::PlaylistAdd] {
        let refused = trail.log.open(&ada.context, opening(tool)).await.unwrap_err();
        assert!(matches!(refused, AuditError::QueueFull), "{refused:?}");
        assert_eq!(refused.public().code, ErrorCode::AuditUnavailable);
    }
    trail.read(&bob.context).await;

    holder.close().await.unwrap();
    trail.log.flush().await.unwrap();
    assert_eq!(
        story(&database, &ada.context).await,
        ["call search ok", "call search ok", "call track_get ok", "call search ok"],
        "in their order"
    );
    trail.read(&ada.context).await;
    trail.log.flush().await.unwrap();
    let counts = trail.log.counts();
    assert_eq!((counts.written, counts.dropped, counts.parked), (9, 0, 0));
}

#[tokio::test]
async fn a_writer_that_ends_waits_for_parked_records_but_not_for_ever() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    for (patience, lost) in [(Duration::from_mins(1), 0), (Duration::from_millis(300), 1)] {
        let options = AuditOptions { drain_timeout: patience, ..prompt() };
        let mut trail = Trail::start(&database, options);
        trail.read(&ada.context).await;
        eventually("the first is written", async || trail.log.counts().written == 1).await;
        let holder = hold_chain(&database, &ada).await;
        trail.read(&ada.context).await;
        eventually("the second is parked", async || trail.log.counts().parked == 1).await;
        trail.shutdown.cancel();
        if lost == 0 {
            holder.close().await.unwrap();
            trail.writer.join_next().await.unwrap().unwrap();
        } else {
            trail.writer.join_next().await.unwrap().unwrap();
            holder.close().await.unwrap();
        }
        assert_eq!(trail.log.counts().dropped, lost);
    }
    assert_eq!(story(&database, &ada.context).await.len(), 3);
}
