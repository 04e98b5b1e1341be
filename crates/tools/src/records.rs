//! Rows that tool calls need again and again, remembered for half a minute: a person's linked accounts and wishes, a
//! tenant's clients at the services.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use stagedoor_cache::{Cache as Answers, DataScope};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, Provider, PublicError, TenantContext, TenantId, UserId};
use stagedoor_providers::{ProviderApp, SpotifyMode, grant_end};
use stagedoor_storage::linked_accounts::{self, AccountStatus, LinkedAccount};
use stagedoor_storage::provider_apps::{self, OpenedProviderApp, ProviderAppMode};
use stagedoor_storage::{KeyVault, StoreError};
use url::Url;

use crate::accounts::Account;
use crate::wishes::Wishes;

/// How long a row is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// Owners whose rows are remembered at most.
const OWNERS: u64 = 50_000;
/// How often rows are read that change while they are read.
const READINGS: usize = 3;

/// The rows.
pub(crate) struct Records {
    vault: Arc<KeyVault>,
    answers: Arc<Answers>,
    accounts: Cache<(TenantId, UserId), Remembered>,
    apps: Cache<TenantId, Arc<[Arc<ProviderApp>]>>,
    /// Raised when any tenant is known to have changed.
    changes: AtomicU64,
    wishes: Cache<Wisher, Arc<Wishes>>,
    last_wishes: Cache<(TenantId, UserId), LastWish>,
}

/// A person, and the generation that their preferences had before they were read: what was read under an older one is
/// not found.
type Wisher = (TenantId, UserId, Option<u64>);

/// What a person wanted when it was last read, and the generation that their preferences had before.
#[derive(Debug, Clone)]
struct LastWish {
    generation: Option<u64>,
    wishes: Arc<Wishes>,
}

/// A person's accounts, and the generations that they had before they were read, in the order of `Provider::ALL`.
#[derive(Clone)]
struct Remembered {
    accounts: Arc<[Account]>,
    generations: Arc<[Option<u64>]>,
}

impl Records {
    pub(crate) fn new(vault: Arc<KeyVault>, answers: Arc<Answers>) -> Self {
        Self {
            vault,
            answers,
            accounts: Cache::builder().max_capacity(OWNERS).time_to_live(REMEMBERED_FOR).build(),
            apps: Cache::builder().max_capacity(OWNERS).time_to_live(REMEMBERED_FOR).build(),
            changes: AtomicU64::new(0),
            wishes: Cache::builder().max_capacity(OWNERS).time_to_live(REMEMBERED_FOR).build(),
            last_wishes: Cache::builder().max_capacity(OWNERS).build(),
        }
    }

