//! How a replica learns that keys were changed: by asking, exactly, and sooner by listening.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _};
use stagedoor_storage::{ChangedKey, Heard, provision};

use crate::support::Database;

#[tokio::test]
async fn every_change_is_told_once_its_author_has_committed_it() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let store = database.vault.store();
    let begin = store.key_changes(None).await.unwrap();
    assert!(begin.changed.is_empty() && !begin.unbroken, "a key that was only made is nothing to tell");

    // One author is slow: others commit, and are told of, meanwhile.
    let mut slow = database.bare("postgres").await;
    let mut change = slow.begin().await.unwrap();
    let narrow = format!("UPDATE api_keys SET read_only = true WHERE key_id = '{}'", ada.key.id());
    sqlx::query(AssertSqlSafe(narrow)).execute(&mut *change).await.unwrap();
    provision::revoke_api_key(&database.admin, &bob.context, bob.key.id(), "over").await.unwrap();
    let first = store.key_changes(Some(&begin.next)).await.unwrap();
    let revoked =
        ChangedKey { tenant: bob.context.tenant_id(), key: bob.key.id().clone(), revision: 2, revoked: true };
    assert_eq!((first.changed.as_slice(), first.unbroken), ([revoked.clone()].as_slice(), true));
    change.commit().await.unwrap();

    let second = store.key_changes(Some(&first.next)).await.unwrap();
    let changed = ChangedKey {
        tenant: ada.context.tenant_id(),
        key: ada.key.id().clone(),
        revision: 2,
        revoked: false,
    };
    assert!(second.changed.contains(&changed), "{:?}", second.changed);
    assert_eq!(second.changed.len(), 1, "what was told is not told again");
    let third = store.key_changes(Some(&second.next)).await.unwrap();
    assert_eq!(third.changed, []);
}

#[tokio::test]
async fn a_transaction_that_goes_on_for_long_has_nothing_told_again() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let store = database.vault.store();
    let mut long = database.bare("postgres").await;
    let mut under_way = long.begin().await.unwrap();
    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *under_way).await.unwrap();
    let mut since = store.key_changes(None).await.unwrap().next;
    provision::revoke_api_key(&database.admin, &ada.context, ada.key.id(), "over").await.unwrap();
    let mut told = Vec::new();
    for _ in 0..3 {
        let seen = store.key_changes(Some(&since)).await.unwrap();
        assert!(seen.unbroken);
        told.push(seen.changed.len());
        since = seen.next;
    }
    assert_eq!(told, [1, 0, 0]);
    under_way.rollback().await.unwrap();
}

#[tokio::test]
async fn uses_and_new_peppers_are_no_changes() {
    let database = Database::start().await;
    database.inhabit("ada").await;
    let store = database.vault.store();
    let begin = store.key_changes(None).await.unwrap();
    database.tamper("UPDATE api_keys SET last_used_at = now()").await;
    database.tamper("UPDATE api_keys SET pepper_version = 9, digest = sha256('')").await;
    assert_eq!(store.key_changes(Some(&begin.next)).await.unwrap().changed, []);
}

/// A row that came from another database, whose transactions have other numbers.
#[tokio::test]
async fn a_change_from_the_future_is_nothing_to_tell() {
    let database = Database::start().await;
    database.inhabit("ada").await;
    let store = database.vault.store();
    let begin = store.key_changes(None).await.unwrap();
    database.tamper("UPDATE api_keys SET changed_in = '1000000000'::xid8").await;
    assert_eq!(store.key_changes(Some(&begin.next)).await.unwrap().changed, []);
}

#[tokio::test]
async fn after_a_restart_of_the_server_nothing_is_taken_for_known() {
    let database = Database::start().await;
    database.inhabit("ada").await;
    let store = database.vault.store();
    let begin = store.key_changes(None).await.unwrap();
    let on = store.key_changes(Some(&begin.next)).await.unwrap();
    assert!(on.unbroken);
    database.postgres.kill().await;
    database.postgres.restart().await.unwrap();
    let after = loop {
        match store.key_changes(Some(&on.next)).await {
            Ok(seen) => break seen,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    };
    assert!(!after.unbroken);
    assert!(store.key_changes(Some(&after.next)).await.unwrap().unbroken);
}

#[tokio::test]
async fn the_channel_tells_of_changes_and_of_its_own_end() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let mut channel = database.vault.store().change_channel(PATIENCE).await.unwrap();
    // Another listener's probe is no change.
    database.vault.store().change_channel(PATIENCE).await.unwrap();
    assert_eq!(channel.hear(Duration::from_millis(100)).await.unwrap(), Heard::Nothing);
    provision::revoke_api_key(&database.admin, &ada.context, ada.key.id(), "over").await.unwrap();
    assert_eq!(channel.hear(PATIENCE).await.unwrap(), Heard::Change);
    database.tamper("UPDATE tenants SET name = name").await;
    assert_eq!(channel.hear(PATIENCE).await.unwrap(), Heard::Change);
    database.tamper("UPDATE api_keys SET last_used_at = now()").await;
    assert_eq!(channel.hear(Duration::from_millis(100)).await.unwrap(), Heard::Nothing);
    database.postgres.kill().await;
    let lost = loop {
        match channel.hear(PATIENCE).await {
            Ok(heard) => assert_eq!(heard, Heard::Change, "no more than what was said before"),
            Err(error) => break error,
        }
    };
    assert!(lost.is_transient(), "{lost:?}");
}
