//! Grants of linked accounts: tokens sealed under the person's key, in a row whose revision each write raises. Here
//! they are opened, and given a new id and seal every day. Talking to the provider is for `providers`; when to refresh
//! is for `tools`.

mod quarantine;
mod refresh;
mod seal;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use stagedoor_crypto::{DataKey, KeyOwner};
use stagedoor_domain::{LinkedAccountId, PrincipalKind, SessionId, TenantContext, UserId};

pub use quarantine::{is_damage, quarantine};
pub use refresh::{
    RefreshClaim, RefreshedTokens, SaveOutcome, claim_refresh, hold_revision, mark_relink_needed_at,
    release_refresh, save_refreshed,
};

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;
use seal::{Place, SealedTokens};

/// How long a session keeps its id and its seal.
pub const ROTATE_AFTER: TimeDelta = TimeDelta::hours(24);

/// What this build writes and reads in `schema_version`.
const SCHEMA_VERSION: &str = "2.0";
/// The column whose value tells which builds understand a row; [`StoreError::NotUnderstood`] names it.
pub const SCHEMA_COLUMN: &str = "provider_sessions.schema_version";
/// `last_accessed` is exact to this, so that reading is not writing.
const ACCESS_PRECISION: TimeDelta = TimeDelta::hours(1);
/// How often a load begins anew because someone else wrote the row between reading and rotating it.
const ROTATION_ATTEMPTS: u8 = 3;

/// A session with its tokens opened.
#[derive(Clone)]
pub struct OpenedSession {
    /// The id, a new one every day.
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
    /// Raised with each write; never falls while the account is linked.
    pub revision: i64,
    /// Whether this load gave it a new id and a new seal.
    pub rotated: bool,
}

/// A grant to store.
pub(crate) struct NewSession<'a> {
    pub(crate) id: SessionId,
    pub(crate) account: LinkedAccountId,
    pub(crate) tokens: &'a RefreshedTokens,
    pub(crate) authorized_at: DateTime<Utc>,
    pub(crate) revision: i64,
    pub(crate) device: Option<[u8; 32]>,
    pub(crate) imported: bool,
}

struct Stored {
    session: OpenedSession,
    due: bool,
}

/// The session of an account with its tokens opened. `None` if there is none, or if the account is not the person's
/// that the context is bound to; only a job, which is bound to nobody, may load anyone's. Gives the session a new id
/// and a new seal if the day of the old ones is over, unless someone is refreshing it.
///
/// [`StoreError::Quarantined`] if it was set aside, [`StoreError::Unreadable`] if that is what the caller should do.
pub async fn load(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
) -> Result<Option<OpenedSession>, StoreError> {
    let mut attempt = 1;
    loop {
        let Some(stored) = read(vault, context, account, Access::Use).await? else { return Ok(None) };
        if !stored.due || attempt > ROTATION_ATTEMPTS {
            return Ok(Some(stored.session));
        }
        if let Some(rotated) = rotate(vault, context, &stored.session, Access::Use).await? {
            return Ok(Some(rotated));
        }
        attempt += 1;
    }
}

/// Accounts whose sessions are due for a new id and a new seal, after `after`, at most `limit`; for jobs.
pub async fn due(
    vault: &KeyVault,
    context: &TenantContext,
    after: Option<LinkedAccountId>,
    limit: i64,
) -> Result<Vec<LinkedAccountId>, StoreError> {
    let now = vault.clock().now();
    let read = async |tx: &mut TenantTransaction| {
        let accounts = sqlx::query_scalar!(
            "SELECT account_id FROM provider_sessions
            WHERE tenant_id = $1 AND account_id > $2 AND (rotation_due IS NULL OR rotation_due <= $3)
                AND refresh_claimed_until IS NULL AND quarantined_at IS NULL
            ORDER BY account_id LIMIT $4",
            tx.tenant_id().0,
            after.map_or(uuid::Uuid::nil(), |account| account.0),
            now,
            limit
        );
        Ok::<_, StoreError>(accounts.fetch_all(tx.connection()).await?)
    };
    Ok(vault.store().with_tenant(context, read).await?.into_iter().map(Into::into).collect())
}

/// Gives the session of an account a new id and a new seal if the day of the old ones is over; whether it was. That is no
/// use of the session: what ends those that nobody uses does not see it. For jobs.
pub async fn rotate_if_due(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
) -> Result<bool, StoreError> {
    match read(vault, context, account, Access::Keep).await? {
        Some(stored) if stored.due => {
            Ok(rotate(vault, context, &stored.session, Access::Keep).await?.is_some())
        }
        _ => Ok(false),
    }
}

/// Whether a session is read to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Use,
    Keep,
}

/// The revision of an account's session now, without opening it; `None` if there is none.
pub async fn revision(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
) -> Result<Option<i64>, StoreError> {
    vault
        .store()
        .with_tenant(context, async |tx| {
            let revision = sqlx::query_scalar!(
                "SELECT revision FROM provider_sessions WHERE tenant_id = $1 AND account_id = $2",
                tx.tenant_id().0,
                account.0
            );
            Ok::<_, StoreError>(revision.fetch_optional(tx.connection()).await?)
        })
        .await
}