    /// A person's linked accounts, no older than the last change that this process has heard of.
    pub(crate) async fn accounts(
        &self,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Arc<[Account]>, PublicError> {
        let owner = (ctx.tenant_id(), user);
        for _ in 0..READINGS {
            let known = match self.accounts.get(&owner).await {
                Some(known) => known,
                None => Box::pin(self.accounts.try_get_with(owner, self.remember(ctx, user)))
                    .await
                    .map_err(|error: Arc<PublicError>| PublicError::clone(&error))?,
            };
            // Also of what was just read: another call may have begun to read it before the change.
            if self.unchanged(ctx, user, &known).await {
                return Ok(known.accounts);
            }
            self.accounts.invalidate(&owner).await;
        }
        Ok(Box::pin(self.remember(ctx, user)).await?.accounts)
    }

    /// A person's linked accounts as the database has them now, which is remembered.
    pub(crate) async fn reload_accounts(
        &self,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Arc<[Account]>, PublicError> {
        let found = self.remember(ctx, user).await?;
        self.accounts.insert((ctx.tenant_id(), user), found.clone()).await;
        Ok(found.accounts)
    }

    async fn remember(&self, ctx: &TenantContext, user: UserId) -> Result<Remembered, PublicError> {
        let mut generations = Vec::with_capacity(Provider::ALL.len());
        for provider in Provider::ALL {
            let generation = self.answers.account_generation(ctx, user, *provider);
            generations.push(Box::pin(generation).await);
        }
        let accounts = self.load_accounts(ctx, user).await?;
        Ok(Remembered { accounts: accounts.into(), generations: generations.into() })
    }

    async fn unchanged(&self, ctx: &TenantContext, user: UserId, known: &Remembered) -> bool {
        for (provider, generation) in Provider::ALL.iter().zip(known.generations.iter()) {
            let now = self.answers.account_generation(ctx, user, *provider).await;
            if now.is_some() && now != *generation {
                return false;
            }
        }
        true
    }

    /// A person's linked accounts as the database has them now.
    pub(crate) async fn load_accounts(
        &self,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Vec<Account>, PublicError> {
        let load = self.vault.store().with_tenant(ctx, async |tx| linked_accounts::list(tx, user).await);
        let rows = load.await.map_err(|error| store_failure(&error))?;
        Ok(rows.into_iter().map(account).collect())
    }

    /// Forgets a person's accounts, so that a change shows at once.
    pub(crate) async fn forget_accounts(&self, ctx: &TenantContext, user: UserId) {
        self.accounts.invalidate(&(ctx.tenant_id(), user)).await;
    }

    /// Nothing that was known of a person's accounts at the provider counts any more, on any replica.
    pub(crate) async fn account_changed(&self, ctx: &TenantContext, user: UserId, provider: Provider) {
        // What is remembered here goes first, so that nothing is read anew under the generation of before.
        self.forget_accounts(ctx, user).await;
        let bumped = self.answers.bump(ctx, user, provider, DataScope::Account).await;
        self.forget_accounts(ctx, user).await;
        if let Err(error) = bumped {
            tracing::warn!(error = %Chain(&error), "other replicas may use an account as it was for up to a minute");
        }
    }

    /// What a person wants and has agreed to, as it was last set on any replica. While generations are out of reach, it
    /// may be as old as anything here. While the store is, it is what was last known, or as careful as can be.
    pub(crate) async fn wishes(&self, ctx: &TenantContext, user: UserId) -> Arc<Wishes> {
        let generation = self.answers.preferences_generation(ctx, user).await;
        let wisher = (ctx.tenant_id(), user, generation);
        if let Some(known) = self.wishes.get(&wisher).await {
            return known;
        }
        let owner = (ctx.tenant_id(), user);
        let load = async { Wishes::load(&self.vault, ctx, user).await.map(Arc::new) };
        let Ok(wishes) = Box::pin(self.wishes.try_get_with(wisher, load)).await else {
            return without_the_store(self.last_wishes.get(&owner).await, generation);
        };
        self.last_wishes.insert(owner, LastWish { generation, wishes: Arc::clone(&wishes) }).await;
        wishes
    }

    /// Forgets what a person wanted while generations were out of reach.
    pub(crate) async fn forget_wishes(&self, ctx: &TenantContext, user: UserId) {
        self.wishes.invalidate(&(ctx.tenant_id(), user, None)).await;
        self.last_wishes.invalidate(&(ctx.tenant_id(), user)).await;
    }

    /// The tenant's clients at the services, no older than the last change that this process has heard of.
    pub(crate) async fn apps(&self, ctx: &TenantContext) -> Result<Arc<[Arc<ProviderApp>]>, PublicError> {
        if let Some(known) = self.apps.get(&ctx.tenant_id()).await {
            return Ok(known);
        }
        for _ in 0..READINGS {
            let before = self.changes.load(Ordering::Acquire);
            let found = Box::pin(self.apps.try_get_with(ctx.tenant_id(), self.load_apps(ctx))).await;
            let found = found.map_err(|error: Arc<PublicError>| PublicError::clone(&error))?;
            if self.changes.load(Ordering::Acquire) == before {
                return Ok(found);
            }
            // Perhaps this tenant was changed while its clients were read, which nobody would forget again.
            self.apps.invalidate(&ctx.tenant_id()).await;
        }
        Box::pin(self.load_apps(ctx)).await
    }

    /// Forgets what a tenant set up, because it was changed.
    pub(crate) async fn forget_apps(&self, tenant: TenantId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.apps.invalidate(&tenant).await;
    }

    async fn load_apps(&self, ctx: &TenantContext) -> Result<Arc<[Arc<ProviderApp>]>, PublicError> {
        let mut apps = Vec::new();
        for provider in Provider::ALL {
            let loaded = provider_apps::load(&self.vault, ctx, *provider).await;
            if let Some(opened) = loaded.map_err(|error| store_failure(&error))? {
                apps.push(Arc::new(app(opened)?));
            }
        }
        Ok(apps.into())
    }
}

/// What a person wants by what is known while the store is away: what was last read, unless it has changed since.
fn without_the_store(last: Option<LastWish>, generation: Option<u64>) -> Arc<Wishes> {
    match last {
        Some(last) if generation.is_none() || generation == last.generation => last.wishes,
        _ => Arc::new(Wishes::careful()),
    }
}

/// Logs a store failure where it is handled, and says what the agent may know.
pub(crate) fn store_failure(error: &StoreError) -> PublicError {
    tracing::error!(error = %stagedoor_domain::error::Chain(error), "the store failed a tool call");
    error.public()
}

/// The tenant has not set a service up, or none at all.
pub(crate) fn not_configured(provider: Option<Provider>) -> PublicError {
    let what = provider.map_or("A music service", Provider::title);
    PublicError::new(ErrorCode::ProviderNotConfigured, format!("{what} is not set up for this tenant."))
        .hint("The tenant's operator has to add the client id and secret of its own app there.")
}

fn account(row: LinkedAccount) -> Account {
    let authorized_at = row.session.as_ref().map(|session| session.authorized_at);
    let works_until = works_until(&row);
    Account {
        id: row.id,
        user: row.user,
        provider: row.provider,
        name: Some(row.label).filter(|label| !label.is_empty()),
        country: row.country_code,
        linked_at: row.created_at,
        authorized_at,
        grant_ends_at: authorized_at.and_then(|at| grant_end(row.provider, at)),
        relink_needed: row.status == AccountStatus::RelinkNeeded,
        works_until,
        unreadable: row.session.as_ref().is_some_and(|session| session.quarantined),
        scopes: row.session.map(|session| session.scopes).unwrap_or_default(),
    }
}

/// An access that can be renewed has no end of its own.
fn works_until(row: &LinkedAccount) -> Option<DateTime<Utc>> {
    let session = row.session.as_ref().filter(|session| !session.refreshable && !session.quarantined)?;
    (row.status == AccountStatus::Active).then_some(session.token_expires_at)
}

pub(crate) fn app(opened: OpenedProviderApp) -> Result<ProviderApp, PublicError> {
    let base = |text: &str| {
        Url::parse(text).map_err(|error| {
            tracing::error!(error = %error, provider = %opened.provider, "a provider app has a base URL that is none");
            not_configured(Some(opened.provider))
        })
    };
    Ok(ProviderApp {
        id: opened.id,
        provider: opened.provider,
        api_base: base(&opened.api_base_url)?,
        auth_base: base(&opened.auth_base_url)?,
        authorize_url: opened.authorize_url.as_deref().map(base).transpose()?,
        client_id: opened.client_id,
        client_secret: opened.client_secret,
        mode: match opened.mode {
            ProviderAppMode::Development => SpotifyMode::Development,
            ProviderAppMode::Extended => SpotifyMode::Extended,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_store_the_last_wish_counts_unless_it_has_changed() {
        let (wanted, careful) = (Arc::new(Wishes::default()), Arc::new(Wishes::careful()));
        let last = |generation| Some(LastWish { generation, wishes: Arc::clone(&wanted) });
        assert_eq!(without_the_store(last(Some(7)), Some(7)), wanted);
        assert_eq!(without_the_store(last(Some(7)), None), wanted, "nobody can say that it has changed");
        assert_eq!(without_the_store(last(Some(7)), Some(8)), careful, "it may be off by now");
        assert_eq!(without_the_store(last(None), Some(8)), careful, "it may have changed in between");
        assert_eq!(without_the_store(None, Some(7)), careful);
        assert_eq!(without_the_store(None, None), careful);
    }
}
