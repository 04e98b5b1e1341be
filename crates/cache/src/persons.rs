//! What the cache knows of persons: the generations that their writes raise.

use stagedoor_domain::{Provider, TenantContext, UserId};

use crate::cache::Cache;
use crate::generation::{BumpDeferred, Change, DataScope, Generation};

impl Cache {
    /// Makes everything of `scope` that was fetched before unfindable, on all replicas. To be called after the provider
    /// has done a write, or may have, and before the write is answered: it takes up to two seconds where another
    /// replica does not answer.
    pub async fn bump(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
        scope: DataScope,
    ) -> Result<(), BumpDeferred> {
        self.raise(ctx, user, Change::Of(provider, scope)).await
    }

    /// The same for the person's preferences.
    pub async fn bump_preferences(&self, ctx: &TenantContext, user: UserId) -> Result<(), BumpDeferred> {
        self.raise(ctx, user, Change::Preferences).await
    }

    /// A number that another link, an unlinking or a change of scopes of the person's accounts at the provider
    /// changes, on whichever replica it happens. `None` if it is out of reach.
    pub async fn account_generation(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
    ) -> Option<u64> {
        let generation = self.generations.account(ctx, user, provider).await;
        self.counted(generation)
    }

    /// A number that a change of the person's preferences changes, on whichever replica it happens. `None` if it is out
    /// of reach.
    pub async fn preferences_generation(&self, ctx: &TenantContext, user: UserId) -> Option<u64> {
        let generation = self.generations.preferences(ctx, user).await;
        self.counted(generation)
    }

    pub(crate) async fn generation(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
        scope: DataScope,
    ) -> Option<Generation> {
        let generation = self.generations.current(ctx, user, provider, scope).await;
        self.counted(generation)
    }

    async fn raise(&self, ctx: &TenantContext, user: UserId, change: Change) -> Result<(), BumpDeferred> {
        let bumped = self.generations.bump(ctx, user, change).await;
        bumped.inspect_err(|_| self.counts.degraded.add())
    }

    fn counted<T>(&self, generation: Option<T>) -> Option<T> {
        if generation.is_none() {
            self.counts.degraded.add();
        }
        generation
    }
}
