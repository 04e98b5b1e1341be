//! What was imported from other programs' files, by a keyed hash of the tokens in them: a second run finds it.

use chrono::{DateTime, Utc};
use stagedoor_domain::{LinkedAccountId, UserId};

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// What an import came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The account is linked with the tokens of the file.
    Linked(LinkedAccountId),
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

/// The import of tokens with that keyed hash, for whichever person of the tenant.
pub async fn find(
    transaction: &mut TenantTransaction,
    source_digest: &[u8; 32],
) -> Result<Option<SessionImport>, StoreError> {
    let row = sqlx::query!(
        "SELECT user_id, account_id, outcome, imported_at FROM session_imports
        WHERE tenant_id = $1 AND source_digest = $2",
        transaction.tenant_id().0,
        &source_digest[..]
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let outcome = match (row.outcome.as_str(), row.account_id) {
        ("linked", Some(account)) => ImportOutcome::Linked(account.into()),
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

/// Records an import; `false`, and nothing is changed, if these tokens were imported before.
pub async fn record(transaction: &mut TenantTransaction, import: &SessionImport) -> Result<bool, StoreError> {
    let (outcome, account) = match import.outcome {
        ImportOutcome::Linked(account) => ("linked", Some(account.0)),
        ImportOutcome::RelinkNeeded(account) => ("relink_needed", Some(account.0)),
        ImportOutcome::Unusable => ("unusable", None),
    };
    let done = sqlx::query!(
        "INSERT INTO session_imports (tenant_id, source_digest, user_id, account_id, outcome, imported_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        transaction.tenant_id().0,
        &import.source_digest[..],
        import.user.0,
        account,
        outcome,
        import.imported_at
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
