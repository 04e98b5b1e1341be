//! What replicas and Redis remember of a person, thrown away: opened sessions, rows, answers, keys, quotas.

use stagedoor_domain::error::Chain;
use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{ApiKeyId, Provider, PublicError, TenantContext, UserId};
use stagedoor_storage::api_keys;

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
    /// Forgets a person here, and has Redis and the other replicas forget.
    pub(super) async fn forget_person(
        &self,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Forgotten, PublicError> {
        for account in self.load_accounts(ctx, user).await? {
            self.account_changed(ctx, user, account.provider, Some(account.id)).await;
        }
        for provider in Provider::ALL {
            self.account_changed(ctx, user, *provider, None).await;
        }
        self.records.forget_wishes(ctx, user).await;
        self.vault().forget_person(ctx, user);
        let mut forgotten = Forgotten::Everywhere;
        let keys = self.keys_of(ctx, user).await?.into_iter().map(PrincipalKind::ApiKey);
        if let Err(error) = self.limiter.forget(ctx, &keys.collect::<Vec<_>>()).await {
            tracing::info!(error = %Chain(&error), "quotas of a deleted person's keys end by themselves");
        }
        if let Err(error) = self.cache.forget_person(ctx, user).await {
            tracing::warn!(error = %Chain(&error), "a deleted person is not forgotten everywhere yet");
            forgotten = Forgotten::HereOnly;
        }
        Ok(forgotten)
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
