//! What is written while a job goes on: a worker's steps, and the decisions of whoever began it.

use std::time::Duration;

use stagedoor_crypto::KeyOwner;
use stagedoor_domain::{JobId, TenantContext, UserId};

use super::seal::Sealer;
use super::{CLAIMED, Claim, Held, KEPT, Part, State, as_bigint, parts};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// How a job stands after a step.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// The state. Any but [`State::Running`] gives the claim back.
    pub state: State,
    /// The document, if it changed.
    pub document: Option<&'a [u8]>,
    /// The parts that changed or are new, each number once.
    pub parts: &'a [Part],
    /// How many things are done.
    pub done: u64,
    /// How many things there are to do, if known.
    pub total: Option<u64>,
    /// What to tell of it.
    pub message: Option<&'a str>,
    /// How long a queued job waits before a worker may take it.
    pub not_before: Option<Duration>,
}

/// Stores a step as a whole or not at all, and keeps the claim for another [`CLAIMED`] if the job still runs. A waiting
/// or queued job that was asked to end is due at once, whatever it was to wait for.
pub async fn save(
    vault: &KeyVault,
    context: &TenantContext,
    claim: &Claim,
    step: &Step<'_>,
) -> Result<Held, StoreError> {
    let key = vault.active_key(context, KeyOwner::Subject(claim.user)).await?;
    let sealer = Sealer { vault, key: &key, tenant: context.tenant_id(), job: claim.job };
    let wait = match step.state {
        State::Running => CLAIMED,
        _ => step.not_before.unwrap_or_default(),
    };
    let write = async |tx: &mut TenantTransaction| {
        let Some(last) = lock(tx, claim).await? else { return Ok(Held::Lost) };
        let revision = last + 1;
        let document = step.document.map(|document| sealer.document(revision, document)).transpose()?;
        let cancel_requested = sqlx::query_scalar!(
            "UPDATE jobs SET state = $3, revision = $4, document = COALESCE($5, document),
                document_revision = CASE WHEN $5::bytea IS NULL THEN document_revision ELSE $4 END,
                message = $6, done = $7, total = $8, updated_at = statement_timestamp(),
                expires_at = statement_timestamp() + make_interval(secs => $9),
                due_at = CASE
                    WHEN $3 IN ('queued', 'waiting') AND cancel_requested THEN statement_timestamp()
                    WHEN $3 IN ('queued', 'running') THEN statement_timestamp() + make_interval(secs => $10)
                END
            WHERE tenant_id = $1 AND job_id = $2 RETURNING cancel_requested",
            tx.tenant_id().0,
            claim.job.0,
            step.state.as_str(),
            revision,
            document,
            sealer.message(revision, step.message),
            as_bigint(step.done)?,
            step.total.map(as_bigint).transpose()?,
            KEPT.as_secs_f64(),
            wait.as_secs_f64()
        )
        .fetch_one(tx.connection())
        .await?;
        parts::store(tx, sealer, revision, step.parts).await?;
        Ok::<_, StoreError>(Held::Ours { cancel_requested })
    };
    vault.store().with_tenant(context, write).await
}

/// Stores what was decided for a waiting or failed job, which is due then, and no longer asked to end. `false`, and nothing is stored, if it does
/// not stand like that at that revision, or is not the context's person's.
pub async fn decide(
    vault: &KeyVault,
    context: &TenantContext,
    id: JobId,
    revision: i64,
    document: Option<&[u8]>,
    parts: &[Part],
) -> Result<bool, StoreError> {
    let owner = async |tx: &mut TenantTransaction| owner(tx, context, id).await;
    let Some(user) = vault.store().with_tenant(context, owner).await? else { return Ok(false) };
    let key = vault.active_key(context, KeyOwner::Subject(user)).await?;
    let sealer = Sealer { vault, key: &key, tenant: context.tenant_id(), job: id };
    let next = revision + 1;
    let document = document.map(|document| sealer.document(next, document)).transpose()?;
    let write = async |tx: &mut TenantTransaction| {
        let done = sqlx::query!(
            "UPDATE jobs SET state = 'queued', due_at = statement_timestamp(), revision = $4, message = NULL,
                cancel_requested = false, document = COALESCE($5, document),
                document_revision = CASE WHEN $5::bytea IS NULL THEN document_revision ELSE $4 END,
                updated_at = statement_timestamp(), expires_at = statement_timestamp() + make_interval(secs => $6)
            WHERE tenant_id = $1 AND job_id = $2 AND revision = $3 AND state IN ('waiting', 'failed')
                AND expires_at > statement_timestamp()",
            tx.tenant_id().0,
            id.0,
            revision,
            next,
            document,
            KEPT.as_secs_f64()
        );
        if done.execute(tx.connection()).await?.rows_affected() == 0 {
            return Ok(false);
        }
        parts::store(tx, sealer, next, parts).await?;
        Ok::<_, StoreError>(true)
    };
    vault.store().with_tenant(context, write).await
}

/// The revision of a job that is the worker's, which nobody else writes until the transaction ends.
async fn lock(transaction: &mut TenantTransaction, claim: &Claim) -> Result<Option<i64>, StoreError> {
    let revision = sqlx::query_scalar!(
        "SELECT revision FROM jobs
        WHERE tenant_id = $1 AND job_id = $2 AND fence = $3 AND state = 'running' FOR UPDATE",
        transaction.tenant_id().0,
        claim.job.0,
        claim.fence
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(revision)
}

async fn owner(
    transaction: &mut TenantTransaction,
    context: &TenantContext,
    id: JobId,
) -> Result<Option<UserId>, StoreError> {
    let user = sqlx::query_scalar!(
        "SELECT user_id FROM jobs WHERE tenant_id = $1 AND job_id = $2 AND ($3::uuid IS NULL OR user_id = $3)",
        transaction.tenant_id().0,
        id.0,
        context.user().map(|user| user.0)
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(user.map(Into::into))
}

impl std::fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("state", &self.state).field("done", &self.done).finish_non_exhaustive()
    }
}
