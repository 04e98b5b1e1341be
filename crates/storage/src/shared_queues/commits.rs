//! Bringing a queue's tracks to a playlist or a player: what is to be written and how far that is, so that a call that was
//! cut off is gone on with by whoever repeats it. What a plan says is `tools`' business.

use std::time::Duration;

use serde_json::Value;
use stagedoor_domain::{LinkedAccountId, SharedQueueId, TenantContext, UserId};
use uuid::Uuid;

use super::{Failure, Once, Refusal};
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// How long a commit is remembered.
pub const REMEMBERED: Duration = Duration::from_hours(24);

/// How long a call is taken to be at work after it last said so.
pub const UNDERWAY: Duration = Duration::from_secs(45);

/// A commit that is the caller's to go on with.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Its id.
    pub id: Uuid,
    /// What it says of itself.
    pub plan: Value,
    turn: Uuid,
}

/// How a commit stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// There is none under the key.
    None,
    /// Another call is at work on it.
    Underway,
    /// It is the caller's now.
    Ours(Commit),
}

/// Takes the commit of that key, if there is one.
pub async fn take(
    store: &Store,
    context: &TenantContext,
    user: UserId,
    once: &Once,
) -> Result<Found, Failure> {
    let work = async |tx: &mut TenantTransaction| {
        let row = sqlx::query!(
            r#"SELECT commit_id, request_digest, plan, claimed_until > clock_timestamp() AS "busy!"
            FROM shared_queue_commits WHERE tenant_id = $1 AND user_id = $2 AND key_digest = $3 FOR UPDATE"#,
            tx.tenant_id().0,
            user.0,
            &once.key
        );
        let Some(row) = row.fetch_optional(tx.connection()).await? else { return Ok(Found::None) };
        if row.request_digest != once.request {
            return Err(Refusal::Mismatch.into());
        }
        if row.busy {
            return Ok(Found::Underway);
        }
        let turn = sqlx::query_scalar!(
            "UPDATE shared_queue_commits
            SET claim = gen_random_uuid(), claimed_until = clock_timestamp() + make_interval(secs => $3)
            WHERE tenant_id = $1 AND commit_id = $2 RETURNING claim",
            tx.tenant_id().0,
            row.commit_id,
            UNDERWAY.as_secs_f64()
        );
        let turn = turn.fetch_one(tx.connection()).await?;
        Ok::<_, Failure>(Found::Ours(Commit { id: row.commit_id, plan: row.plan, turn }))
    };
    store.with_tenant(context, work).await
}

/// Begins one. `None` if another call with the key was faster.
pub async fn begin(
    store: &Store,
    context: &TenantContext,
    (queue, user, account): (SharedQueueId, UserId, LinkedAccountId),
    once: &Once,
    (id, plan): (Uuid, Value),
) -> Result<Option<Commit>, StoreError> {
    let work = async |tx: &mut TenantTransaction| {
        let turn = sqlx::query_scalar!(
            "INSERT INTO shared_queue_commits (tenant_id, commit_id, queue_id, user_id, account_id, key_digest,
                request_digest, plan, claim, claimed_until, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, gen_random_uuid(),
                clock_timestamp() + make_interval(secs => $9), clock_timestamp() + make_interval(secs => $10))
            ON CONFLICT (tenant_id, user_id, key_digest) DO NOTHING RETURNING claim",
            tx.tenant_id().0,
            id,
            queue.0,
            user.0,
            account.0,
            &once.key,
            &once.request,
            plan,
            UNDERWAY.as_secs_f64(),
            REMEMBERED.as_secs_f64()
        );
        Ok::<_, StoreError>(turn.fetch_optional(tx.connection()).await?)
    };
    let turn = store.with_tenant(context, work).await?;
    Ok(turn.map(|turn| Commit { id, plan, turn }))
}

/// Keeps how far it is; with `over`, another call may go on with it at once. `false` if it is not the caller's any more,
/// who must do nothing then.
pub async fn keep(
    store: &Store,
    context: &TenantContext,
    commit: &Commit,
    over: bool,
) -> Result<bool, StoreError> {
    let work = async |tx: &mut TenantTransaction| {
        let kept = sqlx::query!(
            "UPDATE shared_queue_commits
            SET plan = $4, claimed_until = clock_timestamp() + make_interval(secs => $5)
            WHERE tenant_id = $1 AND commit_id = $2 AND claim = $3",
            tx.tenant_id().0,
            commit.id,
            commit.turn,
            commit.plan,
            if over { 0.0 } else { UNDERWAY.as_secs_f64() }
        );
        Ok::<_, StoreError>(kept.execute(tx.connection()).await?.rows_affected() == 1)
    };
    store.with_tenant(context, work).await
}
