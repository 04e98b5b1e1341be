//! The store and the one way in: a transaction that belongs to one tenant. What is read and written in it is in the
//! modules named after the tables.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::NaiveDate;
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use stagedoor_domain::TenantContext;

use crate::error::StoreError;
use crate::options::{Purpose, StoreOptions};
use crate::transaction::{PooledTransaction, TenantTransaction};

/// Behind PgBouncer each transaction may find itself on another server connection, with statements that other clients
/// prepared; sqlx names its own `sqlx_s_1`, … on every connection, even when it does not keep them.
const BEGIN_POOLED: &str = "BEGIN; DEALLOCATE ALL";
const BEGIN: &str = "BEGIN";

/// Patience at start, when a database may still be starting too.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// The storage versions that this build reads and writes.
const KNOWN_VERSIONS: &[&str] = &["2.0"];

/// A pool of connections to one PostgreSQL database. Clones share it.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
    begin: &'static str,
    acquire_timeout: Duration,
    transaction_timeout: Duration,
}

impl Store {
    /// Connects, and refuses a role that could see past row-level security, change the schema, or do more than
    /// its purpose needs.
    pub async fn connect(options: &StoreOptions) -> Result<Self, StoreError> {
        let mut connect =
            PgConnectOptions::from_str(options.url.expose_secret()).map_err(StoreError::InvalidUrl)?;
        connect = connect.application_name(&options.application_name);
        if !options.statement_cache {
            // PgBouncer refuses start-up parameters that it does not track.
            connect = connect.statement_cache_capacity(0).extra_float_digits(None);
        }
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            // A dead connection shows at BEGIN, which is tried again on another; a ping would cost a round trip a call.
            .test_before_acquire(false)
            .connect_lazy_with(connect.clone());
        let store = Self {
            pool,
            options: connect,
            begin: if options.statement_cache { BEGIN } else { BEGIN_POOLED },
            acquire_timeout: options.acquire_timeout,
            transaction_timeout: options.transaction_timeout,
        };
        store.check_role(options.purpose).await?;
        Ok(store)
    }

    /// Runs `work` in a transaction of the context's tenant, and commits if it succeeds. Bounded: the begin by the
    /// acquire timeout, what follows by the transaction timeout. Nothing slow but the database may happen inside.
    pub async fn with_tenant<T, E>(
        &self,
        context: &TenantContext,
        work: impl AsyncFnOnce(&mut TenantTransaction) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let mut transaction = self.begin(context).await?;
        let rest = async {
            match work(&mut transaction).await {
                Ok(answer) => transaction.commit().await.map(|()| answer).map_err(E::from),
                Err(error) => {
                    // If this fails as well, the connection is closed, which undoes everything too.
                    let _ = tokio::time::timeout(self.acquire_timeout, transaction.rollback()).await;
                    Err(error)
                }
            }
        };
        tokio::time::timeout(self.transaction_timeout, rest).await.map_err(|_| StoreError::TimedOut)?
    }

    /// Begins a transaction of the context's tenant, for callers that cannot hand over a closure.
    pub async fn begin(&self, context: &TenantContext) -> Result<TenantTransaction, StoreError> {
        let tenant = context.tenant_id();
        // One round trip: the setting is local to the transaction, so a pooled connection carries nothing over.
        let transaction = self.begin_with(&tenant.to_string()).await?;
        Ok(TenantTransaction::new(transaction, tenant))
    }

