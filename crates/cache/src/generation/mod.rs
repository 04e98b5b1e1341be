//! Generations: a number for each tenant, person, provider and scope of data that every write raises before its reply.
//! It is part of the person's cache keys, so whatever was fetched before a write is not found after it.
//!
//! Promise: a read that begins after a write was answered, through any replica, never uses a number of before. Replicas
//! remember numbers under *leases* (Gray and Cheriton, SOSP 1989), and a write is answered only when none is left:
//! - The script that reads notes the replica as holder for 2 s of the server's time; the replica counts 1.8 s from
//!   before it asked, on the machine's monotonic clock. A frozen replica thaws with its lease over.
//! - The script that raises tells all replicas and returns the other holders. The writer waits until each has
//!   acknowledged or its 2 s are over, so lost messages, dead listeners and killed replicas cost time, never truth.
//! - A replica drops first and acknowledges then. A reading that was under way when it dropped may answer the caller who
//!   sent it (that call began before the write was answered), but makes no lease. Two bumps at once have two nonces.
//! - A hash from another run of the server (an older state loaded, a replica promoted), or new while the server or the
//!   writer's link to it is, tells nothing of holders: it is begun above all numbers of before, and bumps in its first 2 s
//!   wait. Not covered: a Redis that is emptied, or evicts what was used a second ago, or whose clock is set forward,
//!   while messages are lost as well.
//! - A writer that dies before its reply has promised nothing. One that Redis does not hear waits until leases of others
//!   that hear it as little are over, uses no lease itself, and repeats the bump for as long as it lives: only replicas
//!   that still reach Redis meanwhile may give what they have. Redis with two masters at a time is not covered.

mod change;
mod deferred;
mod forgotten;
mod gone;
mod index;
mod leases;
mod listener;
mod local;
mod messages;
mod script;
mod shared;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{Clock, Entropy, Provider, SystemClock, TenantContext, TenantId, UserId};
use stagedoor_redis_link::{RedisLink, Unavailable};
use tokio_util::sync::CancellationToken;

use self::local::LocalGenerations;
use self::script::Numbers;
use self::shared::SharedGenerations;

pub(crate) use self::change::Change;
pub use self::change::{DataScope, PlaylistSlot};
pub(crate) use self::gone::{Forget, Gone};
pub(crate) use self::index::{EntryIndex, Noted, keys_of, unlink};
pub(crate) use self::shared::ReplicaId;

/// How long a provider may take to show a write that it was told of, or that was on its way when we gave it up.
const SETTLES_IN: Duration = Duration::from_secs(30);

/// Redis did not take the bump. This replica serves nothing old of the person and repeats the bump before it
/// trusts the generation again; a replica that still reaches Redis may serve what it has until then.
#[derive(Debug, thiserror::Error)]
#[error("the cache could not be told of the change yet")]
pub struct BumpDeferred(#[source] Unavailable);

/// The generations that a key of one scope depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) account: u64,
    pub(crate) scoped: u64,
    /// The scope was raised so lately that what is fetched now may still be what the provider had before.
    pub(crate) unsettled: bool,
}

/// Whose generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Person {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
}

impl Person {
    pub(crate) fn of(ctx: &TenantContext, user: UserId) -> Self {
        Self { tenant: ctx.tenant_id(), user }
    }
}

/// What was done for generations since the start, and the leases that hold now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GenerationCounters {
    /// Persons whose generations are remembered now.
    pub leases: u64,
    /// Readings from Redis.
    pub renewals: u64,
    /// Bumps that Redis took.
    pub bumps: u64,
    /// Bumps that had to wait for other replicas.
    pub bump_waits: u64,
    /// Of these, those that every holder acknowledged.
    pub acknowledged: u64,
    /// Of these, those that waited until leases were over.
    pub waited_out: u64,
    /// Bumps that were answered before Redis had taken them.
    pub deferred: u64,
    /// Of these, those that Redis had not taken when this replica ended.
    pub lost: u64,
}

/// All generations.
#[derive(Debug)]
pub(crate) enum Generations {
    Local(LocalGenerations),
    Shared(Box<SharedGenerations>),
}

