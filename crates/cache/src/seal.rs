//! How the cache asks for private values to be sealed. The keys and the envelope are elsewhere.

use std::fmt::Debug;

use async_trait::async_trait;
use stagedoor_domain::TenantContext;

use crate::key::Reader;

/// Why a value was not sealed or not opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The value is not what was sealed under this key text.
    #[error("the sealed value was changed, or belongs to another key")]
    Altered,
    /// The key to seal or open it with is out of reach; the value may be well.
    #[error("the key for the value is out of reach")]
    KeyUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Seals what leaves this process for Redis.
#[async_trait]
pub trait Sealer: Debug + Send + Sync + 'static {
    /// Seals `plain` for `reader` (a person's values under that person's key, others under the tenant's).
    /// `key_text`, the full key in the cache, is additional data: the value opens under no other.
    async fn seal(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key_text: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError>;

    /// Opens what [`Self::seal`] made with the same reader and key text.
    async fn open(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key_text: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError>;
}
