//! Forward migrations: what an earlier release wrote is read by this one, and what a later one wrote is refused.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};
use stagedoor_bootstrap::private_servers::{PrivatePostgres, PrivatePostgresOptions};
use stagedoor_crypto::{KeyEncryptionKeys, SystemEntropy};
use stagedoor_domain::SystemClock;
use stagedoor_storage::linked_accounts::AccountStatus;
use stagedoor_storage::provider_sessions::{RefreshClaim, claim_refresh, load};
use stagedoor_storage::{
    KeyVault, RolePasswords, Store, StoreError, StoreOptions, linked_accounts, migrate, provision,
    provision_roles,
};

use crate::support::{Database, KEY};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
const ROLES: &str = include_str!("../../../../migrations/roles/roles.sql");
/// The last migration of the release that wrote [`ROWS`].
const FIRST_RELEASE: i64 = 20_261_121_090_200;
const ROWS: &str = include_str!("../fixtures/first_release.sql");

#[tokio::test]
async fn a_session_of_the_first_release_is_loaded_and_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let postgres =
        PrivatePostgres::start(PrivatePostgresOptions::for_tests(folder.path().join("pg"))).await.unwrap();
    postgres.create_database("stagedoor").await.unwrap();
    let superuser = postgres.admin_url().strip_suffix("/postgres").unwrap().to_owned() + "/stagedoor";
    let mut connection = PgConnection::connect(&superuser).await.unwrap();
    migrate_to_first_release(&mut connection).await;
    sqlx::raw_sql(ROWS).execute(&mut connection).await.unwrap();
    let passwords = RolePasswords { app: Some(postgres.role_password().clone()), ..RolePasswords::default() };
    provision_roles(&superuser.clone().into(), &passwords).await.unwrap();
    let options = StoreOptions {
        acquire_timeout: std::time::Duration::from_secs(10),
        ..StoreOptions::new(postgres.url_for("stagedoor", "stagedoor_app"))
    };
    assert!(
        matches!(Store::connect(&options).await, Err(StoreError::NotMigrated)),
        "the gateway waits for it"
    );

    migrate(&superuser.into()).await.unwrap();
    let store = Store::connect(&options).await.unwrap();
    let keys = KeyEncryptionKeys::from_files([("1", KEY)]).unwrap();
    let vault = KeyVault::new(store, Arc::new(keys), Arc::new(SystemClock::new()), Arc::new(SystemEntropy));
    let tenant = vault.store().find_tenant(&"ada".parse().unwrap()).await.unwrap().unwrap();
    let context = provision::context(&vault, Arc::new(tenant));
    let user = sqlx::types::Uuid::try_parse("01a1fd8c-697b-744e-bfaf-1b3d47db933f").unwrap().into();
    let list = async |tx: &mut _| linked_accounts::list(tx, user).await;
    let accounts = vault.store().with_tenant::<_, StoreError>(&context, list).await.unwrap();
    let [account] = &accounts[..] else { panic!("{accounts:?}") };
    assert_eq!(
        (account.status, account.session.as_ref().unwrap().quarantined),
        (AccountStatus::Active, false)
    );

    let session = load(&vault, &context, account.id).await.unwrap().unwrap();
    assert_eq!(session.access_token.expose_secret(), "access-first");
    assert_eq!(session.refresh_token.as_ref().unwrap().expose_secret(), "refresh-first");
    assert!(session.rotated, "that release noted no day to rotate on");
    assert_eq!(session.revision, 2);
    assert!(!load(&vault, &context, account.id).await.unwrap().unwrap().rotated);
    let claim = claim_refresh(&vault, &context, &session, std::time::Duration::from_mins(1)).await.unwrap();
    assert_eq!(claim, RefreshClaim::Won { claim: 1, took_over: false });
}

async fn migrate_to_first_release(connection: &mut PgConnection) {
    sqlx::raw_sql(ROLES).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql("SET ROLE stagedoor_owner").execute(&mut *connection).await.unwrap();
    let earlier: Vec<_> = MIGRATIONS.iter().filter(|file| file.version <= FIRST_RELEASE).cloned().collect();
    assert_eq!(earlier.len(), 3);
    let mut migrations = Migrator::with_migrations(earlier);
    migrations.set_locking(false).run_direct(None, connection, false).await.unwrap();
    sqlx::raw_sql("RESET ROLE").execute(connection).await.unwrap();
}

#[tokio::test]
async fn a_store_of_an_unknown_version_is_refused() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    database.tamper("UPDATE provider_sessions SET schema_version = '3.0'").await;
    let row = load(&database.vault, &ada.context, ada.account).await;
    assert!(matches!(&row, Err(StoreError::NotUnderstood { found, .. }) if found == "3.0"), "{row:?}");

    database.tamper("UPDATE storage_version SET version = '3.0'").await;
    let refused = Store::connect(&database.options("stagedoor_app")).await.unwrap_err();
    assert!(matches!(&refused, StoreError::UnknownVersion { found, .. } if found == "3.0"), "{refused:?}");
    assert!(refused.to_string().contains("3.0") && refused.to_string().contains("2.0"));
    database.tamper("UPDATE storage_version SET version = '2.0'").await;
    Store::connect(&database.options("stagedoor_app")).await.unwrap();
}
