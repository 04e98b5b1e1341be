//! The vault: one key per owner however many ask at once, and none opens for longer than a minute.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stagedoor_crypto::{DataKey, KekError, KekProvider, KeyEncryptionKeys, KeyOwner, SystemEntropy, Wrap};
use stagedoor_domain::{Entropy, ErrorCode, TenantId};
use stagedoor_storage::keys::OPEN_FOR;
use stagedoor_storage::{KeyVault, Store, StoreError, StoreOptions};
use uuid::Uuid;

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

/// Keys of a service that can be cut off: it refuses at once, or never answers.
#[derive(Debug)]
struct Remote {
    keys: KeyEncryptionKeys,
    state: Mutex<Reach>,
    asked: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reach {
    Good,
    Refusing,
    Silent,
}

impl Remote {
    fn new() -> Arc<Self> {
        let keys = KeyEncryptionKeys::from_files([("1", KEY)]).unwrap();
        Arc::new(Self { keys, state: Mutex::new(Reach::Good), asked: AtomicUsize::new(0) })
    }

    fn set(&self, reach: Reach) {
        *self.state.lock().unwrap() = reach;
        self.asked.store(0, Ordering::SeqCst);
    }

    async fn answer(&self) -> Result<(), KekError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let reach = *self.state.lock().unwrap();
        match reach {
            Reach::Good => Ok(()),
            Reach::Refusing => {
                tokio::task::yield_now().await;
                Err(KekError::unreachable("the key service is sealed"))
            }
            Reach::Silent => std::future::pending().await,
        }
    }
}

#[async_trait::async_trait]
impl KekProvider for Remote {
    async fn wrap(
        &self,
        tenant: TenantId,
        key: &DataKey,
        revision: i64,
        entropy: &dyn Entropy,
    ) -> Result<Wrap, KekError> {
        self.answer().await?;
        self.keys.wrap(tenant, key, revision, entropy).await
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, KekError> {
        self.answer().await?;
        self.keys.unwrap(tenant, id, revision, wrapped).await
    }

    fn active_id(&self) -> Option<Uuid> {
        self.keys.active_id()
    }

    fn ids(&self) -> Vec<Uuid> {
        self.keys.ids()
    }

    fn problem(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn an_outage_of_the_key_service_is_bounded_shared_and_survived_by_open_keys() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let store = Store::connect(&database.options("stagedoor_app")).await.unwrap();
    let remote = Remote::new();
    let vault =
        Arc::new(KeyVault::new(store, remote.clone(), database.clock.clone(), Arc::new(SystemEntropy)));
    let owner = KeyOwner::Subject(ada.user);
    vault.ensure_open(&ada.context, owner).await.unwrap();

    remote.set(Reach::Refusing);
    database.clock.advance(Duration::from_secs(40));
    vault.ensure_open(&ada.context, owner).await.unwrap();
    let session = stagedoor_storage::provider_sessions::load(&vault, &ada.context, ada.account).await;
    assert!(session.is_ok(), "what is open stays open for its minute: {session:?}");

    for reach in [Reach::Refusing, Reach::Silent] {
        database.clock.advance(OPEN_FOR);
        remote.set(reach);
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (vault, context, account) = (vault.clone(), ada.context.clone(), ada.account);
            calls.spawn(async move {
                stagedoor_storage::provider_sessions::load(&vault, &context, account).await.map(drop)
            });
        }
        for outcome in calls.join_all().await {
            let Err(error @ StoreError::KeyUnavailable { .. }) = outcome else { panic!("{outcome:?}") };
            assert_eq!((error.is_transient(), error.public().code), (true, ErrorCode::KeyUnavailable));
        }
        let asked = remote.asked.load(Ordering::SeqCst);
        assert!(asked < 16, "{reach:?}: each of 16 calls waited for itself");
    }
    remote.set(Reach::Good);
    stagedoor_storage::provider_sessions::load(&vault, &ada.context, ada.account).await.unwrap();
}
