//! The erasure of a tenant: an erasure of each of its people, then what is the tenant's own, then its keys and its name.
//! The chain of its audit trail stays, and the public halves of the keys that signed it.

use stagedoor_domain::TenantContext;

use super::{BATCH, Batch};
use crate::error::StoreError;
use crate::privacy_requests::{ANSWER_WITHIN, Claim};
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// What is a tenant's own, and nobody's.
const TENANT_TABLES: [&str; 6] =
    ["api_keys", "provider_apps", "limit_violations", "admin_creates", "usage_minutes", "usage_rollups"];

/// How far a tenant's people are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// It is this worker's.
    Ours {
        /// For how many people an erasure was made just now.
        begun: u64,
        /// How many people are there still, or have no receipt yet.
        left: u64,
    },
    /// Another worker has the request, or it is past this.
    Lost,
}

/// Makes a confirmed erasure of at most `most` people of a tenant whose erasure is claimed and verified, as children of
/// it. To be called now and then until nobody is left.
pub async fn spread(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    most: u32,
) -> Result<Spread, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let spread = sqlx::query!(
            r#"SELECT begun AS "begun!", people_left AS "people_left!" FROM privacy_spread($1, $2, $3, $4)"#,
            claim.request.0,
            claim.fence,
            i32::try_from(most).unwrap_or(i32::MAX),
            ANSWER_WITHIN.as_secs_f64()
        );
        Ok::<_, StoreError>(spread.fetch_one(tx.connection()).await?)
    };
    let row = store.with_tenant(context, write).await?;
    if row.begun < 0 {
        return Ok(Spread::Lost);
    }
    Ok(Spread::Ours { begun: row.begun.unsigned_abs(), left: row.people_left.unsigned_abs() })
}

/// Erases the next rows of a tenant that has no people left and whose erasure is verified or revoked. To be called
/// until nothing is left. What the trail says of nobody stays, sealed under the tenant's key: [`destroy_tenant`] makes it
/// unreadable.
pub async fn erase_tenant_batch(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
) -> Result<Batch, StoreError> {
    for table in TENANT_TABLES {
        let write = async |tx: &mut TenantTransaction| {
            let erased = sqlx::query_scalar!(
                r#"SELECT privacy_erase_tenant($1, $2, $3, $4) AS "erased!""#,
                claim.request.0,
                claim.fence,
                table,
                BATCH.cast_signed()
            );
            Ok::<_, StoreError>(erased.fetch_one(tx.connection()).await?)
        };
        match store.with_tenant(context, write).await? {
            -1 => return Ok(Batch::Lost),
            0 => {}
            rows => return Ok(Batch::Erased { table, rows: rows.unsigned_abs() }),
        }
    }
    Ok(Batch::Nothing)
}

/// Ends a tenant whose rows are erased, in one transaction: its data keys and the private halves of its signing keys
/// are destroyed, its name, slug and settings are cleared, and the request ends with `receipt`, which its signing key
/// signed before. `false`, and nothing is done, if the claim was lost, the request is not erased, or something is left.
pub async fn destroy_tenant(
    store: &Store,
    context: &TenantContext,
    claim: &Claim,
    receipt: &str,
) -> Result<bool, StoreError> {
    let write = async |tx: &mut TenantTransaction| {
        let destroyed = sqlx::query_scalar!(
            r#"SELECT privacy_destroy_tenant($1, $2, $3) AS "destroyed!""#,
            claim.request.0,
            claim.fence,
            receipt
        );
        Ok::<_, StoreError>(destroyed.fetch_one(tx.connection()).await?)
    };
    store.with_tenant(context, write).await
}
