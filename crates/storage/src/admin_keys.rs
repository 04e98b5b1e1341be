//! Keys of the admin API: whose they are, what they are for, and when they were used last. No tenant's table: a key is found
//! before anything is known of its caller. For stores of provisioning's role.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_crypto::ApiKeyDigest;
use stagedoor_domain::{ApiKeyId, TenantId, TenantSlug, TenantStatus};

use crate::api_keys::row;
use crate::error::StoreError;
use crate::rotation::PepperUse;
use crate::store::Store;
use crate::tenants;

/// What an admin may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdminRole {
    /// Runs the installation.
    PlatformOperator,
    /// Runs one tenant.
    TenantAdmin,
    /// Reads, and changes nothing.
    Auditor,
}

/// What is told of an admin key, and what it is checked against.
#[derive(Debug, Clone)]
pub struct AdminKey {
    /// The public part of the key.
    pub id: ApiKeyId,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub role: AdminRole,
    /// The only tenant that it is for, with its name in URLs and how it stands.
    pub bound_to: Option<(TenantId, TenantSlug, TenantStatus)>,
    /// What a presented key is checked against.
    pub digest: ApiKeyDigest,
    /// The networks that it may call from; empty means any.
    pub allowed_networks: Vec<IpNet>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was used last, exact to [`USE_NOTED_EVERY`].
    pub last_used_at: Option<DateTime<Utc>>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A key to be stored.
#[derive(Debug, Clone)]
pub struct NewAdminKey {
    /// The public part of the key.
    pub id: ApiKeyId,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub role: AdminRole,
    /// The only tenant that it is for.
    pub bound_to: Option<TenantId>,
    /// What a presented key is checked against.
    pub digest: ApiKeyDigest,
    /// The networks that it may call from; empty means any.
    pub allowed_networks: Vec<IpNet>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who makes it.
    pub created_by: String,
}

/// Which keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Those of the installation and of every tenant.
    Anywhere,
    /// Those of one tenant.
    To(TenantId),
}

/// How exactly it is known when a key was used last.
pub const USE_NOTED_EVERY: std::time::Duration = std::time::Duration::from_mins(10);

impl AdminRole {
    const ALL: [Self; 3] = [Self::PlatformOperator, Self::TenantAdmin, Self::Auditor];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlatformOperator => "platform_operator",
            Self::TenantAdmin => "tenant_admin",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that text form.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub(crate) fn read(text: &str) -> Result<Self, StoreError> {
        Self::named(text).ok_or_else(|| StoreError::not_understood("admin_keys.role", text))
    }
}

impl AdminKey {
    /// Whether the key would be accepted at `now`. One of a tenant that is being deleted would not.
    pub fn is_valid_at(&self, now: DateTime<Utc>) -> bool {
        let gone = |status| matches!(status, TenantStatus::Deleting | TenantStatus::Deleted);
        self.revoked_at.is_none()
            && self.expires_at.is_none_or(|end| now < end)
            && !self.bound_to.as_ref().is_some_and(|(_, _, status)| gone(*status))
    }
}

impl Store {
    /// The key of that id, revoked or not.
    pub async fn find_admin_key(&self, id: &ApiKeyId) -> Result<Option<AdminKey>, StoreError> {
        let rows = self.admin_keys(Bound::Anywhere, Some(id), None, 1).await?;
        Ok(rows.into_iter().next())
    }

    /// At most `most` keys behind `after`, in the order of their ids.
    pub async fn admin_keys_after(
        &self,
        bound: Bound,
        after: Option<&ApiKeyId>,
        most: u32,
    ) -> Result<Vec<AdminKey>, StoreError> {
        self.admin_keys(bound, None, after, most).await
    }

