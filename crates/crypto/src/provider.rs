//! The seam behind which key-encryption keys are: a mounted Secret, a passphrase, a key service. Implementations are in
//! `key-encryption`, but for the plain set of `kek`, which tests use too.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use stagedoor_domain::{Entropy, TenantId};
use uuid::Uuid;

use crate::envelope::OpenError;
use crate::keys::DataKey;

/// Wraps and unwraps tenants' keys. Whoever calls bounds the time and remembers opened keys.
#[async_trait]
pub trait KekProvider: fmt::Debug + Send + Sync + 'static {
    /// Wraps a tenant's key, bound to tenant, key id and revision.
    async fn wrap(
        &self,
        tenant: TenantId,
        key: &DataKey,
        revision: i64,
        entropy: &dyn Entropy,
    ) -> Result<Wrap, KekError>;

    /// Unwraps a tenant's key.
    async fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, KekError>;

    /// The id of the key that would wrap now; none while none may.
    fn active_id(&self) -> Option<Uuid>;

    /// The ids of all keys that unwrap, as far as is known.
    fn ids(&self) -> Vec<Uuid>;

    /// What an operator should mend, without secrets; none while all is well.
    fn problem(&self) -> Option<String>;
}

/// A wrapped key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// What is stored. The first byte is 1 for an envelope of ours and 2 for a key service's; the id of the key that
    /// wrapped it is in bytes 2 to 18 of both.
    pub bytes: Vec<u8>,
    /// The key that wrapped it.
    pub wrapped_by: Uuid,
}

/// Why a tenant's key was not wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// The wrap itself is at fault: no other key and no later try opens it.
    #[error("the wrapped key was altered, or belongs to another tenant, key or revision")]
    Altered,
    /// The key that wrapped it is not at hand here; it may come.
    #[error("it is wrapped under key-encryption key {0}, which is not at hand")]
    UnknownKey(Uuid),
    /// Where the keys are cannot be asked now, or gives none to wrap with; a later try can succeed.
    #[error("{reason}")]
    Unreachable {
        /// What is out of reach, without secrets.
        reason: String,
        /// Why.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl KekError {
    /// Out of reach for a reason that stands for itself.
    pub fn unreachable(reason: impl Into<String>) -> Self {
        Self::Unreachable { reason: reason.into(), source: None }
    }

    /// Whether a later try of the same can succeed.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Altered)
    }
}

impl From<OpenError> for KekError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::OtherKey(id) => Self::UnknownKey(id),
            OpenError::Malformed | OpenError::Altered => Self::Altered,
        }
    }
}
