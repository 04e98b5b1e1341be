//! What happens to a question that this process has no answer to: one call asks Redis and then the provider, the
//! others wait for it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::TenantContext;

use crate::answer::{Ask, Cached, Fetched, Level, Mode, Verdicts};
use crate::cache::Cache;
use crate::counters::Outcome;
use crate::entry::{Entry, HEAD, MAX_BODY};
use crate::flight::{Failure, Leader, Outcome as Flown, Part, Whose, ended, outcome};
use crate::generation::Generation;
use crate::key::Reader;
use crate::level_one::{Filing, Held};
use crate::lifetimes::{Standing, negative_life, next_life};
use crate::shared_flight::{Lease, Turn};
use crate::usage::TenantUsage;

/// One call's question.
pub(crate) struct Call<'a> {
    cache: &'a Cache,
    ctx: &'a TenantContext,
    ask: Ask<'a>,
    text: Arc<str>,
    /// Of a person's answer, what it is filed under.
    generation: Option<Generation>,
    usage: Arc<TenantUsage>,
    /// How many answers this process had fetched when the call began.
    began: u64,
}

/// The most that an answer lives which may be from before a write.
const UNSETTLED: Duration = Duration::from_secs(10);

/// How often at most Redis is asked again because what it had was of no use.
const LOOKS: usize = 3;

