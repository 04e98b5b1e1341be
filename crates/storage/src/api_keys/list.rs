//! Keys of a tenant by page, the newest first.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_domain::{ApiKeyId, UserId};

use super::{KeyState, KeySummary, row};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// Which keys are wanted; nothing means all.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Those of that very name.
    pub name: Option<String>,
    /// Those that act for that person.
    pub user: Option<UserId>,
    /// Those that stand like this.
    pub state: Option<KeyState>,
}

/// Which part of them.
#[derive(Debug, Clone)]
pub struct KeyPage {
    /// After which key; `None` for the first page.
    pub after: Option<KeyCursor>,
    /// Keys at most.
    pub size: u16,
}

/// Where a page ended. Its text is for whoever asks for the next one to hand back, and means nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCursor {
    created_at: DateTime<Utc>,
    id: ApiKeyId,
}

/// A page.
#[derive(Debug, Clone)]
pub struct KeyList {
    /// The keys.
    pub keys: Vec<KeySummary>,
    /// Where the next page begins, if there is one.
    pub next: Option<KeyCursor>,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of a list of API keys")]
pub struct NoCursor;

/// The keys that fit, the newest first.
pub async fn list(
    transaction: &mut TenantTransaction,
    filter: &KeyFilter,
    page: &KeyPage,
    now: DateTime<Utc>,
) -> Result<KeyList, StoreError> {
    let state = filter.state.map(|state| match state {
        KeyState::Active => "active",
        KeyState::Expired => "expired",
        KeyState::Revoked => "revoked",
    });
    let rows = sqlx::query_as!(
        row::Row,
        r#"SELECT key_id, name, mode, scopes, toolsets, read_only, user_id,
            allowed_networks AS "allowed_networks: Vec<IpNet>", expires_at, revoked_at, revoked_reason, replaced_by,
            last_used_at, created_at, created_by, revision
        FROM api_keys
        WHERE tenant_id = $1 AND ($2::text IS NULL OR name = $2) AND ($3::uuid IS NULL OR user_id = $3)
            AND ($4::text IS NULL OR $4 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                WHEN expires_at <= $5 THEN 'expired' ELSE 'active' END)
            AND ($6::timestamptz IS NULL OR (created_at, key_id) < ($6, $7::text))
        ORDER BY created_at DESC, key_id DESC LIMIT $8"#,
        transaction.tenant_id().0,
        filter.name.as_deref(),
        filter.user.map(|user| user.0),
        state,
        now,
        page.after.as_ref().map(|cursor| cursor.created_at),
        page.after.as_ref().map(|cursor| cursor.id.as_str()),
        i64::from(page.size) + 1
    )
    .fetch_all(transaction.connection())
    .await?;
    let mut keys = rows.into_iter().map(row::Row::into_summary).collect::<Result<Vec<_>, _>>()?;
    let more = keys.len() > usize::from(page.size);
    keys.truncate(page.size.into());
    let last = keys.last().filter(|_| more);
    let next = last.map(|key| KeyCursor { created_at: key.created_at, id: key.id.clone() });
    Ok(KeyList { keys, next })
}

impl fmt::Display for KeyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at.timestamp_micros(), self.id)
    }
}

impl FromStr for KeyCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (micros, id) = text.split_once('.').ok_or(NoCursor)?;
        let created_at = micros.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or(NoCursor)?;
        Ok(Self { created_at, id: id.parse().map_err(|_| NoCursor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_nothing_else_is_one() {
        let text = "1795372800123456.AAAAAAAAAAAA";
        assert_eq!(text.parse::<KeyCursor>().unwrap().to_string(), text);
        for other in ["", ".", "1.", "x.AAAAAAAAAAAA", "1.AAAA", "9223372036854775807.AAAAAAAAAAAA"] {
            assert_eq!(other.parse::<KeyCursor>(), Err(NoCursor), "{other}");
        }
    }
}
