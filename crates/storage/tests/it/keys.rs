//! The vault: one key per owner however many ask at once, and none opens for longer than a minute.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_crypto::{KekError, KeyEncryptionKeys, KeyOwner, SystemEntropy};
use stagedoor_storage::keys::OPEN_FOR;
use stagedoor_storage::{KeyVault, Store, StoreError, StoreOptions};

use crate::support::{Database, KEY};

const OTHER_KEY: &[u8] = b"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

async fn vault(database: &Database, files: &[(&str, &[u8])]) -> Arc<KeyVault> {
    let store = Store::connect(&database.options("stagedoor_app")).await.unwrap();
    let keks = KeyEncryptionKeys::from_files(files.iter().copied()).unwrap();
    Arc::new(KeyVault::new(store, Arc::new(keks), database.clock.clone(), Arc::new(SystemEntropy)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_replicas_agree_on_one_key() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let user =
        stagedoor_storage::provision::create_user(&database.admin, &ada.context, None, "New").await.unwrap();
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (vault, context) = (vault(&database, &[("1", KEY)]).await, ada.context.clone());
        replicas.spawn(async move { vault.subject_key(&context, user).await.unwrap().id() });
    }
    let ids = replicas.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let stored = database.tamper(&format!("SELECT count(*) FROM data_keys WHERE user_id = '{user}'")).await;
    assert_eq!(stored, "1");
}

#[tokio::test]
async fn keys_open_for_a_minute_and_not_without_the_right_key_above() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let first = vault(&database, &[("1", KEY)]).await;
    let id = first.subject_key(&ada.context, ada.user).await.unwrap().id();

    database.tamper("UPDATE data_keys SET state = 'destroyed', wrapped_key = NULL WHERE purpose = 2").await;
    database.clock.advance(OPEN_FOR.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(first.subject_key(&ada.context, ada.user).await.unwrap().id(), id, "still open");
    database.clock.advance(Duration::from_millis(1));
    let sealed_before = stagedoor_storage::provider_sessions::load(&first, &ada.context, ada.account).await;
    assert!(
        matches!(sealed_before, Err(StoreError::Missing(_))),
        "a destroyed key opens nothing: {sealed_before:?}"
    );

    let wrong = vault(&database, &[("1", OTHER_KEY)]).await;
    let outcome = wrong.tenant_key(&ada.context).await.unwrap_err();
    assert!(
        matches!(outcome, StoreError::KeyUnavailable { source: KekError::UnknownKey(_), .. }),
        "{outcome:?}"
    );
    assert!(outcome.is_transient(), "the key may come");
    let rotated = vault(&database, &[("1", KEY), ("2", OTHER_KEY)]).await;
    rotated.tenant_key(&ada.context).await.unwrap();
}

#[tokio::test]
async fn a_key_row_that_was_swapped_does_not_open() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let eve =
        stagedoor_storage::provision::create_user(&database.admin, &ada.context, None, "Eve").await.unwrap();
    database.vault.subject_key(&ada.context, eve).await.unwrap();
    database
        .tamper(&format!(
            "UPDATE data_keys SET state = 'decrypt_only' WHERE purpose = 2;
            UPDATE data_keys SET user_id = CASE user_id WHEN '{eve}' THEN '{ada}'::uuid ELSE '{eve}' END,
                state = 'active' WHERE purpose = 2",
            ada = ada.user
        ))
        .await;
    let fresh = vault(&database, &[("1", KEY)]).await;
    let outcome = fresh.subject_key(&ada.context, ada.user).await.unwrap_err();
    assert!(matches!(outcome, StoreError::KeyUnavailable { source: KekError::Altered, .. }), "{outcome:?}");
    assert!(!outcome.is_transient());
}

#[tokio::test]
async fn a_key_is_looked_at_again_before_its_minute_ends() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let owner = KeyOwner::Subject(ada.user);
    let vault = database.impatient().await;
    vault.ensure_open(&ada.context, owner).await.unwrap();
    database.clock.advance(Duration::from_secs(40));
    vault.ensure_open(&ada.context, owner).await.unwrap();
    database.clock.advance(Duration::from_secs(40));
    database.postgres.kill().await;
    // 80 seconds after the key was first opened, 40 after the last look.
    vault.ensure_open(&ada.context, owner).await.unwrap();
    database.clock.advance(Duration::from_secs(20));
    let closed = vault.ensure_open(&ada.context, owner).await.unwrap_err();
    assert!(closed.is_transient(), "{closed:?}");
    database.postgres.restart().await.unwrap();

    vault.ensure_open(&ada.context, owner).await.unwrap();
    let damage =
        "UPDATE data_keys SET wrapped_key = set_byte(wrapped_key, 100, get_byte(wrapped_key, 100) # 1)";
    database.tamper(&format!("{damage} WHERE purpose = 2")).await;
    database.clock.advance(Duration::from_secs(29));
    vault.ensure_open(&ada.context, owner).await.unwrap();
    database.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        let damaged = vault.ensure_open(&ada.context, owner).await;
        assert!(matches!(damaged, Err(StoreError::KeyUnavailable { .. })), "{damaged:?}");
    }
    vault.ensure_open(&ada.context, KeyOwner::Tenant).await.unwrap();
    database.tamper(&format!("{damage} WHERE purpose = 1")).await;
    database.clock.advance(OPEN_FOR);
    vault.ensure_open(&ada.context, KeyOwner::Tenant).await.unwrap_err();
}

#[tokio::test]
async fn calls_side_by_side_load_a_key_once() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let options = StoreOptions { max_connections: 16, ..database.options("stagedoor_app") };
    let store = Store::connect(&options).await.unwrap();
    let keks = KeyEncryptionKeys::from_files([("1", KEY)]).unwrap();
    let vault = Arc::new(KeyVault::new(
        store.clone(),
        Arc::new(keks),
        database.clock.clone(),
        Arc::new(SystemEntropy),
    ));
    let calls = async |expected: bool| {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let (vault, context, owner) = (vault.clone(), ada.context.clone(), KeyOwner::Subject(ada.user));
            calls.spawn(async move { vault.ensure_open(&context, owner).await });
        }
        let outcomes = calls.join_all().await;
        assert!(outcomes.iter().all(|outcome| outcome.is_ok() == expected), "{outcomes:?}");
    };
    calls(true).await;
    assert!(store.connections().0 < 8, "64 loads would take all 16: {}", store.connections().0);
    database.clock.advance(OPEN_FOR);
    store.close().await;
    calls(false).await;
}
