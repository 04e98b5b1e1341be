//! What replicas and Redis remember of a person, thrown away: opened sessions, rows, answers, keys, quotas.

use stagedoor_domain::error::Chain;
use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{ApiKeyId, IssuerId, Provider, PublicError, TenantContext, UserId};
use stagedoor_storage::{api_keys, issuers};

use crate::desk::Desk;
use crate::records::store_failure;

/// Whether nothing is left where it was searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgotten {
    /// Nothing is.
    Everywhere,
    /// Redis or another replica was out of reach. What they have is sealed under a key that is destroyed, or holds
    /// numbers only, and ends by itself.
    HereOnly,
}

impl Desk {
    /// Has nothing of a person be used any more whose deletion was confirmed: opened sessions, accounts, wishes and keys
    /// here, accounts on the other replicas, and what `keys`, which are revoked, and tokens of theirs
    /// used of their quotas.
    pub(super) async fn stop_using(
        &self,
        ctx: &TenantContext,
        user: UserId,
        keys: &[ApiKeyId],
    ) -> Result<Forgotten, PublicError> {
        for account in self.load_accounts(ctx, user).await? {
            self.account_changed(ctx, user, account.provider, Some(account.id)).await;
        }
        for provider in Provider::ALL {
            self.account_changed(ctx, user, *provider, None).await;
        }
        self.records.forget_wishes(ctx, user).await;
        self.vault().forget_person(ctx, user);
        let keys = keys.iter().cloned().map(PrincipalKind::ApiKey);
        let tokens = self.issuers(ctx).await?.into_iter().map(|issuer| PrincipalKind::Jwt { issuer, user });
        let principals: Vec<PrincipalKind> = keys.chain(tokens).collect();
        if let Err(error) = self.limiter.forget(ctx, &principals).await {
            tracing::info!(error = %Chain(&error), "quotas of a deleted person's keys are still in Redis");
            return Ok(Forgotten::HereOnly);
        }
        Ok(Forgotten::Everywhere)
    }

    /// The same, and has Redis searched for all that is the person's. That takes a walk over all of its keys, so it is
    /// done once, when nothing new can come.
    pub(super) async fn forget_person(
        &self,
        ctx: &TenantContext,
        user: UserId,
        keys: &[ApiKeyId],
    ) -> Result<Forgotten, PublicError> {
        let forgotten = self.stop_using(ctx, user, keys).await?;
        if let Err(error) = self.cache.forget_person(ctx, user).await {
            tracing::warn!(error = %Chain(&error), "a deleted person is not forgotten everywhere yet");
            return Ok(Forgotten::HereOnly);
        }
        Ok(forgotten)
    }

    /// The issuers by whose tokens a person may have signed in.
    async fn issuers(&self, ctx: &TenantContext) -> Result<Vec<IssuerId>, PublicError> {
        let store = self.vault().store();
        let issuers = store.with_tenant(ctx, async |tx| issuers::list(tx).await).await;
        let issuers = issuers.map_err(|error| store_failure(&error))?;
        Ok(issuers.into_iter().map(|stored| stored.issuer.id).collect())
    }

    /// The ids of the API keys that act for a person, revoked ones too.
    pub(super) async fn keys_of(
        &self,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Vec<ApiKeyId>, PublicError> {
        let store = self.vault().store();
        let keys = store.with_tenant(ctx, async |tx| api_keys::ids_of(tx, user).await).await;
        keys.map_err(|error| store_failure(&error))
    }
}