/// What Redis said.
enum Further<'a> {
    Found(Cached, Outcome, Arc<Held>),
    /// Fetch, for all replicas if there is a lease.
    Fetch(Option<Lease<'a>>),
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        cache: &'a Cache,
        ctx: &'a TenantContext,
        ask: Ask<'a>,
        (text, generation): (Arc<str>, Option<Generation>),
        began: u64,
    ) -> Self {
        Self { cache, ctx, ask, text, generation, usage: cache.usages.of(ctx.tenant_id()), began }
    }

    /// The answer of the flight that is under way, or of one that this call leads.
    pub(crate) async fn answer<E: Clone + Send + Sync + 'static>(
        self,
        fetch: impl Future<Output = Result<Fetched, E>> + Send,
        verdicts: Verdicts<impl Fn(&E) -> bool + Send + Sync, impl Fn(&E) -> bool + Send + Sync>,
    ) -> Result<Cached, E> {
        let Verdicts { forgivable, own } = verdicts;
        loop {
            let receiver = match self.cache.flights.join(&self.text) {
                Part::Lead(leader) => return self.lead(fetch, forgivable, leader).await,
                Part::Follow(receiver) => receiver,
            };
            match outcome(receiver.clone()).await {
                Some(Flown::Ready(held)) => match self.shared(&held) {
                    Some(cached) => {
                        self.count(Outcome::Coalesced);
                        return Ok(cached);
                    }
                    None => ended(receiver).await,
                },
                // What background work is refused, a call may be allowed.
                Some(Flown::Failed(failure)) if failure.beside && self.ask.mode == Mode::Reuse => {}
                Some(Flown::Failed(failure)) => match failure.error.downcast_ref::<E>() {
                    // Its place in a queue is not this caller's.
                    Some(error) if failure.whose != Whose::of(self.ctx) && own(error) => {}
                    Some(error) => {
                        return self.failed(error.clone(), failure.before, forgivable, Outcome::Coalesced);
                    }
                    // The leader's caller has another error type, so its error says nothing here.
                    None => return self.cache.bypass(self.ctx, self.ask.key, fetch).await,
                },
                None => {}
            }
        }
    }

    async fn lead<E: Clone + Send + Sync + 'static>(
        &self,
        fetch: impl Future<Output = Result<Fetched, E>> + Send,
        forgivable: impl Fn(&E) -> bool + Send + Sync,
        leader: Leader<'_>,
    ) -> Result<Cached, E> {
        // Once more: the flight before this one may have landed between the look-up and the start.
        let mut before = self.cache.level_one.get(&self.text).await;
        if let Some((held, (cached, outcome))) =
            before.as_ref().and_then(|held| Some((held, self.here(held)?)))
        {
            leader.tell(Flown::Ready(Arc::clone(held)));
            self.count(outcome);
            return Ok(cached);
        }
        let lease = match self.look_further(&mut before).await {
            Further::Found(cached, outcome, held) => {
                leader.tell(Flown::Ready(held));
                self.count(outcome);
                return Ok(cached);
            }
            Further::Fetch(lease) => lease,
        };
        let started = self.cache.clock.elapsed();
        let result = match &lease {
            Some(lease) => lease.renew_while(fetch).await,
            None => fetch.await,
        };
        let took = self.cache.clock.elapsed().saturating_sub(started);
        match result {
            Ok(fetched) => {
                self.count(self.fetch_outcome());
                let held = self.landed(fetched, before.as_deref(), took);
                leader.tell(Flown::Ready(Arc::clone(&held)));
                self.keep(&held, lease).await;
                Ok(Cached::of(&held.entry, Level::Fetched))
            }
            Err(error) => {
                leader.tell(Flown::Failed(Failure {
                    error: Arc::new(error.clone()),
                    before: before.clone(),
                    whose: Whose::of(self.ctx),
                    beside: self.ask.mode != Mode::Reuse,
                }));
                drop(leader);
                if let Some(lease) = lease {
                    lease.release().await;
                }
                self.failed(error, before, forgivable, self.fetch_outcome())
            }
        }
    }

    /// What level 1 has, as an answer to this question.
    fn here(&self, held: &Held) -> Option<(Cached, Outcome)> {
        match self.ask.mode {
            Mode::Reuse => self.cache.judge(&self.ask, held, Level::L1),
            Mode::Refetch if held.landing > self.began => {
                Some((Cached::of(&held.entry, Level::Coalesced), Outcome::Coalesced))
            }
            Mode::Refetch => None,
            Mode::Ahead => self.fresh(held, Level::L1),
        }
    }

    /// An entry as an answer of which nobody is asked to fetch it again.
    fn fresh(&self, held: &Held, level: Level) -> Option<(Cached, Outcome)> {
        let age = self.cache.level_one.age(held);
        let fresh = matches!(self.cache.windows.standing(&held.entry, age, &self.ask), Standing::Fresh(_));
        fresh.then(|| (Cached::of(&held.entry, level), Outcome::Coalesced))
    }

    /// What another call's flight brought, as an answer to this question.
    fn shared(&self, held: &Held) -> Option<Cached> {
        let fetched_since = held.landing > self.began;
        match self.ask.mode {
            _ if fetched_since => Some(Cached::of(&held.entry, Level::Coalesced)),
            Mode::Reuse => self.cache.judge(&self.ask, held, Level::Coalesced).map(|(cached, _)| cached),
            Mode::Refetch => None,
            Mode::Ahead => self.fresh(held, Level::Coalesced).map(|(cached, _)| cached),
        }
    }

    /// Asks Redis; what was there before is told, if it is newer than what level 1 had.
    async fn look_further(&self, before: &mut Option<Arc<Held>>) -> Further<'a> {
        let reader = self.ask.key.reader();
        let Some(level) = self.cache.level_two.as_ref().filter(|level| level.may_hold(reader)) else {
            return Further::Fetch(None);
        };
        let mut known = before.as_ref().map(|held| level.head(&held.entry).to_vec());
        for _ in 0..LOOKS {
            match level.flights.turn(&self.text, known.as_deref()).await {
                Turn::Found(bytes) => {
                    if let Some(entry) = level.open(self.ctx, reader, &self.text, &bytes).await
                        && let Some(found) = self.found(entry, before).await
                    {
                        return found;
                    }
                    known = Some(bytes[..bytes.len().min(HEAD)].to_vec());
                }
                Turn::Lead(lease) => return Further::Fetch(Some(lease)),
                Turn::Alone => {
                    self.cache.counts.degraded.add();
                    return Further::Fetch(None);
                }
            }
        }
        Further::Fetch(None)
    }

    /// An entry of Redis as an answer; otherwise it is kept as what was there before.
    async fn found(&self, entry: Entry, before: &mut Option<Arc<Held>>) -> Option<Further<'a>> {
        if before.as_ref().is_some_and(|held| held.entry.stored_at >= entry.stored_at) {
            return None;
        }
        let held = self.cache.level_one.copy(&self.text, entry, self.filing()).await;
        self.drop_if_gone().await;
        let newer = before.replace(Arc::clone(&held)).is_some();
        let (cached, outcome) = match self.ask.mode {
            Mode::Reuse => self.cache.judge(&self.ask, &held, Level::L2),
            // Another replica was faster to fetch it again.
            Mode::Refetch if !newer => None,
            Mode::Refetch | Mode::Ahead => self.fresh(&held, Level::L2),
        }?;
        Some(Further::Found(cached, outcome, held))
    }

    fn landed(&self, mut fetched: Fetched, before: Option<&Held>, took: Duration) -> Arc<Held> {
        let before = before.map(|held| (&held.entry, self.cache.level_one.age(held)));
        let unsettled = self.generation.is_some_and(|generation| generation.unsettled);
        if unsettled && let Fetched::Answer { life_at_most, .. } = &mut fetched {
            *life_at_most = Some(life_at_most.unwrap_or(UNSETTLED).min(UNSETTLED));
        }
        let mut entry = entry_of(&self.ask, fetched, before, (self.cache.clock.now(), took));
        if unsettled && entry.absent {
            // What was made a moment ago may not be shown yet.
            entry.life = Duration::ZERO;
        }
        self.cache.level_one.landed(&self.text, entry, self.filing())
    }

    fn filing(&self) -> Filing {
        self.cache.filing(self.ask.key, Arc::clone(&self.usage))
    }

    /// Drops what was put into level 1 just now if the account that brought it has changed since the call began: the word
    /// of that came too early for it.
    async fn drop_if_gone(&self) {
        let (Some(generation), Reader::User { user, .. }) = (self.generation, self.ask.key.reader()) else {
            return;
        };
        let now = self.cache.generations.account(self.ctx, user, self.ask.key.provider()).await;
        // If it is out of reach, all persons' entries are dropped as soon as it is not.
        if now.is_some_and(|account| account != generation.account) {
            self.cache.level_one.drop_one(&self.text).await;
        }
    }

    /// Keeps an answer in both levels; in neither if the right to fetch it had passed on to another replica, whose answer
    /// may be newer, or the account that brought it is gone.
    async fn keep(&self, held: &Arc<Held>, lease: Option<Lease<'_>>) {
        let worth = held.entry.body.len() <= MAX_BODY && !held.entry.life.is_zero();
        let stored = match (&self.cache.level_two, lease) {
            (Some(level), Some(lease)) if worth => {
                let account = self.generation.map(|generation| generation.account);
                level.store(self.ctx, (self.ask.key, &self.text, account), &held.entry, lease).await
            }
            (_, Some(lease)) => {
                lease.release().await;
                true
            }
            (_, None) => true,
        };
        if worth && stored {
            self.cache.level_one.keep(Arc::clone(&self.text), Arc::clone(held)).await;
            self.drop_if_gone().await;
        } else if !stored {
            // What is here is older than what was just given and than what the other replica stores.
            self.cache.level_one.drop_one(&self.text).await;
        }
    }

    /// What was there before, if it may stand in for the error.
    fn failed<E>(
        &self,
        error: E,
        before: Option<Arc<Held>>,
        forgivable: impl Fn(&E) -> bool,
        outcome: Outcome,
    ) -> Result<Cached, E> {
        let rescue = before.filter(|_| self.ask.mode == Mode::Reuse).and_then(|held| {
            let age = self.cache.level_one.age(&held);
            Some((self.cache.windows.in_place_of_an_error(&held.entry, age)?, held))
        });
        match rescue {
            Some((over, held)) if forgivable(&error) => {
                self.count(Outcome::Rescued);
                Ok(Cached { stale: Some(over), ..Cached::of(&held.entry, Level::Stale) })
            }
            _ => {
                self.count(outcome);
                Err(error)
            }
        }
    }

    fn fetch_outcome(&self) -> Outcome {
        match self.ask.mode {
            Mode::Reuse => Outcome::Fetched,
            Mode::Refetch => Outcome::Refreshed,
            Mode::Ahead => Outcome::Prefetched,
        }
    }

    /// Counts how a call ended; of what is done beside calls, the fetches.
    fn count(&self, outcome: Outcome) {
        if self.ask.mode != Mode::Reuse && outcome != self.fetch_outcome() {
            return;
        }
        self.cache.counts.calls.add(self.ask.key.class(), outcome);
        self.usage.calls.add(self.ask.key.class(), outcome);
    }
}

/// The entry for what was fetched just now, in so much time, where an entry of that age was there before.
pub(crate) fn entry_of(
    ask: &Ask<'_>,
    fetched: Fetched,
    before: Option<(&Entry, Duration)>,
    (stored_at, took): (DateTime<Utc>, Duration),
) -> Entry {
    match fetched {
        Fetched::Answer { body, fingerprint, next, life_at_most } => {
            let life = next_life(ask.ttl, before, &fingerprint).min(life_at_most.unwrap_or(Duration::MAX));
            let (next, brief) = (next.map(Arc::from), life_at_most.is_some());
            Entry { body, stored_at, life, took, fingerprint, next, absent: false, brief }
        }
        Fetched::Absent { body } => {
            let life = negative_life(ask.ttl, ask.key);
            Entry {
                body,
                stored_at,
                life,
                took,
                fingerprint: [0; 32],
                next: None,
                absent: true,
                brief: false,
            }
        }
    }
}
