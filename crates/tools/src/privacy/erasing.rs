//! The worker's part of a deletion: one step after the other, each done by whichever replica has the claim, each harmless
//! if it is done again. A step that fails waits a while and is tried anew; nothing is ever skipped.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Map;
use stagedoor_audit::{AuditAction, AuditClient, AuditResource, Checkpointer};
use stagedoor_domain::{ApiKeyId, PublicError, TenantContext, UserId};
use stagedoor_storage::StoreError;
use stagedoor_storage::erasure::{self, Batch, Destroyed};
use stagedoor_storage::privacy_requests::{self, CLAIMED, Claim, PrivacyRequest, State};
use tokio_util::sync::CancellationToken;

use super::forgetting::Forgotten;
use super::revoking::{Revocations, Settled};
use super::{Privacy, PrivacyKind, receipt};
use crate::desk::internal;
use crate::records::store_failure;

/// The member of a request's progress that says what became of the grants.
const GRANTS: &str = "grants";
/// The member with the ids of the person's keys, whose quotas are forgotten after their rows are gone.
const KEYS: &str = "keys";
/// How long it is waited after a failure, by how often the request was claimed.
const AFTER_FAILURE: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
];

/// How long it is waited for a Redis that is away, and up to how many claims; then the receipt says so.
const FORGET_AGAIN_AFTER: Duration = Duration::from_secs(30);
const FORGET_WITHIN_CLAIMS: u64 = 30;

/// What a step came to.
pub(super) enum Stepped {
    /// It is done; the next one can begin.
    On,
    /// It goes on after this long.
    After(Duration),
    /// All is done, or somebody else has the claim.
    Over,
}

impl Privacy {
    /// Works on a claimed deletion until it is done, has to wait, or `stop`; then after its present step.
    /// `checkpointer` signs the trail of a tenant before the keys for that are gone.
    pub async fn erase(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        checkpointer: &Checkpointer,
        stop: &CancellationToken,
    ) {
        tokio::select! {
            () = self.steps(ctx, claim, checkpointer, stop) => {}
            () = self.keep(ctx, claim) => {
                tracing::warn!(request = %claim.request, "the claim on a deletion was lost; whoever has it goes on");
            }
        }
    }

    async fn steps(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        checkpointer: &Checkpointer,
        stop: &CancellationToken,
    ) {
        while !stop.is_cancelled() {
            match Box::pin(self.step(ctx, claim, checkpointer)).await {
                Ok(Stepped::On) => {}
                Ok(Stepped::After(wait)) => return self.give_back(ctx, claim, wait).await,
                Ok(Stepped::Over) => return,
                Err((error, claims)) => {
                    let wait = AFTER_FAILURE[usize::try_from(claims).map_or(4, |claims| claims.min(4))];
                    tracing::warn!(
                        request = %claim.request, code = %error.code, wait_s = wait.as_secs(),
                        "a step of a deletion failed; it is tried again"
                    );
                    return self.give_back(ctx, claim, wait).await;
                }
            }
        }
        self.give_back(ctx, claim, Duration::ZERO).await;
    }

