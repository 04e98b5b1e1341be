//! The one type that callers hold: looks up in this process, and leaves what is not there to `lead`.

use std::future::Future;
use std::sync::Arc;

use stagedoor_domain::{Clock, Entropy, TenantContext};
use stagedoor_redis_link::{InvalidRedisUrl, RedisLink};
use tracing::Instrument;
use tracing::field::Empty;

use crate::answer::{Ask, CacheOptions, Cached, Fetched, Level, Mode, Verdicts};
use crate::counters::{CacheCounters, Counts, Outcome};
use crate::flight::Flights;
use crate::generation::{EntryIndex, Generation, Generations};
use crate::key::{CacheKey, Reader};
use crate::lead::Call;
use crate::level_one::{Filing, Held, LevelOne};
use crate::level_two::LevelTwo;
use crate::lifetimes::{Standing, Windows, due_early};
use crate::popular::{Popular, SharedPopular};
use crate::seal::Sealer;
use crate::shared_flight::SharedFlights;
use crate::usage::{CacheUsage, TenantUsage, Usages};

/// Answers that may be given again.
#[derive(Debug)]
pub struct Cache {
    pub(crate) level_one: LevelOne,
    pub(crate) level_two: Option<LevelTwo>,
    pub(crate) generations: Generations,
    pub(crate) flights: Flights,
    pub(crate) usages: Usages,
    pub(crate) popular: Popular,
    pub(crate) shared_popular: Option<SharedPopular>,
    pub(crate) windows: Windows,
    pub(crate) counts: Arc<Counts>,
    pub(crate) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Cache {
    /// A cache. With Redis it must be made inside a Tokio runtime. Without a `sealer` a person's answers do not
    /// leave this process, and catalogue answers lie in Redis unsealed.
    pub fn new(
        options: &CacheOptions,
        sealer: Option<Arc<dyn Sealer>>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, InvalidRedisUrl> {
        let counts = Arc::new(Counts::default());
        let windows = Windows { revalidate: options.stale_while_revalidate, error: options.stale_if_error };
        let link =
            options.redis.as_ref().map(|redis| RedisLink::new(redis, Arc::clone(&clock)).map(Arc::new));
        let link = link.transpose()?;
        let level_one = LevelOne::new(options.l1_max_bytes, Arc::clone(&clock));
        let forget = level_one.forget();
        Ok(Self {
            level_one,
            generations: link.clone().map_or_else(
                || Generations::local(Arc::clone(&clock), forget.clone()),
                |link| Generations::shared(link, entropy.as_ref(), forget.clone()),
            ),
            usages: Usages::new(link.clone(), Arc::clone(&counts), Arc::clone(&clock), entropy.as_ref()),
            popular: Popular::default(),
            shared_popular: link.clone().map(|link| SharedPopular::new(link, Arc::clone(&counts))),
            level_two: link.map(|link| LevelTwo {
                flights: SharedFlights::new(Arc::clone(&link), entropy.as_ref()),
                index: EntryIndex::new(),
                link,
                sealer,
                counts: Arc::clone(&counts),
                windows,
            }),
            flights: Flights::default(),
            windows,
            counts,
            clock,
            entropy,
        })
    }

    /// The answer from the cache, or from `fetch`, which is then kept. Of all calls that miss the same key at the same
    /// time one fetches, over all replicas, and on its own replica its answer or error is everyone's; errors are not
    /// kept, and one that is the fetcher's `own` is no other person's. One that is `forgivable` is answered with what
    /// was there before, if that is not too old.
    pub async fn get_or_fetch<E>(
        &self,
        ctx: &TenantContext,
        ask: Ask<'_>,
        fetch: impl Future<Output = Result<Fetched, E>> + Send,
        verdicts: Verdicts<impl Fn(&E) -> bool + Send + Sync, impl Fn(&E) -> bool + Send + Sync>,
    ) -> Result<Cached, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        let span = tracing::info_span!(
            "cache",
            "stagedoor.provider" = ask.key.provider().as_str(),
            "stagedoor.cache.class" = ask.key.class().as_str(),
            "stagedoor.cache.level" = Empty,
        );
        let answered = self.look_up(ctx, ask, fetch, verdicts).instrument(span.clone()).await;
        if let Ok(cached) = &answered {
            span.record("stagedoor.cache.level", cached.level.as_str());
        }
        answered
    }

    async fn look_up<E>(
        &self,
        ctx: &TenantContext,
        ask: Ask<'_>,
        fetch: impl Future<Output = Result<Fetched, E>> + Send,
        verdicts: Verdicts<impl Fn(&E) -> bool + Send + Sync, impl Fn(&E) -> bool + Send + Sync>,
    ) -> Result<Cached, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        let began = self.level_one.landings();
        let Some((text, generation)) = self.key_text(ctx, ask.key).await else {
            return self.bypass(ctx, ask.key, fetch).await;
        };
        if ask.mode == Mode::Reuse {
            if ask.noted && ask.key.reader() == Reader::Tenant && self.shared_popular.is_some() {
                self.popular.note(ctx.tenant_id(), &text);
            }
            if let Some(cached) = self.hit(&ask, &text).await {
                return Ok(cached);
            }
        }
        // On the heap: a hit should not carry the weight of a fetch.
        let call = Call::new(self, ctx, ask, (text.into(), generation), began);
        Box::pin(call.answer(fetch, verdicts)).await
    }

