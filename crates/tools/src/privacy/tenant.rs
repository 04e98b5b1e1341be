//! The deletion of a whole tenant: a deletion of each of its people, then what is its own, then its keys and its name.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stagedoor_audit::{Checkpointer, SealError};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext};
use stagedoor_storage::erasure::{self, Batch, Spread};
use stagedoor_storage::privacy_requests::{self, Claim, PrivacyRequest, State};

use super::Privacy;
use super::erasing::{Stepped, on};
use crate::records::store_failure;

/// For how many people a deletion is under way at a time, so that other tenants' people do not wait behind all of them.
const AT_A_TIME: u32 = 50;
/// How often it is looked whether the people are deleted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Privacy {
    /// One step of a tenant's deletion, but the last.
    pub(super) async fn tenant_step(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        request: &PrivacyRequest,
    ) -> Result<Stepped, PublicError> {
        match request.state {
            State::Verified => self.spread(ctx, claim).await,
            State::Revoked => self.erase_tenant(ctx, claim).await,
            _ => Ok(Stepped::Over),
        }
    }

    /// Verified → revoked: nobody is left.
    async fn spread(&self, ctx: &TenantContext, claim: &Claim) -> Result<Stepped, PublicError> {
        let store = self.desk.vault().store();
        let spread = erasure::spread(store, ctx, claim, AT_A_TIME).await;
        match spread.map_err(|error| store_failure(&error))? {
            Spread::Lost => Ok(Stepped::Over),
            Spread::Ours { left: 0, .. } => {
                let states = (State::Verified, State::Revoked);
                let advanced = privacy_requests::advance(store, ctx, claim, states, &Map::new()).await;
                Ok(on(advanced)?.unwrap_or(Stepped::On))
            }
            Spread::Ours { .. } => Ok(Stepped::After(LOOK_EVERY)),
        }
    }

    /// Revoked → erased.
    async fn erase_tenant(&self, ctx: &TenantContext, claim: &Claim) -> Result<Stepped, PublicError> {
        let store = self.desk.vault().store();
        loop {
            match erasure::erase_tenant_batch(store, ctx, claim)
                .await
                .map_err(|error| store_failure(&error))?
            {
                Batch::Erased { .. } => {}
                Batch::Nothing => break,
                Batch::Lost => return Ok(Stepped::Over),
            }
        }
        let states = (State::Revoked, State::Erased);
        let advanced = privacy_requests::advance(store, ctx, claim, states, &Map::new()).await;
        Ok(on(advanced)?.unwrap_or(Stepped::On))
    }

    /// Erased → done. Nothing can be recorded under the tenant after it.
    pub(super) async fn end_tenant(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        request: &PrivacyRequest,
        checkpointer: &Checkpointer,
    ) -> Result<Stepped, PublicError> {
        let store = self.desk.vault().store();
        match checkpointer.seal_all(ctx).await {
            Ok(_) => {}
            Err(SealError::Archive(error)) => {
                // They are in the database, and are brought there without the tenant's keys.
                tracing::warn!(error = %Chain(&error), "the archive gets a deleted tenant's last checkpoints later");
            }
            Err(SealError::Store(error)) => {
                tracing::warn!(error = %Chain(&error), "a tenant's trail is not signed, so its keys stay for now");
                return Err(PublicError::new(ErrorCode::AuditUnavailable, "The trail could not be signed."));
            }
        }
        let children = privacy_requests::children(store, ctx, request.id).await;
        let children = children.map_err(|error| store_failure(&error))?;
        let people = json!({ "deleted": children.people, "rows": children.rows });
        let additions: Map<String, Value> = Map::from_iter([
            ("people".to_owned(), people),
            ("public_keys".to_owned(), self.public_keys_afterwards(ctx).into()),
        ]);
        let receipt = self.sign_receipt(ctx, request, additions).await?;
        let destroyed = erasure::destroy_tenant(store, ctx, claim, &receipt).await;
        on(destroyed)?;
        Ok(Stepped::Over)
    }

    /// Where the tenant's public keys are once its name is gone: its slug is the one that `privacy_destroy_tenant` gives.
    fn public_keys_afterwards(&self, ctx: &TenantContext) -> String {
        let base = self.options.public_url.as_str().trim_end_matches('/');
        format!("{base}/t/deleted-{}/.well-known/signing-keys", ctx.tenant_id().0.simple())
    }
}
