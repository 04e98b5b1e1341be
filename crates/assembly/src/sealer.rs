//! Seals what the cache puts into Redis: a person's answers under that person's key, others under the tenant's.

use std::sync::Arc;

use async_trait::async_trait;
use stagedoor_cache::{Reader, SealError, Sealer};
use stagedoor_crypto::{KeyOwner, SealContext, digest};
use stagedoor_domain::TenantContext;
use stagedoor_storage::{KeyVault, StoreError};
use uuid::Uuid;

/// Seals with the keys of the vault.
#[derive(Debug)]
pub(crate) struct VaultSealer(Arc<KeyVault>);

impl VaultSealer {
    /// A sealer over `vault`.
    pub(crate) fn new(vault: Arc<KeyVault>) -> Self {
        Self(vault)
    }
}

#[async_trait]
impl Sealer for VaultSealer {
    async fn seal(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key_text: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.0.seal(ctx, owner(reader), &place(ctx, key_text), plain).await.map_err(unavailable)
    }

    async fn open(
        &self,
        ctx: &TenantContext,
        _reader: Reader,
        key_text: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let opened = self.0.open(ctx, &place(ctx, key_text), sealed, "a cached answer").await;
        match opened {
            Ok(plain) => Ok(plain.to_vec()),
            Err(StoreError::Unreadable { .. } | StoreError::Missing(_)) => Err(SealError::Altered),
            Err(error) => Err(unavailable(error)),
        }
    }
}

fn owner(reader: Reader) -> KeyOwner {
    match reader {
        Reader::Tenant => KeyOwner::Tenant,
        Reader::User { user, .. } => KeyOwner::Subject(user),
    }
}

/// The full key stands in for the row: a value that was moved to another key does not open.
fn place(ctx: &TenantContext, key_text: &str) -> SealContext {
    let hash = digest::sha256(&[key_text.as_bytes()]);
    let mut row = [0_u8; 16];
    row.copy_from_slice(&hash[..16]);
    SealContext {
        tenant: ctx.tenant_id(),
        table: "cache",
        column: "body",
        row: Uuid::from_bytes(row),
        revision: 0,
    }
}

fn unavailable(error: StoreError) -> SealError {
    SealError::KeyUnavailable(Box::new(error))
}
