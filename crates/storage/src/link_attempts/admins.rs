//! Attempts that admins made: whether whoever made one may still have it finished, and the end of those that a newer one
//! replaces.

use chrono::{DateTime, Utc};
use stagedoor_domain::{ErrorCode, LinkAttemptId, Provider, UserId};

use crate::admin_keys::AdminRole;
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// How the labels of principals begin that are keys of the admin API.
pub const ADMIN_LABEL: &str = "admin:";
/// How the labels of principals begin that call the admin API with a token.
pub const ADMIN_TOKEN_LABEL: &str = "admin-jwt:";
/// How the labels of both begin, and no other's.
const ADMINS: &str = "admin";

/// The admin key by which an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskingAdmin {
    /// What it is for.
    pub role: AdminRole,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl AskingAdmin {
    /// Whether the key may have an account linked at `now`.
    pub fn may_link_at(&self, now: DateTime<Utc>) -> bool {
        !self.revoked && self.expires_at.is_none_or(|end| now < end) && self.role != AdminRole::Auditor
    }
}

/// The admin key by which an attempt was made; `None` if it was made by no such key, or by one that has nothing to do with
/// the tenant any more.
pub async fn asking_admin(
    transaction: &mut TenantTransaction,
    attempt: LinkAttemptId,
) -> Result<Option<AskingAdmin>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT role AS "role!", expires_at, revoked AS "revoked!" FROM admin_key_of_link($1)"#,
        attempt.0
    );
    let Some(row) = row.fetch_optional(transaction.connection()).await? else { return Ok(None) };
    Ok(Some(AskingAdmin {
        role: AdminRole::read(&row.role)?,
        expires_at: row.expires_at,
        revoked: row.revoked,
    }))
}

/// Ends what admins began for that person and provider and nobody has finished. Answers how many attempts that were.
pub async fn end_those_of_admins(
    transaction: &mut TenantTransaction,
    user: UserId,
    provider: Provider,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "UPDATE link_attempts SET stage = 'failed', failure = $4, finished_at = $5, verifier = NULL
        WHERE tenant_id = $1 AND user_id = $2 AND provider = $3 AND stage IN ('offered', 'authorizing')
            AND starts_with(principal, $6)",
        transaction.tenant_id().0,
        user.0,
        provider.as_str(),
        ErrorCode::LinkExpired.as_str(),
        now,
        ADMINS
    );
    Ok(done.execute(transaction.connection()).await?.rows_affected())
}