    /// Runs `work` in a transaction outside of any tenant, in which tenant tables are empty; for the look-ups before a
    /// tenant is known. A transaction rather than a bare query, because PgBouncer may split the two halves of a bare
    /// one. Bounded as [`Self::with_tenant`] is.
    pub(crate) async fn outside<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.begin_with("").await?;
        let rest = async move {
            let answer = work(transaction.connection()).await?;
            transaction.commit().await?;
            Ok(answer)
        };
        tokio::time::timeout(self.transaction_timeout, rest).await.map_err(|_| StoreError::TimedOut)?
    }

    /// Makes the audit trail's partitions for `days` (1–31) days from `first` on. Harmless when they are there.
    pub async fn ensure_audit_partitions(&self, first: NaiveDate, days: u8) -> Result<(), StoreError> {
        self.outside(async |connection| {
            let ensure = sqlx::query!("SELECT ensure_audit_partitions($1, $2)", first, i32::from(days));
            ensure.execute(connection).await?;
            Ok(())
        })
        .await
    }

    /// Whether the database answers, within the acquire and transaction timeouts.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.outside(async |_| Ok(())).await
    }

    /// How many connections are open, and how many of these are idle.
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// Closes every connection, after those in use come back.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// [`Self::begin`], of one moment and without writing; without a limit of its time, which is the caller's affair.
    pub(crate) async fn begin_reading(
        &self,
        context: &TenantContext,
    ) -> Result<TenantTransaction, StoreError> {
        const ONE_MOMENT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; ";
        let tenant = context.tenant_id();
        let transaction = self.begin_as(&tenant.to_string(), ONE_MOMENT).await?;
        Ok(TenantTransaction::new(transaction, tenant))
    }

    async fn begin_with(&self, tenant: &str) -> Result<PooledTransaction, StoreError> {
        self.begin_as(tenant, "").await
    }

    /// `tenant` is a UUID's text or nothing: a simple query takes no parameters.
    async fn begin_as(&self, tenant: &str, mode: &str) -> Result<PooledTransaction, StoreError> {
        let statement =
            format!("{}; {mode}SELECT set_config('stagedoor.tenant_id', '{tenant}', true)", self.begin);
        let attempts = async {
            loop {
                let size = self.pool.size();
                match PooledTransaction::begin(&self.pool, statement.clone()).await {
                    // A pooled connection that a restarted server had closed; the next is another or a new one.
                    Err(StoreError::Unavailable(_)) if size > 0 && !self.pool.is_closed() => {
                        tokio::task::yield_now().await;
                    }
                    outcome => return outcome,
                }
            }
        };
        tokio::time::timeout(self.acquire_timeout, attempts).await.map_err(|_| StoreError::TimedOut)?
    }

    /// A connection that is nobody else's, for what belongs to a connection; past its pool, and within its patience.
    pub(crate) async fn connection_apart(&self) -> Result<PgConnection, StoreError> {
        let connect = PgConnection::connect_with(&self.options);
        Ok(tokio::time::timeout(self.acquire_timeout, connect).await.map_err(|_| StoreError::TimedOut)??)
    }

    pub(crate) fn connect_options(&self) -> &PgConnectOptions {
        &self.options
    }

    async fn check_role(&self, purpose: Purpose) -> Result<(), StoreError> {
        let check = async {
            loop {
                match self.read_role(purpose).await {
                    Err(StoreError::TimedOut) => {}
                    outcome => return outcome,
                }
            }
        };
        tokio::time::timeout(CONNECT_PATIENCE, check).await.map_err(|_| StoreError::TimedOut)?
    }

    /// Looks at what the role may become as well as at what it is: `SET ROLE` needs no password. And at the version of
    /// what is stored.
    async fn read_role(&self, purpose: Purpose) -> Result<(), StoreError> {
        self.outside(async |connection| check_role(connection, purpose).await).await
    }
}

async fn check_role(connection: &mut PgConnection, purpose: Purpose) -> Result<(), StoreError> {
    let role = sqlx::query!(
        r#"WITH reach AS (
                SELECT rolname, rolsuper, rolbypassrls FROM pg_roles
                WHERE pg_has_role(current_user, oid, 'MEMBER') OR pg_has_role(session_user, oid, 'MEMBER')
            )
            SELECT current_user::text AS "name!",
                bool_or(rolsuper) AS "superuser!",
                bool_or(rolbypassrls) AS "bypasses!",
                bool_or(rolname = 'stagedoor_owner') AS "owner!",
                bool_or(rolname = 'stagedoor_app') AS "app!",
                bool_or(rolname = 'stagedoor_admin') AS "admin!",
                bool_or(rolname = 'stagedoor_keeper') AS "keeper!",
                bool_or(rolname = 'stagedoor_backup') AS "backup!",
                to_regclass('public.jobs') IS NOT NULL AS "migrated!"
            FROM reach"#
    )
    .fetch_one(&mut *connection)
    .await?;
    let (provisions, keeps, backs_up) =
        (purpose == Purpose::Provision, purpose == Purpose::Keep, purpose == Purpose::Backup);
    let refusals = [
        (role.superuser, "is a superuser"),
        (role.bypasses && !backs_up, "bypasses row-level security"),
        (role.owner, "owns the schema"),
        (role.admin && !provisions, "may provision every tenant"),
        (role.keeper && purpose == Purpose::Serve, "may do the keeper's jobs"),
        (role.keeper && backs_up, "may do more than read"),
        (role.app && (keeps || backs_up), "may do the gateway's work"),
        (keeps && !role.keeper, "has not the keeper's rights"),
        (
            backs_up && !(role.backup && role.bypasses),
            "does not see every tenant, so backups would lack them",
        ),
    ];
    if let Some((_, reason)) = refusals.into_iter().find(|(holds, _)| *holds) {
        return Err(StoreError::RefusedRole { role: role.name, reason, instead: purpose.role() });
    }
    if !role.migrated {
        return Err(StoreError::NotMigrated);
    }
    let version = sqlx::query_scalar!("SELECT version FROM storage_version").fetch_one(connection).await?;
    if KNOWN_VERSIONS.contains(&version.as_str()) {
        Ok(())
    } else {
        Err(StoreError::UnknownVersion { found: version, known: KNOWN_VERSIONS })
    }
}
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}