    /// What `fetch` says, past the cache: nothing is looked up and nothing is kept.
    pub async fn bypass<E>(
        &self,
        ctx: &TenantContext,
        key: &CacheKey,
        fetch: impl Future<Output = Result<Fetched, E>> + Send,
    ) -> Result<Cached, E> {
        self.counts.calls.add(key.class(), Outcome::Bypassed);
        self.usages.of(ctx.tenant_id()).calls.add(key.class(), Outcome::Bypassed);
        let (body, next, absent) = match fetch.await? {
            Fetched::Answer { body, next, .. } => (body, next.map(Arc::from), false),
            Fetched::Absent { body } => (body, None, true),
        };
        let stored_at = self.clock.now();
        Ok(Cached { body, level: Level::Bypassed, stored_at, absent, stale: None, refresh: false, next })
    }

    /// What the cache did for the tenant today, on all replicas if Redis says so, and what it holds here.
    pub async fn usage(&self, ctx: &TenantContext) -> CacheUsage {
        self.usages.read(ctx).await
    }

    /// What has been done since the start.
    pub fn counters(&self) -> CacheCounters {
        let (l1_bytes, l1_entries, evictions) = self.level_one.size();
        CacheCounters {
            calls: self.counts.calls.read(),
            poisoned: self.counts.poisoned.get(),
            degraded: self.counts.degraded.get(),
            early_refreshes: self.counts.early_refreshes.get(),
            warmed: self.counts.warmed.get(),
            seeded: self.counts.seeded.get(),
            evictions,
            l1_bytes,
            l1_entries,
            redis_trips: self.level_two.as_ref().map_or(0, |level| level.link.trips()),
            redis_trips_beside: self.counts.trips_beside.get(),
            generations: self.generations.counters(),
            flights: self.level_two.as_ref().map(|level| level.flights.counters()).unwrap_or_default(),
        }
    }

    /// What an answer to the question is kept by in level 1.
    pub(crate) fn filing(&self, key: &CacheKey, usage: Arc<TenantUsage>) -> Filing {
        Filing { windows: self.windows.in_memory(key.class()), usage, account: key.account() }
    }

    #[cfg(test)]
    pub(crate) async fn settle(&self) {
        self.level_one.settle().await;
    }

    async fn hit(&self, ask: &Ask<'_>, text: &str) -> Option<Cached> {
        let held = self.level_one.get(text).await?;
        let (cached, outcome) = self.judge(ask, &held, Level::L1)?;
        self.counts.calls.add(ask.key.class(), outcome);
        held.usage.calls.add(ask.key.class(), outcome);
        Some(cached)
    }

    /// The entry as an answer that was found at `level`, if it may be one.
    pub(crate) fn judge(&self, ask: &Ask<'_>, held: &Held, level: Level) -> Option<(Cached, Outcome)> {
        let entry = &held.entry;
        let mut cached = Cached::of(entry, level);
        let outcome = match (self.windows.standing(entry, self.level_one.age(held), ask), level) {
            (Standing::Over, _) => return None,
            (Standing::Stale(over), _) => {
                cached.stale = Some(over);
                cached.refresh = self.level_one.elect(held);
                Outcome::Stale
            }
            (Standing::Fresh(_), _) if entry.absent => Outcome::Negative,
            (Standing::Fresh(left), level) => {
                let due = || due_early(left, entry.took, self.entropy.as_ref());
                // Without revalidation nothing is fetched beside a call.
                if !self.windows.revalidate.is_zero() && due() && self.level_one.elect(held) {
                    self.counts.early_refreshes.add();
                    cached.refresh = true;
                }
                if level == Level::L1 { Outcome::HitL1 } else { Outcome::HitL2 }
            }
        };
        Some((cached, outcome))
    }

    /// The full key and, for a person's, the generation that it names; `None` if the cache must not be used: another tenant's key, or no generation to be had.
    async fn key_text(&self, ctx: &TenantContext, key: &CacheKey) -> Option<(String, Option<Generation>)> {
        if ctx.tenant_id() != key.tenant() {
            tracing::error!(tenant = %ctx.tenant_id(), "a cache key of another tenant was used");
            return None;
        }
        let generation = match key.reader() {
            Reader::Tenant => None,
            Reader::User { user, scope } => Some(self.generation(ctx, user, key.provider(), scope).await?),
        };
        Some((key.render(generation), generation))
    }
}
