//! Erasing a person, or a tenant: in batches that end within the database's patience, each counted in the transaction
//! that does it, so that being cut off at any point loses and doubles nothing. The database demands a claimed request of
//! that very person for each of them. What the tables are is in `personal_data`.

mod tenant;

use stagedoor_domain::TenantContext;

pub use tenant::{Spread, destroy_tenant, erase_tenant_batch, spread};

use crate::error::StoreError;
use crate::personal_data;
use crate::privacy_requests::Claim;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// How many rows go at a time.
pub const BATCH: u32 = 500;

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// So many rows of a table are gone; there may be more, there or in another.
    Erased {
        /// The table.
        table: &'static str,
        /// How many rows.
        rows: u64,
    },
    /// Nothing is left.
    Nothing,
    /// Another worker has the request, or it is not in a state in which rows are erased: nothing was done.
    Lost,
}

/// What destroying a person's key came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroyed {
    /// The keys are gone, the person is gone, and the tombstone stands.
    Done,
    /// Too many rows came meanwhile: [`erase_batch`] has to go on first.
    RowsLeft,
    /// Another worker has the request, or it is in another state: nothing was done.
    Lost,
}

/// Erases the next rows of the person of a claimed request that is revoked (or erased already, if rows came after),
/// from the tables in their order. To be called until nothing is left.
pub async fn erase_batch(store: &Store, context: &TenantContext, claim: &Claim) -> Result<Batch, StoreError> {
    for table in personal_data::erased_in_order() {
        match erase_from(store, context, claim, table).await? {
            -1 => return Ok(Batch::Lost),
            0 => {}
            rows => return Ok(Batch::Erased { table, rows: rows.unsigned_abs() }),
        }
    }
    Ok(Batch::Nothing)
}

async fn erase_from(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    table: &'static str,
) -> Result<i64, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let erased = sqlx::query_scalar!(
            r#"SELECT privacy_erase($1, $2, $3, $4) AS "erased!""#,
            claim.request.0,
            claim.fence,
            table,
            BATCH.cast_signed()
        );
        Ok::<_, StoreError>(erased.fetch_one(tx.connection()).await?)
    };
    store.with_tenant(context, write).await
}

/// Ends a person whose rows are erased, in one transaction: what was written since goes, the keys are destroyed, the
/// person's row goes, and the tombstone is set. From then on nothing that refers to the person can be written; whoever
/// was writing is waited for.
pub async fn destroy_person(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
) -> Result<Destroyed, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let destroyed = sqlx::query_scalar!(
            r#"SELECT privacy_destroy_person($1, $2) AS "told!""#,
            claim.request.0,
            claim.fence
        );
        Ok::<_, StoreError>(destroyed.fetch_one(tx.connection()).await?)
    };
    match store.with_tenant(context, write).await?.as_str() {
        "destroyed" => Ok(Destroyed::Done),
        "more" => Ok(Destroyed::RowsLeft),
        "lost" => Ok(Destroyed::Lost),
        other => Err(StoreError::not_understood("privacy_destroy_person", other)),
    }
}
