//! Transactions on pooled connections. One that is neither committed nor rolled back closes its connection: sqlx's own
//! would put a connection whose BEGIN nobody waited for back into the pool, inside that transaction.

use std::fmt;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres};
use stagedoor_domain::TenantId;

use crate::error::StoreError;

/// A transaction in which one tenant's rows exist and no others. Rolled back when dropped, at the price of its
/// connection; [`Self::rollback`] keeps that.
pub struct TenantTransaction {
    transaction: PooledTransaction,
    tenant: TenantId,
}

impl TenantTransaction {
    pub(crate) fn new(transaction: PooledTransaction, tenant: TenantId) -> Self {
        Self { transaction, tenant }
    }

    /// The tenant whose rows it sees.
    pub fn tenant_id(&self) -> TenantId {
        self.tenant
    }

    /// Keeps what was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await
    }

    /// Undoes what was written.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.transaction.rollback().await
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.transaction.connection()
    }
}

/// A transaction of whatever was set by the statement that began it.
pub(crate) struct PooledTransaction {
    connection: PoolConnection<Postgres>,
    ended: bool,
}

impl PooledTransaction {
    /// Takes a connection and runs `statement` on it, which begins a transaction, in one round trip.
    pub(crate) async fn begin(pool: &PgPool, statement: String) -> Result<Self, StoreError> {
        let mut transaction = Self { connection: pool.acquire().await?, ended: false };
        transaction.run(statement).await?;
        Ok(transaction)
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.end("COMMIT").await
    }

    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    async fn end(mut self, statement: &str) -> Result<(), StoreError> {
        self.run(statement.to_owned()).await?;
        self.ended = true;
        Ok(())
    }

    async fn run(&mut self, statement: String) -> Result<(), StoreError> {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *self.connection).await?;
        Ok(())
    }
}

impl Drop for PooledTransaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl fmt::Debug for TenantTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantTransaction").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
