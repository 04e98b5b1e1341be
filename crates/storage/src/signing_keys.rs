//! The keys with which a tenant signs. One signs at a time; the public halves of all of them are kept for good.

use chrono::{DateTime, Utc};
use stagedoor_crypto::{KeyOwner, SealContext, SigningKey, VerifyingKey};
use stagedoor_domain::{TenantContext, TenantId, TenantSlug};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// The public half of a key, and since when it signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicSigningKey {
    /// The key.
    pub key: VerifyingKey,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Whether it signs now.
    pub active: bool,
}

/// The key that signs for the tenant now; made if there is none.
pub async fn active(vault: &KeyVault, context: &TenantContext) -> Result<SigningKey, StoreError> {
    if let Some(key) = load(vault, context).await? {
        return Ok(key);
    }
    make(vault, context).await?;
    // Another replica may have been faster: what is stored counts, not what was made here.
    load(vault, context).await?.ok_or(StoreError::Missing("signing key"))
}

/// Every key that ever signed for the tenant, oldest first.
pub async fn public_keys(transaction: &mut TenantTransaction) -> Result<Vec<PublicSigningKey>, StoreError> {
    let rows = sqlx::query!(
        "SELECT key_id, public_key, created_at, state FROM signing_keys WHERE tenant_id = $1
        ORDER BY created_at, key_id",
        transaction.tenant_id().0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = VerifyingKey::new(row.key_id, &row.public_key);
            let unusable = || StoreError::not_understood("signing_keys.public_key", row.key_id.to_string());
            let key = key.ok_or_else(unusable)?;
            Ok(PublicSigningKey { key, created_at: row.created_at, active: row.state == "active" })
        })
        .collect()
}

impl Store {
    /// Every public key of the tenant of that slug, oldest first; none if there is no such tenant. Needs no tenant
    /// context.
    pub async fn public_signing_keys(&self, slug: &TenantSlug) -> Result<Vec<VerifyingKey>, StoreError> {
        let query = sqlx::query!(
            r#"SELECT key_id AS "key_id!", public_key AS "public_key!" FROM public_signing_keys($1)"#,
            slug.as_str()
        );
        let rows = self.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
        rows.into_iter()
            .map(|row| {
                let unusable =
                    || StoreError::not_understood("signing_keys.public_key", row.key_id.to_string());
                VerifyingKey::new(row.key_id, &row.public_key).ok_or_else(unusable)
            })
            .collect()
    }
}

async fn load(vault: &KeyVault, context: &TenantContext) -> Result<Option<SigningKey>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let row = sqlx::query!(
            "SELECT key_id, private_key, revision FROM signing_keys WHERE tenant_id = $1 AND state = 'active'",
            tx.tenant_id().0
        );
        Ok::<_, StoreError>(row.fetch_optional(tx.connection()).await?)
    };
    let Some(row) = vault.store().with_tenant(context, read).await? else { return Ok(None) };
    let sealed = row.private_key.ok_or(StoreError::Missing("signing key"))?;
    let place = place(context.tenant_id(), row.key_id, row.revision);
    let seed = vault.open(context, &place, &sealed, "a signing key").await?;
    let unusable = || StoreError::not_understood("signing_keys.private_key", row.key_id.to_string());
    SigningKey::from_seed(row.key_id, &seed).ok_or_else(unusable).map(Some)
}

async fn make(vault: &KeyVault, context: &TenantContext) -> Result<(), StoreError> {
    let key = generate(vault, context).await?;
    vault.store().with_tenant(context, async |tx| key.insert(tx).await).await
}

/// A key to be stored as the active one.
pub(crate) struct NewSigningKey {
    id: Uuid,
    public: [u8; 32],
    sealed: Vec<u8>,
    now: DateTime<Utc>,
}

/// Makes a key and seals it under the tenant's.
pub(crate) async fn generate(vault: &KeyVault, context: &TenantContext) -> Result<NewSigningKey, StoreError> {
    let mut id = [0; 16];
    vault.entropy().fill(&mut id);
    // Not by time: an id is public, and when a tenant began is its own affair.
    let id = uuid::Builder::from_random_bytes(id).into_uuid();
    let key = SigningKey::generate(id, vault.entropy());
    let place = place(context.tenant_id(), key.id(), 1);
    let sealed = vault.seal(context, KeyOwner::Tenant, &place, key.seed()).await?;
    Ok(NewSigningKey { id: key.id(), public: *key.verifying_key().bytes(), sealed, now: vault.clock().now() })
}

impl NewSigningKey {
    /// Stores it, unless there is an active key.
    pub(crate) async fn insert(&self, transaction: &mut TenantTransaction) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO signing_keys (tenant_id, key_id, public_key, private_key, created_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            transaction.tenant_id().0,
            self.id,
            &self.public[..],
            self.sealed,
            self.now
        )
        .execute(transaction.connection())
        .await?;
        Ok(())
    }
}

fn place(tenant: TenantId, key: Uuid, revision: i64) -> SealContext {
    SealContext { tenant, table: "signing_keys", column: "private_key", row: key, revision }
}
