//! Minutes on their way from a replica into the store.

use chrono::{DateTime, NaiveDate, Utc};
use stagedoor_domain::UserId;
use uuid::Uuid;

use super::{Figures, LatencySketch, column_of};
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// What one series of a replica came to within a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinuteLine {
    /// The beginning of the minute.
    pub starts_at: DateTime<Utc>,
    /// Of the replica's batches the one that it is in; within one, no two lines are of the same series.
    pub batch: i64,
    /// The person, if they let that be counted.
    pub user: Option<UserId>,
    /// The principal's label, or what stands for it.
    pub principal: String,
    /// The tool, or what stands for it.
    pub tool: &'static str,
    /// What it was about: a kind of item, `several` or `none`.
    pub content: &'static str,
    /// What was counted.
    pub figures: Figures,
    /// How long the calls took, see [`LatencySketch::to_bytes`].
    pub latency: Vec<u8>,
}

impl MinuteLine {
    /// The same with its durations, as they are stored.
    #[must_use]
    pub fn with_latency(self, latency: &LatencySketch) -> Self {
        Self { latency: latency.to_bytes(), ..self }
    }
}

/// Adds lines of one replica; what is there already, by an earlier try whose answer got lost, is not counted again. Of
/// people who are gone nothing is kept. `false` if the tenant is being deleted and has no figures any more.
///
/// # Errors
/// [`StoreError::NoUsagePartition`] if [`ensure_partitions`] has to be called first.
pub async fn append(
    transaction: &mut TenantTransaction,
    replica: Uuid,
    lines: &[MinuteLine],
) -> Result<bool, StoreError> {
    let text = |value: fn(&MinuteLine) -> &str| -> Vec<String> {
        lines.iter().map(|line| value(line).to_owned()).collect()
    };
    let batches: Vec<_> = lines.iter().map(|line| line.batch).collect();
    let starts: Vec<_> = lines.iter().map(|line| line.starts_at).collect();
    let users: Vec<_> = lines.iter().map(|line| column_of(line.user)).collect();
    let counts: Vec<_> = lines.iter().flat_map(|line| line.figures.columns()).collect();
    let latencies: Vec<_> = lines.iter().map(|line| line.latency.clone()).collect();
    let appended = sqlx::query_scalar!(
        r#"SELECT usage_append($1, $2, $3, $4, $5, $6, $7, $8, $9) AS "appended!""#,
        replica,
        &batches,
        &starts,
        &users,
        &text(|line| &line.principal),
        &text(|line| line.tool),
        &text(|line| line.content),
        &counts,
        &latencies
    )
    .fetch_one(transaction.connection())
    .await
    .map_err(no_partition)?;
    Ok(appended >= 0)
}

/// Makes the partitions of `days` (1–31) days from `first` on, which must be from a week ago to a month ahead. Harmless
/// when they are there.
pub async fn ensure_partitions(store: &Store, first: NaiveDate, days: u8) -> Result<(), StoreError> {
    store
        .outside(async |connection| {
            let ensure = sqlx::query!("SELECT ensure_usage_partitions($1, $2)", first, i32::from(days));
            ensure.execute(connection).await?;
            Ok(())
        })
        .await
}

/// An insert into a partitioned table that has no partition for the row is a check violation (SQLSTATE 23514) without a
/// constraint's name.
pub(super) fn no_partition(error: sqlx::Error) -> StoreError {
    let missing = error
        .as_database_error()
        .is_some_and(|cause| cause.code().as_deref() == Some("23514") && cause.constraint().is_none());
    if missing { StoreError::NoUsagePartition } else { error.into() }
}
