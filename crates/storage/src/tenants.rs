//! Tenants: the look-up by slug, and what a slug, a status and settings are in the table.

use sqlx::types::Json;
use stagedoor_domain::{Tenant, TenantSettings, TenantSlug, TenantStatus};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

impl Store {
    /// The tenant of that name, suspended ones too. Needs no tenant context.
    pub async fn find_tenant(&self, slug: &TenantSlug) -> Result<Option<Tenant>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", status AS "status!",
                settings AS "settings!: Json<serde_json::Value>"
            FROM tenant_by_slug($1)"#,
            slug.as_str()
        );
        let row = self.outside(async |connection| Ok(query.fetch_optional(connection).await?)).await?;
        row.map(|row| tenant(row.tenant_id, &row.slug, &row.status, row.settings.0)).transpose()
    }
}

/// The transaction's own tenant as it is now.
pub async fn current(transaction: &mut TenantTransaction) -> Result<Tenant, StoreError> {
    let row = sqlx::query!(
        r#"SELECT tenant_id, slug, status, settings AS "settings: Json<serde_json::Value>"
        FROM tenants WHERE tenant_id = $1"#,
        transaction.tenant_id().0
    )
    .fetch_optional(transaction.connection())
    .await?
    .ok_or(StoreError::Missing("tenant"))?;
    tenant(row.tenant_id, &row.slug, &row.status, row.settings.0)
}

/// What the transaction's own tenant calls itself.
pub async fn name(transaction: &mut TenantTransaction) -> Result<String, StoreError> {
    sqlx::query_scalar!("SELECT name FROM tenants WHERE tenant_id = $1", transaction.tenant_id().0)
        .fetch_optional(transaction.connection())
        .await?
        .ok_or(StoreError::Missing("tenant"))
}

pub(crate) async fn insert(
    transaction: &mut TenantTransaction,
    tenant: &Tenant,
    name: &str,
) -> Result<(), StoreError> {
    let settings = serde_json::to_value(&tenant.settings).expect("settings are maps with text keys");
    sqlx::query!(
        "INSERT INTO tenants (tenant_id, slug, name, settings) VALUES ($1, $2, $3, $4)",
        tenant.id.0,
        tenant.slug.as_str(),
        name,
        settings
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("a tenant of that name"))?;
    Ok(())
}

pub(crate) fn tenant(
    id: Uuid,
    slug: &str,
    status: &str,
    settings: serde_json::Value,
) -> Result<Tenant, StoreError> {
    let status = match status {
        "active" => TenantStatus::Active,
        "suspended" => TenantStatus::Suspended,
        other => return Err(StoreError::not_understood("tenants.status", other)),
    };
    let slug = slug.parse().map_err(|_| StoreError::not_understood("tenants.slug", slug))?;
    let settings: TenantSettings = serde_json::from_value(settings)
        .map_err(|error| StoreError::not_understood("tenants.settings", error.to_string()))?;
    Ok(Tenant { id: id.into(), slug, status, settings })
}
