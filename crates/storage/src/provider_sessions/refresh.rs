//! Refreshing a grant over many replicas: a claim says who may ask the provider, the revision says whose answer counts.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use stagedoor_crypto::KeyOwner;
use stagedoor_domain::{LinkedAccountId, TenantContext};

use super::OpenedSession;
use super::seal::Place;
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::linked_accounts::{AccountStatus, lock, set_status};
use crate::transaction::TenantTransaction;

/// What a refresh or a consent brought.
#[derive(Clone)]
pub struct RefreshedTokens {
    /// The new access token.
    pub access_token: SecretString,
    /// A new refresh token; `None` keeps the old one.
    pub refresh_token: Option<SecretString>,
    /// When the new access token ends.
    pub expires_at: DateTime<Utc>,
    /// What the grant covers now; `None` keeps what was known.
    pub scopes: Option<Vec<String>>,
}

/// What became of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveOutcome {
    /// Stored, with this revision.
    Saved {
        /// The new revision.
        revision: i64,
    },
    /// Someone else stored another refresh first, or the session is gone; load again.
    Superseded,
}

/// Whether the caller may exchange the refresh token now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshClaim {
    /// It may, and nobody else may until the lease ends.
    Won {
        /// The claim's number, for [`release_refresh`].
        claim: i64,
        /// Whether an earlier holder let its lease run out: its exchange may have taken effect.
        took_over: bool,
    },
    /// Someone else is at it.
    Busy {
        /// How much of the other's lease is left.
        remaining: Duration,
    },
    /// The session was written, replaced or removed since it was loaded; load again.
    Moved,
}

/// Claims the refresh of a session at the revision that was loaded, for `lease`. The database's clock decides, because
/// a replica whose clock is wrong must not take a lease that is held.
pub async fn claim_refresh(
    vault: &KeyVault,
    context: &TenantContext,
    session: &OpenedSession,
    lease: Duration,
) -> Result<RefreshClaim, StoreError> {
    let lease = TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX);
    vault
        .store()
        .with_tenant(context, async |tx| {
            // Locked first: now() is the transaction's begin, which says little after waiting for the lock.
            let held = sqlx::query!(
                r#"SELECT refresh_claim, refresh_claimed_until FROM provider_sessions
                WHERE tenant_id = $1 AND session_id = $2 AND revision = $3 AND quarantined_at IS NULL
                FOR NO KEY UPDATE"#,
                tx.tenant_id().0,
                session.id.0,
                session.revision
            )
            .fetch_optional(tx.connection())
            .await?;
            let Some(held) = held else { return Ok(RefreshClaim::Moved) };
            let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
                .fetch_one(tx.connection())
                .await?;
            if let Some(until) = held.refresh_claimed_until
                && let Ok(remaining) = (until - now).to_std()
                && !remaining.is_zero()
            {
                return Ok(RefreshClaim::Busy { remaining });
            }
            sqlx::query!(
                "UPDATE provider_sessions SET refresh_claim = $4, refresh_claimed_until = $5
                WHERE tenant_id = $1 AND session_id = $2 AND revision = $3",
                tx.tenant_id().0,
                session.id.0,
                session.revision,
                held.refresh_claim + 1,
                now.checked_add_signed(lease).unwrap_or(DateTime::<Utc>::MAX_UTC)
            )
            .execute(tx.connection())
            .await?;
            let took_over = held.refresh_claimed_until.is_some();
            Ok(RefreshClaim::Won { claim: held.refresh_claim + 1, took_over })
        })
        .await
}

/// Gives a claim back whose exchange did not take effect for certain; `false` if it is no longer held.
pub async fn release_refresh(
    vault: &KeyVault,
    context: &TenantContext,
    session: &OpenedSession,
    claim: i64,
) -> Result<bool, StoreError> {
    let done = vault
        .store()
        .with_tenant(context, async |tx| {
            let update = sqlx::query!(
                "UPDATE provider_sessions SET refresh_claimed_until = NULL
                WHERE tenant_id = $1 AND session_id = $2 AND refresh_claim = $3 AND refresh_claimed_until IS NOT NULL",
                tx.tenant_id().0,
                session.id.0,
                claim
            );
            Ok::<_, StoreError>(update.execute(tx.connection()).await?)
        })
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores refreshed tokens if the session is still at the revision that was loaded, ends whatever claim is on it, and
/// makes the account active again. The provider may have ended the old tokens already, so a caller keeps what it has
/// in memory until this succeeds.
pub async fn save_refreshed(
    vault: &KeyVault,
    context: &TenantContext,
    session: &OpenedSession,
    tokens: &RefreshedTokens,
) -> Result<SaveOutcome, StoreError> {
    let key = vault.active_key(context, KeyOwner::Subject(session.user)).await?;
    let place = Place { tenant: context.tenant_id(), session: session.id, revision: session.revision + 1 };
    let refresh_token = tokens.refresh_token.as_ref().or(session.refresh_token.as_ref());
    let sealed = place.seal(vault, &key, &tokens.access_token, refresh_token);
    let scopes = tokens.scopes.as_ref().unwrap_or(&session.scopes);
    let now = vault.clock().now();
    vault
        .store()
        .with_tenant(context, async |tx| {
            lock(tx, session.account).await?;
            // A row that was set aside since is sound again with this; its copy stays where it is.
            let done = sqlx::query!(
                "UPDATE provider_sessions SET access_token = $4, refresh_token = $5, scopes = $6,
                    token_expires_at = $7, revision = $3 + 1, updated_at = $8, last_accessed = $8,
                    refresh_claimed_until = NULL, quarantined_at = NULL, quarantine_reason = NULL
                WHERE tenant_id = $1 AND session_id = $2 AND revision = $3",
                tx.tenant_id().0,
                session.id.0,
                session.revision,
                sealed.access_token,
                sealed.refresh_token,
                scopes,
                tokens.expires_at,
                now
            )
            .execute(tx.connection())
            .await?;
            if done.rows_affected() == 0 {
                return Ok(SaveOutcome::Superseded);
            }
            set_status(tx, session.account, AccountStatus::Active).await?;
            Ok(SaveOutcome::Saved { revision: place.revision })
        })
        .await
}

/// Marks that the person must consent again, if the session is still the one that the provider refused: at that
/// revision. Ends the claim on it. `false` if it was written, replaced or removed since.
pub async fn mark_relink_needed_at(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    revision: i64,
) -> Result<bool, StoreError> {
    vault
        .store()
        .with_tenant(context, async |tx| {
            lock(tx, account).await?;
            let done = sqlx::query!(
                "UPDATE provider_sessions SET refresh_claimed_until = NULL, refused_revision = $3
                WHERE tenant_id = $1 AND account_id = $2 AND revision = $3",
                tx.tenant_id().0,
                account.0,
                revision
            )
            .execute(tx.connection())
            .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            set_status(tx, account, AccountStatus::RelinkNeeded).await
        })
        .await
}

/// Keeps everyone from storing, replacing or removing the account's session until the transaction ends; its revision,
/// or `None` if there is no session or no such account.
pub async fn hold_revision(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
) -> Result<Option<i64>, StoreError> {
    lock(transaction, account).await?;
    let revision = sqlx::query_scalar!(
        "SELECT revision FROM provider_sessions WHERE tenant_id = $1 AND account_id = $2 FOR UPDATE",
        transaction.tenant_id().0,
        account.0
    );
    Ok(revision.fetch_optional(transaction.connection()).await?)
}

impl fmt::Debug for RefreshedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshedTokens").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
