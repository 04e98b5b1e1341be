//! Tries to link an account: making them, asking how they went, ending them. The person's way through consent and back
//! is in `consent`; what the account gets in the end is in `linked_accounts`.

mod admins;
mod consent;
mod kept;
mod row;
mod sign_in;

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_domain::{ErrorCode, LinkAttemptId, LinkedAccountId, Provider, UserId};

pub use admins::{ADMIN_LABEL, ADMIN_TOKEN_LABEL, AskingAdmin, asking_admin, end_those_of_admins};
pub(crate) use consent::finish;
pub use consent::{Taken, agree, take};
pub use kept::{may_be_in_use, note_missing};
pub use sign_in::LinkSignIn;

use crate::error::StoreError;
use crate::linked_accounts;
use crate::transaction::TenantTransaction;

/// Attempts of one person that may be open at a time; the oldest ends when there is one more.
pub const OPEN_AT_MOST: i64 = 10;
/// How long taking, exchanging and storing a provider's answer may take. Whoever takes longer has lost the attempt.
pub const EXCHANGE_GRACE: TimeDelta = TimeDelta::minutes(2);
/// What an attempt ended with whose answer was taken by a process that did not live to store what came of it.
pub const NOT_KEPT: &str = "link_failed:not_kept";
/// How long an attempt that is over can still be asked about.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::days(1);

/// An attempt to make.
#[derive(Debug, Clone)]
pub struct NewLinkAttempt {
    /// The id.
    pub id: LinkAttemptId,
    /// The person.
    pub user: UserId,
    /// Who asks, as the audit trail names it.
    pub principal: String,
    /// The software that asks, as it calls itself; may be empty.
    pub agent: String,
    /// The provider.
    pub provider: Provider,
    /// The account to link again, if it is one.
    pub account: Option<LinkedAccountId>,
    /// What to ask the provider for, in its words.
    pub scopes: Vec<String>,
    /// SHA-256 of the token in the page's address.
    pub page_hash: [u8; 32],
    /// The keyed hash of the device that asks, if there is a way to tell.
    pub device: Option<[u8; 32]>,
    /// When it is made.
    pub created_at: DateTime<Utc>,
    /// When it ends if the person did not finish.
    pub expires_at: DateTime<Utc>,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkStage {
    /// The person was not at the page yet, or did not answer.
    Offered,
    /// The person agreed and is at the provider.
    Authorizing,
    /// The provider's answer is here and is being exchanged for tokens.
    Exchanging,
    /// The account is linked.
    Linked,
    /// The person declined.
    Declined,
    /// It ended without an account.
    Failed,
}

/// An attempt as it is stored, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAttempt {
    /// The id.
    pub id: LinkAttemptId,
    /// The person.
    pub user: UserId,
    /// Who asked, as the audit trail names it.
    pub principal: String,
    /// The software that asked, as it calls itself; may be empty.
    pub agent: String,
    /// The provider.
    pub provider: Provider,
    /// The account to link again, if it is one; of a linked attempt, the account that was linked.
    pub account: Option<LinkedAccountId>,
    /// What to ask the provider for, in its words.
    pub scopes: Vec<String>,
    /// How far it is.
    pub stage: LinkStage,
    /// What it ended with, if badly, in the words of whoever ended it: an error code, perhaps with a reason.
    pub failure: Option<String>,
    /// How often its request state was renewed.
    pub retries: i64,
    /// The keyed hash of the device that asked.
    pub device: Option<[u8; 32]>,
    /// Raised with each seal of the verifier.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends if the person did not finish.
    pub expires_at: DateTime<Utc>,
    /// When the provider's answer was taken.
    pub taken_at: Option<DateTime<Utc>>,
    /// Of a linked attempt: what was asked for, or granted to the account before, and was not granted this time.
    pub missing_scopes: Vec<String>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What an agent that asks is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOutcome<'a> {
    /// It is not decided yet.
    Open,
    /// This account is linked.
    Linked(LinkedAccountId),
    /// It ended with this failure.
    Ended(&'a str),
}

impl LinkAttempt {
    /// What became of it by `now`; one that nobody finished in time counts as expired. One whose answer was taken is
    /// given [`EXCHANGE_GRACE`] from then on; if it has no end by that, whoever took it is gone, and it ends with
    /// [`NOT_KEPT`].
    pub fn outcome(&self, now: DateTime<Utc>) -> LinkOutcome<'_> {
        match (self.stage, self.account) {
            (LinkStage::Linked, Some(account)) => LinkOutcome::Linked(account),
            (LinkStage::Linked | LinkStage::Declined | LinkStage::Failed, _) => {
                LinkOutcome::Ended(self.failure.as_deref().unwrap_or(ErrorCode::LinkFailed.as_str()))
            }
            (LinkStage::Exchanging, _) if self.taken_at.is_some_and(|at| now < at + EXCHANGE_GRACE) => {
                LinkOutcome::Open
            }
            (LinkStage::Exchanging, _) => LinkOutcome::Ended(NOT_KEPT),
            _ if self.expires_at <= now => LinkOutcome::Ended(ErrorCode::LinkExpired.as_str()),
            _ => LinkOutcome::Open,
        }
    }
}