    async fn admin_keys(
        &self,
        bound: Bound,
        only: Option<&ApiKeyId>,
        after: Option<&ApiKeyId>,
        most: u32,
    ) -> Result<Vec<AdminKey>, StoreError> {
        let bound = match bound {
            Bound::Anywhere => None,
            Bound::To(tenant) => Some(tenant.0),
        };
        let query = sqlx::query_as!(
            Row,
            r#"SELECT k.key_id, k.name, k.role, k.bound_to, t.slug AS "slug?", t.status AS "status?", k.pepper_version,
                k.digest, k.allowed_networks AS "allowed_networks: Vec<IpNet>", k.expires_at, k.revoked_at,
                k.last_used_at, k.created_by, k.created_at
            FROM admin_keys k LEFT JOIN tenants t ON t.tenant_id = k.bound_to
            WHERE ($1::uuid IS NULL OR k.bound_to = $1) AND ($2::text IS NULL OR k.key_id = $2)
                AND ($3::text IS NULL OR k.key_id > $3)
            ORDER BY k.key_id LIMIT $4"#,
            bound,
            only.map(ApiKeyId::as_str),
            after.map(ApiKeyId::as_str),
            i64::from(most)
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        rows.into_iter().map(Row::read).collect()
    }

    /// Stores a key; `false` if there is one of that id already.
    pub async fn insert_admin_key(&self, key: &NewAdminKey) -> Result<bool, StoreError> {
        let pepper_version = row::pepper_version(&key.digest)?;
        let insert = sqlx::query!(
            "INSERT INTO admin_keys (key_id, name, role, bound_to, pepper_version, digest, allowed_networks, \
                expires_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            key.id.as_str(),
            key.name,
            key.role.as_str(),
            key.bound_to.map(|tenant| tenant.0),
            pepper_version,
            &key.digest.hmac[..],
            &key.allowed_networks as &[IpNet],
            key.expires_at,
            key.created_by
        );
        let done = self.outside(async |connection| Ok(insert.execute(connection).await?)).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Revokes a key; `false` if it was revoked already, or is the only one of an operator that is valid at `now`, without
    /// which nobody could make another.
    pub async fn revoke_admin_key(
        &self,
        id: &ApiKeyId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.outside(async |connection| {
            // Two that are revoked at one moment would each see the other.
            sqlx::query!("LOCK TABLE admin_keys IN SHARE ROW EXCLUSIVE MODE")
                .execute(&mut *connection)
                .await?;
            let done = sqlx::query!(
                "UPDATE admin_keys k SET revoked_at = $3, revoked_reason = $2
                WHERE k.key_id = $1 AND k.revoked_at IS NULL AND (k.role <> 'platform_operator' OR EXISTS (
                    SELECT FROM admin_keys o WHERE o.role = 'platform_operator' AND o.key_id <> k.key_id
                        AND o.revoked_at IS NULL AND (o.expires_at IS NULL OR o.expires_at > $3)))",
                id.as_str(),
                reason,
                now
            );
            Ok(done.execute(connection).await?.rows_affected() == 1)
        })
        .await
    }

    /// Stores the digest of a key that was presented under a newer pepper; `false` if what is stored is no longer `old`.
    pub async fn repepper_admin_key(
        &self,
        id: &ApiKeyId,
        old: &ApiKeyDigest,
        new: &ApiKeyDigest,
    ) -> Result<bool, StoreError> {
        let store = sqlx::query!(
            "UPDATE admin_keys SET pepper_version = $4, digest = $5
            WHERE key_id = $1 AND revoked_at IS NULL AND pepper_version = $2 AND digest = $3 AND $4 > $2",
            id.as_str(),
            row::pepper_version(old)?,
            &old.hmac[..],
            row::pepper_version(new)?,
            &new.hmac[..]
        );
        let done = self.outside(async |connection| Ok(store.execute(connection).await?)).await?;
        Ok(done.rows_affected() == 1)
    }

    /// The peppers that keys are stored under which would be accepted at `now`, the oldest first. For the keeper's role
    /// too.
    pub async fn admin_key_peppers(&self, now: DateTime<Utc>) -> Result<Vec<PepperUse>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT pepper_version, count(*) AS "keys!" FROM admin_keys
            WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)
            GROUP BY pepper_version ORDER BY pepper_version"#,
            now
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        rows.into_iter().map(|row| PepperUse::read(row.pepper_version, row.keys)).collect()
    }

    /// Notes that a key is used at `now`, if that was not noted lately.
    pub async fn note_admin_key_use(&self, id: &ApiKeyId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let note = sqlx::query!(
            "UPDATE admin_keys SET last_used_at = $2 WHERE key_id = $1
                AND (last_used_at IS NULL OR last_used_at < $2::timestamptz - make_interval(secs => $3))",
            id.as_str(),
            now,
            USE_NOTED_EVERY.as_secs_f64()
        );
        self.outside(async |connection| Ok(note.execute(connection).await?)).await?;
        Ok(())
    }
}

struct Row {
    key_id: String,
    name: String,
    role: String,
    bound_to: Option<uuid::Uuid>,
    slug: Option<String>,
    status: Option<String>,
    pepper_version: i16,
    digest: Vec<u8>,
    allowed_networks: Vec<IpNet>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<AdminKey, StoreError> {
        let wrong = |what, found: &str| StoreError::not_understood(what, found);
        let bound_to = match (self.bound_to, self.slug, self.status) {
            (Some(id), Some(slug), Some(status)) => {
                let slug = slug.parse().map_err(|_| wrong("tenants.slug", &slug))?;
                Some((TenantId(id), slug, tenants::status(&status)?))
            }
            _ => None,
        };
        Ok(AdminKey {
            id: self.key_id.parse().map_err(|_| wrong("admin_keys.key_id", &self.key_id))?,
            name: self.name,
            role: AdminRole::read(&self.role)?,
            bound_to,
            digest: row::digest(self.pepper_version, self.digest)?,
            allowed_networks: self.allowed_networks,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            last_used_at: self.last_used_at,
            created_by: self.created_by,
            created_at: self.created_at,
        })
    }
}
