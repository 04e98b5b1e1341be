//! Issuers of tokens that tenants have registered: making, changing and deleting them, for a store of provisioning's role.
//! What signing in with a token asks for is in `sign_in`. Every change changes the tenant, which replicas watch.

mod row;
mod sign_in;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use stagedoor_domain::{Issuer, IssuerId};

pub use self::sign_in::{TenantIssuers, accepted, add_person, person};

use self::row::{Row, algorithm_names, scope_names, toolset_names};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// An issuer as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredIssuer {
    /// The issuer.
    pub issuer: Issuer,
    /// Raised by each change.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// The issuer of that id.
pub async fn find(
    transaction: &mut TenantTransaction,
    id: IssuerId,
) -> Result<Option<StoredIssuer>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT issuer_id, issuer, jwks_uri, algorithms, subject_claim, subject_prefix,
            scope_map AS "scope_map: Json<serde_json::Value>", toolsets, read_only, provisioning, enabled, revision,
            created_at, updated_at
        FROM issuers WHERE tenant_id = $1 AND issuer_id = $2 AND deleted_at IS NULL"#,
        transaction.tenant_id().0,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Row::into_stored).transpose()
}

/// The issuers of the tenant in the order in which they were made. There are never more than [`Issuer::MOST`].
pub async fn list(transaction: &mut TenantTransaction) -> Result<Vec<StoredIssuer>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT issuer_id, issuer, jwks_uri, algorithms, subject_claim, subject_prefix,
            scope_map AS "scope_map: Json<serde_json::Value>", toolsets, read_only, provisioning, enabled, revision,
            created_at, updated_at
        FROM issuers WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY created_at, issuer_id"#,
        transaction.tenant_id().0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Row::into_stored).collect()
}

/// Registers an issuer.
///
/// # Errors
/// [`StoreError::AlreadyExists`] if the tenant has one at that address, or as many as it may have.
pub async fn insert(
    transaction: &mut TenantTransaction,
    issuer: &Issuer,
) -> Result<StoredIssuer, StoreError> {
    let (algorithms, toolsets) = (algorithm_names(issuer), toolset_names(issuer));
    let row = sqlx::query_as!(
        Row,
        r#"INSERT INTO issuers (tenant_id, issuer_id, issuer, jwks_uri, algorithms, subject_claim, subject_prefix,
            scope_map, toolsets, read_only, provisioning, enabled)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
        WHERE (SELECT count(*) FROM issuers WHERE tenant_id = $1 AND deleted_at IS NULL) < $13
        RETURNING issuer_id, issuer, jwks_uri, algorithms, subject_claim, subject_prefix,
            scope_map AS "scope_map: Json<serde_json::Value>", toolsets, read_only, provisioning, enabled, revision,
            created_at, updated_at"#,
        transaction.tenant_id().0,
        issuer.id.0,
        issuer.url,
        issuer.jwks_uri.as_deref(),
        &algorithms,
        issuer.subject_claim,
        issuer.subject_prefix,
        scope_names(issuer),
        toolsets.as_deref(),
        issuer.read_only,
        issuer.provisioning.as_str(),
        issuer.enabled,
        i64::try_from(Issuer::MOST).unwrap_or(i64::MAX)
    )
    .fetch_optional(transaction.connection())
    .await
    .map_err(StoreError::or_exists("an issuer of that address"))?;
    row.ok_or(StoreError::AlreadyExists("as many issuers as a tenant may have"))?.into_stored()
}

/// Replaces what is stored of an issuer, if it is at `revision`, or whatever it is where that is `None`. Its address
/// stays: another address is another issuer.
///
/// # Errors
/// [`StoreError::Changed`] if it is at another revision, [`StoreError::Missing`] if there is none.
pub async fn update(
    transaction: &mut TenantTransaction,
    issuer: &Issuer,
    revision: Option<i64>,
) -> Result<StoredIssuer, StoreError> {
    let (algorithms, toolsets) = (algorithm_names(issuer), toolset_names(issuer));
    let row = sqlx::query_as!(
        Row,
        r#"UPDATE issuers SET jwks_uri = $3, algorithms = $4, subject_claim = $5, subject_prefix = $6, scope_map = $7,
            toolsets = $8, read_only = $9, provisioning = $10, enabled = $11, revision = revision + 1,
            updated_at = clock_timestamp()
        WHERE tenant_id = $1 AND issuer_id = $2 AND deleted_at IS NULL AND ($12::bigint IS NULL OR revision = $12)
        RETURNING issuer_id, issuer, jwks_uri, algorithms, subject_claim, subject_prefix,
            scope_map AS "scope_map: Json<serde_json::Value>", toolsets, read_only, provisioning, enabled, revision,
            created_at, updated_at"#,
        transaction.tenant_id().0,
        issuer.id.0,
        issuer.jwks_uri.as_deref(),
        &algorithms,
        issuer.subject_claim,
        issuer.subject_prefix,
        scope_names(issuer),
        toolsets.as_deref(),
        issuer.read_only,
        issuer.provisioning.as_str(),
        issuer.enabled,
        revision
    )
    .fetch_optional(transaction.connection())
    .await?;
    match row {
        Some(row) => row.into_stored(),
        None => Err(not_changed(transaction, issuer.id).await?),
    }
}

/// Deletes an issuer, if it is at `revision`, or whatever it is where that is `None`: its tokens are accepted no more. Its
/// row stays, so that a backup from before does not bring it back. Answers what it was.
///
/// # Errors
/// As [`update`].
pub async fn delete(
    transaction: &mut TenantTransaction,
    id: IssuerId,
    revision: Option<i64>,
) -> Result<StoredIssuer, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"UPDATE issuers SET enabled = false, deleted_at = clock_timestamp(), revision = revision + 1,
            updated_at = clock_timestamp()
        WHERE tenant_id = $1 AND issuer_id = $2 AND deleted_at IS NULL AND ($3::bigint IS NULL OR revision = $3)
        RETURNING issuer_id, issuer, jwks_uri, algorithms, subject_claim, subject_prefix,
            scope_map AS "scope_map: Json<serde_json::Value>", toolsets, read_only, provisioning, enabled, revision,
            created_at, updated_at"#,
        transaction.tenant_id().0,
        id.0,
        revision
    )
    .fetch_optional(transaction.connection())
    .await?;
    match row {
        Some(row) => row.into_stored(),
        None => Err(not_changed(transaction, id).await?),
    }
}

/// Why nothing was changed.
async fn not_changed(transaction: &mut TenantTransaction, id: IssuerId) -> Result<StoreError, StoreError> {
    let present = find(transaction, id).await?;
    Ok(present.map_or(StoreError::Missing("issuer"), |_| StoreError::Changed("the issuer")))
}
