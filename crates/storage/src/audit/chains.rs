//! A tenant's chains as operators see them: how long each is, and how much of it is signed and archived.

use chrono::{DateTime, NaiveDate, Utc};

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// The chain of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainStanding {
    /// The day (UTC).
    pub day: NaiveDate,
    /// Its records.
    pub records: i64,
    /// The hash of the last.
    pub hash: Vec<u8>,
    /// Records up to the last checkpoint; 0 without one.
    pub signed: i64,
    /// When that was signed.
    pub signed_at: Option<DateTime<Utc>>,
    /// Whether the archive has that checkpoint.
    pub archived: bool,
}

/// At most `limit` chains of the tenant, the newest first: those of days before `before`, or from the last one on.
pub async fn chains(
    transaction: &mut TenantTransaction,
    before: Option<NaiveDate>,
    limit: i64,
) -> Result<Vec<ChainStanding>, StoreError> {
    let chains = sqlx::query_as!(
        ChainStanding,
        r#"SELECT h.day, h.seq AS records, h.hash, h.sealed_seq AS signed, c.signed_at AS "signed_at?",
            COALESCE(c.number <= l.archived, false) AS "archived!"
        FROM audit_chain_heads h
        LEFT JOIN audit_checkpoints c ON c.tenant_id = h.tenant_id AND c.day = h.day AND c.seq = h.sealed_seq
        LEFT JOIN audit_checkpoint_heads l ON l.tenant_id = h.tenant_id
        WHERE h.tenant_id = $1 AND ($2::date IS NULL OR h.day < $2) ORDER BY h.day DESC LIMIT $3"#,
        transaction.tenant_id().0,
        before,
        limit
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(chains)
}
