//! Files answers that came along inside another one, as if they had been asked for themselves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_domain::TenantContext;
use stagedoor_domain::policy::TtlBounds;

use crate::answer::{Ask, Fetched, Mode};
use crate::cache::Cache;
use crate::entry::MAX_BODY;
use crate::key::{CacheKey, Reader};
use crate::lead::entry_of;
use crate::level_one::Held;
use crate::level_two::Existing;
use crate::lifetimes::Standing;

/// An answer that came along inside another one.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The question that it answers.
    pub key: CacheKey,
    /// Between which lives its own moves.
    pub ttl: TtlBounds,
    /// The answer, in the form that the question itself would have brought.
    pub fetched: Fetched,
}

impl Cache {
    /// Keeps what was fetched just now as part of another answer, where this replica has nothing fresh; tells how many
    /// that were. In Redis an entry that this replica did not know stays. Answers for single persons are passed over:
    /// they would have to be filed under the generation from before their fetch.
    pub async fn seed(&self, ctx: &TenantContext, seeds: Vec<Seed>) -> usize {
        let mut kept = Vec::with_capacity(seeds.len());
        for seed in seeds {
            if seed.key.tenant() == ctx.tenant_id() && seed.key.reader() == Reader::Tenant {
                kept.extend(self.plant(ctx, seed).await);
            }
        }
        let planted = kept.len();
        if let Some(level) = &self.level_two {
            let puts = kept
                .iter()
                .map(|(text, held, existing)| level.put(ctx, Reader::Tenant, text, &held.entry, *existing));
            self.counts.trips_beside.add_many(planted as u64);
            join_all(puts).await;
        }
        planted
    }

    async fn plant(&self, ctx: &TenantContext, seed: Seed) -> Option<(Arc<str>, Arc<Held>, Existing)> {
        let text: Arc<str> = seed.key.render(None).into();
        let before = self.level_one.get(&text).await;
        let ask = Ask { key: &seed.key, ttl: seed.ttl, oldest: None, mode: Mode::Reuse, noted: false };
        let fresh = |held: &Arc<Held>| {
            matches!(self.windows.standing(&held.entry, self.level_one.age(held), &ask), Standing::Fresh(_))
        };
        if before.as_ref().is_some_and(fresh) {
            return None;
        }
        let known = before.as_ref().map(|held| (&held.entry, self.level_one.age(held)));
        let entry = entry_of(&ask, seed.fetched, known, (self.clock.now(), Duration::ZERO));
        if entry.body.len() > MAX_BODY || entry.life.is_zero() {
            return None;
        }
        let filing = self.filing(&seed.key, self.usages.of(ctx.tenant_id()));
        let held = self.level_one.landed(&text, entry, filing);
        self.level_one.keep(Arc::clone(&text), Arc::clone(&held)).await;
        self.counts.seeded.add();
        Some((text, held, if before.is_some() { Existing::Replace } else { Existing::Keep }))
    }
}
