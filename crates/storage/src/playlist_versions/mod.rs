//! What playlists held, version by version, as far as the gateway has seen them: reading that. Storing is in `append`,
//! how contents are cut and sealed in `chunks`. When a version is stored and what undoes it are `tools`' to say.

mod append;
mod cause;
mod chunks;
mod head;
mod load;

use chrono::{DateTime, Utc};
use stagedoor_domain::{CallId, ItemRef, LinkedAccountId, TenantContext, UserId};
use uuid::Uuid;

pub use append::{append, append_after};
pub use cause::Cause;
pub(crate) use chunks::decode as entry_names;
pub use head::Head;
pub use load::load;

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// How many versions of a playlist are kept; of those before the newest ones nothing stays.
pub const KEPT: u32 = 200;

/// What a playlist held at one moment.
#[derive(Clone, Copy)]
pub struct NewVersion<'a> {
    /// The account that it was read or written with.
    pub account: LinkedAccountId,
    /// The person whose account it is.
    pub user: UserId,
    /// The playlist.
    pub playlist: &'a ItemRef,
    /// What the service calls this version; any text that changes with the playlist.
    pub provider_version: Option<&'a str>,
    /// Why it is stored.
    pub cause: Cause,
    /// The call that brought it.
    pub call: Option<CallId>,
    /// What it holds besides entries.
    pub head: &'a Head,
    /// The names of all its entries, in order; each below 64 KiB.
    pub entries: &'a [Box<str>],
}

/// What is told of a version without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// 1, 2, 3, … for each playlist of an account.
    pub number: u32,
    /// What the service calls it, as far as known.
    pub provider_version: Option<String>,
    /// Why it was stored.
    pub cause: Cause,
    /// When it was stored.
    pub recorded_at: DateTime<Utc>,
    /// How many entries it has.
    pub entries: u32,
    /// The call that brought it.
    pub call: Option<CallId>,
}

/// A version, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// What is told of it without opening it.
    pub summary: Summary,
    /// What it held besides entries.
    pub head: Head,
    /// The names of all its entries, in order.
    pub entries: Vec<Box<str>>,
}

/// The newest version of a playlist; `None` if none was ever stored.
pub async fn newest(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    playlist: &ItemRef,
) -> Result<Option<Summary>, StoreError> {
    Ok(list(vault, context, account, playlist, None, 1).await?.into_iter().next())
}

/// The versions of a playlist with numbers below `before`, the newest first, at most `limit`. If the context is bound
/// to a person, another's account has none.
pub async fn list(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    playlist: &ItemRef,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<Summary>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query_as!(
            Row,
            "SELECT number, provider_version, cause, recorded_at, entries, call_id FROM playlist_versions
            WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3 AND number < $4
                AND ($5::uuid IS NULL OR user_id = $5)
            ORDER BY number DESC LIMIT $6",
            tx.tenant_id().0,
            account.0,
            playlist.to_string(),
            before.and_then(|before| i32::try_from(before).ok()).unwrap_or(i32::MAX),
            context.user().map(|user| user.0),
            i64::from(limit)
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    rows.into_iter().map(Row::into_summary).collect()
}

struct Row {
    number: i32,
    provider_version: Option<String>,
    cause: String,
    recorded_at: DateTime<Utc>,
    entries: i32,
    call_id: Option<Uuid>,
}

impl Row {
    fn into_summary(self) -> Result<Summary, StoreError> {
        let count = |value: i32| {
            u32::try_from(value)
                .map_err(|_| StoreError::not_understood("playlist_versions", value.to_string()))
        };
        Ok(Summary {
            number: count(self.number)?,
            provider_version: self.provider_version,
            cause: self
                .cause
                .parse()
                .map_err(|()| StoreError::not_understood("playlist_versions.cause", self.cause))?,
            recorded_at: self.recorded_at,
            entries: count(self.entries)?,
            call: self.call_id.map(Into::into),
        })
    }
}

/// What tells this playlist of this account from all others.
fn identity(account: LinkedAccountId, playlist: &ItemRef) -> String {
    format!("{account} {playlist}")
}

impl std::fmt::Debug for NewVersion<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewVersion")
            .field("playlist", &self.playlist)
            .field("cause", &self.cause)
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}
