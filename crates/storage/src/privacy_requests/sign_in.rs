//! The look-up that a request's page makes, before a tenant is known: one request of one tenant, or nothing.

use sqlx::types::Json;
use stagedoor_domain::{PrivacyRequestId, Tenant, TenantSlug, UserId};

use super::{Kind, SHOWN_FOR};
use crate::error::StoreError;
use crate::store::Store;
use crate::tenants::tenant;

/// A request's tenant and person. What may be done with it now is for the caller to check.
#[derive(Debug, Clone)]
pub struct PrivacySignIn {
    /// The tenant.
    pub tenant: Tenant,
    /// What the tenant calls itself.
    pub tenant_name: String,
    /// The request.
    pub request: PrivacyRequestId,
    /// What was asked for.
    pub kind: Kind,
    /// The person; `None` once an erasure is over.
    pub user: Option<UserId>,
}

impl Store {
    /// The request whose page has a token of that SHA-256, in any state, until [`SHOWN_FOR`] after its end. Needs no
    /// tenant context; sees no other request.
    pub async fn find_privacy_page(
        &self,
        slug: &TenantSlug,
        page_hash: &[u8; 32],
    ) -> Result<Option<PrivacySignIn>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", name AS "name!", status AS "status!",
                settings AS "settings!: Json<serde_json::Value>", request_id AS "request_id!", kind AS "kind!",
                user_id AS "user_id?"
            FROM privacy_request_for_sign_in($1, $2, $3)"#,
            slug.as_str(),
            &page_hash[..],
            SHOWN_FOR.as_secs_f64()
        );
        let row = self.outside(async |connection| Ok(query.fetch_optional(connection).await?)).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(PrivacySignIn {
            tenant: tenant(row.tenant_id, &row.slug, &row.status, row.settings.0)?,
            tenant_name: row.name,
            request: row.request_id.into(),
            kind: row.kind.parse()?,
            user: row.user_id.map(Into::into),
        }))
    }
}
