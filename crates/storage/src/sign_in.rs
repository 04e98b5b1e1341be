//! The look-up that authentication makes, before a tenant is known: one key of one tenant, or nothing.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::types::Json;
use stagedoor_crypto::ApiKeyDigest;
use stagedoor_domain::{
    ApiKeyId, Principal, PrincipalKind, Scope, Tenant, TenantId, TenantSlug, Toolset, ToolsetSet,
};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::Store;
use crate::tenants::tenant;

/// A key that was not revoked, its tenant, and the principal that it makes. Whether the secret fits, the key is
/// still valid and the tenant is served is for the caller to check.
#[derive(Debug, Clone)]
pub struct StoredApiKey {
    /// The tenant.
    pub tenant: Tenant,
    /// Raised by each change of the tenant.
    pub tenant_revision: i64,
    /// Who the key stands for, with expiry and networks.
    pub principal: Principal,
    /// What the presented key must match.
    pub digest: ApiKeyDigest,
}

struct Row {
    tenant_id: Uuid,
    slug: String,
    status: String,
    settings: Json<serde_json::Value>,
    revision: i64,
    key_id: String,
    pepper_version: i16,
    digest: Vec<u8>,
    scopes: Vec<String>,
    toolsets: Option<Vec<String>>,
    read_only: bool,
    user_id: Option<Uuid>,
    allowed_networks: Vec<IpNet>,
    expires_at: Option<DateTime<Utc>>,
}

impl Store {
    /// The key `id` of the tenant `slug`, if both exist and the key was not revoked. Needs no tenant context; sees
    /// no other key and no other tenant.
    pub async fn find_api_key(
        &self,
        slug: &TenantSlug,
        id: &ApiKeyId,
    ) -> Result<Option<StoredApiKey>, StoreError> {
        let query = sqlx::query_as!(
            Row,
            r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", status AS "status!",
                settings AS "settings!: Json<serde_json::Value>", revision AS "revision!", key_id AS "key_id!",
                pepper_version AS "pepper_version!", digest AS "digest!", scopes AS "scopes!", toolsets AS "toolsets?",
                read_only AS "read_only!", user_id AS "user_id?", allowed_networks AS "allowed_networks!: Vec<IpNet>",
                expires_at AS "expires_at?"
            FROM api_key_for_sign_in($1, $2)"#,
            slug.as_str(),
            id.as_str()
        );
        let row = self.outside(async |connection| Ok(query.fetch_optional(connection).await?)).await?;
        row.map(Row::into_key).transpose()
    }

    /// Stores the digest of a key that was presented under a newer pepper; `false` if what is stored is no longer `old`.
    /// Needs no tenant context.
    pub async fn repepper_api_key(
        &self,
        tenant: TenantId,
        id: &ApiKeyId,
        old: &ApiKeyDigest,
        new: &ApiKeyDigest,
    ) -> Result<bool, StoreError> {
        let version = |digest: &ApiKeyDigest| {
            i16::try_from(digest.pepper_version).map_err(|_| {
                StoreError::not_understood("the pepper's version", digest.pepper_version.to_string())
            })
        };
        let query = sqlx::query_scalar!(
            r#"SELECT api_key_repepper($1, $2, $3, $4, $5, $6) AS "stored!""#,
            tenant.0,
            id.as_str(),
            version(old)?,
            &old.hmac[..],
            version(new)?,
            &new.hmac[..]
        );
        self.outside(async |connection| Ok(query.fetch_one(connection).await?)).await
    }
}

impl Row {
    fn into_key(self) -> Result<StoredApiKey, StoreError> {
        let key_id: ApiKeyId =
            self.key_id.parse().map_err(|_| StoreError::not_understood("api_keys.key_id", &self.key_id))?;
        let pepper_version = u16::try_from(self.pepper_version).map_err(|_| {
            StoreError::not_understood("api_keys.pepper_version", self.pepper_version.to_string())
        })?;
        let hmac = <[u8; 32]>::try_from(self.digest)
            .map_err(|_| StoreError::not_understood("api_keys.digest", "another length"))?;
        // A scope or toolset of a later release grants nothing here: less than was meant, never more.
        let scopes = self.scopes.iter().filter_map(|text| text.parse::<Scope>().ok()).collect();
        let toolsets = match &self.toolsets {
            None => ToolsetSet::all(),
            Some(names) => names.iter().filter_map(|text| text.parse::<Toolset>().ok()).collect(),
        };
        let principal = Principal {
            kind: PrincipalKind::ApiKey(key_id),
            user: self.user_id.map(Into::into),
            scopes,
            toolsets,
            read_only: self.read_only,
            expires_at: self.expires_at,
            allowed_networks: self.allowed_networks,
        };
        let tenant = tenant(self.tenant_id, &self.slug, &self.status, self.settings.0)?;
        let digest = ApiKeyDigest { pepper_version, hmac };
        Ok(StoredApiKey { tenant, tenant_revision: self.revision, principal, digest })
    }
}