/// Stores a new session. `key` is the person's.
pub(crate) async fn insert(
    transaction: &mut TenantTransaction,
    vault: &KeyVault,
    key: &DataKey,
    session: &NewSession<'_>,
) -> Result<(), StoreError> {
    let place = Place { tenant: transaction.tenant_id(), session: session.id, revision: session.revision };
    let tokens = session.tokens;
    let sealed = place.seal(vault, key, &tokens.access_token, tokens.refresh_token.as_ref());
    let now = vault.clock().now();
    sqlx::query!(
        "INSERT INTO provider_sessions (tenant_id, session_id, account_id, access_token, refresh_token, scopes, \
            token_expires_at, authorized_at, revision, rotation_due, device_fingerprint, imported, schema_version, \
            created_at, updated_at, last_accessed) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, encode($11, 'hex'), $12, $13, $14, $14, $14)",
        transaction.tenant_id().0,
        session.id.0,
        session.account.0,
        sealed.access_token,
        sealed.refresh_token,
        tokens.scopes.as_deref().unwrap_or_default(),
        tokens.expires_at,
        session.authorized_at,
        session.revision,
        now + ROTATE_AFTER,
        session.device.as_ref().map(|device| &device[..]),
        session.imported,
        SCHEMA_VERSION,
        now
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("a session of that account"))?;
    Ok(())
}

/// Deletes an account's session; its last revision, or `None` if there was none.
pub(crate) async fn remove(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
) -> Result<Option<i64>, StoreError> {
    let revision = sqlx::query_scalar!(
        "DELETE FROM provider_sessions WHERE tenant_id = $1 AND account_id = $2 RETURNING revision",
        transaction.tenant_id().0,
        account.0
    );
    Ok(revision.fetch_optional(transaction.connection()).await?)
}

async fn read(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    access: Access,
) -> Result<Option<Stored>, StoreError> {
    let now = vault.clock().now();
    let person = context.user().map(|user| user.0);
    if person.is_none() && !matches!(context.principal().kind, PrincipalKind::Job(_)) {
        return Ok(None);
    }
    let found = vault
        .store()
        .with_tenant(context, async |tx| {
            let found = sqlx::query!(
                "SELECT s.session_id, s.schema_version, s.access_token, s.refresh_token, s.scopes, s.token_expires_at,
                    s.authorized_at, s.revision, s.last_accessed, s.refresh_claimed_until, s.quarantined_at, a.user_id,
                    s.rotation_due, s.updated_at, v.updated_at AS migrated_at
                FROM provider_sessions s JOIN linked_accounts a USING (tenant_id, account_id)
                CROSS JOIN storage_version v
                WHERE s.tenant_id = $1 AND s.account_id = $2 AND ($3::uuid IS NULL OR a.user_id = $3)",
                tx.tenant_id().0,
                account.0,
                person
            )
            .fetch_optional(tx.connection())
            .await?;
            if let Some(row) = &found
                && access == Access::Use
                && now - row.last_accessed > ACCESS_PRECISION
            {
                touch(tx, account, now).await?;
            }
            Ok::<_, StoreError>(found)
        })
        .await?;
    let Some(row) = found else { return Ok(None) };
    if row.quarantined_at.is_some() {
        return Err(StoreError::Quarantined);
    }
    if row.schema_version != SCHEMA_VERSION {
        return Err(StoreError::not_understood(SCHEMA_COLUMN, row.schema_version));
    }
    let place = Place { tenant: context.tenant_id(), session: row.session_id.into(), revision: row.revision };
    let sealed = SealedTokens { access_token: row.access_token, refresh_token: row.refresh_token };
    let tokens = place.open(vault, context, row.user_id.into(), &sealed).await?;
    // A claim that is held, or whose holder died, stands for an exchange whose outcome must find the row as it was.
    // A row of the previous release takes no claims and has no due time: while both releases run, it is left alone.
    let since_upgrade = row.updated_at.max(row.migrated_at) + ROTATE_AFTER;
    let due = row.refresh_claimed_until.is_none() && row.rotation_due.unwrap_or(since_upgrade) <= now;
    let session = OpenedSession {
        id: place.session,
        account,
        user: row.user_id.into(),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_at: row.token_expires_at,
        authorized_at: row.authorized_at,
        scopes: row.scopes,
        revision: row.revision,
        rotated: false,
    };
    Ok(Some(Stored { session, due }))
}

/// The session under a new id and a new seal; `None` if it was written meanwhile.
async fn rotate(
    vault: &KeyVault,
    context: &TenantContext,
    session: &OpenedSession,
    access: Access,
) -> Result<Option<OpenedSession>, StoreError> {
    let key = vault.active_key(context, KeyOwner::Subject(session.user)).await?;
    let id = SessionId::generate(vault.clock(), vault.entropy());
    let place = Place { tenant: context.tenant_id(), session: id, revision: session.revision + 1 };
    let sealed = place.seal(vault, &key, &session.access_token, session.refresh_token.as_ref());
    let now = vault.clock().now();
    let done = vault
        .store()
        .with_tenant(context, async |tx| {
            let update = sqlx::query!(
                "UPDATE provider_sessions SET session_id = $4, access_token = $5, refresh_token = $6,
                    revision = $3 + 1, rotation_due = $7, updated_at = $8,
                    last_accessed = CASE WHEN $9 THEN $8 ELSE last_accessed END,
                    refused_revision = CASE WHEN refused_revision = $3 THEN $3 + 1 ELSE refused_revision END
                WHERE tenant_id = $1 AND session_id = $2 AND revision = $3
                    AND refresh_claimed_until IS NULL AND quarantined_at IS NULL",
                tx.tenant_id().0,
                session.id.0,
                session.revision,
                id.0,
                sealed.access_token,
                sealed.refresh_token,
                now + ROTATE_AFTER,
                now,
                access == Access::Use
            );
            Ok::<_, StoreError>(update.execute(tx.connection()).await?)
        })
        .await?;
    Ok((done.rows_affected() == 1).then(|| OpenedSession {
        id,
        revision: place.revision,
        rotated: true,
        ..session.clone()
    }))
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
