//! Setting a session aside that does not open: an untouched copy is kept, and the row is marked until the account is
//! linked again. The keeper's restore reads the copies.

use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{LinkedAccountId, TenantContext};

use super::SCHEMA_COLUMN;
use super::seal::{Place, SealedTokens};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::linked_accounts::lock;

/// Sets an account's session aside if it does not open under a key that does; `false` if it opens by now, is gone, or
/// was set aside before. A missing or unreachable key is an error and sets nothing aside.
pub async fn quarantine(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    reason: &str,
) -> Result<bool, StoreError> {
    let found = vault
        .store()
        .with_tenant(context, async |tx| {
            let query = sqlx::query!(
                "SELECT s.session_id, s.revision, s.access_token, s.refresh_token, a.user_id
                FROM provider_sessions s JOIN linked_accounts a USING (tenant_id, account_id)
                WHERE s.tenant_id = $1 AND s.account_id = $2 AND s.quarantined_at IS NULL",
                tx.tenant_id().0,
                account.0
            );
            Ok::<_, StoreError>(query.fetch_optional(tx.connection()).await?)
        })
        .await?;
    let Some(row) = found else { return Ok(false) };
    let place = Place { tenant: context.tenant_id(), session: row.session_id.into(), revision: row.revision };
    let sealed = SealedTokens { access_token: row.access_token, refresh_token: row.refresh_token };
    match place.open(vault, context, row.user_id.into(), &sealed).await {
        Ok(_) => return Ok(false),
        Err(error) if is_damage(&error) => {}
        Err(other) => return Err(other),
    }
    set_aside(vault, context, account, place, &sealed, reason).await
}

/// Whether an error of [`load`](super::load) says that the row is damaged, so that it should be set aside. A row that a
/// later build wrote is not.
pub fn is_damage(error: &StoreError) -> bool {
    match error {
        StoreError::Unreadable { .. } => true,
        StoreError::NotUnderstood { what, .. } => {
            what.starts_with("provider_sessions.") && *what != SCHEMA_COLUMN
        }
        _ => false,
    }
}

/// Copies and marks the row, if it is still the one that did not open, to the byte.
async fn set_aside(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    place: Place,
    sealed: &SealedTokens,
    reason: &str,
) -> Result<bool, StoreError> {
    let id = uuid_v7(vault.clock(), vault.entropy());
    let now = vault.clock().now();
    vault
        .store()
        .with_tenant(context, async |tx| {
            lock(tx, account).await?;
            let done = sqlx::query!(
                "WITH aside AS (
                    UPDATE provider_sessions
                    SET quarantined_at = $4, quarantine_reason = $5, refresh_claimed_until = NULL
                    WHERE tenant_id = $1 AND session_id = $2 AND revision = $3 AND quarantined_at IS NULL
                        AND access_token = $6 AND refresh_token IS NOT DISTINCT FROM $7
                    RETURNING *
                )
                INSERT INTO session_quarantine (tenant_id, quarantine_id, account_id, reason, quarantined_at,
                    session_id, schema_version, access_token, refresh_token, scopes, token_expires_at, authorized_at,
                    revision)
                SELECT tenant_id, $8, account_id, quarantine_reason, quarantined_at, session_id, schema_version,
                    access_token, refresh_token, scopes, token_expires_at, authorized_at, revision
                FROM aside",
                tx.tenant_id().0,
                place.session.0,
                place.revision,
                now,
                reason,
                sealed.access_token,
                sealed.refresh_token,
                id
            )
            .execute(tx.connection())
            .await?;
            Ok(done.rows_affected() == 1)
        })
        .await
}
