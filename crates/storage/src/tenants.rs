//! Tenants: look-ups by slug and id, what changed since, and what a slug, a status and settings are in the table.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use stagedoor_domain::{Tenant, TenantId, TenantSettings, TenantSlug, TenantStatus};
use uuid::Uuid;

use crate::error::StoreError;
use crate::key_changes::ChangesSince;
use crate::store::Store;
use crate::told;
use crate::transaction::TenantTransaction;

/// A tenant as it is since a change.
#[derive(Debug, Clone)]
pub struct ChangedTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// Raised by each change.
    pub revision: i64,
    /// When it was changed, by the database's clock. Whoever changed it may have committed later.
    pub changed_at: DateTime<Utc>,
}

/// Tenants that were changed, and those whose row holds something that this build does not understand.
#[derive(Debug, Default)]
pub struct TenantChanges {
    /// Where the next question begins; `None` only before the first.
    pub next: Option<ChangesSince>,
    /// Whether nothing can have been missed since the last question.
    pub unbroken: bool,
    /// Those that can be served as they are now.
    pub changed: Vec<ChangedTenant>,
    /// Those that cannot: what is remembered of them stays in force.
    pub not_understood: Vec<(TenantId, i64, StoreError)>,
}

impl Store {
    /// The tenants that were changed since `since` by transactions that are over, however slow they were to end; without
    /// it, or where it is of before a break, those that were changed within the last `within` by the database's clock.
    /// Needs no tenant context.
    pub async fn tenant_changes(
        &self,
        since: Option<&ChangesSince>,
        within: std::time::Duration,
    ) -> Result<TenantChanges, StoreError> {
        let changes = self.ask_for_tenant_changes(since, within).await?;
        match since {
            Some(_) if !changes.unbroken => self.ask_for_tenant_changes(None, within).await,
            _ => Ok(changes),
        }
    }

    async fn ask_for_tenant_changes(
        &self,
        since: Option<&ChangesSince>,
        within: std::time::Duration,
    ) -> Result<TenantChanges, StoreError> {
        let query = sqlx::query!(
            r#"SELECT next AS "next!", era AS "era!", tenant_id AS "tenant_id?", slug AS "slug?", status AS "status?",
                settings AS "settings?: Json<serde_json::Value>", revision AS "revision?", changed_at AS "changed_at?"
            FROM tenant_changes($1, clock_timestamp() - make_interval(secs => $2))"#,
            since.map(ChangesSince::snapshot),
            within.as_secs_f64()
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        let mut changes = TenantChanges::default();
        for row in rows {
            if changes.next.is_none() {
                let next = ChangesSince::read(row.next, row.era)?;
                changes.unbroken = since.is_some_and(|since| next.follows(since));
                changes.next = Some(next);
            }
            let (Some(id), Some(slug), Some(status)) = (row.tenant_id, row.slug, row.status) else {
                continue;
            };
            let (Some(settings), Some(revision), Some(changed_at)) =
                (row.settings, row.revision, row.changed_at)
            else {
                continue;
            };
            match tenant(id, &slug, &status, settings.0) {
                Ok(tenant) => changes.changed.push(ChangedTenant { tenant, revision, changed_at }),
                Err(error) => changes.not_understood.push((id.into(), revision, error)),
            }
        }
        Ok(changes)
    }

    /// The tenant of that id, suspended ones too. Needs no tenant context.
    pub async fn tenant_by_id(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", status AS "status!",
                settings AS "settings!: Json<serde_json::Value>"
            FROM tenant_by_id($1)"#,
            id.0
        );
        let row = self.outside(async |connection| Ok(query.fetch_optional(connection).await?)).await?;
        row.map(|row| tenant(row.tenant_id, &row.slug, &row.status, row.settings.0)).transpose()
    }

    /// At most `most` tenants after `after`, in the order of their ids, whatever their status. For the keeper's role:
    /// any other sees none, or its own.
    pub async fn tenants_after(&self, after: TenantId, most: i64) -> Result<Vec<Tenant>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT tenant_id, slug, status, settings AS "settings: Json<serde_json::Value>"
            FROM tenants WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2"#,
            after.0,
            most
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        rows.into_iter().map(|row| tenant(row.tenant_id, &row.slug, &row.status, row.settings.0)).collect()
    }

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

/// Replaces what the transaction's own tenant overrides. Needs a store of provisioning's role.
#[expect(clippy::missing_panics_doc, reason = "it cannot: settings are maps with text keys")]
pub async fn set_settings(
    transaction: &mut TenantTransaction,
    settings: &TenantSettings,
) -> Result<(), StoreError> {
    let settings = serde_json::to_value(settings).expect("settings are maps with text keys");
    set_stored_settings(transaction, &settings).await
}

/// The same with settings as they are stored, those too that this version does not know.
pub async fn set_stored_settings(
    transaction: &mut TenantTransaction,
    settings: &serde_json::Value,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE tenants SET settings = $2 WHERE tenant_id = $1",
        transaction.tenant_id().0,
        settings
    )
    .execute(transaction.connection())
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing("tenant")) }
}

/// A tenant's row. Settings never fail: what cannot be read of them has its default, which is told.
#[expect(clippy::needless_pass_by_value, reason = "a row hands over what it holds")]
pub(crate) fn tenant(
    id: Uuid,
    slug: &str,
    status: &str,
    settings: serde_json::Value,
) -> Result<Tenant, StoreError> {
    let status = self::status(status)?;
    let slug: TenantSlug = slug.parse().map_err(|_| StoreError::not_understood("tenants.slug", slug))?;
    let (settings, problems) = TenantSettings::read(&settings);
    told::tell(id.into(), &slug, &problems);
    Ok(Tenant { id: id.into(), slug, status, settings })
}

pub(crate) fn status(text: &str) -> Result<TenantStatus, StoreError> {
    match text {
        "active" => Ok(TenantStatus::Active),
        "suspended" => Ok(TenantStatus::Suspended),
        "deleting" => Ok(TenantStatus::Deleting),
        "deleted" => Ok(TenantStatus::Deleted),
        other => Err(StoreError::not_understood("tenants.status", other)),
    }
}

pub(crate) const fn status_text(status: TenantStatus) -> &'static str {
    match status {
        TenantStatus::Active => "active",
        TenantStatus::Suspended => "suspended",
        TenantStatus::Deleting => "deleting",
        TenantStatus::Deleted => "deleted",
    }
}
