//! A tenant's figures by day and month: counted from the tables, folded into months when they are old.

use chrono::NaiveDate;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns, which the migration describes")]
pub struct Rollup {
    pub period: String,
    pub starts_on: NaiveDate,
    pub metric: String,
    pub value: i64,
}

/// The last day whose figures are there.
pub async fn last_day(transaction: &mut TenantTransaction) -> Result<Option<NaiveDate>, StoreError> {
    let last = sqlx::query_scalar!(
        "SELECT max(starts_on) FROM metric_rollups WHERE tenant_id = $1 AND period = 'day'",
        transaction.tenant_id().0
    );
    Ok(last.fetch_one(transaction.connection()).await?)
}

/// The first day of which the tenant's trail has anything.
pub async fn first_day_of_trail(
    transaction: &mut TenantTransaction,
) -> Result<Option<NaiveDate>, StoreError> {
    let first = sqlx::query_scalar!(
        "SELECT min(day) FROM audit_chain_heads WHERE tenant_id = $1",
        transaction.tenant_id().0
    );
    Ok(first.fetch_one(transaction.connection()).await?)
}

/// Counts the figures of `day` (UTC), which must be over, and keeps them; counting again changes nothing. Levels, such
/// as how many accounts are linked, are those of now. Answers how many figures it has.
pub async fn count_day(transaction: &mut TenantTransaction, day: NaiveDate) -> Result<u64, StoreError> {
    let counted = sqlx::query!(
        "WITH records AS (
            SELECT count(*) FILTER (WHERE type IN (1, 3)) AS calls, count(*) FILTER (WHERE type = 4) AS refusals
            FROM audit_records WHERE tenant_id = $1 AND day = $2
        ), figures (metric, is_level, value) AS (
            SELECT 'calls', false, calls FROM records
            UNION ALL SELECT 'refusals', false, refusals FROM records
            UNION ALL SELECT 'audit_records', false, COALESCE(sum(seq), 0)::bigint
                FROM audit_chain_heads WHERE tenant_id = $1 AND day = $2
            UNION ALL SELECT 'audit_bytes', false, COALESCE(sum(bytes), 0)::bigint
                FROM audit_chain_heads WHERE tenant_id = $1 AND day = $2
            UNION ALL SELECT 'calls_over_limits', false, COALESCE(sum(attempted_calls), 0)::bigint
                FROM limit_violations WHERE tenant_id = $1
                    AND minute >= ($2::date)::timestamp AT TIME ZONE 'UTC'
                    AND minute < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
            UNION ALL SELECT 'playlist_versions', false, count(*) FROM playlist_versions
                WHERE tenant_id = $1 AND recorded_at >= ($2::date)::timestamp AT TIME ZONE 'UTC'
                    AND recorded_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
            UNION ALL SELECT 'people', true, count(*) FROM users WHERE tenant_id = $1
            UNION ALL SELECT 'linked_accounts', true, count(*) FROM linked_accounts WHERE tenant_id = $1
            UNION ALL SELECT 'sessions', true, count(*) FROM provider_sessions WHERE tenant_id = $1
            UNION ALL SELECT 'session_age_seconds', true,
                COALESCE(avg(extract(epoch FROM clock_timestamp() - authorized_at)), 0)::bigint
                FROM provider_sessions WHERE tenant_id = $1 AND authorized_at <= clock_timestamp()
        )
        INSERT INTO metric_rollups (tenant_id, period, starts_on, metric, is_level, value)
            SELECT $1, 'day', $2, metric, is_level, value FROM figures
            ON CONFLICT (tenant_id, period, starts_on, metric) DO UPDATE SET value = EXCLUDED.value
                WHERE NOT metric_rollups.is_level",
        transaction.tenant_id().0,
        day
    )
    .execute(transaction.connection())
    .await?;
    Ok(counted.rows_affected())
}

/// How many figures of days before `before` there are.
pub async fn count_old(transaction: &mut TenantTransaction, before: NaiveDate) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM metric_rollups
        WHERE tenant_id = $1 AND period = 'day' AND starts_on < $2"#,
        transaction.tenant_id().0,
        before
    );
    Ok(u64::try_from(count.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// Folds the figures of the days before `before` into their months, in one statement: a day counts once. Answers how
/// many figures of days went.
pub async fn fold(transaction: &mut TenantTransaction, before: NaiveDate) -> Result<u64, StoreError> {
    let folded = sqlx::query_scalar!(
        r#"WITH old AS (
            DELETE FROM metric_rollups WHERE tenant_id = $1 AND period = 'day' AND starts_on < $2
            RETURNING date_trunc('month', starts_on::timestamp)::date AS month, metric, is_level, value
        ), months AS (
            INSERT INTO metric_rollups AS kept (tenant_id, period, starts_on, metric, is_level, value)
                SELECT $1, 'month', month, metric, is_level,
                    CASE WHEN is_level THEN max(value) ELSE sum(value)::bigint END
                FROM old GROUP BY month, metric, is_level
                ON CONFLICT (tenant_id, period, starts_on, metric) DO UPDATE SET value =
                    CASE WHEN kept.is_level THEN GREATEST(kept.value, EXCLUDED.value)
                        ELSE kept.value + EXCLUDED.value END
        )
        SELECT count(*) AS "folded!" FROM old"#,
        transaction.tenant_id().0,
        before
    );
    Ok(u64::try_from(folded.fetch_one(transaction.connection()).await?).unwrap_or_default())
}

/// The figures, the oldest first.
pub async fn list(transaction: &mut TenantTransaction) -> Result<Vec<Rollup>, StoreError> {
    let rollups = sqlx::query_as!(
        Rollup,
        "SELECT period, starts_on, metric, value FROM metric_rollups WHERE tenant_id = $1
        ORDER BY starts_on, period, metric",
        transaction.tenant_id().0
    );
    Ok(rollups.fetch_all(transaction.connection()).await?)
}
