//! Brings what is asked for most from Redis into this process before anyone asks: no provider is called.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{TenantContext, TenantId};

use crate::cache::Cache;
use crate::key::{Prefix, Reader};
use crate::level_one::Filing;

/// What a tenant's warm-up may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmBudget {
    /// Answers.
    pub entries: usize,
    /// Bytes in level 1.
    pub bytes: u64,
    /// Time; the answer that is on its way then still comes.
    pub time: Duration,
}

/// What a warm-up brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Warmed {
    /// Answers.
    pub entries: usize,
    /// Bytes in level 1.
    pub bytes: u64,
}

impl Cache {
    /// The tenants whose catalogue answers were asked for most lately, on all replicas; none without Redis.
    pub async fn popular_tenants(&self, most: usize) -> Vec<TenantId> {
        let Some(popular) = &self.shared_popular else { return Vec::new() };
        popular.tenants(most).await.inspect_err(|_| self.counts.degraded.add()).unwrap_or_default()
    }

    /// Brings the tenant's catalogue answers that were asked for most lately, as far as Redis has them and they still
    /// live.
    pub async fn warm(&self, ctx: &TenantContext, budget: WarmBudget) -> Warmed {
        let (Some(popular), Some(level_two)) = (&self.shared_popular, &self.level_two) else {
            return Warmed::default();
        };
        let names = popular.keys(ctx.tenant_id(), budget.entries).await;
        let names = names.inspect_err(|_| self.counts.degraded.add()).unwrap_or_default();
        let until = self.clock.elapsed() + budget.time;
        let usage = self.usages.of(ctx.tenant_id());
        let mut warmed = Warmed::default();
        for name in names {
            if self.clock.elapsed() >= until || warmed.bytes >= budget.bytes {
                break;
            }
            let text: Arc<str> = format!("{}{name}", Prefix(ctx.tenant_id())).into();
            if self.level_one.get(&text).await.is_some() {
                continue;
            }
            let Some(entry) = level_two.get(ctx, Reader::Tenant, &text).await else { continue };
            let age = (self.clock.now() - entry.stored_at).to_std().unwrap_or_default();
            if age >= entry.life {
                continue;
            }
            let filing = Filing { windows: self.windows, usage: Arc::clone(&usage), account: None };
            let held = self.level_one.copy_if_absent(&text, entry, filing).await;
            warmed.entries += 1;
            warmed.bytes += u64::from(held.weight());
            self.counts.warmed.add();
        }
        warmed
    }
}
