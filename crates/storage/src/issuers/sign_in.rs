//! What signing in with a token asks the store: whose tokens a tenant accepts, and who the subject of one is.

use chrono::DateTime;
use sqlx::types::Json;
use stagedoor_domain::{Issuer, IssuerId, Tenant, TenantSlug, UserId};
use uuid::Uuid;

use super::row::Row;
use crate::error::StoreError;
use crate::store::Store;
use crate::tenants::tenant;
use crate::transaction::TenantTransaction;

/// A tenant and the issuers whose tokens it accepts.
#[derive(Debug, Clone)]
pub struct TenantIssuers {
    /// The tenant.
    pub tenant: Tenant,
    /// Raised by each change of the tenant.
    pub tenant_revision: i64,
    /// What the tenant calls itself.
    pub name: String,
    /// Its issuers, only those that are enabled; often none.
    pub issuers: Vec<Issuer>,
}

impl Store {
    /// The tenant of that slug and the issuers whose tokens it accepts; `None` if nobody is called so. Needs no tenant
    /// context; takes as long for a tenant as for none.
    pub async fn find_issuers(&self, slug: &TenantSlug) -> Result<Option<TenantIssuers>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", status AS "status!",
                settings AS "settings!: Json<serde_json::Value>", revision AS "revision!", name AS "name!",
                issuer_id AS "issuer_id?", issuer AS "issuer?", jwks_uri AS "jwks_uri?", algorithms AS "algorithms?",
                subject_claim AS "subject_claim?", subject_prefix AS "subject_prefix?",
                scope_map AS "scope_map?: Json<serde_json::Value>", toolsets AS "toolsets?", read_only AS "read_only?",
                provisioning AS "provisioning?"
            FROM issuers_for_sign_in($1)"#,
            slug.as_str()
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        let mut found: Option<TenantIssuers> = None;
        for row in rows {
            let known = match &mut found {
                Some(known) => known,
                none => none.insert(TenantIssuers {
                    tenant: tenant(row.tenant_id, &row.slug, &row.status, row.settings.0)?,
                    tenant_revision: row.revision,
                    name: row.name,
                    issuers: Vec::new(),
                }),
            };
            let Some(issuer_id) = row.issuer_id else { continue };
            let whole = || StoreError::not_understood("issuers_for_sign_in", "half an issuer");
            let issuer = Row {
                issuer_id,
                issuer: row.issuer.ok_or_else(whole)?,
                jwks_uri: row.jwks_uri,
                algorithms: row.algorithms.ok_or_else(whole)?,
                subject_claim: row.subject_claim.ok_or_else(whole)?,
                subject_prefix: row.subject_prefix.ok_or_else(whole)?,
                scope_map: row.scope_map.ok_or_else(whole)?,
                toolsets: row.toolsets,
                read_only: row.read_only.ok_or_else(whole)?,
                provisioning: row.provisioning.ok_or_else(whole)?,
                enabled: true,
                revision: 0,
                created_at: DateTime::UNIX_EPOCH,
                updated_at: DateTime::UNIX_EPOCH,
            };
            known.issuers.push(issuer.into_issuer()?);
        }
        Ok(found)
    }
}

/// The person whom a token of `issuer` names; `None` if there is nobody of that name, if that person is being erased, or
/// if another issuer of the tenant speaks for such names.
pub async fn person(
    transaction: &mut TenantTransaction,
    issuer: &Issuer,
    subject: &str,
) -> Result<Option<UserId>, StoreError> {
    let user =
        sqlx::query_scalar!("SELECT issuer_person($1, $2)", issuer.id.0, issuer.external_subject(subject))
            .fetch_one(transaction.connection())
            .await?;
    Ok(user.map(Into::into))
}

/// Adds that person, as `user` unless someone was faster; `None` if the issuer may not add people, or not this one.
///
/// # Errors
/// [`StoreError::Missing`] if the tenant is being deleted.
pub async fn add_person(
    transaction: &mut TenantTransaction,
    issuer: &Issuer,
    subject: &str,
    user: UserId,
) -> Result<Option<UserId>, StoreError> {
    let external = issuer.external_subject(subject);
    let user = sqlx::query_scalar!("SELECT issuer_add_person($1, $2, $3)", issuer.id.0, external, user.0)
        .fetch_one(transaction.connection())
        .await
        .map_err(StoreError::or_missing("tenant"))?;
    Ok(user.map(Into::into))
}

/// Whether the tenant still accepts tokens of that issuer for that person, who is still there; and the issuer as it is
/// now. For work that goes on after the call that began it.
pub async fn accepted(
    transaction: &mut TenantTransaction,
    id: IssuerId,
    user: UserId,
) -> Result<Option<Issuer>, StoreError> {
    let Some(stored) = super::find(transaction, id).await? else { return Ok(None) };
    let there: Option<Uuid> = sqlx::query_scalar!(
        "SELECT u.user_id FROM users u WHERE u.tenant_id = $1 AND u.user_id = $2 AND u.erasing_at IS NULL",
        transaction.tenant_id().0,
        user.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(there.and(Some(stored.issuer)).filter(|issuer| issuer.enabled))
}
