//! What was imported from other programs' files, by a keyed hash of the tokens in them: a second run finds it. And the
//! claim that an import holds while it runs, so that no two exchange the same refresh token.

use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::{LinkedAccountId, UserId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// What an import came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The account is linked with the tokens of the file.
    Linked(LinkedAccountId),
    /// The account was linked already, and kept its own grant.
    Kept(LinkedAccountId),
    /// The account is known, and its person must consent again.
    RelinkNeeded(LinkedAccountId),
    /// Nothing could be made of it.
    Unusable,
}

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionImport {
    /// The keyed hash of the tokens.
    pub source_digest: [u8; 32],
    /// The person it was for.
    pub user: UserId,
    /// What became of it.
    pub outcome: ImportOutcome,
    /// When.
    pub imported_at: DateTime<Utc>,
}

/// The right to exchange the tokens of one file, which only one import has at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportClaim {
    /// The keyed hash of the tokens.
    pub source_digest: [u8; 32],
    /// Whether its last holder let it run out: an exchange of theirs may have happened.
    pub took_over: bool,
    id: Uuid,
}

/// What asking for a claim came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claiming {
    /// It is the caller's, who renews it in time and gives it back.
    Won(ImportClaim),
    /// Another import holds it.
    Busy,
    /// These tokens were imported before.
    Done(SessionImport),
}

/// The import of tokens with that keyed hash, for whichever person of the tenant; none while it runs.
pub async fn find(
    transaction: &mut TenantTransaction,
    source_digest: &[u8; 32],
) -> Result<Option<SessionImport>, StoreError> {
    let row = sqlx::query!(
        "SELECT user_id, account_id, outcome, imported_at FROM session_imports
        WHERE tenant_id = $1 AND source_digest = $2 AND outcome <> 'running'",
        transaction.tenant_id().0,
        &source_digest[..]
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let outcome = match (row.outcome.as_str(), row.account_id) {
        ("linked", Some(account)) => ImportOutcome::Linked(account.into()),
        ("kept", Some(account)) => ImportOutcome::Kept(account.into()),
        ("relink_needed", Some(account)) => ImportOutcome::RelinkNeeded(account.into()),
        ("unusable", None) => ImportOutcome::Unusable,
        _ => return Err(StoreError::not_understood("session_imports.outcome", row.outcome)),
    };
    Ok(Some(SessionImport {
        source_digest: *source_digest,
        user: row.user_id.into(),
        outcome,
        imported_at: row.imported_at,
    }))
}

/// Claims tokens for `lease`, by the database's clock. An import that left an account its own grant may be made again;
/// any other outcome is final.
pub async fn claim(
    transaction: &mut TenantTransaction,
    source_digest: [u8; 32],
    user: UserId,
    now: DateTime<Utc>,
    lease: Duration,
) -> Result<Claiming, StoreError> {
    let seconds = lease.as_secs_f64();
    let claimed = sqlx::query!(
        r#"WITH before AS (
            SELECT outcome FROM session_imports WHERE tenant_id = $1 AND source_digest = $2
        )
        INSERT INTO session_imports AS i
            (tenant_id, source_digest, user_id, outcome, imported_at, claim, claimed_until)
        VALUES ($1, $2, $3, 'running', $4, gen_random_uuid(), clock_timestamp() + make_interval(secs => $5))
        ON CONFLICT (tenant_id, source_digest) DO UPDATE
            SET user_id = excluded.user_id, account_id = NULL, outcome = 'running',
                imported_at = excluded.imported_at, claim = excluded.claim, claimed_until = excluded.claimed_until
            WHERE i.outcome = 'kept' OR (i.outcome = 'running' AND i.claimed_until <= clock_timestamp())
        RETURNING claim AS "claim!",
            EXISTS (SELECT 1 FROM before WHERE before.outcome = 'running') AS "took_over!""#,
        transaction.tenant_id().0,
        &source_digest[..],
        user.0,
        now,
        seconds
    )
    .fetch_optional(transaction.connection())
    .await?;
    if let Some(won) = claimed {
        return Ok(Claiming::Won(ImportClaim { source_digest, took_over: won.took_over, id: won.claim }));
    }
    Ok(find(transaction, &source_digest).await?.map_or(Claiming::Busy, Claiming::Done))
}

/// Holds a claim for another `lease`; `false` if it is the caller's no more.
pub async fn renew(
    transaction: &mut TenantTransaction,
    claim: &ImportClaim,
    lease: Duration,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE session_imports SET claimed_until = clock_timestamp() + make_interval(secs => $4)
        WHERE tenant_id = $1 AND source_digest = $2 AND claim = $3",
        transaction.tenant_id().0,
        &claim.source_digest[..],
        claim.id,
        lease.as_secs_f64()
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a claim back whose import was not recorded: the next run begins anew.
pub async fn release(transaction: &mut TenantTransaction, claim: &ImportClaim) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM session_imports WHERE tenant_id = $1 AND source_digest = $2 AND claim = $3",
        transaction.tenant_id().0,
        &claim.source_digest[..],
        claim.id
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Records an import. That an account is linked with tokens which work replaces whatever another run made of them;
/// anything else replaces nothing but the caller's own `claim`. `false`, and nothing is changed, if it may not.
pub async fn record(
    transaction: &mut TenantTransaction,
    import: &SessionImport,
    claim: Option<&ImportClaim>,
) -> Result<bool, StoreError> {
    let (outcome, account) = match import.outcome {
        ImportOutcome::Linked(account) => ("linked", Some(account.0)),
        ImportOutcome::Kept(account) => ("kept", Some(account.0)),
        ImportOutcome::RelinkNeeded(account) => ("relink_needed", Some(account.0)),
        ImportOutcome::Unusable => ("unusable", None),
    };
    let done = sqlx::query!(
        "INSERT INTO session_imports AS i (tenant_id, source_digest, user_id, account_id, outcome, imported_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant_id, source_digest) DO UPDATE
            SET user_id = excluded.user_id, account_id = excluded.account_id, outcome = excluded.outcome,
                imported_at = excluded.imported_at, claim = NULL, claimed_until = NULL
            WHERE i.claim = $7 OR (excluded.outcome = 'linked' AND i.outcome <> 'linked')",
        transaction.tenant_id().0,
        &import.source_digest[..],
        import.user.0,
        account,
        outcome,
        import.imported_at,
        claim.map(|claim| claim.id)
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
