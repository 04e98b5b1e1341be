//! Reading a stored attempt back.

use chrono::{DateTime, Utc};
use stagedoor_domain::LinkAttemptId;
use uuid::Uuid;

use super::{LinkAttempt, LinkStage};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// An attempt with what only the person's way through needs.
pub(super) struct Stored {
    pub(super) attempt: LinkAttempt,
    pub(super) state_hash: Option<Vec<u8>>,
    pub(super) browser_hash: Option<Vec<u8>>,
    pub(super) verifier: Option<Vec<u8>>,
}

struct Row {
    attempt_id: Uuid,
    user_id: Uuid,
    principal: String,
    agent: String,
    provider: String,
    account_id: Option<Uuid>,
    scopes: Vec<String>,
    stage: String,
    failure: Option<String>,
    state_hash: Option<Vec<u8>>,
    browser_hash: Option<Vec<u8>>,
    verifier: Option<Vec<u8>>,
    retries: i64,
    device: Option<Vec<u8>>,
    revision: i64,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    taken_at: Option<DateTime<Utc>>,
    missing_scopes: Vec<String>,
    finished_at: Option<DateTime<Utc>>,
}

pub(super) async fn select(
    transaction: &mut TenantTransaction,
    id: LinkAttemptId,
) -> Result<Option<Stored>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT attempt_id, user_id, principal, agent, provider, account_id, scopes, stage, failure, state_hash,
            browser_hash, verifier, retries, device, revision, created_at, expires_at, taken_at, missing_scopes,
            finished_at
        FROM link_attempts WHERE tenant_id = $1 AND attempt_id = $2",
        transaction.tenant_id().0,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Row::into_stored).transpose()
}

impl Row {
    fn into_stored(self) -> Result<Stored, StoreError> {
        let stage = match self.stage.as_str() {
            "offered" => LinkStage::Offered,
            "authorizing" => LinkStage::Authorizing,
            "exchanging" => LinkStage::Exchanging,
            "linked" => LinkStage::Linked,
            "declined" => LinkStage::Declined,
            "failed" => LinkStage::Failed,
            other => return Err(StoreError::not_understood("link_attempts.stage", other)),
        };
        let provider = self
            .provider
            .parse()
            .map_err(|_| StoreError::not_understood("link_attempts.provider", &self.provider))?;
        let device = self.device.map(|device| hash(device, "link_attempts.device")).transpose()?;
        let attempt = LinkAttempt {
            id: self.attempt_id.into(),
            user: self.user_id.into(),
            principal: self.principal,
            agent: self.agent,
            provider,
            account: self.account_id.map(Into::into),
            scopes: self.scopes,
            stage,
            failure: self.failure,
            retries: self.retries,
            device,
            revision: self.revision,
            created_at: self.created_at,
            expires_at: self.expires_at,
            taken_at: self.taken_at,
            missing_scopes: self.missing_scopes,
            finished_at: self.finished_at,
        };
        let (state_hash, browser_hash) = (self.state_hash, self.browser_hash);
        Ok(Stored { attempt, state_hash, browser_hash, verifier: self.verifier })
    }
}

pub(super) fn hash(bytes: Vec<u8>, what: &'static str) -> Result<[u8; 32], StoreError> {
    <[u8; 32]>::try_from(bytes).map_err(|_| StoreError::not_understood(what, "another length"))
}
