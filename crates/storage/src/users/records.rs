//! People as admins see them: with what is counted of them, one after another, and what may be changed of one. For stores of
//! provisioning's role.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use stagedoor_domain::UserId;
use uuid::Uuid;

use super::User;
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// A person with what only admins see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The person.
    pub user: User,
    /// Linked accounts.
    pub linked_accounts: u64,
    /// When the person was added.
    pub created_at: DateTime<Utc>,
}

/// Where a page ended. Its text is for whoever asks for the next one to hand back, and means nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserCursor {
    created_at: DateTime<Utc>,
    id: UserId,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of a list of people")]
pub struct NoCursor;

impl UserRecord {
    /// Where a page ends whose last person this is.
    pub fn cursor(&self) -> UserCursor {
        UserCursor { created_at: self.created_at, id: self.user.id }
    }
}

/// At most `most` people behind `after`, the oldest first; only the one of `subject`, if that is given.
pub async fn list(
    transaction: &mut TenantTransaction,
    subject: Option<&str>,
    after: Option<UserCursor>,
    most: u32,
) -> Result<Vec<UserRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT u.user_id, u.external_subject, u.label, u.created_at,
            (SELECT count(*) FROM linked_accounts a WHERE a.tenant_id = u.tenant_id AND a.user_id = u.user_id)
                AS "linked_accounts!"
        FROM users u
        WHERE u.tenant_id = $1 AND ($2::text IS NULL OR u.external_subject = $2)
            AND ($3::timestamptz IS NULL OR (u.created_at, u.user_id) > ($3, $4::uuid))
        ORDER BY u.created_at, u.user_id LIMIT $5"#,
        transaction.tenant_id().0,
        subject,
        after.map(|after| after.created_at),
        after.map(|after| after.id.0),
        i64::from(most)
    );
    let rows = rows.fetch_all(transaction.connection()).await?;
    Ok(rows.into_iter().map(Row::read).collect())
}

/// The person of that id.
pub async fn get(transaction: &mut TenantTransaction, id: UserId) -> Result<Option<UserRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT u.user_id, u.external_subject, u.label, u.created_at,
            (SELECT count(*) FROM linked_accounts a WHERE a.tenant_id = u.tenant_id AND a.user_id = u.user_id)
                AS "linked_accounts!"
        FROM users u WHERE u.tenant_id = $1 AND u.user_id = $2"#,
        transaction.tenant_id().0,
        id.0
    );
    Ok(row.fetch_optional(transaction.connection()).await?.map(Row::read))
}

/// The same, and nobody else changes the person before the transaction ends.
pub async fn lock(transaction: &mut TenantTransaction, id: UserId) -> Result<Option<UserRecord>, StoreError> {
    sqlx::query!(
        "SELECT user_id FROM users WHERE tenant_id = $1 AND user_id = $2 FOR NO KEY UPDATE",
        transaction.tenant_id().0,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    get(transaction, id).await
}

/// Writes subject and label of the person of `user.id`.
///
/// # Errors
/// [`StoreError::Missing`]; [`StoreError::AlreadyExists`] if another person has the subject.
pub async fn update(transaction: &mut TenantTransaction, user: &User) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE users SET external_subject = $3, label = $4 WHERE tenant_id = $1 AND user_id = $2",
        transaction.tenant_id().0,
        user.id.0,
        user.external_subject.as_deref(),
        user.label
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("a person of that subject"))?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing("person")) }
}

struct Row {
    user_id: Uuid,
    external_subject: Option<String>,
    label: String,
    created_at: DateTime<Utc>,
    linked_accounts: i64,
}

impl Row {
    fn read(self) -> UserRecord {
        let user =
            User { id: self.user_id.into(), external_subject: self.external_subject, label: self.label };
        UserRecord { user, linked_accounts: self.linked_accounts.unsigned_abs(), created_at: self.created_at }
    }
}

impl fmt::Display for UserCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at.timestamp_micros(), self.id)
    }
}

impl FromStr for UserCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (micros, id) = text.split_once('.').ok_or(NoCursor)?;
        let created_at = micros.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or(NoCursor)?;
        Ok(Self { created_at, id: Uuid::try_parse(id).map_err(|_| NoCursor)?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let cursor = UserCursor {
            created_at: DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap(),
            id: UserId(Uuid::from_u128(7)),
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "7", ".", "x.00000000-0000-0000-0000-000000000007", "1.x", "99999999999999999999.7"]
        {
            assert_eq!(text.parse::<UserCursor>(), Err(NoCursor), "{text}");
        }
    }
}
