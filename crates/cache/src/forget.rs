//! Forgetting a person, so that nothing is left of what was fetched for them: in the memory of every replica, and in
//! Redis. What is being fetched meanwhile is not kept.

use std::time::Duration;

use stagedoor_domain::{Provider, TenantContext, UserId};
use stagedoor_redis_link::Unavailable;
use tokio::time::sleep;

use crate::cache::Cache;
use crate::generation::{BumpDeferred, DataScope, Person, keys_of, unlink};
use crate::key::Prefix;

/// How many keys go at a time.
const AT_ONCE: usize = 500;
/// How often a part of the search is tried that Redis did not answer in time, and how long is waited before.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(600);

/// Why a person may not be forgotten everywhere; to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum NotForgotten {
    /// Not every replica was told.
    #[error("not every replica could be told to forget a person")]
    Untold(#[source] BumpDeferred),
    /// Redis was not searched to the end.
    #[error("Redis could not be searched for what is a person's")]
    Unsearched(#[source] Unavailable),
}

impl Cache {
    /// Forgets a person of the context's tenant: tells every replica to drop what the person's accounts brought, and
    /// removes all keys that name the person from Redis. Answers how many went in the search; those that went with
    /// their accounts are not counted.
    ///
    /// For an hour a mark that does not name the person keeps calls that are still under way, which look a number of
    /// theirs up or raise one, from leaving it there: they go on as if Redis were out of reach. It can be done again, and
    /// should be once such calls are over, for what they store.
    pub async fn forget_person(&self, ctx: &TenantContext, user: UserId) -> Result<u64, NotForgotten> {
        for provider in Provider::ALL {
            self.bump(ctx, user, *provider, DataScope::Account).await.map_err(NotForgotten::Untold)?;
        }
        self.bump_preferences(ctx, user).await.map_err(NotForgotten::Untold)?;
        let person = Person::of(ctx, user);
        self.patiently(|| self.generations.mark_forgotten(person)).await?;
        self.level_one.settle().await;
        if self.level_two.is_none() {
            return Ok(0);
        }
        let entries = self.remove_matching(&format!("{}*:user.{user}.*", Prefix(ctx.tenant_id()))).await?;
        let flights = Prefix(ctx.tenant_id()).to_string().replacen(":cache:", ":flight:", 1);
        let flights = self.remove_matching(&format!("{flights}*:user.{user}.*")).await?;
        // Last: an entry that is stored meanwhile is noted under a number, and without one it is removed.
        let numbers = self.remove(&keys_of(person)).await?;
        Ok(entries + flights + numbers)
    }

    async fn remove_matching(&self, pattern: &str) -> Result<u64, NotForgotten> {
        let Some(level) = &self.level_two else { return Ok(0) };
        let mut removed = 0;
        let mut places = self.patiently(|| level.link.scan_places()).await?;
        while let Some(place) = places.pop() {
            let (keys, next) = self.patiently(|| level.link.scan(&place, pattern)).await?;
            places.extend(next);
            for some in keys.chunks(AT_ONCE) {
                removed += self.remove(some).await?;
            }
        }
        Ok(removed)
    }

    async fn remove(&self, keys: &[String]) -> Result<u64, NotForgotten> {
        let Some(level) = &self.level_two else { return Ok(0) };
        self.patiently(|| unlink(&level.link, keys)).await
    }

    async fn patiently<T, F>(&self, work: impl Fn() -> F) -> Result<T, NotForgotten>
    where
        F: Future<Output = Result<T, Unavailable>>,
    {
        let mut tries = 1;
        loop {
            match work().await {
                Err(Unavailable::Timeout | Unavailable::BreakerOpen) if tries < TRIES => {
                    tries += 1;
                    sleep(BETWEEN).await;
                }
                outcome => return outcome.map_err(NotForgotten::Unsearched),
            }
        }
    }
}
