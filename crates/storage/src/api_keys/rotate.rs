//! A new key in the place of an old one, which goes on working for a while, so that nobody is cut off.

use std::time::Duration;

use stagedoor_crypto::PlainApiKey;
use stagedoor_domain::ApiKeyId;

use super::{KeyState, KeySummary, Minting, NewApiKey, changes, checks, get, lock, mint, reasons};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// A rotation's outcome.
#[derive(Debug)]
pub struct Rotated {
    /// The new key; the only copy of its secret.
    pub plain: PlainApiKey,
    /// What may be told of the new key.
    pub new: KeySummary,
    /// The old key as it is now: it ends with the overlap, or is revoked if there is none.
    pub old: KeySummary,
}

/// Makes a key with the same rights, and lets the old one end after `overlap`, or when it would have ended anyway. A key
/// that had an end gets one as long after now as the old one's was after it was made.
///
/// # Errors
/// [`StoreError::Missing`]; [`StoreError::Invalid`] names `overlap` if it is too long; [`StoreError::Impossible`] if the
/// key does not work any more, or was replaced by one that does; [`StoreError::AlreadyExists`] if there is a second active
/// key of its name.
pub async fn rotate(
    transaction: &mut TenantTransaction,
    minting: &Minting<'_>,
    id: &ApiKeyId,
    overlap: Duration,
) -> Result<Rotated, StoreError> {
    checks::overlap(overlap)?;
    let old = lock(transaction, id).await?;
    if old.state_at(minting.now) != KeyState::Active {
        return Err(StoreError::Impossible("the API key does not work any more; make a new one"));
    }
    if let Some(successor) = &old.replaced_by
        && get(transaction, successor).await?.is_some_and(|key| key.is_valid_at(minting.now))
    {
        return Err(StoreError::Impossible("the API key was replaced already; rotate the one in its place"));
    }
    let life = old.expires_at.map(|end| end - old.created_at);
    let key = NewApiKey {
        name: old.name.clone(),
        scopes: old.scopes,
        toolsets: old.toolsets,
        read_only: old.read_only,
        user: old.user,
        allowed_networks: old.allowed_networks.clone(),
        expires_at: life.map(|life| minting.now + life),
    };
    let plain = mint::mint(transaction, minting, old.mode, &key).await?;
    end(transaction, &old, plain.id(), minting, overlap).await?;
    let new = changes::present(transaction, plain.id()).await?;
    let old = changes::present(transaction, id).await?;
    Ok(Rotated { plain, new, old })
}

async fn end(
    transaction: &mut TenantTransaction,
    old: &KeySummary,
    successor: &ApiKeyId,
    minting: &Minting<'_>,
    overlap: Duration,
) -> Result<(), StoreError> {
    let until = minting.now + overlap;
    let end = old.expires_at.map_or(until, |end| end.min(until));
    sqlx::query!(
        "UPDATE api_keys SET replaced_by = $3, expires_at = $4,
            revoked_at = CASE WHEN $5 THEN clock_timestamp() END, revoked_reason = CASE WHEN $5 THEN $6 END
        WHERE tenant_id = $1 AND key_id = $2",
        transaction.tenant_id().0,
        old.id.as_str(),
        successor.as_str(),
        end,
        overlap.is_zero(),
        reasons::ROTATED
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
