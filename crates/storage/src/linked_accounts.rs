//! Accounts at a provider that a person linked. Their tokens are in `provider_sessions`.

use stagedoor_domain::{LinkedAccountId, Provider, UserId};
use uuid::Uuid;

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
}

struct Row {
    account_id: Uuid,
    user_id: Uuid,
    provider: String,
    provider_user_id: String,
    label: String,
    country_code: Option<String>,
    status: String,
}

/// The accounts of one person, oldest first.
pub async fn list(
    transaction: &mut TenantTransaction,
    user: UserId,
) -> Result<Vec<LinkedAccount>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT account_id, user_id, provider, provider_user_id, label, country_code, status
        FROM linked_accounts WHERE tenant_id = $1 AND user_id = $2 ORDER BY created_at, account_id",
        transaction.tenant_id().0,
        user.0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Row::into_account).collect()
}

/// Marks that the person must consent again; `false` if there is no such account.
pub async fn mark_relink_needed(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE linked_accounts SET status = 'relink_needed', updated_at = now()
        WHERE tenant_id = $1 AND account_id = $2",
        transaction.tenant_id().0,
        account.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn insert(
    transaction: &mut TenantTransaction,
    account: &LinkedAccount,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO linked_accounts (tenant_id, account_id, user_id, provider, provider_user_id, label, country_code) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        transaction.tenant_id().0,
        account.id.0,
        account.user.0,
        account.provider.as_str(),
        account.provider_user_id,
        account.label,
        account.country_code.as_deref()
    )
    .execute(transaction.connection())
    .await
    .map_err(StoreError::or_exists("that account"))?;
    Ok(())
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
        Ok(LinkedAccount {
            id: self.account_id.into(),
            user: self.user_id.into(),
            provider,
            provider_user_id: self.provider_user_id,
            label: self.label,
            country_code: self.country_code,
            status,
        })
    }
}
