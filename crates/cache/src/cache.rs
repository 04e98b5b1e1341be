//! The one type that callers hold: looks up, fetches once for all who miss, and keeps the answer.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stagedoor_domain::{Clock, Provider, TenantContext, UserId};
use stagedoor_redis_link::{InvalidRedisUrl, RedisLink};

use crate::answer::{CacheOptions, Cached, Level};
use crate::counters::{CacheCounters, Counts};
use crate::entry::{Entry, MAX_BODY};
use crate::flight::{Flights, Leader, Outcome, Part, outcome};
use crate::generation::{BumpDeferred, DataScope, Generation, Generations, Owner};
use crate::key::{CacheKey, Reader};
use crate::level_one::LevelOne;
use crate::level_two::LevelTwo;
use crate::seal::Sealer;
use crate::seen::SeenAccounts;

/// No answer is kept longer, whatever a tenant sets.
const MAX_LIFE: Duration = Duration::from_hours(720);

/// Answers that may be given again.
#[derive(Debug)]
pub struct Cache {
    level_one: LevelOne,
    level_two: Option<LevelTwo>,
    generations: Generations,
    seen: SeenAccounts,
    flights: Flights,
    counts: Arc<Counts>,
    clock: Arc<dyn Clock>,
}

impl Cache {
    /// A cache. With Redis it must be made inside a Tokio runtime. Without a `sealer` a person's answers do not
    /// leave this process, and catalogue answers lie in Redis unsealed.
    pub fn new(
        options: &CacheOptions,
        sealer: Option<Arc<dyn Sealer>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidRedisUrl> {
        let counts = Arc::new(Counts::default());
        let link =
            options.redis.as_ref().map(|redis| RedisLink::new(redis, Arc::clone(&clock)).map(Arc::new));
        let link = link.transpose()?;
        Ok(Self {
            level_one: LevelOne::new(options.l1_max_bytes, Arc::clone(&clock)),
            generations: link.clone().map_or_else(Generations::local, Generations::shared),
            seen: SeenAccounts::new(),
            level_two: link.map(|link| LevelTwo {
                link,
                sealer,
                counts: Arc::clone(&counts),
                clock: Arc::clone(&clock),
            }),
            flights: Flights::default(),
            counts,
            clock,
        })
    }

    /// The answer, if it is in either level and still fresh.
    pub async fn get(&self, ctx: &TenantContext, key: &CacheKey) -> Option<Cached> {
        let Some(text) = self.key_text(ctx, key).await else {
            self.counts.bypassed.add();
            return None;
        };
        let found = self.look_up(ctx, key, &text, MAX_LIFE).await;
        if found.is_none() {
            self.counts.misses.add();
        }
        found
    }

    /// The answer from the cache, or from `fetch`, which is then kept for `ttl`. Of all calls that miss the same
    /// key at the same time one fetches, and its answer or error is everyone's; errors are not kept. `ttl` is
    /// the class's (`TenantSettings::cache_ttl`); `None` fetches past the cache.
    pub async fn get_or_fetch<E>(
        &self,
        ctx: &TenantContext,
        key: &CacheKey,
        ttl: Option<Duration>,
        fetch: impl Future<Output = Result<Bytes, E>> + Send,
    ) -> Result<Cached, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        let Some(ttl) = ttl.filter(|ttl| !ttl.is_zero()).map(|ttl| ttl.min(MAX_LIFE)) else {
            return self.bypass(fetch).await;
        };
        let Some(text) = self.key_text(ctx, key).await else {
            return self.bypass(fetch).await;
        };
        loop {
            if let Some(stored) = self.fresh_in_level_one(&text, ttl).await {
                self.counts.hits_l1.add();
                return Ok(Cached::of(stored, Level::L1));
            }
            match self.flights.join(&text) {
                // On the heap: a hit should not carry the weight of a look-up in Redis.
                Part::Lead(leader) => {
                    return Box::pin(self.lead(ctx, key, &text, ttl, fetch, leader)).await;
                }
                Part::Follow(receiver) => match outcome(receiver).await {
                    Some(Outcome::Ready(stored)) => {
                        self.counts.coalesced.add();
                        return Ok(Cached::of(stored, Level::Coalesced));
                    }
                    Some(Outcome::Failed(error)) => match error.downcast_ref::<E>() {
                        Some(error) => {
                            self.counts.coalesced.add();
                            return Err(error.clone());
                        }
                        // The leader's caller has another error type, so its error says nothing here.
                        None => return self.bypass(fetch).await,
                    },
                    None => {}
                },
            }
        }
    }

    /// Makes everything of `scope` that was fetched before unfindable. To be called after the provider has done
    /// a write and before the write is answered.
    pub async fn bump(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
        scope: DataScope,
    ) -> Result<(), BumpDeferred> {
        let bumped = self.generations.bump(ctx, user, provider, scope).await;
        if scope == DataScope::Account {
            self.seen.forget(Owner { tenant: ctx.tenant_id(), user, provider }).await;
        }
        bumped.inspect_err(|_| self.counts.degraded.add())
    }

