//! The audit trail, which comes back by days: one that is there stays as it is, and one that comes back must hold.

use chrono::NaiveDate;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// What a day's chain is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    /// Records that are there.
    pub(super) records: i64,
    /// Records that there must be, as the end of the chain says.
    pub(super) expected: i64,
    /// Whether a record's hash, its link to the one before, or the end of the chain is wrong.
    pub(super) broken: bool,
    /// Records whose payloads are not there.
    pub(super) without_payload: i64,
}

/// The days of which the database has a chain.
pub(super) async fn present_days(transaction: &mut TenantTransaction) -> Result<Vec<NaiveDate>, StoreError> {
    let days = sqlx::query_scalar!(
        "SELECT day FROM audit_chain_heads WHERE tenant_id = $1",
        transaction.tenant_id().0
    );
    Ok(days.fetch_all(transaction.connection()).await?)
}

/// Makes the partitions of a day, where there are none any more.
pub(super) async fn partition(transaction: &mut TenantTransaction, day: NaiveDate) -> Result<(), StoreError> {
    sqlx::query!("SELECT restore_partition($1)", day).execute(transaction.connection()).await?;
    Ok(())
}

/// Looks at a whole day. A link is looked at where the record before is there.
pub(super) async fn check(transaction: &mut TenantTransaction, day: NaiveDate) -> Result<Day, StoreError> {
    let tenant = transaction.tenant_id().0;
    let row = sqlx::query!(
        r#"SELECT count(*) AS "records!",
            COALESCE(bool_or(
                r.hash <> sha256(r.previous_hash || int8send(r.seq)
                    || int8send((extract(epoch FROM r.occurred_at) * 1000000)::bigint)
                    || int2send(r.type) || r.commitment)
                OR (r.seq = r.before_seq + 1 AND r.previous_hash <> r.before_hash)
                OR (r.seq = h.seq AND r.hash <> h.hash) OR r.seq > h.seq), false) AS "broken!",
            count(*) FILTER (WHERE p.bundle_id IS NULL) AS "without_payload!",
            (SELECT h.seq FROM audit_chain_heads h WHERE h.tenant_id = $1 AND h.day = $2) AS "expected?"
        FROM (
            SELECT i.*, COALESCE(lag(i.seq) OVER w, 0) AS before_seq,
                COALESCE(lag(i.hash) OVER w, sha256('stagedoor/audit-chain/1'::bytea || uuid_send($1)
                    || to_char($2::date, 'YYYY-MM-DD')::bytea)) AS before_hash
            FROM audit_records i WHERE i.tenant_id = $1 AND i.day = $2 WINDOW w AS (ORDER BY i.seq)
        ) r
        LEFT JOIN audit_chain_heads h ON h.tenant_id = $1 AND h.day = $2
        LEFT JOIN audit_payloads p ON p.tenant_id = $1 AND p.day = $2 AND p.bundle_id = r.bundle_id"#,
        tenant,
        day
    )
    .fetch_one(transaction.connection())
    .await?;
    let broken = row.broken || (row.expected.is_none() && row.records > 0);
    let expected = row.expected.unwrap_or(0);
    Ok(Day { records: row.records, expected, broken, without_payload: row.without_payload })
}

/// Whether the chain has that hash at that length.
pub(super) async fn states(
    transaction: &mut TenantTransaction,
    day: NaiveDate,
    length: i64,
    hash: &[u8],
) -> Result<bool, StoreError> {
    let holds = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM audit_records
            WHERE tenant_id = $1 AND day = $2 AND seq = $3 AND hash = $4) AS "holds!""#,
        transaction.tenant_id().0,
        day,
        length,
        hash
    );
    Ok(holds.fetch_one(transaction.connection()).await?)
}