    /// Keeps the claim for as long as it is worked on; ends when it is lost.
    async fn keep(&self, ctx: &TenantContext, claim: &Claim) {
        loop {
            tokio::time::sleep(CLAIMED / 3).await;
            match privacy_requests::hold(self.desk.vault().store(), ctx, claim, CLAIMED).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // Without the store no step gets anywhere either, and each looks at the claim itself.
                    store_failure(&error);
                }
            }
        }
    }

    async fn give_back(&self, ctx: &TenantContext, claim: &Claim, wait: Duration) {
        if let Err(error) = privacy_requests::hold(self.desk.vault().store(), ctx, claim, wait).await {
            // The claim ends by itself then.
            store_failure(&error);
        }
    }

    /// One step within its audit record.
    async fn step(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        checkpointer: &Checkpointer,
    ) -> Result<Stepped, (PublicError, u64)> {
        let load = privacy_requests::load(self.desk.vault().store(), ctx, claim.request).await;
        let request = load.map_err(|error| (store_failure(&error), 1))?;
        let Some(request) = request.filter(|request| !request.state.is_over()) else {
            return Ok(Stepped::Over);
        };
        if let Some(rest) = self.unsettled(&request) {
            return Ok(Stepped::After(rest));
        }
        let claims = request.claims;
        let action = match request.kind {
            PrivacyKind::TenantErasure => AuditAction::TenantErasure,
            PrivacyKind::Erasure | PrivacyKind::Export => AuditAction::ErasureStep,
        };
        let done = match (request.kind, request.state) {
            // After it nothing of the tenant can be recorded any more.
            (PrivacyKind::TenantErasure, State::Erased) => {
                self.end_tenant(ctx, claim, &request, checkpointer).await
            }
            _ => self.recorded_step(ctx, claim, request, action).await,
        };
        done.map_err(|error| (error, claims))
    }

    /// How long the last step still waits, by the database's clock: until no call that began before the confirmation can
    /// be under way on any replica, and put something where it was forgotten.
    fn unsettled(&self, request: &PrivacyRequest) -> Option<Duration> {
        let before_the_last = match request.kind {
            PrivacyKind::TenantErasure => State::Erased,
            PrivacyKind::Erasure | PrivacyKind::Export => State::KeyDestroyed,
        };
        let since = request.since_verified.filter(|_| request.state == before_the_last)?;
        self.options.settle.checked_sub(since).filter(|rest| !rest.is_zero())
    }

    async fn recorded_step(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        request: PrivacyRequest,
        action: AuditAction,
    ) -> Result<Stepped, PublicError> {
        let resource = of_step(&request);
        let record = self.desk.trail().open(ctx, action, &AuditClient::default(), resource).await?;
        let stepped = match (request.kind, request.user) {
            (PrivacyKind::TenantErasure, _) => self.tenant_step(ctx, claim, &request).await,
            (_, Some(user)) => self.person_step(ctx, claim, &request, user).await,
            (_, None) => Ok(Stepped::Over),
        };
        record.close(stepped.as_ref().err().map(|error| error.code)).await;
        stepped
    }

    async fn person_step(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        request: &PrivacyRequest,
        user: UserId,
    ) -> Result<Stepped, PublicError> {
        match request.state {
            State::Verified => self.revoke(ctx, claim, request, user).await,
            State::Revoked => self.erase_rows(ctx, claim).await,
            State::Erased => self.destroy_key(ctx, claim, user).await,
            State::KeyDestroyed => self.finish(ctx, claim, request, user).await,
            State::Requested | State::Done | State::Expired | State::Cancelled => Ok(Stepped::Over),
        }
    }

    /// Verified → revoked.
    async fn revoke(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        request: &PrivacyRequest,
        user: UserId,
    ) -> Result<Stepped, PublicError> {
        let keys = self.desk.keys_of(ctx, user).await?;
        // What is out of reach now is forgotten by the last step.
        self.desk.stop_using(ctx, user, &keys).await?;
        let mut known = revocations(request)?;
        let ended = self.end_grants(ctx, user, &mut known).await;
        let additions = Map::from_iter([
            (GRANTS.to_owned(), serde_json::to_value(&known).map_err(|error| internal(&error))?),
            (KEYS.to_owned(), serde_json::to_value(&keys).map_err(|error| internal(&error))?),
        ]);
        let store = self.desk.vault().store();
        // What is known by now is kept whatever came of the rest.
        let (to, stepped) = match ended {
            Ok(Settled::All) => (State::Revoked, Ok(Stepped::On)),
            Ok(Settled::After(wait)) => (State::Verified, Ok(Stepped::After(wait))),
            Err(error) => (State::Verified, Err(error)),
        };
        let noted = privacy_requests::advance(store, ctx, claim, (State::Verified, to), &additions).await;
        on(noted)?.map_or(stepped, Ok)
    }

    /// Revoked → erased.
    async fn erase_rows(&self, ctx: &TenantContext, claim: &Claim) -> Result<Stepped, PublicError> {
        let store = self.desk.vault().store();
        if !self.erase_all(ctx, claim).await? {
            return Ok(Stepped::Over);
        }
        let nothing = Map::new();
        let advanced =
            privacy_requests::advance(store, ctx, claim, (State::Revoked, State::Erased), &nothing).await;
        Ok(on(advanced)?.unwrap_or(Stepped::On))
    }

    /// Erased → key destroyed.
    async fn destroy_key(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        user: UserId,
    ) -> Result<Stepped, PublicError> {
        loop {
            let destroyed = erasure::destroy_person(self.desk.vault().store(), ctx, claim).await;
            match destroyed.map_err(|error| store_failure(&error))? {
                Destroyed::Done => break,
                Destroyed::RowsLeft if self.erase_all(ctx, claim).await? => {}
                Destroyed::RowsLeft | Destroyed::Lost => return Ok(Stepped::Over),
            }
        }
        self.desk.vault().forget_person(ctx, user);
        Ok(Stepped::On)
    }

    /// Key destroyed → done.
    async fn finish(
        &self,
        ctx: &TenantContext,
        claim: &Claim,
        request: &PrivacyRequest,
        user: UserId,
    ) -> Result<Stepped, PublicError> {
        let forgotten = self.desk.forget_person(ctx, user, &keys(request)?).await?;
        if forgotten == Forgotten::HereOnly && request.claims < FORGET_WITHIN_CLAIMS {
            return Ok(Stepped::After(FORGET_AGAIN_AFTER));
        }
        let remembered = if forgotten == Forgotten::Everywhere { "forgotten" } else { "ends_by_itself" };
        let mut additions = receipt::grants(&revocations(request)?)?;
        additions.insert("answers_kept_for_a_while".to_owned(), remembered.into());
        let receipt = self.sign_receipt(ctx, request, additions).await?;
        let store = self.desk.vault().store();
        let finished = privacy_requests::finish(store, ctx, claim, &receipt).await;
        on(finished)?;
        Ok(Stepped::Over)
    }

    /// `false` if the claim was lost.
    async fn erase_all(&self, ctx: &TenantContext, claim: &Claim) -> Result<bool, PublicError> {
        loop {
            match erasure::erase_batch(self.desk.vault().store(), ctx, claim).await {
                Ok(Batch::Erased { .. }) => {}
                Ok(Batch::Nothing) => return Ok(true),
                Ok(Batch::Lost) => return Ok(false),
                Err(error) => return Err(store_failure(&error)),
            }
        }
    }
}

