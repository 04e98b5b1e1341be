//! What is asked and noted beside a provider's answer: what it did not grant, and whether a grant that is not kept may be
//! ended at the provider.

use chrono::{DateTime, Utc};
use stagedoor_domain::LinkAttemptId;

use super::LinkAttempt;
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// Notes what an attempt that is being exchanged did not bring, for when its agent asks.
pub async fn note_missing(
    transaction: &mut TenantTransaction,
    id: LinkAttemptId,
    missing: &[String],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE link_attempts SET missing_scopes = $3
        WHERE tenant_id = $1 AND attempt_id = $2 AND stage = 'exchanging'",
        transaction.tenant_id().0,
        id.0,
        missing
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Whether a linked account of the tenant may live on the same consent as the grant of an attempt that came to nothing:
/// one of that provider's id, whichever person's, or any of the person's where nobody knows whose grant it is. Another
/// answer that was taken after `taken_after` and is still being exchanged may become such an account. Some providers end
/// all grants that a client has of an account when one is revoked.
pub async fn may_be_in_use(
    transaction: &mut TenantTransaction,
    attempt: &LinkAttempt,
    provider_user_id: Option<&str>,
    taken_after: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM linked_accounts WHERE tenant_id = $1 AND provider = $2
                AND (provider_user_id = $4 OR ($4::text IS NULL AND user_id = $3)))
            OR EXISTS (SELECT FROM link_attempts WHERE tenant_id = $1 AND provider = $2 AND attempt_id <> $5
                AND stage = 'exchanging' AND taken_at > $6) AS "found!""#,
        transaction.tenant_id().0,
        attempt.provider.as_str(),
        attempt.user.0,
        provider_user_id,
        attempt.id.0,
        taken_after
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(found)
}
