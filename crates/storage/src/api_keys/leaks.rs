//! The end of a key that someone found in public and sent in, an agent's or the admin API's. Whether what was sent is the
//! key, the caller checks; the database demands the digest once more.

use sqlx::types::Json;
use stagedoor_crypto::{ApiKeyDigest, KeyMode};
use stagedoor_domain::{ApiKeyId, Tenant};
use uuid::Uuid;

use super::row;
use crate::error::StoreError;
use crate::store::Store;
use crate::tenants::tenant;

/// A key that a report names.
#[derive(Debug, Clone)]
pub struct ReportedKey {
    /// Its tenant, whatever its status; the platform's own for an admin key that is bound to none.
    pub tenant: Tenant,
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub mode: KeyMode,
    /// What the key that was sent must match.
    pub digest: ApiKeyDigest,
    /// Whether it was revoked before.
    pub revoked: bool,
}

struct Row {
    tenant_id: Uuid,
    slug: String,
    status: String,
    settings: Json<serde_json::Value>,
    key_id: String,
    pepper_version: i16,
    digest: Vec<u8>,
    revoked: bool,
}

impl Store {
    /// The key of that id, of whichever tenant, revoked ones too. Needs no tenant context.
    pub async fn reported_key(
        &self,
        mode: KeyMode,
        id: &ApiKeyId,
    ) -> Result<Option<ReportedKey>, StoreError> {
        let row = match mode {
            KeyMode::Live | KeyMode::Test => self.reported_agent_key(id).await?,
            KeyMode::Admin => self.reported_admin_key(id).await?,
        };
        row.map(|row| row.into_key(mode)).transpose()
    }

    /// Revokes a key that was found in public; `false` if it was revoked meanwhile, or is stored under another digest by
    /// now. Needs no tenant context.
    pub async fn revoke_leaked_key(&self, key: &ReportedKey) -> Result<bool, StoreError> {
        let version = row::pepper_version(&key.digest)?;
        match key.mode {
            KeyMode::Live | KeyMode::Test => {
                let query = sqlx::query_scalar!(
                    r#"SELECT revoke_leaked_api_key($1, $2, $3, $4) AS "revoked!""#,
                    key.tenant.id.0,
                    key.id.as_str(),
                    version,
                    &key.digest.hmac[..]
                );
                self.outside(async |connection| Ok(query.fetch_one(connection).await?)).await
            }
            KeyMode::Admin => {
                let query = sqlx::query_scalar!(
                    r#"SELECT revoke_leaked_admin_key($1, $2, $3) AS "revoked!""#,
                    key.id.as_str(),
                    version,
                    &key.digest.hmac[..]
                );
                self.outside(async |connection| Ok(query.fetch_one(connection).await?)).await
            }
        }
    }

    async fn reported_agent_key(&self, id: &ApiKeyId) -> Result<Option<Row>, StoreError> {
        let query = sqlx::query_as!(
            Row,
            r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", status AS "status!",
                settings AS "settings!: Json<serde_json::Value>", key_id AS "key_id!",
                pepper_version AS "pepper_version!", digest AS "digest!", revoked AS "revoked!"
            FROM reported_api_key($1)"#,
            id.as_str()
        );
        self.outside(async |connection| Ok(query.fetch_optional(connection).await?)).await
    }

    async fn reported_admin_key(&self, id: &ApiKeyId) -> Result<Option<Row>, StoreError> {
        let query = sqlx::query_as!(
            Row,
            r#"SELECT tenant_id AS "tenant_id!", slug AS "slug!", status AS "status!",
                settings AS "settings!: Json<serde_json::Value>", key_id AS "key_id!",
                pepper_version AS "pepper_version!", digest AS "digest!", revoked AS "revoked!"
            FROM reported_admin_key($1)"#,
            id.as_str()
        );
        self.outside(async |connection| Ok(query.fetch_optional(connection).await?)).await
    }
}

impl Row {
    fn into_key(self, mode: KeyMode) -> Result<ReportedKey, StoreError> {
        Ok(ReportedKey {
            tenant: tenant(self.tenant_id, &self.slug, &self.status, self.settings.0)?,
            id: row::key_id(&self.key_id)?,
            mode,
            digest: row::digest(self.pepper_version, self.digest)?,
            revoked: self.revoked,
        })
    }
}
