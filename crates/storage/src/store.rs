//! The store and the one way in: a transaction that belongs to one tenant. What is read and written in it is in the
//! modules named after the tables.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::NaiveDate;
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use stagedoor_domain::{TenantContext, TenantId};

use crate::error::StoreError;
use crate::options::StoreOptions;

/// Behind PgBouncer each transaction may find itself on another server connection, with statements that other clients
/// prepared; sqlx names its own `sqlx_s_1`, … on every connection, even when it does not keep them.
const BEGIN_POOLED: &str = "BEGIN; DEALLOCATE ALL";
const BEGIN: &str = "BEGIN";

/// Patience at start, when a database may still be starting too.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// A pool of connections to one PostgreSQL database. Clones share it.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    begin: &'static str,
    acquire_timeout: Duration,
    transaction_timeout: Duration,
}

/// A transaction in which one tenant's rows exist and no others. Rolled back when dropped.
pub struct TenantTransaction {
    transaction: Transaction<'static, Postgres>,
    tenant: TenantId,
}

impl Store {
    /// Connects, and refuses a role that could see past row-level security or change the schema.
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
            .connect_lazy_with(connect);
        let store = Self {
            pool,
            begin: if options.statement_cache { BEGIN } else { BEGIN_POOLED },
            acquire_timeout: options.acquire_timeout,
            transaction_timeout: options.transaction_timeout,
        };
        store.check_role().await?;
        Ok(store)
    }

    /// Runs `work` in a transaction of the context's tenant, and commits if it succeeds. Bounded: the begin by the
    /// acquire timeout, the whole by the transaction timeout. Nothing slow but the database may happen inside.
    pub async fn with_tenant<T, E>(
        &self,
        context: &TenantContext,
        work: impl AsyncFnOnce(&mut TenantTransaction) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let whole = async {
            let mut transaction = self.begin(context).await?;
            let answer = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(answer)
        };
        tokio::time::timeout(self.transaction_timeout, whole).await.map_err(|_| StoreError::TimedOut)?
    }

    /// Begins a transaction of the context's tenant, for callers that cannot hand over a closure.
    pub async fn begin(&self, context: &TenantContext) -> Result<TenantTransaction, StoreError> {
        let tenant = context.tenant_id();
        // One round trip: the setting is local to the transaction, so a pooled connection carries nothing over.
        let transaction = self.begin_with(&tenant.to_string()).await?;
        Ok(TenantTransaction { transaction, tenant })
    }

    /// A transaction outside of any tenant, in which tenant tables are empty; for the look-ups before a tenant is
    /// known. A transaction rather than a bare query, because PgBouncer may split the two halves of a bare one.
    pub(crate) async fn begin_outside(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin_with("").await
    }

    /// Makes the audit trail's partitions for `days` (1–31) days from `first` on. Harmless when they are there.
    pub async fn ensure_audit_partitions(&self, first: NaiveDate, days: u8) -> Result<(), StoreError> {
        let mut transaction = self.begin_outside().await?;
        sqlx::query!("SELECT ensure_audit_partitions($1, $2)", first, i32::from(days))
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Whether the database answers, within the acquire timeout.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.begin_outside().await?.rollback().await?)
    }

    /// How many connections are open, and how many of these are idle.
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// Closes every connection, after those in use come back.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// `tenant` is a UUID's text or nothing: a simple query takes no parameters.
    async fn begin_with(&self, tenant: &str) -> Result<Transaction<'static, Postgres>, StoreError> {
        let statement = format!("{}; SELECT set_config('stagedoor.tenant_id', '{tenant}', true)", self.begin);
        let attempts = async {
            loop {
                let size = self.pool.size();
                match self.pool.begin_with(AssertSqlSafe(statement.clone())).await.map_err(StoreError::from) {
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

    async fn check_role(&self) -> Result<(), StoreError> {
        let check = async {
            loop {
                match self.read_role().await {
                    Err(StoreError::TimedOut) => {}
                    outcome => return outcome,
                }
            }
        };
        tokio::time::timeout(CONNECT_PATIENCE, check).await.map_err(|_| StoreError::TimedOut)?
    }

    async fn read_role(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin_outside().await?;
        let role = sqlx::query!(
            r#"SELECT rolname::text AS "name!", rolsuper AS "superuser!", rolbypassrls AS "bypasses!",
                EXISTS (SELECT FROM pg_roles o WHERE o.rolname = 'stagedoor_owner'
                    AND pg_has_role(current_user, o.oid, 'MEMBER')) AS "owner!",
                to_regclass('public.storage_version') IS NOT NULL AS "migrated!"
            FROM pg_roles WHERE rolname = current_user"#
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.rollback().await?;
        let refusals = [
            (role.superuser, "is a superuser"),
            (role.bypasses, "bypasses row-level security"),
            (role.owner, "owns the schema"),
        ];
        if let Some((_, reason)) = refusals.into_iter().find(|(holds, _)| *holds) {
            return Err(StoreError::RefusedRole { role: role.name, reason });
        }
        if role.migrated { Ok(()) } else { Err(StoreError::NotMigrated) }
    }
}

impl TenantTransaction {
    /// The tenant whose rows it sees.
    pub fn tenant_id(&self) -> TenantId {
        self.tenant
    }

    /// Keeps what was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TenantTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantTransaction").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
