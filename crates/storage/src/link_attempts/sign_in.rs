//! The look-ups that a link's pages make, before a tenant is known: one attempt of one tenant, or nothing.

use sqlx::types::Json;
use stagedoor_domain::{LinkAttemptId, Tenant, TenantSlug, UserId};

use crate::error::StoreError;
use crate::store::Store;
use crate::tenants::tenant;

/// A link attempt's tenant and person. Whether the attempt is open and the tenant is served is for the caller.
#[derive(Debug, Clone)]
pub struct LinkSignIn {
    /// The tenant.
    pub tenant: Tenant,
    /// What the tenant calls itself.
    pub tenant_name: String,
    /// The attempt.
    pub attempt: LinkAttemptId,
    /// The person that it is for.
    pub user: UserId,
}

impl Store {
    /// The attempt whose page has a token of that SHA-256. Needs no tenant context; sees no other attempt.
    pub async fn find_link_by_page(
        &self,
        slug: &TenantSlug,
        page_hash: &[u8; 32],
    ) -> Result<Option<LinkSignIn>, StoreError> {
        self.find_link(slug, Some(page_hash), None).await
    }

    /// The attempt that went to the provider with a state of that SHA-256, and that did not begin anew since; one that
    /// came back already is found too. Needs no tenant context; sees no other attempt.
    pub async fn find_link_by_state(
        &self,
        slug: &TenantSlug,
        state_hash: &[u8; 32],
    ) -> Result<Option<LinkSignIn>, StoreError> {
        self.find_link(slug, None, Some(state_hash)).await
    }

    async fn find_link(
        &self,
        slug: &TenantSlug,
        page_hash: Option<&[u8; 32]>,
        state_hash: Option<&[u8; 32]>,
    ) -> Result<Option<LinkSignIn>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", name AS "name!", status AS "status!",
                settings AS "settings!: Json<serde_json::Value>", attempt_id AS "attempt_id!", user_id AS "user_id!"
            FROM link_for_sign_in($1, $2, $3)"#,
            slug.as_str(),
            page_hash.map(|hash| &hash[..]),
            state_hash.map(|hash| &hash[..])
        );
        let row = self.outside(async |connection| Ok(query.fetch_optional(connection).await?)).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(LinkSignIn {
            tenant: tenant(row.tenant_id, &row.slug, &row.status, row.settings.0)?,
            tenant_name: row.name,
            attempt: row.attempt_id.into(),
            user: row.user_id.into(),
        }))
    }
}
