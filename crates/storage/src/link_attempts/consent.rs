//! A person's way through an attempt: agreeing, coming back from the provider once, and being linked.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use stagedoor_crypto::{KeyOwner, SealContext};
use stagedoor_domain::{LinkAttemptId, LinkedAccountId, TenantContext, TenantId};

use super::row::{hash, select};
use super::{EXCHANGE_GRACE, LinkAttempt, LinkStage};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::provider_apps::secret_text;
use crate::transaction::TenantTransaction;

/// What a provider's answer found.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once for each link, and taken apart at once")]
pub enum Taken {
    /// The attempt, which is this caller's to finish and nobody else's. Whether it has expired is for the caller.
    Ready {
        /// The attempt, exchanging now.
        attempt: LinkAttempt,
        /// The PKCE verifier (RFC 7636).
        verifier: SecretString,
        /// SHA-256 of what the browser must bring.
        browser_hash: [u8; 32],
    },
    /// An answer was taken before, or it ended otherwise, or the person began anew since.
    Used,
    /// The person has not agreed.
    NotBegun,
    /// There is no such attempt.
    Gone,
}

/// Notes that the person agreed and goes to the provider with a new state, verifier and browser secret, which replace
/// those of an earlier agreement that did not come back. `false` if the attempt changed since it was read, has ended,
/// or is past its time.
pub async fn agree(
    vault: &KeyVault,
    context: &TenantContext,
    attempt: &LinkAttempt,
    state_hash: &[u8; 32],
    browser_hash: &[u8; 32],
    verifier: &SecretString,
) -> Result<bool, StoreError> {
    let place = verifier_place(context.tenant_id(), attempt.id, attempt.revision + 1);
    let owner = KeyOwner::Subject(attempt.user);
    let sealed = vault.seal(context, owner, &place, verifier.expose_secret().as_bytes()).await?;
    let now = vault.clock().now();
    let done = vault
        .store()
        .with_tenant(context, async |tx| {
            let update = sqlx::query!(
                "UPDATE link_attempts SET stage = 'authorizing', state_hash = $4, browser_hash = $5, verifier = $6,
                    revision = revision + 1
                WHERE tenant_id = $1 AND attempt_id = $2 AND revision = $3
                    AND stage IN ('offered', 'authorizing') AND expires_at > $7",
                tx.tenant_id().0,
                attempt.id.0,
                attempt.revision,
                &state_hash[..],
                &browser_hash[..],
                sealed,
                now
            );
            Ok::<_, StoreError>(update.execute(tx.connection()).await?)
        })
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the attempt that a provider's answer with that state belongs to: once, however many answers come. The
/// verifier is opened first, so that a key that is out of reach leaves the attempt as it was.
pub async fn take(
    vault: &KeyVault,
    context: &TenantContext,
    id: LinkAttemptId,
    state_hash: &[u8; 32],
) -> Result<Taken, StoreError> {
    let found = vault.store().with_tenant(context, async |tx| select(tx, id).await).await?;
    let Some(stored) = found else { return Ok(Taken::Gone) };
    if stored.attempt.stage == LinkStage::Offered {
        return Ok(Taken::NotBegun);
    }
    if stored.attempt.stage != LinkStage::Authorizing || stored.state_hash.as_deref() != Some(&state_hash[..])
    {
        return Ok(Taken::Used);
    }
    let (Some(sealed), Some(browser_hash)) = (stored.verifier, stored.browser_hash) else {
        return Err(StoreError::Missing("verifier of a link attempt"));
    };
    let place = verifier_place(context.tenant_id(), id, stored.attempt.revision);
    let verifier = vault.open(context, &place, &sealed, "a link's verifier").await?;
    let verifier = secret_text(&verifier, "link_attempts.verifier")?;
    let browser_hash = hash(browser_hash, "link_attempts.browser_hash")?;
    let now = vault.clock().now();
    let done = vault
        .store()
        .with_tenant(context, async |tx| {
            let update = sqlx::query!(
                "UPDATE link_attempts SET stage = 'exchanging', taken_at = $4
                WHERE tenant_id = $1 AND attempt_id = $2 AND revision = $3 AND stage = 'authorizing'",
                tx.tenant_id().0,
                id.0,
                stored.attempt.revision,
                now
            );
            Ok::<_, StoreError>(update.execute(tx.connection()).await?)
        })
        .await?;
    if done.rows_affected() == 0 {
        return Ok(Taken::Used);
    }
    let attempt = LinkAttempt { stage: LinkStage::Exchanging, taken_at: Some(now), ..stored.attempt };
    Ok(Taken::Ready { attempt, verifier, browser_hash })
}

/// Ends an attempt with the account that it linked; [`StoreError::LinkEnded`] if it is not exchanging, was taken longer
/// than [`EXCHANGE_GRACE`] ago, or was to link another account again.
pub(crate) async fn finish(
    transaction: &mut TenantTransaction,
    id: LinkAttemptId,
    account: LinkedAccountId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE link_attempts SET stage = 'linked', account_id = $3, finished_at = $4, verifier = NULL
        WHERE tenant_id = $1 AND attempt_id = $2 AND stage = 'exchanging' AND taken_at > $5
            AND COALESCE(account_id, $3) = $3",
        transaction.tenant_id().0,
        id.0,
        account.0,
        now,
        now - EXCHANGE_GRACE
    )
    .execute(transaction.connection())
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LinkEnded) }
}

fn verifier_place(tenant: TenantId, attempt: LinkAttemptId, revision: i64) -> SealContext {
    SealContext { tenant, table: "link_attempts", column: "verifier", row: attempt.0, revision }
}
