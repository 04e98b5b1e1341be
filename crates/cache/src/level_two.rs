//! Level 2: Redis, shared by all replicas. Whatever goes wrong here is a miss, counted, and never an answer.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{Clock, TenantContext};
use stagedoor_redis_link::RedisLink;

use crate::counters::Counts;
use crate::entry::{DecodeError, Entry, decode, encode};
use crate::key::Reader;
use crate::seal::{SealError, Sealer};

/// The level.
#[derive(Debug)]
pub(crate) struct LevelTwo {
    pub(crate) link: Arc<RedisLink>,
    pub(crate) sealer: Option<Arc<dyn Sealer>>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl LevelTwo {
    /// The entry and how long it may still be kept.
    pub(crate) async fn get(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key: &str,
    ) -> Option<(Entry, Duration)> {
        if !self.may_hold(reader) {
            return None;
        }
        let mut command = redis::cmd("GET");
        command.arg(key);
        let answer =
            self.link.run(|mut connection| async move { command.query_async(&mut connection).await });
        let bytes: Option<Vec<u8>> = answer.await.inspect_err(|_| self.counts.degraded.add()).ok()?;
        let stored = match decode(ctx, self.sealer.as_deref(), reader, key, &bytes?).await {
            Ok(stored) => stored,
            Err(error) => return self.refuse(ctx, key, &error),
        };
        let age = (self.clock.now() - stored.stored_at).to_std().unwrap_or_default();
        let left = stored.life.checked_sub(age).filter(|left| !left.is_zero())?;
        Some((stored, left))
    }

    /// Keeps an entry for its life, if it can.
    pub(crate) async fn put(&self, ctx: &TenantContext, reader: Reader, key: &str, stored: &Entry) {
        if !self.may_hold(reader) {
            return;
        }
        let bytes = match encode(ctx, self.sealer.as_deref(), reader, key, stored).await {
            Ok(bytes) => bytes,
            Err(error) => {
                self.counts.degraded.add();
                tracing::warn!(tenant = %ctx.tenant_id(), %error, cause = ?std::error::Error::source(&error),
                    "an answer could not be sealed for the cache");
                return;
            }
        };
        let mut command = redis::cmd("SET");
        let life = u64::try_from(stored.life.as_millis()).unwrap_or(u64::MAX).max(1);
        command.arg(key).arg(bytes).arg("PX").arg(life);
        let answer =
            self.link.run(|mut connection| async move { command.query_async::<()>(&mut connection).await });
        if answer.await.is_err() {
            self.counts.degraded.add();
        }
    }

    /// A person's answers leave the process sealed or not at all.
    fn may_hold(&self, reader: Reader) -> bool {
        self.sealer.is_some() || reader == Reader::Tenant
    }

    fn refuse<T>(&self, ctx: &TenantContext, key: &str, error: &DecodeError) -> Option<T> {
        if let DecodeError::Seal(SealError::KeyUnavailable(_)) = error {
            self.counts.degraded.add();
        } else {
            self.counts.poisoned.add();
        }
        tracing::warn!(tenant = %ctx.tenant_id(), key, %error, cause = ?std::error::Error::source(error),
            "a cache entry was refused");
        None
    }
}
