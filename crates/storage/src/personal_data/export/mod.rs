//! Everything that one table holds about a person, page by page: rows as JSON objects with the names of the columns,
//! sealed columns opened. What is withheld never leaves the database. Memory is bounded by the page.

mod plain;
mod sealed;

use serde_json::{Map, Value};
use sqlx::types::Json;
use stagedoor_crypto::SealContext;
use stagedoor_domain::{TenantContext, UserId};
use uuid::Uuid;

use super::contents::{self, Contents};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<String>);

/// Some rows of a table.
#[derive(Clone, PartialEq)]
pub struct Page {
    /// Each an object with the names of the columns. One that did not open is `null`, and named in `unreadable`.
    pub rows: Vec<Value>,
    /// Where the next page begins; `None` after the last row.
    pub next: Option<Cursor>,
}

/// A row as a query brings it: at most two columns of a table are sealed.
struct Raw {
    row: Json<Map<String, Value>>,
    cursor: Vec<String>,
    /// The row that the seals are bound to.
    place: Option<Uuid>,
    first: Option<Vec<u8>>,
    first_revision: Option<i64>,
    second: Option<Vec<u8>>,
    second_revision: Option<i64>,
}

/// The next rows of `user` in `table`, one of [`people`](super::people). [`StoreError::Missing`] for another table.
pub async fn export_page(
    vault: &KeyVault,
    context: &TenantContext,
    user: UserId,
    table: &'static str,
    after: Option<&Cursor>,
) -> Result<Page, StoreError> {
    let limit = rows_at_a_time(table);
    let read = async |tx: &mut TenantTransaction| {
        let after = after.map(|cursor| &cursor.0[..]);
        match plain::read(tx, user, table, after, limit).await? {
            Some(rows) => Ok(Some(rows)),
            None => sealed::read(tx, user, table, after, limit).await,
        }
    };
    let found: Option<Vec<Raw>> = vault.store().with_tenant::<_, StoreError>(context, read).await?;
    let found = found.ok_or(StoreError::Missing("table of people's data"))?;
    let full = i64::try_from(found.len()).is_ok_and(|count| count == limit);
    let next = if full { found.last().map(|last| Cursor(last.cursor.clone())) } else { None };
    let columns = contents::of(table);
    let mut rows = Vec::with_capacity(found.len());
    for raw in found {
        rows.push(raw.open(vault, context, table, columns).await?);
    }
    Ok(Page { rows, next })
}

/// Fewer where one row can be big: a job's part unpacks to as much as 16 MiB.
fn rows_at_a_time(table: &str) -> i64 {
    match table {
        "job_parts" | "jobs" => 2,
        "idempotency_keys" => 8,
        "playlist_chunks" | "audit_payloads" => 50,
        _ => 100,
    }
}

impl Raw {
    async fn open(
        self,
        vault: &KeyVault,
        context: &TenantContext,
        table: &'static str,
        columns: &'static [(&'static str, Contents)],
    ) -> Result<Value, StoreError> {
        let mut row = self.row.0;
        let sealed = [(self.first, self.first_revision), (self.second, self.second_revision)];
        let mut unreadable = Vec::new();
        for ((column, contents), (sealed, revision)) in columns.iter().zip(sealed) {
            let (Some(sealed), Some(revision), Some(place)) = (sealed, revision, self.place) else {
                row.insert((*column).to_owned(), Value::Null);
                continue;
            };
            let tenant = context.tenant_id();
            let place = SealContext { tenant, table, column, row: place, revision };
            let opened = vault.open(context, &place, &sealed, "a value of a personal copy").await;
            let value = match opened.and_then(|opened| contents.read(&opened)) {
                Ok(value) => value,
                // What is lost is lost to the person too; the rest of the copy is not.
                Err(
                    StoreError::Unreadable { .. }
                    | StoreError::NotUnderstood { .. }
                    | StoreError::Missing("data key"),
                ) => {
                    unreadable.push(Value::from(*column));
                    Value::Null
                }
                Err(error) => return Err(error),
            };
            row.insert((*column).to_owned(), value);
        }
        if !unreadable.is_empty() {
            row.insert("unreadable".to_owned(), unreadable.into());
        }
        Ok(Value::Object(row))
    }
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("rows", &self.rows.len()).field("next", &self.next).finish()
    }
}
