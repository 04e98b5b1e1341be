//! Putting rows into their tables, by the database's own function: what refers to nothing, clashes with another row, or
//! is about someone who was erased stays out, and is told.

use crate::restore::error::RestoreError;
use crate::transaction::TenantTransaction;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowOutcome {
    /// It is back.
    Inserted,
    /// It is there already, to the byte.
    Same,
    /// Another with its key is there, which stays.
    Kept,
    /// It is in the place of another with its key.
    Replaced,
    /// Another row has what must be unique.
    Clash,
    /// What it refers to is not there.
    Orphan,
    /// It is about someone who was erased.
    Erased,
}

/// Puts rows of one table, each the text of a JSON object with all of its columns. All have the same columns.
pub(super) async fn put(
    transaction: &mut TenantTransaction,
    table: &'static str,
    rows: &[String],
    replacing: bool,
) -> Result<Vec<RowOutcome>, RestoreError> {
    let told = sqlx::query_scalar!(
        r#"SELECT outcome AS "outcome!" FROM restore_rows($1, $2, $3) ORDER BY ordinal"#,
        table,
        rows,
        replacing
    )
    .fetch_all(transaction.connection())
    .await
    .map_err(|error| RestoreError::of_database(table, error))?;
    if told.len() != rows.len() {
        return Err(RestoreError::Altered { table });
    }
    told.iter()
        .map(|outcome| match outcome.as_str() {
            "inserted" => Ok(RowOutcome::Inserted),
            "same" => Ok(RowOutcome::Same),
            "kept" => Ok(RowOutcome::Kept),
            "replaced" => Ok(RowOutcome::Replaced),
            "clash" => Ok(RowOutcome::Clash),
            "orphan" => Ok(RowOutcome::Orphan),
            "erased" => Ok(RowOutcome::Erased),
            _ => Err(RestoreError::Altered { table }),
        })
        .collect()
}
