//! The look-up that authentication makes, before a tenant is known: one key of one tenant, or nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::types::Json;
use stagedoor_crypto::ApiKeyDigest;
use stagedoor_domain::{ApiKeyId, Principal, PrincipalKind, Tenant, TenantId, TenantSlug, ToolsetSet};
use uuid::Uuid;

use crate::api_keys::row;
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
    /// Raised by each change of the key.
    pub key_revision: i64,
    /// What the presented key must match.
    pub digest: ApiKeyDigest,
    /// How long ago its last use was noted; `None` if none was.
    pub unused: Option<Duration>,
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
    key_revision: i64,
    unused_seconds: Option<f64>,
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
                expires_at AS "expires_at?", key_revision AS "key_revision!", unused_seconds AS "unused_seconds?"
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
        let query = sqlx::query_scalar!(
            r#"SELECT api_key_repepper($1, $2, $3, $4, $5, $6) AS "stored!""#,
            tenant.0,
            id.as_str(),
            row::pepper_version(old)?,
            &old.hmac[..],
            row::pepper_version(new)?,
            &new.hmac[..]
        );
        self.outside(async |connection| Ok(query.fetch_one(connection).await?)).await
    }
}

impl Row {
    fn into_key(self) -> Result<StoredApiKey, StoreError> {
        let principal = Principal {
            kind: PrincipalKind::ApiKey(row::key_id(&self.key_id)?),
            user: self.user_id.map(Into::into),
            scopes: row::scopes(&self.scopes),
            toolsets: self.toolsets.as_deref().map_or_else(ToolsetSet::all, row::toolsets),
            read_only: self.read_only,
            expires_at: self.expires_at,
            allowed_networks: self.allowed_networks,
        };
        let tenant = tenant(self.tenant_id, &self.slug, &self.status, self.settings.0)?;
        Ok(StoredApiKey {
            tenant,
            tenant_revision: self.revision,
            key_revision: self.key_revision,
            principal,
            digest: row::digest(self.pepper_version, self.digest)?,
            unused: self
                .unused_seconds
                .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        })
    }
}
