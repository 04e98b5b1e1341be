//! API keys as provisioning makes, changes and ends them, and what may be told of them; authentication reads them by
//! `Store::find_api_key`. Who may do what to a key is the admin API's affair.

mod changes;
mod checks;
mod leaks;
mod list;
mod mint;
mod rotate;
pub(crate) mod row;
mod usage;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use stagedoor_crypto::KeyMode;
use stagedoor_domain::{ApiKeyId, ScopeSet, ToolsetSet, UserId};

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

pub use changes::{KeyChanges, revoke, update};
pub use checks::{LONGEST_NAME, LONGEST_OVERLAP, LONGEST_REASON, MOST_NETWORKS};
pub use leaks::ReportedKey;
pub use list::{KeyCursor, KeyFilter, KeyList, KeyPage, NoCursor, list};
pub use mint::{Minting, insert, mint, mint_as};
pub use rotate::{Rotated, rotate};
pub use usage::KeyUse;

/// Why a key was revoked, in the words that are stored where nobody gave others.
pub mod reasons {
    /// Someone reported that it was found in public, and had it.
    pub const LEAKED: &str = "leaked";
    /// Another took its place at once.
    pub const ROTATED: &str = "rotated";
    /// It was stored under a pepper that is known to someone.
    pub const PEPPER: &str = "pepper";
}

/// What a new key may do and for whom.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The operator's name for it; two active keys may have the same.
    pub name: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Which tools it is shown; `None` means every toolset, those of later releases too.
    pub toolsets: Option<ToolsetSet>,
    /// Whether tools that write are withheld.
    pub read_only: bool,
    /// The person it acts for, for good.
    pub user: Option<UserId>,
    /// The networks it may call from; empty means any.
    pub allowed_networks: Vec<IpNet>,
    /// When it stops being valid.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What may be told of a key: all but what a presented one is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySummary {
    /// The public part of the key.
    pub id: ApiKeyId,
    /// The operator's name for it.
    pub name: String,
    /// Whether it is for real use.
    pub mode: KeyMode,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Which tools it is shown; `None` means every toolset.
    pub toolsets: Option<ToolsetSet>,
    /// Whether tools that write are withheld.
    pub read_only: bool,
    /// The person it acts for.
    pub user: Option<UserId>,
    /// The networks it may call from; empty means any.
    pub allowed_networks: Vec<IpNet>,
    /// When it stops being valid.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Why: one of [`reasons`], or what the operator said.
    pub revoked_reason: Option<String>,
    /// The key that a rotation made in its place.
    pub replaced_by: Option<ApiKeyId>,
    /// When it was last used, within eleven minutes.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it, as the audit trail names them.
    pub created_by: Option<String>,
    /// Raised by each change, not by use.
    pub revision: i64,
}

/// How a key stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It works.
    Active,
    /// Its time is over.
    Expired,
    /// Someone ended it.
    Revoked,
}

impl KeySummary {
    /// How it stands.
    pub fn state_at(&self, now: DateTime<Utc>) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }

    /// Whether the key would still be accepted.
    pub fn is_valid_at(&self, now: DateTime<Utc>) -> bool {
        self.state_at(now) == KeyState::Active
    }
}

/// What may be told of the key of that id, revoked ones too.
pub async fn get(
    transaction: &mut TenantTransaction,
    id: &ApiKeyId,
) -> Result<Option<KeySummary>, StoreError> {
    let row = sqlx::query_as!(
        row::Row,
        r#"SELECT key_id, name, mode, scopes, toolsets, read_only, user_id,
            allowed_networks AS "allowed_networks: Vec<IpNet>", expires_at, revoked_at, revoked_reason, replaced_by,
            last_used_at, created_at, created_by, revision
        FROM api_keys WHERE tenant_id = $1 AND key_id = $2"#,
        transaction.tenant_id().0,
        id.as_str()
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(row::Row::into_summary).transpose()
}

/// The keys that act for a person, revoked ones too.
pub async fn ids_of(transaction: &mut TenantTransaction, user: UserId) -> Result<Vec<ApiKeyId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT key_id FROM api_keys WHERE tenant_id = $1 AND user_id = $2 ORDER BY key_id",
        transaction.tenant_id().0,
        user.0
    )
    .fetch_all(transaction.connection())
    .await?;
    ids.iter().map(|id| row::key_id(id)).collect()
}

/// The key of that id, which nobody else changes until the transaction ends.
async fn lock(transaction: &mut TenantTransaction, id: &ApiKeyId) -> Result<KeySummary, StoreError> {
    let row = sqlx::query_as!(
        row::Row,
        r#"SELECT key_id, name, mode, scopes, toolsets, read_only, user_id,
            allowed_networks AS "allowed_networks: Vec<IpNet>", expires_at, revoked_at, revoked_reason, replaced_by,
            last_used_at, created_at, created_by, revision
        FROM api_keys WHERE tenant_id = $1 AND key_id = $2 FOR NO KEY UPDATE"#,
        transaction.tenant_id().0,
        id.as_str()
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.ok_or(StoreError::Missing("API key"))?.into_summary()
}
