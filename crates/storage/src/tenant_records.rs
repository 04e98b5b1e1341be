//! Tenants as operators see them: with name, plan and times, one after another, and what may be changed of one. For stores
//! of provisioning's role.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use stagedoor_domain::{Tenant, TenantSlug, TenantStatus};

use crate::error::StoreError;
use crate::store::Store;
use crate::tenants;
use crate::transaction::TenantTransaction;

/// A tenant with what only operators see.
#[derive(Debug, Clone)]
pub struct TenantRecord {
    /// The tenant.
    pub tenant: Tenant,
    /// What it is called.
    pub name: String,
    /// Its plan.
    pub plan: String,
    /// What it overrides, as it is stored: what cannot be read of it too.
    pub stored_settings: serde_json::Value,
    /// Raised by each change.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

impl Store {
    /// At most `most` tenants behind `after`, by their names in URLs; only those in `status`, if that is given.
    pub async fn tenant_records_after(
        &self,
        after: Option<&TenantSlug>,
        status: Option<TenantStatus>,
        most: u32,
    ) -> Result<Vec<TenantRecord>, StoreError> {
        let query = sqlx::query_as!(
            Row,
            r#"SELECT tenant_id, slug, name, plan, status, settings AS "settings: Json<serde_json::Value>", revision,
                created_at, updated_at
            FROM tenants WHERE ($1::text IS NULL OR slug > $1) AND ($2::text IS NULL OR status = $2)
            ORDER BY slug LIMIT $3"#,
            after.map(TenantSlug::as_str),
            status.map(tenants::status_text),
            i64::from(most)
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        rows.into_iter().map(Row::read).collect()
    }
}

/// The transaction's own tenant. Nobody else changes it before the transaction ends.
pub async fn lock(transaction: &mut TenantTransaction) -> Result<TenantRecord, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, slug, name, plan, status, settings AS "settings: Json<serde_json::Value>", revision,
            created_at, updated_at
        FROM tenants WHERE tenant_id = $1 FOR UPDATE"#,
        transaction.tenant_id().0
    );
    let row = row.fetch_optional(transaction.connection()).await?;
    row.ok_or(StoreError::Missing("tenant"))?.read()
}

/// The transaction's own tenant as it is now.
pub async fn read(transaction: &mut TenantTransaction) -> Result<TenantRecord, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, slug, name, plan, status, settings AS "settings: Json<serde_json::Value>", revision,
            created_at, updated_at
        FROM tenants WHERE tenant_id = $1"#,
        transaction.tenant_id().0
    );
    let row = row.fetch_optional(transaction.connection()).await?;
    row.ok_or(StoreError::Missing("tenant"))?.read()
}

/// Whether the transaction's own tenant is there.
pub async fn exists(transaction: &mut TenantTransaction) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!("SELECT 1 FROM tenants WHERE tenant_id = $1", transaction.tenant_id().0);
    Ok(found.fetch_optional(transaction.connection()).await?.is_some())
}

/// Writes name, plan and status of the transaction's own tenant.
pub async fn update(
    transaction: &mut TenantTransaction,
    name: &str,
    plan: &str,
    status: TenantStatus,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE tenants SET name = $2, plan = $3, status = $4 WHERE tenant_id = $1",
        transaction.tenant_id().0,
        name,
        plan,
        tenants::status_text(status)
    );
    let done = done.execute(transaction.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing("tenant")) }
}

/// Makes a tenant; one of that name must not be there.
pub async fn insert(
    transaction: &mut TenantTransaction,
    tenant: &Tenant,
    name: &str,
    plan: &str,
) -> Result<(), StoreError> {
    tenants::insert(transaction, tenant, name).await?;
    update(transaction, name, plan, tenant.status).await
}

struct Row {
    tenant_id: uuid::Uuid,
    slug: String,
    name: String,
    plan: String,
    status: String,
    settings: Json<serde_json::Value>,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<TenantRecord, StoreError> {
        let stored_settings = self.settings.0;
        let tenant = tenants::tenant(self.tenant_id, &self.slug, &self.status, stored_settings.clone())?;
        Ok(TenantRecord {
            tenant,
            name: self.name,
            plan: self.plan,
            stored_settings,
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