    /// A number that another link, an unlinking or a change of scopes of the person's accounts at the provider
    /// changes, on whichever replica it happens; read at most `max_age` ago. `None` if it is out of reach.
    pub async fn account_generation(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
        max_age: Duration,
    ) -> Option<u64> {
        let owner = Owner { tenant: ctx.tenant_id(), user, provider };
        let since = self.clock.elapsed().saturating_sub(max_age);
        if let Some(generation) = self.seen.get(owner, since).await {
            return Some(generation);
        }
        let generation = Box::pin(self.generation(ctx, owner, DataScope::Account)).await;
        generation.map(|generation| generation.account)
    }

    /// The same as this process read it last, without asking; `None` if that was a while ago.
    pub async fn account_generation_seen(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
    ) -> Option<u64> {
        self.seen.get(Owner { tenant: ctx.tenant_id(), user, provider }, Duration::ZERO).await
    }

    /// What has been done since the start.
    pub fn counters(&self) -> CacheCounters {
        let (l1_bytes, l1_entries, evictions) = self.level_one.size();
        CacheCounters {
            hits_l1: self.counts.hits_l1.get(),
            hits_l2: self.counts.hits_l2.get(),
            misses: self.counts.misses.get(),
            coalesced: self.counts.coalesced.get(),
            bypassed: self.counts.bypassed.get(),
            poisoned: self.counts.poisoned.get(),
            degraded: self.counts.degraded.get(),
            evictions,
            l1_bytes,
            l1_entries,
            redis_trips: self.level_two.as_ref().map_or(0, |level| level.link.trips()),
        }
    }

    #[cfg(test)]
    pub(crate) async fn settle(&self) {
        self.level_one.settle().await;
    }

    /// The full key; `None` if the cache must not be used: another tenant's key, or no generation to be had.
    async fn key_text(&self, ctx: &TenantContext, key: &CacheKey) -> Option<Arc<str>> {
        if ctx.tenant_id() != key.tenant() {
            tracing::error!(tenant = %ctx.tenant_id(), "a cache key of another tenant was used");
            return None;
        }
        let generation = match key.reader() {
            Reader::Tenant => None,
            Reader::User { user, scope } => {
                let owner = Owner { tenant: ctx.tenant_id(), user, provider: key.provider() };
                Some(Box::pin(self.generation(ctx, owner, scope)).await?)
            }
        };
        Some(key.render(generation).into())
    }

    async fn generation(&self, ctx: &TenantContext, owner: Owner, scope: DataScope) -> Option<Generation> {
        let at = self.clock.elapsed();
        let generation = self.generations.current(ctx, owner.user, owner.provider, scope).await;
        match generation {
            Some(found) => self.seen.note(owner, found.account, at).await,
            None => self.counts.degraded.add(),
        }
        generation
    }

    async fn lead<E: Clone + Send + Sync + 'static>(
        &self,
        ctx: &TenantContext,
        key: &CacheKey,
        text: &Arc<str>,
        ttl: Duration,
        fetch: impl Future<Output = Result<Bytes, E>> + Send,
        leader: Leader<'_>,
    ) -> Result<Cached, E> {
        // Once more: the flight before this one may have landed between the look-up and the start.
        if let Some(found) = self.look_up(ctx, key, text, ttl).await {
            leader.tell(Outcome::Ready(Entry {
                body: found.body.clone(),
                stored_at: found.stored_at,
                life: ttl,
            }));
            return Ok(found);
        }
        self.counts.misses.add();
        let body = match fetch.await {
            Ok(body) => body,
            Err(error) => {
                leader.tell(Outcome::Failed(Arc::new(error.clone()) as Arc<dyn Any + Send + Sync>));
                return Err(error);
            }
        };
        let stored = Entry { body, stored_at: self.clock.now(), life: ttl };
        if stored.body.len() <= MAX_BODY {
            self.level_one.put(Arc::clone(text), stored.clone(), ttl).await;
        }
        leader.tell(Outcome::Ready(stored.clone()));
        drop(leader);
        if let (Some(level), true) = (&self.level_two, stored.body.len() <= MAX_BODY) {
            level.put(ctx, key.reader(), text, &stored).await;
        }
        Ok(Cached::of(stored, Level::Fetched))
    }

    async fn look_up(
        &self,
        ctx: &TenantContext,
        key: &CacheKey,
        text: &Arc<str>,
        ttl: Duration,
    ) -> Option<Cached> {
        if let Some(stored) = self.fresh_in_level_one(text, ttl).await {
            self.counts.hits_l1.add();
            return Some(Cached::of(stored, Level::L1));
        }
        let (stored, left) = self.level_two.as_ref()?.get(ctx, key.reader(), text).await?;
        if self.age(&stored) >= ttl {
            return None;
        }
        self.counts.hits_l2.add();
        self.level_one.put(Arc::clone(text), stored.clone(), left.min(MAX_LIFE)).await;
        Some(Cached::of(stored, Level::L2))
    }

    /// An entry that was kept under a longer life than the caller now allows is stale.
    async fn fresh_in_level_one(&self, text: &str, ttl: Duration) -> Option<Entry> {
        self.level_one.get(text).await.filter(|stored| self.age(stored) < ttl)
    }

    fn age(&self, stored: &Entry) -> Duration {
        (self.clock.now() - stored.stored_at).to_std().unwrap_or_default()
    }

    async fn bypass<E>(&self, fetch: impl Future<Output = Result<Bytes, E>> + Send) -> Result<Cached, E> {
        self.counts.bypassed.add();
        let body = fetch.await?;
        Ok(Cached { body, level: Level::Bypassed, stored_at: self.clock.now() })
    }
}
