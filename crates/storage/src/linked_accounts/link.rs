//! Linking an account, or linking it again: the account, its grant, the device that asked and the attempt, all in one
//! transaction. Consent and the exchange at the provider came before.

use chrono::{DateTime, Utc};
use stagedoor_crypto::KeyOwner;
use stagedoor_domain::{LinkAttemptId, LinkedAccountId, Provider, SessionId, TenantContext, UserId};

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::provider_sessions::{self, NewSession, RefreshedTokens};
use crate::session_imports::{self, ImportClaim, ImportOutcome, SessionImport};
use crate::transaction::TenantTransaction;
use crate::{link_attempts, linked_accounts, session_devices};

/// What is known of an account that a person links.
#[derive(Debug, Clone)]
pub struct NewLinkedAccount {
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
}

/// How an account came to be linked.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// The attempt that it finishes, which must be exchanging.
    pub attempt: Option<LinkAttemptId>,
    /// The device that asked, which is admitted.
    pub device: Option<[u8; 32]>,
    /// Who asked, as the audit trail names it.
    pub principal: String,
    /// The keyed hash of the tokens, if they come from another program's file.
    pub import: Option<[u8; 32]>,
    /// When the person consented.
    pub authorized_at: DateTime<Utc>,
}

/// What linking came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The account.
    pub account: LinkedAccountId,
    /// Whether it was there before, with a grant or without.
    pub relinked: bool,
}

/// Links an account with the tokens that consent brought. An account that the person has linked before keeps its id,
/// and its old grant, readable or not, is replaced.
///
/// [`StoreError::LinkEnded`] if the attempt is not exchanging any more, or was for another account;
/// [`StoreError::AlreadyExists`] if the import was made before. Then nothing is stored.
pub async fn link(
    vault: &KeyVault,
    context: &TenantContext,
    account: NewLinkedAccount,
    tokens: &RefreshedTokens,
    options: LinkOptions,
) -> Result<Link, StoreError> {
    let now = vault.clock().now();
    let key = vault.active_key(context, KeyOwner::Subject(account.user)).await?;
    let new_id = LinkedAccountId::generate(vault.clock(), vault.entropy());
    let session_id = SessionId::generate(vault.clock(), vault.entropy());
    vault
        .store()
        .with_tenant(context, async |tx| {
            let link = upsert(tx, new_id, &account).await?;
            linked_accounts::set_status(tx, link.account, linked_accounts::AccountStatus::Active).await?;
            let revision = provider_sessions::remove(tx, link.account).await?.map_or(1, |last| last + 1);
            let session = NewSession {
                id: session_id,
                account: link.account,
                tokens,
                authorized_at: options.authorized_at,
                revision,
                device: options.device,
                imported: options.import.is_some(),
            };
            provider_sessions::insert(tx, vault, &key, &session).await?;
            if let Some(device) = &options.device {
                session_devices::admit(tx, link.account, device, &options.principal, now).await?;
            }
            if let Some(attempt) = options.attempt {
                link_attempts::finish(tx, attempt, link.account, now).await?;
            }
            if let Some(digest) = options.import {
                let outcome = ImportOutcome::Linked(link.account);
                let import =
                    SessionImport { source_digest: digest, user: account.user, outcome, imported_at: now };
                record(tx, &import, None).await?;
            }
            Ok(link)
        })
        .await
}

/// Notes an account that is known without a grant that works, so that its person can be asked to consent. One that is
/// there already stays as it is in every way. [`StoreError::AlreadyExists`] if the claim was lost.
pub async fn note_without_grant(
    vault: &KeyVault,
    context: &TenantContext,
    account: NewLinkedAccount,
    import: Option<&ImportClaim>,
) -> Result<Link, StoreError> {
    let now = vault.clock().now();
    let new_id = LinkedAccountId::generate(vault.clock(), vault.entropy());
    vault
        .store()
        .with_tenant(context, async |tx| {
            let link = insert_or_find(tx, new_id, &account).await?;
            if let Some(claim) = import {
                let outcome = ImportOutcome::RelinkNeeded(link.account);
                let source_digest = claim.source_digest;
                let import = SessionImport { source_digest, user: account.user, outcome, imported_at: now };
                record(tx, &import, Some(claim)).await?;
            }
            Ok(link)
        })
        .await
}

/// Makes the account as one to link again, or finds it, and locks it either way.
async fn insert_or_find(
    transaction: &mut TenantTransaction,
    new_id: LinkedAccountId,
    account: &NewLinkedAccount,
) -> Result<Link, StoreError> {
    let made = sqlx::query!(
        "INSERT INTO linked_accounts
            (tenant_id, account_id, user_id, provider, provider_user_id, label, country_code, status)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'relink_needed')
        ON CONFLICT (tenant_id, user_id, provider, provider_user_id) DO NOTHING",
        transaction.tenant_id().0,
        new_id.0,
        account.user.0,
        account.provider.as_str(),
        account.provider_user_id,
        account.label,
        account.country_code.as_deref()
    )
    .execute(transaction.connection())
    .await?;
    if made.rows_affected() == 1 {
        return Ok(Link { account: new_id, relinked: false });
    }
    let found = sqlx::query_scalar!(
        "SELECT account_id FROM linked_accounts
        WHERE tenant_id = $1 AND user_id = $2 AND provider = $3 AND provider_user_id = $4 FOR NO KEY UPDATE",
        transaction.tenant_id().0,
        account.user.0,
        account.provider.as_str(),
        account.provider_user_id
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(Link { account: LinkedAccountId(found.ok_or(StoreError::Missing("account"))?), relinked: true })
}

/// Makes the account or finds it, and locks it either way.
async fn upsert(
    transaction: &mut TenantTransaction,
    new_id: LinkedAccountId,
    account: &NewLinkedAccount,
) -> Result<Link, StoreError> {
    let row = sqlx::query!(
        "INSERT INTO linked_accounts AS a
            (tenant_id, account_id, user_id, provider, provider_user_id, label, country_code)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, user_id, provider, provider_user_id) DO UPDATE
            SET label = COALESCE(NULLIF(excluded.label, ''), a.label),
                country_code = COALESCE(excluded.country_code, a.country_code), updated_at = now()
        RETURNING account_id",
        transaction.tenant_id().0,
        new_id.0,
        account.user.0,
        account.provider.as_str(),
        account.provider_user_id,
        account.label,
        account.country_code.as_deref()
    )
    .fetch_one(transaction.connection())
    .await?;
    let found = LinkedAccountId(row.account_id);
    Ok(Link { account: found, relinked: found != new_id })
}

async fn record(
    transaction: &mut TenantTransaction,
    import: &SessionImport,
    claim: Option<&ImportClaim>,
) -> Result<(), StoreError> {
    if session_imports::record(transaction, import, claim).await? {
        Ok(())
    } else {
        Err(StoreError::AlreadyExists("an import of these tokens"))
    }
}