impl Generations {
    /// Those of the only replica.
    pub(crate) fn local(clock: Arc<dyn Clock>, forget: Forget) -> Self {
        Self::Local(LocalGenerations::new(clock, forget))
    }

    /// Those of all replicas. Leases hold between processes, so they count on the machine's clock whatever clock the
    /// rest of the cache was handed.
    pub(crate) fn shared(link: Arc<RedisLink>, entropy: &dyn Entropy, forget: Forget) -> Self {
        Self::timed(link, entropy, Arc::new(SystemClock::new()), forget)
    }

    pub(crate) fn timed(
        link: Arc<RedisLink>,
        entropy: &dyn Entropy,
        clock: Arc<dyn Clock>,
        forget: Forget,
    ) -> Self {
        Self::Shared(Box::new(SharedGenerations::new(link, ReplicaId::draw(entropy), clock, forget)))
    }

    /// What a key of the person's data depends on; `None` if it is out of reach.
    pub(crate) async fn current(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
        scope: DataScope,
    ) -> Option<Generation> {
        let (account, scoped) = (Change::Of(provider, DataScope::Account), Change::Of(provider, scope));
        let person = Person::of(ctx, user);
        match self {
            Self::Local(local) => {
                let unsettled = local.raised_within(SETTLES_IN, person, scoped);
                let [account, scoped] = [account, scoped].map(|change| local.current(person, change));
                Some(Generation { account, scoped, unsettled })
            }
            Self::Shared(shared) => {
                let numbers = Self::shared_numbers(shared, person).await?;
                let unsettled = numbers.raised_within(SETTLES_IN, scoped);
                Some(Generation { account: numbers.of(account), scoped: numbers.of(scoped), unsettled })
            }
        }
    }

    /// The generation of the person's account at the provider; `None` if it is out of reach.
    pub(crate) async fn account(&self, ctx: &TenantContext, user: UserId, provider: Provider) -> Option<u64> {
        let account = Change::Of(provider, DataScope::Account);
        self.number(Person::of(ctx, user), account).await
    }

    /// The generation of the person's preferences; `None` if it is out of reach.
    pub(crate) async fn preferences(&self, ctx: &TenantContext, user: UserId) -> Option<u64> {
        self.number(Person::of(ctx, user), Change::Preferences).await
    }

    /// Raises a generation; afterwards no replica uses one of before.
    pub(crate) async fn bump(
        &self,
        ctx: &TenantContext,
        user: UserId,
        change: Change,
    ) -> Result<(), BumpDeferred> {
        let person = Person::of(ctx, user);
        match self {
            Self::Local(local) => {
                local.bump(person, change);
                Ok(())
            }
            Self::Shared(shared) => Box::pin(shared.bump(person, change)).await,
        }
    }

    /// Has no generations of the person be kept in Redis from now on.
    pub(crate) async fn mark_forgotten(&self, person: Person) -> Result<(), Unavailable> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Shared(shared) => shared.mark_forgotten(person).await,
        }
    }

    /// Listens to the other replicas and repeats what Redis did not take, until `shutdown`; then it is
    /// tried for a moment more.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        if let Self::Shared(shared) = self {
            shutdown.run_until_cancelled(Box::pin(shared.run())).await;
            shared.farewell().await;
        }
    }

    pub(crate) fn counters(&self) -> GenerationCounters {
        match self {
            Self::Local(_) => GenerationCounters::default(),
            Self::Shared(shared) => shared.counters(),
        }
    }

    async fn number(&self, person: Person, change: Change) -> Option<u64> {
        match self {
            Self::Local(local) => Some(local.current(person, change)),
            Self::Shared(shared) => Some(Self::shared_numbers(shared, person).await?.of(change)),
        }
    }

    async fn shared_numbers(shared: &SharedGenerations, person: Person) -> Option<Numbers> {
        match shared.held(person) {
            Some(numbers) => Some(numbers),
            // On the heap: a call whose lease holds should not carry the weight of a renewal.
            None => Box::pin(shared.read(person)).await,
        }
    }
}
