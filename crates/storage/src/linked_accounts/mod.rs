//! Accounts at a provider that a person linked: reading, marking and unlinking them. Linking is in `link`; their
//! tokens are in `provider_sessions`.

mod link;

use chrono::{DateTime, Utc};
use stagedoor_domain::{LinkedAccountId, Provider, UserId};
use uuid::Uuid;

pub use link::{Link, LinkOptions, NewLinkedAccount, link, note_without_grant};

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// Whether an account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// It can.
    Active,
    /// The provider no longer accepts the grant: the person must consent again.
    RelinkNeeded,
}

/// One account of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedAccount {
    /// The id.
    pub id: LinkedAccountId,
    /// The person.
    pub user: UserId,
    /// The provider.
    pub provider: Provider,
    /// The provider's id of the account.
    pub provider_user_id: String,
    /// What to show.
    pub label: String,
    /// Its market, ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Whether it can be used.
    pub status: AccountStatus,
    /// When it was linked for the first time.
    pub created_at: DateTime<Utc>,
    /// What is known of its grant without opening it; `None` if there is none.
    pub session: Option<SessionView>,
}

/// A grant as it looks from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// When the person last consented.
    pub authorized_at: DateTime<Utc>,
    /// When the access token ends.
    pub token_expires_at: DateTime<Utc>,
    /// What the grant covers, in the provider's words.
    pub scopes: Vec<String>,
    /// Whether it was set aside because it did not open.
    pub quarantined: bool,
    /// Whether it came from another program's file.
    pub imported: bool,
    /// Whether it can be renewed: the provider gave out a refresh token.
    pub refreshable: bool,
}

/// What went with an unlinked account, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unlinked {
    /// Grants.
    pub sessions: u64,
    /// Copies of grants that had not opened.
    pub quarantined: u64,
    /// Devices.
    pub devices: u64,
    /// Tries to link it.
    pub attempts: u64,
    /// Records of files that it was imported from.
    pub imports: u64,
    /// Versions of playlists.
    pub versions: u64,
    /// Calls with an idempotency key.
    pub idempotency_keys: u64,
    /// Jobs that worked on it.
    pub jobs: u64,
}

struct Row {
    account_id: Uuid,
    user_id: Uuid,
    provider: String,
    provider_user_id: String,
    label: String,
    country_code: Option<String>,
    status: String,
    created_at: DateTime<Utc>,
    authorized_at: Option<DateTime<Utc>>,
    token_expires_at: Option<DateTime<Utc>>,
    scopes: Option<Vec<String>>,
    quarantined: bool,
    imported: bool,
    refreshable: bool,
}

/// The accounts of one person, oldest first.
pub async fn list(
    transaction: &mut TenantTransaction,
    user: UserId,
) -> Result<Vec<LinkedAccount>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT a.account_id, a.user_id, a.provider, a.provider_user_id, a.label, a.country_code,
            CASE WHEN a.status = 'relink_needed' AND s.refused_revision < s.revision THEN 'active' ELSE a.status END
                AS "status!",
            a.created_at, s.authorized_at AS "authorized_at?", s.token_expires_at AS "token_expires_at?",
            s.scopes AS "scopes?", s.quarantined_at IS NOT NULL AS "quarantined!",
            COALESCE(s.imported, false) AS "imported!", s.refresh_token IS NOT NULL AS "refreshable!"
        FROM linked_accounts a LEFT JOIN provider_sessions s USING (tenant_id, account_id)
        WHERE a.tenant_id = $1 AND a.user_id = $2 ORDER BY a.created_at, a.account_id"#,
        transaction.tenant_id().0,
        user.0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Row::into_account).collect()
}

/// The account of that id, whichever person's; a caller that acts for a person compares `user`.
pub async fn find(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
) -> Result<Option<LinkedAccount>, StoreError> {
    let Some(owner) = owner_of(transaction, account).await? else { return Ok(None) };
    Ok(list(transaction, owner).await?.into_iter().find(|found| found.id == account))
}

