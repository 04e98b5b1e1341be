//! Grants that were set aside because they did not open, and those that a backup has of their accounts. One that opens
//! comes back sealed anew, at a later revision: no replica takes it for the one that it knew.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use stagedoor_crypto::{KeyOwner, SealContext};
use stagedoor_domain::{LinkedAccountId, UserId};
use uuid::Uuid;

use super::changes::is_the_values;
use super::error::RestoreError;
use super::tables::{bytea, bytes, uuid};
use super::{Restorer, parse};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

const TABLE: &str = "provider_sessions";

/// A session that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its account.
    pub account: LinkedAccountId,
    /// The person.
    pub user: UserId,
    /// Its id.
    pub session: Uuid,
    /// Why, in words.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// It opens again, at this revision.
    Back(i64),
    /// It is not set aside, and opens.
    InUse,
    /// The account is not there, or has no session.
    NoSession,
    /// Nothing of it opens: the person has to link the account again.
    RelinkNeeded,
}

struct Present {
    session_id: Uuid,
    revision: i64,
    user_id: Uuid,
    quarantined: bool,
}

/// The sessions of the tenant that are set aside.
pub async fn set_aside(transaction: &mut TenantTransaction) -> Result<Vec<SetAside>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT s.account_id, a.user_id, s.session_id, s.quarantine_reason AS "reason!", s.quarantined_at AS "at!"
        FROM provider_sessions s JOIN linked_accounts a USING (tenant_id, account_id)
        WHERE s.tenant_id = $1 AND s.quarantined_at IS NOT NULL ORDER BY s.quarantined_at, s.session_id"#,
        transaction.tenant_id().0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| SetAside {
            account: row.account_id.into(),
            user: row.user_id.into(),
            session: row.session_id,
            reason: row.reason,
            at: row.at,
        })
        .collect())
}

impl Restorer<'_> {
    /// Puts the grant of an account back: the newest of `candidates`, rows of backups from the newest on, or of the
    /// copies that were set aside, that opens under a key which is there or in the backup.
    pub async fn recover(
        &mut self,
        account: LinkedAccountId,
        candidates: &[String],
    ) -> Result<Recovered, RestoreError> {
        let Some(present) = self.present_session(account).await? else { return Ok(Recovered::NoSession) };
        if !present.quarantined && !self.options.replacing {
            return Ok(Recovered::InUse);
        }
        let mut rows = self.copies(account).await?;
        for text in candidates {
            rows.push(parse(TABLE, text)?);
        }
        for row in rows {
            if let Some(revision) = self.reseal(account, &present, &row).await? {
                return Ok(Recovered::Back(revision));
            }
        }
        Ok(Recovered::RelinkNeeded)
    }

    /// Puts a session of the backup in the place of the one that the account has now; `false` if it is set aside itself,
    /// does not open, or someone wrote the present one meanwhile.
    pub(super) async fn replace_session(&mut self, row: &Value) -> Result<bool, RestoreError> {
        let account = uuid(row, "account_id").ok_or(RestoreError::Row { table: TABLE })?.into();
        if !row["quarantined_at"].is_null() {
            return Ok(false);
        }
        let Some(present) = self.present_session(account).await? else { return Ok(false) };
        Ok(self.reseal(account, &present, row).await?.is_some())
    }

    async fn present_session(&mut self, account: LinkedAccountId) -> Result<Option<Present>, StoreError> {
        let row = sqlx::query_as!(
            Present,
            r#"SELECT s.session_id, s.revision, a.user_id, s.quarantined_at IS NOT NULL AS "quarantined!"
            FROM provider_sessions s JOIN linked_accounts a USING (tenant_id, account_id)
            WHERE s.tenant_id = $1 AND s.account_id = $2"#,
            self.transaction.tenant_id().0,
            account.0
        );
        Ok(row.fetch_optional(self.transaction.connection()).await?)
    }

    /// What was set aside of the account, newest first: a key that was missing then may be there now.
    async fn copies(&mut self, account: LinkedAccountId) -> Result<Vec<Value>, StoreError> {
        let rows = sqlx::query!(
            "SELECT session_id, access_token, refresh_token, scopes, token_expires_at, authorized_at, revision,
                schema_version
            FROM session_quarantine WHERE tenant_id = $1 AND account_id = $2 ORDER BY quarantined_at DESC",
            self.transaction.tenant_id().0,
            account.0
        )
        .fetch_all(self.transaction.connection())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                json!({
                    "account_id": account.0,
                    "session_id": row.session_id,
                    "access_token": bytea(&row.access_token),
                    "refresh_token": row.refresh_token.as_deref().map_or(Value::Null, bytea),
                    "scopes": row.scopes,
                    "token_expires_at": row.token_expires_at,
                    "authorized_at": row.authorized_at,
                    "revision": row.revision,
                    "schema_version": row.schema_version,
                })
            })
            .collect())
    }

    /// The new revision; `None` if the row does not open.
    async fn reseal(
        &mut self,
        account: LinkedAccountId,
        present: &Present,
        row: &Value,
    ) -> Result<Option<i64>, RestoreError> {
        let malformed = || RestoreError::Row { table: TABLE };
        let tenant = self.transaction.tenant_id();
        let (id, revision) = (uuid(row, "session_id"), row["revision"].as_i64());
        let (Some(id), Some(revision)) = (id, revision) else { return Err(malformed()) };
        let old = |column| SealContext { tenant, table: TABLE, column, row: id, revision };
        let new_revision = present.revision + 1;
        let new = |column| SealContext {
            tenant,
            table: TABLE,
            column,
            row: present.session_id,
            revision: new_revision,
        };
        let mut sealed = [None, None];
        for (column, place) in ["access_token", "refresh_token"].into_iter().zip(&mut sealed) {
            if row[column].is_null() {
                continue;
            }
            let value = bytes(&row[column]).ok_or_else(malformed)?;
            let token = match self.keys.open(self.transaction, &old(column), &value, "a token").await {
                Ok(token) if std::str::from_utf8(&token).is_ok() => token,
                Ok(_) => return Ok(None),
                Err(RestoreError::Store(error)) if is_the_values(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            let owner = KeyOwner::Subject(UserId(present.user_id));
            let key = self.keys.active(self.transaction, owner).await?;
            *place = Some(key.seal(&new(column), &token, self.entropy));
        }
        let [Some(access), refresh] = sealed else { return Err(malformed()) };
        let scopes: Vec<String> = serde_json::from_value(row["scopes"].clone()).map_err(|_| malformed())?;
        let time = |column: &str| -> Result<DateTime<Utc>, RestoreError> {
            row[column].as_str().and_then(|time| time.parse().ok()).ok_or_else(malformed)
        };
        let back = sqlx::query_scalar!(
            r#"SELECT restore_session($1, $2, $3, $4, $5, $6, $7, $8) AS "back!""#,
            account.0,
            present.session_id,
            present.revision,
            access,
            refresh,
            &scopes,
            time("token_expires_at")?,
            time("authorized_at")?
        )
        .fetch_one(self.transaction.connection())
        .await
        .map_err(StoreError::from)?;
        if back { Ok(Some(new_revision)) } else { Err(StoreError::Changed("this session").into()) }
    }
}
