//! People inside a tenant: looking them up and adding them. What admins see and change of them is in `records`.

pub mod records;

use stagedoor_domain::UserId;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The tenant's own name for the person: the subject of its tokens.
    pub external_subject: Option<String>,
    /// What to show.
    pub label: String,
}

/// The person of that id.
pub async fn find(transaction: &mut TenantTransaction, id: UserId) -> Result<Option<User>, StoreError> {
    let row = sqlx::query!(
        "SELECT user_id, external_subject, label FROM users WHERE tenant_id = $1 AND user_id = $2",
        transaction.tenant_id().0,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| User {
        id: row.user_id.into(),
        external_subject: row.external_subject,
        label: row.label,
    }))
}

/// The person whom the tenant knows by that name.
pub async fn find_by_subject(
    transaction: &mut TenantTransaction,
    external_subject: &str,
) -> Result<Option<User>, StoreError> {
    let row = sqlx::query!(
        "SELECT user_id, external_subject, label FROM users WHERE tenant_id = $1 AND external_subject = $2",
        transaction.tenant_id().0,
        external_subject
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| User {
        id: row.user_id.into(),
        external_subject: row.external_subject,
        label: row.label,
    }))
}

/// Adds a person.
pub async fn insert(transaction: &mut TenantTransaction, user: &User) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO users (tenant_id, user_id, external_subject, label) VALUES ($1, $2, $3, $4)",
        transaction.tenant_id().0,
        user.id.0,
        user.external_subject.as_deref(),
        user.label
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("a person of that id or subject"))?;
    Ok(())
}