/// The person that an account belongs to.
pub async fn owner_of(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
) -> Result<Option<UserId>, StoreError> {
    let owner = sqlx::query_scalar!(
        "SELECT user_id FROM linked_accounts WHERE tenant_id = $1 AND account_id = $2",
        transaction.tenant_id().0,
        account.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(owner.map(UserId))
}

/// Deletes an account and all that came from it; `None` if there is no such account.
pub async fn unlink(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
) -> Result<Option<Unlinked>, StoreError> {
    let tenant = transaction.tenant_id().0;
    if !lock(transaction, account).await? {
        return Ok(None);
    }
    // Foreign keys would delete these too; one statement tells how many there were.
    let counted = sqlx::query!(
        r#"WITH sessions AS (DELETE FROM provider_sessions WHERE tenant_id = $1 AND account_id = $2 RETURNING 1),
            quarantined AS (DELETE FROM session_quarantine WHERE tenant_id = $1 AND account_id = $2 RETURNING 1),
            devices AS (DELETE FROM session_devices WHERE tenant_id = $1 AND account_id = $2 RETURNING 1),
            attempts AS (DELETE FROM link_attempts WHERE tenant_id = $1 AND account_id = $2 RETURNING 1),
            imports AS (DELETE FROM session_imports WHERE tenant_id = $1 AND account_id = $2 RETURNING 1),
            versions AS (DELETE FROM playlist_versions WHERE tenant_id = $1 AND account_id = $2 RETURNING 1),
            chunks AS (DELETE FROM playlist_chunks WHERE tenant_id = $1 AND account_id = $2),
            keys AS (DELETE FROM idempotency_keys WHERE tenant_id = $1 AND account_id = $2 RETURNING 1),
            jobs AS (DELETE FROM jobs WHERE tenant_id = $1 AND (first_account = $2 OR second_account = $2) RETURNING 1)
        SELECT (SELECT count(*) FROM sessions) AS "sessions!", (SELECT count(*) FROM quarantined) AS "quarantined!",
            (SELECT count(*) FROM devices) AS "devices!", (SELECT count(*) FROM attempts) AS "attempts!",
            (SELECT count(*) FROM imports) AS "imports!", (SELECT count(*) FROM versions) AS "versions!",
            (SELECT count(*) FROM keys) AS "keys!", (SELECT count(*) FROM jobs) AS "jobs!""#,
        tenant,
        account.0
    )
    .fetch_one(transaction.connection())
    .await?;
    sqlx::query!("DELETE FROM linked_accounts WHERE tenant_id = $1 AND account_id = $2", tenant, account.0)
        .execute(transaction.connection())
        .await?;
    Ok(Some(Unlinked {
        sessions: counted.sessions.unsigned_abs(),
        quarantined: counted.quarantined.unsigned_abs(),
        devices: counted.devices.unsigned_abs(),
        attempts: counted.attempts.unsigned_abs(),
        imports: counted.imports.unsigned_abs(),
        versions: counted.versions.unsigned_abs(),
        idempotency_keys: counted.keys.unsigned_abs(),
        jobs: counted.jobs.unsigned_abs(),
    }))
}

/// Keeps everyone else from changing the account or what hangs on it until the transaction ends; `false` if there is
/// no such account. Whoever locks an account and its session locks the account first.
pub(crate) async fn lock(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
) -> Result<bool, StoreError> {
    let found = sqlx::query!(
        "SELECT account_id FROM linked_accounts WHERE tenant_id = $1 AND account_id = $2 FOR NO KEY UPDATE",
        transaction.tenant_id().0,
        account.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(found.is_some())
}

pub(crate) async fn set_status(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
    status: AccountStatus,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE linked_accounts SET status = $3, updated_at = now() WHERE tenant_id = $1 AND account_id = $2",
        transaction.tenant_id().0,
        account.0,
        status.as_str()
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

impl AccountStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::RelinkNeeded => "relink_needed",
        }
    }
}

impl Row {
    fn into_account(self) -> Result<LinkedAccount, StoreError> {
        let status = match self.status.as_str() {
            "active" => AccountStatus::Active,
            "relink_needed" => AccountStatus::RelinkNeeded,
            other => return Err(StoreError::not_understood("linked_accounts.status", other)),
        };
        let provider = self
            .provider
            .parse()
            .map_err(|_| StoreError::not_understood("linked_accounts.provider", &self.provider))?;
        let session = match (self.authorized_at, self.token_expires_at) {
            (Some(authorized_at), Some(token_expires_at)) => Some(SessionView {
                authorized_at,
                token_expires_at,
                scopes: self.scopes.unwrap_or_default(),
                quarantined: self.quarantined,
                imported: self.imported,
                refreshable: self.refreshable,
            }),
            _ => None,
        };
        Ok(LinkedAccount {
            id: self.account_id.into(),
            user: self.user_id.into(),
            provider,
            provider_user_id: self.provider_user_id,
            label: self.label,
            country_code: self.country_code,
            status,
            created_at: self.created_at,
            session,
        })
    }
}
