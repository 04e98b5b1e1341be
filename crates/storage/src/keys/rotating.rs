//! What a rotation needs of the vault: keys by id, new wraps, and that it forgets.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_crypto::{DataKey, KeyOwner, envelope};
use stagedoor_domain::TenantContext;
use uuid::Uuid;

use super::opened::Handle;
use super::{KeyVault, WrappedKey};
use crate::error::StoreError;

impl KeyVault {
    /// How long keys stay open here.
    pub fn memory(&self) -> Duration {
        self.opened.memory()
    }

    /// The key-encryption key that wraps now.
    pub fn wraps_with(&self) -> Option<Uuid> {
        self.provider.active_id()
    }

    /// Wipes what is open of an owner's keys, so that the next look finds what is stored.
    pub fn forget_owner(&self, context: &TenantContext, owner: KeyOwner) {
        self.opened.close_of(context.tenant_id(), owner);
    }

    /// The tenant's key that an envelope names, for what is sealed and given away: an earlier key of the tenant as long as
    /// it opens, else the present one, under which no other's opens.
    pub async fn tenant_key_of(
        &self,
        context: &TenantContext,
        envelope: &[u8],
    ) -> Result<Arc<DataKey>, StoreError> {
        let present = self.tenant_key(context).await?;
        let Ok(id) = envelope::key_id(envelope) else { return Ok(present) };
        if id == present.id() {
            return Ok(present);
        }
        match self.key_by_id(context, id).await {
            Ok(earlier) if earlier.owner() == KeyOwner::Tenant => Ok(earlier),
            Ok(_) | Err(StoreError::Missing(_)) => Ok(present),
            Err(error) => Err(error),
        }
    }

    /// The key of that id, unless it was destroyed.
    pub(crate) async fn key_by_id(
        &self,
        context: &TenantContext,
        id: Uuid,
    ) -> Result<Arc<DataKey>, StoreError> {
        match self.cached(context, Handle::Id(id)) {
            Some(key) => Ok(key),
            None => Box::pin(self.load_by_id(context, id)).await,
        }
    }

    /// The key of a row, opened anew.
    pub(crate) async fn unwrap_row(
        &self,
        context: &TenantContext,
        row: &WrappedKey,
    ) -> Result<Arc<DataKey>, StoreError> {
        Box::pin(self.unwrap(context, row)).await
    }

    /// The key under the one that is above it now, and that key's id.
    pub(crate) async fn wrap_anew(
        &self,
        context: &TenantContext,
        key: &DataKey,
        revision: i64,
    ) -> Result<(Vec<u8>, Uuid), StoreError> {
        Box::pin(self.wrap(context, key, revision)).await
    }
}