/// `Some` if the claim was lost.
pub(super) fn on(done: Result<bool, StoreError>) -> Result<Option<Stepped>, PublicError> {
    let held = done.map_err(|error| store_failure(&error))?;
    Ok((!held).then_some(Stepped::Over))
}

fn revocations(request: &PrivacyRequest) -> Result<Revocations, PublicError> {
    Ok(noted(request, GRANTS)?.unwrap_or_default())
}

/// The ids of the person's keys, as they were noted while the rows were there.
fn keys(request: &PrivacyRequest) -> Result<Vec<ApiKeyId>, PublicError> {
    let ids: Vec<String> = noted(request, KEYS)?.unwrap_or_default();
    ids.iter().map(|id| id.parse().map_err(|error| internal(&error))).collect()
}

/// A member of the request's progress.
fn noted<T: DeserializeOwned>(request: &PrivacyRequest, member: &str) -> Result<Option<T>, PublicError> {
    let stored = request.progress.get(member).cloned();
    stored.map(serde_json::from_value).transpose().map_err(|error| internal(&error))
}

/// A request at one of its states, as audit records name it.
fn of_step(request: &PrivacyRequest) -> AuditResource {
    let id = format!("{}/{}", request.id, request.state.as_str());
    AuditResource { kind: "privacy_request", id: id.into() }
}
