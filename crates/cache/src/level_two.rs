//! Level 2: Redis, shared by all replicas. Whatever goes wrong here is a miss, counted, and never an answer.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{Provider, TenantContext};
use stagedoor_redis_link::RedisLink;

use crate::counters::Counts;
use crate::entry::{DecodeError, Entry, HEAD, decode, encode, head};
use crate::generation::{EntryIndex, Noted, Person, unlink};
use crate::key::{CacheKey, Reader};
use crate::lifetimes::Windows;
use crate::seal::{SealError, Sealer};
use crate::shared_flight::{Lease, SharedFlights};

/// The level.
#[derive(Debug)]
pub(crate) struct LevelTwo {
    pub(crate) link: Arc<RedisLink>,
    pub(crate) flights: SharedFlights,
    pub(crate) index: EntryIndex,
    pub(crate) sealer: Option<Arc<dyn Sealer>>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) windows: Windows,
}

/// What becomes of an entry that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Keep,
    Replace,
}

impl LevelTwo {
    /// The entry that is there, whatever its age.
    pub(crate) async fn get(&self, ctx: &TenantContext, reader: Reader, key: &str) -> Option<Entry> {
        if !self.may_hold(reader) {
            return None;
        }
        let mut command = redis::cmd("GET");
        command.arg(key);
        let answer =
            self.link.run(|mut connection| async move { command.query_async(&mut connection).await });
        let bytes: Option<Vec<u8>> = answer.await.inspect_err(|_| self.counts.degraded.add()).ok()?;
        self.open(ctx, reader, key, &bytes?).await
    }

    /// Keeps an entry as long as it is worth it, if it can; for what is stored without a flight.
    pub(crate) async fn put(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key: &str,
        stored: &Entry,
        existing: Existing,
    ) {
        if !self.may_hold(reader) {
            return;
        }
        let Some(bytes) = self.sealed(ctx, reader, key, stored).await else { return };
        let mut command = redis::cmd("SET");
        let kept = u64::try_from(self.windows.kept(stored).as_millis()).unwrap_or(u64::MAX).max(1);
        command.arg(key).arg(bytes).arg("PX").arg(kept);
        if existing == Existing::Keep {
            command.arg("NX");
        }
        let answer =
            self.link.run(|mut connection| async move { command.query_async::<()>(&mut connection).await });
        if answer.await.is_err() {
            self.counts.degraded.add();
        }
    }

    /// Keeps an entry as long as it is worth it under the lease of its flight, a person's under the number of the account
    /// that brought it; false if either has passed on.
    pub(crate) async fn store(
        &self,
        ctx: &TenantContext,
        (key, text, account): (&CacheKey, &str, Option<u64>),
        stored: &Entry,
        lease: Lease<'_>,
    ) -> bool {
        let Some(bytes) = self.sealed(ctx, key.reader(), text, stored).await else {
            lease.release().await;
            return true;
        };
        let kept = self.windows.kept(stored);
        let stored = lease.store(&bytes, kept).await;
        match (stored, key.account(), account) {
            (true, Some(owner), Some(number)) => self.note(owner, number, (text, kept)).await,
            _ => stored,
        }
    }

    /// Notes whose account brought the entry, so that it can go with it; false if the account has changed meanwhile.
    async fn note(&self, owner: (Person, Provider), number: u64, entry: (&str, Duration)) -> bool {
        let noted = self.index.note(&self.link, owner, number, entry).await;
        let own = || vec![entry.0.to_owned()];
        let (left_over, holds) = match noted {
            Ok(Noted::Instead(others)) => (others, true),
            Ok(Noted::Gone) => (own(), false),
            // What cannot be found again does not stay.
            Err(_) => (own(), true),
        };
        if unlink(&self.link, &left_over).await.is_err() {
            self.counts.degraded.add();
        }
        holds
    }

    /// What an entry's bytes in Redis begin with.
    pub(crate) fn head(&self, entry: &Entry) -> [u8; HEAD] {
        head(self.sealer.is_some(), entry.stored_at)
    }

    /// A person's answers leave the process sealed or not at all.
    pub(crate) fn may_hold(&self, reader: Reader) -> bool {
        self.sealer.is_some() || reader == Reader::Tenant
    }

    /// The bytes of an entry as they are put there.
    pub(crate) async fn sealed(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key: &str,
        stored: &Entry,
    ) -> Option<Vec<u8>> {
        let sealed = encode(ctx, self.sealer.as_deref(), reader, key, stored).await;
        sealed
            .inspect_err(|error| {
                self.counts.degraded.add();
                tracing::warn!(tenant = %ctx.tenant_id(), %error, cause = ?std::error::Error::source(error),
                    "an answer could not be sealed for the cache");
            })
            .ok()
    }

    /// The entry in bytes of Redis, if it is what was put there.
    pub(crate) async fn open(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key: &str,
        bytes: &[u8],
    ) -> Option<Entry> {
        let error = match decode(ctx, self.sealer.as_deref(), reader, key, bytes).await {
            Ok(entry) => return Some(entry),
            Err(DecodeError::Earlier) => return None,
            Err(error) => error,
        };
        if let DecodeError::Seal(SealError::KeyUnavailable(_)) = error {
            self.counts.degraded.add();
            tracing::warn!(tenant = %ctx.tenant_id(), key, error = %stagedoor_domain::error::Chain(&error),
                "a cache entry could not be opened");
        } else {
            self.counts.poisoned.add();
            tracing::error!(tenant = %ctx.tenant_id(), key, error = %stagedoor_domain::error::Chain(&error),
                "a cache entry is not what was stored");
        }
        None
    }
}
