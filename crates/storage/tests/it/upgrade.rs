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
async fn a_session_of_the_first_release_is_loaded_and_rotated_a_day_later() {
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

    migrate_beside_a_reader(&superuser).await;
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
    assert!(
        !session.rotated,
        "the replicas of that release may be refreshing it and would lose to a rotation"
    );
    assert_eq!(session.revision, 1);
    let later = "UPDATE storage_version SET updated_at = updated_at - interval '1 day';
        UPDATE provider_sessions SET updated_at = updated_at - interval '1 day'";
    sqlx::raw_sql(later).execute(&mut connection).await.unwrap();
    let session = load(&vault, &context, account.id).await.unwrap().unwrap();
    assert!(session.rotated, "a day after the upgrade");
    assert_eq!(session.revision, 2);
    assert!(!load(&vault, &context, account.id).await.unwrap().unwrap().rotated);
    let claim = claim_refresh(&vault, &context, &session, std::time::Duration::from_mins(1)).await.unwrap();
    assert_eq!(claim, RefreshClaim::Won { claim: 1, took_over: false });
}

/// Migrates while someone reads for long, as a backup does. Nobody else has to wait for that, and it ends well.
async fn migrate_beside_a_reader(superuser: &str) {
    let mut reader = PgConnection::connect(superuser).await.unwrap();
    let hold = "BEGIN; LOCK TABLE provider_sessions IN ACCESS SHARE MODE";
    sqlx::raw_sql(hold).execute(&mut reader).await.unwrap();
    let mut watch = PgConnection::connect(superuser).await.unwrap();
    let (url, mut waiting) = (superuser.to_owned().into(), false);
    let migration = migrate(&url);
    let release = async {
        loop {
            let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            let waits: i64 = sqlx::query_scalar(waits).fetch_one(&mut watch).await.unwrap();
            if waiting && waits == 0 {
                break;
            }
            waiting |= waits > 0;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        // It gave up for now, so whoever wants the table gets it at once, while the reader still reads.
        let wanted = "SET lock_timeout = '1s'; SELECT count(*) FROM provider_apps, provider_sessions";
        sqlx::raw_sql(wanted).execute(&mut watch).await.unwrap();
        sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    };
    let (migrated, ()) = tokio::join!(migration, release);
    migrated.unwrap();
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