/// Stores a new attempt. Removes attempts of that person that ended a day ago, and lets the oldest end where more than
/// [`OPEN_AT_MOST`] would be open. [`StoreError::LinkEnded`] if the account to link again is no longer there.
pub async fn insert(transaction: &mut TenantTransaction, attempt: &NewLinkAttempt) -> Result<(), StoreError> {
    // Before any attempt, as unlinking does, or each could wait for what the other holds.
    if let Some(account) = attempt.account
        && !linked_accounts::lock(transaction, account).await?
    {
        return Err(StoreError::LinkEnded);
    }
    remove_forgotten(transaction, attempt.user, attempt.created_at - REMEMBERED_FOR).await?;
    sqlx::query!(
        "INSERT INTO link_attempts (tenant_id, attempt_id, user_id, principal, agent, provider, account_id, scopes, \
            page_hash, device, created_at, expires_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        transaction.tenant_id().0,
        attempt.id.0,
        attempt.user.0,
        attempt.principal,
        attempt.agent,
        attempt.provider.as_str(),
        attempt.account.map(|account| account.0),
        &attempt.scopes,
        &attempt.page_hash[..],
        attempt.device.as_ref().map(|device| &device[..]),
        attempt.created_at,
        attempt.expires_at
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("a link attempt of that id or page"))?;
    end_oldest(transaction, attempt.user, attempt.created_at).await
}

/// The attempt of that id, whichever person's; a caller that acts for a principal compares it.
pub async fn find(
    transaction: &mut TenantTransaction,
    id: LinkAttemptId,
) -> Result<Option<LinkAttempt>, StoreError> {
    Ok(row::select(transaction, id).await?.map(|stored| stored.attempt))
}

/// Uses the request state number `expected` up; `false` if it was used before.
pub async fn advance_retry(
    transaction: &mut TenantTransaction,
    id: LinkAttemptId,
    expected: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE link_attempts SET retries = retries + 1 WHERE tenant_id = $1 AND attempt_id = $2 AND retries = $3",
        transaction.tenant_id().0,
        id.0,
        expected
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends an attempt because the person declined, here or at the provider; `false` if it had ended before.
pub async fn decline(
    transaction: &mut TenantTransaction,
    id: LinkAttemptId,
    failure: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    end(transaction, id, "declined", failure, now).await
}

/// Ends an attempt that came to nothing; `false` if it had ended before.
pub async fn fail(
    transaction: &mut TenantTransaction,
    id: LinkAttemptId,
    failure: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    end(transaction, id, "failed", failure, now).await
}

/// An ended attempt keeps nothing that could finish it, but the hash by which a replay is told from an invention.
async fn end(
    transaction: &mut TenantTransaction,
    id: LinkAttemptId,
    stage: &str,
    failure: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE link_attempts SET stage = $3, failure = $4, finished_at = $5, verifier = NULL
        WHERE tenant_id = $1 AND attempt_id = $2 AND stage IN ('offered', 'authorizing', 'exchanging')",
        transaction.tenant_id().0,
        id.0,
        stage,
        failure,
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn remove_forgotten(
    transaction: &mut TenantTransaction,
    user: UserId,
    before: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM link_attempts
        WHERE tenant_id = $1 AND user_id = $2 AND COALESCE(finished_at, expires_at) < $3",
        transaction.tenant_id().0,
        user.0,
        before
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// An attempt that is being exchanged is about to end by itself.
async fn end_oldest(
    transaction: &mut TenantTransaction,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE link_attempts SET stage = 'failed', failure = $4, finished_at = $3, verifier = NULL
        WHERE tenant_id = $1 AND stage IN ('offered', 'authorizing') AND attempt_id IN (
            SELECT attempt_id FROM link_attempts
            WHERE tenant_id = $1 AND user_id = $2 AND stage IN ('offered', 'authorizing') AND expires_at > $3
            ORDER BY created_at DESC, attempt_id DESC OFFSET $5)",
        transaction.tenant_id().0,
        user.0,
        now,
        ErrorCode::LinkExpired.as_str(),
        OPEN_AT_MOST
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
