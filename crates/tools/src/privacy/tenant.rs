//! The deletion of a whole tenant: a deletion of each of its people, then what is its own, then its keys and its name.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stagedoor_audit::Checkpointer;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext};
use stagedoor_storage::erasure::{self, Batch, Spread};
use stagedoor_storage::privacy_requests::{self, Claim, PrivacyRequest, State};

use super::Privacy;
use super::erasing::{Stepped, on};
use crate::records::store_failure;

/// For how many people a deletion is begun at a time, so that other tenants' people do not wait behind all of them.
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
        let today = self.desk.clock.now().date_naive();
        let sealed = checkpointer.seal(ctx, today.pred_opt().into_iter().chain([today])).await;
        sealed.map_err(|error| {
            tracing::warn!(error = %Chain(&error), "a tenant's trail is not signed, so its keys stay for now");
            PublicError::new(ErrorCode::AuditUnavailable, "The trail could not be signed.")
        })?;
        let children = privacy_requests::children(store, ctx, request.id).await;
        let children = children.map_err(|error| store_failure(&error))?;
        let people = json!({ "deleted": children.people, "rows": children.rows });
        let additions: Map<String, Value> = Map::from_iter([("people".to_owned(), people)]);
        let receipt = self.sign_receipt(ctx, request, additions).await?;
        let destroyed = erasure::destroy_tenant(store, ctx, claim, &receipt).await;
        on(destroyed)?;
        Ok(Stepped::Over)
    }
}
