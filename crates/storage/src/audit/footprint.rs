//! What the trail takes on disk.

use chrono::NaiveDate;

use crate::error::StoreError;
use crate::store::Store;

/// Bytes of the trail's tables with their indexes, of all tenants and days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// The chains' records.
    pub records: i64,
    /// The sealed payloads.
    pub payloads: i64,
    /// The chains' heads.
    pub heads: i64,
    /// The checkpoints, with the ends of their lines.
    pub checkpoints: i64,
}

impl Footprint {
    /// All of it.
    pub const fn total(self) -> i64 {
        self.records + self.payloads + self.heads + self.checkpoints
    }

    /// What was added since `before`, if `calls` calls added it, for a million calls.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the size of a table is known to far more digits than matter"
    )]
    pub fn per_million_since(self, before: Self, calls: u64) -> f64 {
        (self.total() - before.total()) as f64 * 1_000_000.0 / calls as f64
    }
}

/// Measures the tables as they are now.
pub async fn footprint(store: &Store) -> Result<Footprint, StoreError> {
    store
        .outside(async |connection| {
            let footprint = sqlx::query_as!(
                Footprint,
                r#"SELECT
                    (SELECT COALESCE(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
                        WHERE inhparent = 'audit_records'::regclass) AS "records!",
                    (SELECT COALESCE(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
                        WHERE inhparent = 'audit_payloads'::regclass) AS "payloads!",
                    pg_total_relation_size('audit_chain_heads') AS "heads!",
                    pg_total_relation_size('audit_checkpoints')
                        + pg_total_relation_size('audit_checkpoint_heads') AS "checkpoints!""#
            )
            .fetch_one(connection)
            .await?;
            Ok(footprint)
        })
        .await
}

/// The days whose partitions are there, in order.
pub async fn partition_days(store: &Store) -> Result<Vec<NaiveDate>, StoreError> {
    store
        .outside(async |connection| {
            let days = sqlx::query_scalar!(
                r#"SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS "day!" FROM pg_inherits i
                JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'audit_records'::regclass AND c.relname ~ '^audit_records_p[0-9]{8}$' ORDER BY 1"#
            );
            Ok(days.fetch_all(connection).await?)
        })
        .await
}
