//! Grants of linked accounts: tokens sealed under the person's key, refreshed by compare-and-swap on the revision.
//! Talking to the provider is for `providers`; when to refresh is for `tools`.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use stagedoor_crypto::{KeyOwner, SealContext};
use stagedoor_domain::{LinkedAccountId, SessionId, TenantContext, TenantId, UserId};

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::provider_apps::secret_text;
use crate::transaction::TenantTransaction;

/// `last_accessed` is exact to this, so that reading is not writing.
const ACCESS_PRECISION: TimeDelta = TimeDelta::hours(1);

/// A session with its tokens opened.
#[derive(Clone)]
pub struct OpenedSession {
    /// The id.
    pub id: SessionId,
    /// The account.
    pub account: LinkedAccountId,
    /// The person.
    pub user: UserId,
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token, if the provider gave one.
    pub refresh_token: Option<SecretString>,
    /// When the access token ends.
    pub expires_at: DateTime<Utc>,
    /// When the person last consented.
    pub authorized_at: DateTime<Utc>,
    /// What the grant covers, in the provider's words.
    pub scopes: Vec<String>,
    /// Raised with each write.
    pub revision: i64,
}

/// What a refresh brought.
#[derive(Clone)]
pub struct RefreshedTokens {
    /// The new access token.
    pub access_token: SecretString,
    /// A new refresh token; `None` keeps the old one.
    pub refresh_token: Option<SecretString>,
    /// When the new access token ends.
    pub expires_at: DateTime<Utc>,
    /// What the grant covers now; `None` keeps what was known.
    pub scopes: Option<Vec<String>>,
}

/// What became of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveOutcome {
    /// Stored, with this revision.
    Saved {
        /// The new revision.
        revision: i64,
    },
    /// Someone else stored another refresh first, or the session is gone; load again.
    Superseded,
}

/// The session of an account with its tokens opened. `None` if there is none, or if the context is bound to a person
/// that the account does not belong to.
pub async fn load(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
) -> Result<Option<OpenedSession>, StoreError> {
    let now = vault.clock().now();
    let person = context.user().map(|user| user.0);
    let found = vault
        .store()
        .with_tenant(context, async |tx| {
            let found = sqlx::query!(
                "SELECT s.session_id, s.access_token, s.refresh_token, s.scopes, s.token_expires_at, s.authorized_at,
                    s.revision, s.last_accessed, a.user_id
                FROM provider_sessions s JOIN linked_accounts a USING (tenant_id, account_id)
                WHERE s.tenant_id = $1 AND s.account_id = $2 AND ($3::uuid IS NULL OR a.user_id = $3)",
                tx.tenant_id().0,
                account.0,
                person
            )
            .fetch_optional(tx.connection())
            .await?;
            if let Some(row) = &found
                && now - row.last_accessed > ACCESS_PRECISION
            {
                touch(tx, account, now).await?;
            }
            Ok::<_, StoreError>(found)
        })
        .await?;
    let Some(row) = found else { return Ok(None) };
    let id = SessionId(row.session_id);
    let access = access_place(context.tenant_id(), id, row.revision);
    let access_token = vault.open(context, &access, &row.access_token, "an access token").await?;
    let refresh_token = match &row.refresh_token {
        None => None,
        Some(sealed) => {
            let opened = vault.open(context, &refresh_place(access), sealed, "a refresh token").await?;
            Some(secret_text(&opened, "provider_sessions.refresh_token")?)
        }
    };
    Ok(Some(OpenedSession {
        id,
        account,
        user: row.user_id.into(),
        access_token: secret_text(&access_token, "provider_sessions.access_token")?,
        refresh_token,
        expires_at: row.token_expires_at,
        authorized_at: row.authorized_at,
        scopes: row.scopes,
        revision: row.revision,
    }))
}

/// Stores refreshed tokens if the session is still at the revision that was loaded. The provider may have ended the
/// old tokens already, so a caller keeps what it has in memory until this succeeds.
pub async fn save_refreshed(
    vault: &KeyVault,
    context: &TenantContext,
    session: &OpenedSession,
    tokens: &RefreshedTokens,
) -> Result<SaveOutcome, StoreError> {
    let revision = session.revision + 1;
    let refresh_token = tokens.refresh_token.as_ref().or(session.refresh_token.as_ref());
    let sealed =
        seal(vault, context, session.user, session.id, revision, &tokens.access_token, refresh_token).await?;
    let scopes = tokens.scopes.as_ref().unwrap_or(&session.scopes);
    let now = vault.clock().now();
    let done = vault
        .store()
        .with_tenant(context, async |tx| {
            let update = sqlx::query!(
                "UPDATE provider_sessions SET access_token = $4, refresh_token = $5, scopes = $6,
                    token_expires_at = $7, revision = $3 + 1, updated_at = $8, last_accessed = $8
                WHERE tenant_id = $1 AND session_id = $2 AND revision = $3",
                tx.tenant_id().0,
                session.id.0,
                session.revision,
                sealed.access_token,
                sealed.refresh_token,
                scopes,
                tokens.expires_at,
                now
            );
            Ok::<_, StoreError>(update.execute(tx.connection()).await?)
        })
        .await?;
    Ok(if done.rows_affected() == 1 { SaveOutcome::Saved { revision } } else { SaveOutcome::Superseded })
}

/// Seals a new session and stores it in `transaction`.
pub(crate) async fn insert(
    transaction: &mut TenantTransaction,
    session: &OpenedSession,
    sealed: SealedTokens,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO provider_sessions (tenant_id, session_id, account_id, access_token, refresh_token, scopes, \
            token_expires_at, authorized_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        transaction.tenant_id().0,
        session.id.0,
        session.account.0,
        sealed.access_token,
        sealed.refresh_token,
        &session.scopes,
        session.expires_at,
        session.authorized_at,
        session.revision
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("a session of that account"))?;
    Ok(())
}

/// Both tokens of one revision, sealed.
pub(crate) struct SealedTokens {
    access_token: Vec<u8>,
    refresh_token: Option<Vec<u8>>,
}

pub(crate) async fn seal(
    vault: &KeyVault,
    context: &TenantContext,
    user: UserId,
    session: SessionId,
    revision: i64,
    access_token: &SecretString,
    refresh_token: Option<&SecretString>,
) -> Result<SealedTokens, StoreError> {
    let key = vault.active_key(context, KeyOwner::Subject(user)).await?;
    let access = access_place(context.tenant_id(), session, revision);
    let seal = |place: &SealContext, token: &SecretString| {
        key.seal(place, token.expose_secret().as_bytes(), vault.entropy())
    };
    Ok(SealedTokens {
        access_token: seal(&access, access_token),
        refresh_token: refresh_token.map(|token| seal(&refresh_place(access), token)),
    })
}

async fn touch(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE provider_sessions SET last_accessed = $3 WHERE tenant_id = $1 AND account_id = $2",
        transaction.tenant_id().0,
        account.0,
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

fn access_place(tenant: TenantId, session: SessionId, revision: i64) -> SealContext {
    SealContext { tenant, table: "provider_sessions", column: "access_token", row: session.0, revision }
}

fn refresh_place(access: SealContext) -> SealContext {
    SealContext { column: "refresh_token", ..access }
}

impl fmt::Debug for OpenedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedSession")
            .field("id", &self.id)
            .field("account", &self.account)
            .field("expires_at", &self.expires_at)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshedTokens").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
