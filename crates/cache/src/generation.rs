//! Generations: a number per tenant, person, provider and scope of data that every write raises before its
//! reply. It is part of the person's cache keys, so whatever was fetched before a write is not found after it.
//!
//! With Redis the number is read there on every look-up, one round trip: another replica's write counts at once.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Script;
use stagedoor_domain::{Provider, TenantContext, TenantId, UserId};
use stagedoor_redis_link::{RedisLink, Unavailable};

/// What a write changes. A change of the account makes everything of the person at the provider stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataScope {
    /// Playlists and what is in them.
    Playlists,
    /// Saved tracks, albums and artists.
    Library,
    /// The account itself: linked again, scopes changed, profile.
    Account,
}

impl DataScope {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Playlists => "playlists",
            Self::Library => "library",
            Self::Account => "account",
        }
    }
}

impl fmt::Display for DataScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
}

/// Whose generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) provider: Provider,
}

/// All generations.
#[derive(Debug)]
pub(crate) enum Generations {
    Local(LocalGenerations),
    Shared(SharedGenerations),
}

impl Generations {
    pub(crate) fn local() -> Self {
        let slots = (0..LOCAL_SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self::Local(LocalGenerations { slots, hasher: RandomState::new() })
    }

    pub(crate) fn shared(link: Arc<RedisLink>) -> Self {
        let script = Script::new(include_str!("generation.lua"));
        Self::Shared(SharedGenerations { link, script, deferred: Deferred::default() })
    }

    /// The present generation; `None` if it is out of reach.
    pub(crate) async fn current(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
        scope: DataScope,
    ) -> Option<Generation> {
        let owner = Owner { tenant: ctx.tenant_id(), user, provider };
        match self {
            Self::Local(local) => Some(local.current(owner, scope)),
            Self::Shared(shared) => shared.current(owner, scope).await,
        }
    }

    /// Raises the generation of `scope`.
    pub(crate) async fn bump(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
        scope: DataScope,
    ) -> Result<(), BumpDeferred> {
        let owner = Owner { tenant: ctx.tenant_id(), user, provider };
        match self {
            Self::Local(local) => {
                local.slot(owner, scope).fetch_add(1, Ordering::AcqRel);
                Ok(())
            }
            Self::Shared(shared) => shared.bump(owner, scope).await,
        }
    }
}

const LOCAL_SLOTS: usize = 16_384;

/// A fixed table instead of a map: bounded, and never forgets. Two owners in one slot only invalidate each
/// other's entries now and then.
#[derive(Debug)]
pub(crate) struct LocalGenerations {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl LocalGenerations {
    fn current(&self, owner: Owner, scope: DataScope) -> Generation {
        let read = |scope| self.slot(owner, scope).load(Ordering::Acquire);
        Generation { account: read(DataScope::Account), scoped: read(scope) }
    }

    fn slot(&self, owner: Owner, scope: DataScope) -> &AtomicU64 {
        let hash = self.hasher.hash_one((owner, scope)) % LOCAL_SLOTS as u64;
        &self.slots[usize::try_from(hash).unwrap_or_default()]
    }
}

/// How long a generation that nobody raises stays in Redis. A later one is higher all the same.
const LIFE: Duration = Duration::from_hours(720);
const DEFERRED_AT_ONCE: usize = 64;

/// Generations in Redis.
#[derive(Debug)]
pub(crate) struct SharedGenerations {
    link: Arc<RedisLink>,
    script: Script,
    deferred: Deferred,
}

impl SharedGenerations {
    async fn current(&self, owner: Owner, scope: DataScope) -> Option<Generation> {
        self.settle_deferred(owner).await?;
        let answer = self.run(owner, "read", &[DataScope::Account, scope]).await.ok()?;
        let [account, scoped] = *answer.as_array::<2>()?;
        Some(Generation { account, scoped })
    }

    async fn bump(&self, owner: Owner, scope: DataScope) -> Result<(), BumpDeferred> {
        // Noted before it is tried: a caller that goes away half-way must not lose the bump.
        let note = self.deferred.note(owner, scope);
        self.send(owner, scope, note).await
    }

    async fn send(&self, owner: Owner, scope: DataScope, note: u64) -> Result<(), BumpDeferred> {
        self.run(owner, "bump", &[scope]).await.map_err(BumpDeferred)?;
        self.deferred.settle(owner, scope, note);
        Ok(())
    }

    /// Repeats bumps that failed, those of `owner` first; `None` if one of `owner`'s still fails.
    async fn settle_deferred(&self, owner: Owner) -> Option<()> {
        for (waiting, scope, note) in self.deferred.waiting(owner) {
            match self.send(waiting, scope, note).await {
                Ok(()) => {}
                Err(_) if waiting == owner => return None,
                Err(_) => break,
            }
        }
        Some(())
    }

    async fn run(&self, owner: Owner, action: &str, fields: &[DataScope]) -> Result<Vec<u64>, Unavailable> {
        let Owner { tenant, user, provider } = owner;
        let mut call = self.script.key(format!("sd:{tenant}:generation:v1:{user}:{provider}"));
        call.arg(u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX)).arg(action);
        for field in fields {
            call.arg(field.as_str());
        }
        self.link.run(|mut connection| async move { call.invoke_async(&mut connection).await }).await
    }
}

/// Bumps that Redis has not taken yet, each with the number of its newest note: a bump that was sent before a later
/// one was noted says nothing about the later one.
#[derive(Debug, Default)]
struct Deferred {
    notes: Mutex<HashMap<(Owner, DataScope), u64>>,
    last: AtomicU64,
}

impl Deferred {
    /// Notes a bump before it is sent.
    fn note(&self, owner: Owner, scope: DataScope) -> u64 {
        let mut notes = self.lock();
        let note = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        notes.insert((owner, scope), note);
        note
    }

    /// A bump that was sent under this note is done.
    fn settle(&self, owner: Owner, scope: DataScope, note: u64) {
        let mut notes = self.lock();
        if notes.get(&(owner, scope)) == Some(&note) {
            notes.remove(&(owner, scope));
        }
    }

    /// Some of what waits, `owner`'s first.
    fn waiting(&self, owner: Owner) -> Vec<(Owner, DataScope, u64)> {
        let mut waiting: Vec<_> =
            self.lock().iter().map(|((owner, scope), note)| (*owner, *scope, *note)).collect();
        waiting.sort_unstable_by_key(|(waiting, ..)| *waiting != owner);
        waiting.truncate(DEFERRED_AT_ONCE);
        waiting
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Owner, DataScope), u64>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_that_ends_late_does_not_settle_a_newer_bump() {
        let owner = |tenant| Owner {
            tenant: TenantId(uuid::Uuid::from_u128(tenant)),
            user: UserId(uuid::Uuid::from_u128(9)),
            provider: Provider::Spotify,
        };
        let (ada, bob, scope) = (owner(1), owner(2), DataScope::Playlists);
        let deferred = Deferred::default();
        let first = deferred.note(ada, scope);
        let newer = deferred.note(ada, scope);
        deferred.settle(ada, scope, first);
        assert_eq!(deferred.waiting(ada), [(ada, scope, newer)], "the repeat of the first one ended late");

        let other = deferred.note(bob, scope);
        assert_eq!(deferred.waiting(bob), [(bob, scope, other), (ada, scope, newer)], "one's own come first");
        deferred.settle(ada, scope, newer);
        deferred.settle(bob, scope, other);
        deferred.settle(bob, scope, other);
        assert_eq!(deferred.waiting(bob), []);
    }
}
