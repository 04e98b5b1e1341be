//! Looking for records by what the tables tell without opening anything.

use chrono::{DateTime, NaiveDate, Utc};
use stagedoor_domain::{CallId, UserId};
use uuid::Uuid;

use super::StoredAuditRecord;
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// A stretch of one chain, and what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub struct SearchWindow {
    /// The chain's day.
    pub day: NaiveDate,
    /// Records after this one, …
    pub after: i64,
    /// … up to this one.
    pub up_to: i64,
    /// The last ones first.
    pub newest_first: bool,
    /// Of this person.
    pub user: Option<UserId>,
    /// Of this call.
    pub call: Option<CallId>,
    /// From then on.
    pub from: Option<DateTime<Utc>>,
    /// Before then.
    pub to: Option<DateTime<Utc>>,
}

/// A record and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// The record.
    pub record: StoredAuditRecord,
    /// The person whose key seals its payload, if there is one and it was not erased.
    pub user: Option<UserId>,
}

struct Row {
    seq: i64,
    kind: i16,
    occurred_at: DateTime<Utc>,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
    commitment: Vec<u8>,
    call_id: Uuid,
    bundle_id: Uuid,
    bundle_position: i32,
    user_id: Option<Uuid>,
}

/// At most `limit` records of the window.
pub async fn search(
    transaction: &mut TenantTransaction,
    window: &SearchWindow,
    limit: i64,
) -> Result<Vec<FoundRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT r.seq, r.type AS kind, r.occurred_at, r.previous_hash, r.hash, r.commitment, r.call_id,
            r.bundle_id, r.bundle_position, p.user_id AS "user_id?"
        FROM audit_records r
        LEFT JOIN audit_payloads p ON p.tenant_id = r.tenant_id AND p.day = r.day AND p.bundle_id = r.bundle_id
        WHERE r.tenant_id = $1 AND r.day = $2 AND r.seq > $3 AND r.seq <= $4
            AND ($5::uuid IS NULL OR p.user_id = $5)
            AND ($6::uuid IS NULL OR r.call_id = $6)
            AND ($7::timestamptz IS NULL OR r.occurred_at >= $7)
            AND ($8::timestamptz IS NULL OR r.occurred_at < $8)
        ORDER BY CASE WHEN $9 THEN -r.seq ELSE r.seq END LIMIT $10"#,
        transaction.tenant_id().0,
        window.day,
        window.after,
        window.up_to,
        window.user.map(|user| user.0),
        window.call.map(|call| call.0),
        window.from,
        window.to,
        window.newest_first,
        limit
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(Row::into_found).collect())
}

/// The days from `first` to `last` on which records of `user` were written that were not erased, in their order.
pub async fn days_of(
    transaction: &mut TenantTransaction,
    user: UserId,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Vec<NaiveDate>, StoreError> {
    let days = sqlx::query_scalar!(
        "SELECT DISTINCT day FROM audit_payloads
        WHERE tenant_id = $1 AND user_id = $2 AND day BETWEEN $3 AND $4 ORDER BY day",
        transaction.tenant_id().0,
        user.0,
        first,
        last
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(days)
}

impl Row {
    fn into_found(self) -> FoundRecord {
        FoundRecord {
            record: StoredAuditRecord {
                seq: self.seq,
                kind: self.kind,
                occurred_at: self.occurred_at,
                previous_hash: self.previous_hash,
                hash: self.hash,
                commitment: self.commitment,
                call_id: self.call_id,
                bundle_id: self.bundle_id,
                bundle_position: self.bundle_position,
            },
            user: self.user_id.map(Into::into),
        }
    }
}
