//! Figures that are over: whole days of all tenants by their partitions, and rows of a tenant that keeps less than others.

use chrono::{DateTime, NaiveDate, Utc};

use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// One of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageTable {
    /// Minutes; the database keeps the last two days, and for a month what is not rolled up.
    Minutes,
    /// Hours and days; the database keeps the last seven.
    Rollups,
}

impl UsageTable {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minutes => "usage_minutes",
            Self::Rollups => "usage_rollups",
        }
    }
}

/// The days whose partitions are there, in order.
pub async fn partition_days(store: &Store, table: UsageTable) -> Result<Vec<NaiveDate>, StoreError> {
    store
        .outside(async |connection| {
            let days = sqlx::query_scalar!(
                r#"SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS "day!"
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = ('public.' || $1)::regclass AND c.relname ~ '_p[0-9]{8}$' ORDER BY 1"#,
                table.name()
            );
            Ok(days.fetch_all(connection).await?)
        })
        .await
}

/// Drops at most `most` days before `before`, of all tenants, and answers how many.
pub async fn drop_days(
    store: &Store,
    table: UsageTable,
    before: NaiveDate,
    most: i32,
) -> Result<u64, StoreError> {
    store
        .outside(async |connection| {
            let dropped = sqlx::query_scalar!(
                r#"SELECT retention_drop_usage_days($1, $2, $3) AS "dropped!""#,
                table.name(),
                before,
                most
            );
            Ok(u64::try_from(dropped.fetch_one(connection).await?).unwrap_or_default())
        })
        .await
}

/// How many hours and days of the tenant are from before `before`.
pub async fn count_old(
    transaction: &mut TenantTransaction,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM usage_rollups WHERE tenant_id = $1 AND starts_at < $2"#,
        transaction.tenant_id().0,
        before
    );
    Ok(u64::try_from(count.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// Deletes at most `most` of them, the oldest first, and answers how many.
pub async fn delete_old(
    transaction: &mut TenantTransaction,
    before: DateTime<Utc>,
    most: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM usage_rollups d USING (
            SELECT starts_at, period, user_id, principal, tool, content FROM usage_rollups
            WHERE tenant_id = $1 AND starts_at < $2 ORDER BY starts_at LIMIT $3
        ) old
        WHERE d.tenant_id = $1 AND d.starts_at = old.starts_at AND d.period = old.period AND d.user_id = old.user_id
            AND d.principal = old.principal AND d.tool = old.tool AND d.content = old.content",
        transaction.tenant_id().0,
        before,
        most
    )
    .execute(transaction.connection())
    .await?;
    Ok(deleted.rows_affected())
}
