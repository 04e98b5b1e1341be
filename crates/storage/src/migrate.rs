//! Roles and migrations: the only code that connects as an administrator. Serving processes never do.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stagedoor_crypto::digest::{SHA256_LENGTH, sha256};

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
const ROLES: &str = include_str!("../../../migrations/roles/roles.sql");
/// Any number, the same in every process: one migrating process at a time.
const LOCK: i64 = 0x7374_6167_6564_6f6f;

const LOCK_TIMEOUT: &str = "SET lock_timeout = '2s'";
/// Times that a migration which met a locked table is tried: for about five minutes.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_secs(4);

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database refused, or is out of reach.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or one that was applied has changed since.
    #[error("the schema could not be migrated")]
    Migrate(#[from] MigrateError),
}

/// The passwords with which roles may log in; a role without one is left as it is.
#[derive(Debug, Default)]
pub struct RolePasswords {
    /// The gateway's.
    pub app: Option<SecretString>,
    /// Provisioning's.
    pub admin: Option<SecretString>,
    /// The jobs'.
    pub keeper: Option<SecretString>,
    /// Backup's.
    pub backup: Option<SecretString>,
}

/// Makes the roles, then applies every migration that is missing, as `stagedoor_owner`. `admin_url` is a superuser's
/// (the first time; later a role with CREATEROLE that may become the owner will do). Migrations of a newer version
/// that are there already are left alone, so that an older replica can still start.
pub async fn migrate(admin_url: &SecretString) -> Result<(), MigrationError> {
    let mut connection = PgConnection::connect(admin_url.expose_secret()).await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await?;
    sqlx::raw_sql(ROLES).execute(&mut connection).await?;
    sqlx::raw_sql("SET ROLE stagedoor_owner").execute(&mut connection).await?;
    let mut migrations = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrations.set_ignore_missing(true).set_locking(false);
    run(&migrations, &mut connection).await?;
    // The lock ends with the connection.
    Ok(connection.close().await?)
}

/// The migrations of this build by version, each with its checksum.
pub(crate) fn known_migrations() -> impl Iterator<Item = (i64, &'static [u8])> {
    MIGRATIONS.iter().map(|migration| (migration.version, &*migration.checksum))
}

/// Stands for the schema that [`migrate`] makes: another digest for any other migration or role.
pub fn schema_digest() -> [u8; SHA256_LENGTH] {
    let mut parts = vec![ROLES.as_bytes()];
    parts.extend(MIGRATIONS.iter().map(|migration| &*migration.checksum));
    sha256(&parts)
}

/// The version of the last migration that this build knows.
pub fn latest_migration() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// A table's lock is waited for only shortly: whoever waits for one that a long reader holds makes everyone behind wait.
/// What was not migrated is rolled back and tried again.
async fn run(migrations: &Migrator, connection: &mut PgConnection) -> Result<(), MigrationError> {
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *connection).await?;
    for _ in 1..LOCK_ATTEMPTS {
        match migrations.run_direct(None, connection, false).await {
            Err(error) if waited_for_a_lock(&error) => tokio::time::sleep(LOCK_PAUSE).await,
            outcome => return Ok(outcome?),
        }
    }
    Ok(migrations.run_direct(None, connection, false).await?)
}

/// SQLSTATE 55P03, `lock_not_available`.
fn waited_for_a_lock(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else {
        return false;
    };
    cause.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "55P03")
}

/// Lets the roles log in with these passwords.
pub async fn provision_roles(
    admin_url: &SecretString,
    passwords: &RolePasswords,
) -> Result<(), MigrationError> {
    let mut connection = PgConnection::connect(admin_url.expose_secret()).await?;
    let roles = [
        ("stagedoor_app", &passwords.app),
        ("stagedoor_admin", &passwords.admin),
        ("stagedoor_keeper", &passwords.keeper),
        ("stagedoor_backup", &passwords.backup),
    ];
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await?;
    for (role, password) in roles {
        let Some(password) = password else { continue };
        // ALTER ROLE takes no parameters: the server quotes the password itself.
        let statement: String =
            sqlx::query_scalar("SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1, $2)")
                .bind(role)
                .bind(password.expose_secret())
                .fetch_one(&mut connection)
                .await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}
