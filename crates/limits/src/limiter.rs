//! The one type that callers hold: counts a call on all of its buckets, wherever these are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stagedoor_domain::policy::LimitClass;
use stagedoor_domain::{Clock, TenantContext};
use stagedoor_redis_link::RedisLink;

use crate::decision::{Backend, Bucket, Decision, buckets, closed_bucket, tightest};
use crate::lease::{LeaseOptions, Leases, Spend};
use crate::local::LocalBuckets;
use crate::plan::{Plan, Rate};
use crate::script::BucketScript;

/// Counts calls per tenant, principal, class and window.
#[derive(Debug)]
pub struct Limiter {
    local: LocalBuckets,
    shared: Option<Shared>,
    decisions: Decisions,
}

/// How buckets are shared between replicas.
#[derive(Debug, Clone, Copy)]
pub struct SharedOptions {
    /// How far ahead calls are taken.
    pub leases: LeaseOptions,
    /// How many replicas there are: while Redis is out of reach each admits this part of every quota, at least
    /// one call per window. Over an outage a bucket admits at most twice its capacity plus its refill.
    pub replicas: u32,
}

impl Default for SharedOptions {
    fn default() -> Self {
        Self { leases: LeaseOptions::OFF, replicas: 1 }
    }
}

/// What the limiter has done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimiterCounters {
    /// Decisions by the shared buckets.
    pub redis: u64,
    /// Calls paid from a lease.
    pub lease: u64,
    /// Decisions by this process's buckets because no Redis is configured.
    pub local: u64,
    /// Decisions by this process's buckets because Redis was out of reach.
    pub degraded: u64,
    /// Refusals, whoever decided.
    pub refused: u64,
    /// Round trips to Redis over the link, those of other users of the same link included.
    pub redis_trips: u64,
}

#[derive(Debug)]
struct Shared {
    link: Arc<RedisLink>,
    script: BucketScript,
    leases: Leases,
    replicas: u32,
}

#[derive(Debug, Default)]
struct Decisions {
    redis: AtomicU64,
    lease: AtomicU64,
    local: AtomicU64,
    degraded: AtomicU64,
    refused: AtomicU64,
}

impl Limiter {
    /// Buckets in this process only: exact for one replica.
    pub fn local(clock: Arc<dyn Clock>) -> Self {
        Self { local: LocalBuckets::new(clock), shared: None, decisions: Decisions::default() }
    }

    /// Buckets in Redis, shared by all replicas. Time is the Redis server's; `clock` only ages leases and
    /// serves the buckets of this process while Redis is out of reach.
    pub fn redis(link: Arc<RedisLink>, options: SharedOptions, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            link,
            script: BucketScript::new(),
            leases: Leases::new(options.leases, Arc::clone(&clock)),
            replicas: options.replicas.max(1),
        };
        Self { shared: Some(shared), ..Self::local(clock) }
    }

    /// Counts one call of `class` on the quotas of `api` and of `class`: on all of them, or, if one has no room,
    /// on none. Never fails: without Redis this process decides on its own.
    pub async fn admit(&self, ctx: &TenantContext, class: LimitClass) -> Decision {
        let decision = self.decide(ctx, class).await;
        self.decisions.note(&decision);
        decision
    }

    /// The buckets that a call of `class` would count on, without counting. A lease's unspent calls are off.
    pub async fn look(&self, ctx: &TenantContext, class: LimitClass) -> Vec<Bucket> {
        let plan = Plan::of(ctx, class);
        let Plan::Count(rates) = &plan else { return closed_bucket(&plan).into_iter().collect() };
        if let (Some(shared), false) = (&self.shared, rates.is_empty()) {
            match shared.script.take(&shared.link, ctx, rates, 0, 0).await {
                Ok(taken) => return buckets(rates, &taken).collect(),
                Err(_) => return self.look_at_share(ctx, class, shared.replicas),
            }
        }
        buckets(rates, &self.local.take(ctx, rates, 0)).collect()
    }

    /// What has been done since the start.
    pub fn counters(&self) -> LimiterCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LimiterCounters {
            redis: read(&self.decisions.redis),
            lease: read(&self.decisions.lease),
            local: read(&self.decisions.local),
            degraded: read(&self.decisions.degraded),
            refused: read(&self.decisions.refused),
            redis_trips: self.shared.as_ref().map_or(0, |shared| shared.link.trips()),
        }
    }

    async fn decide(&self, ctx: &TenantContext, class: LimitClass) -> Decision {
        let Some(shared) = &self.shared else {
            return self.decide_here(ctx, Plan::of(ctx, class), Backend::Local);
        };
        let ahead = match shared.leases.spend(ctx, class) {
            Spend::Paid(decision) => return decision,
            Spend::Ask(ahead) => ahead,
        };
        match Plan::of(ctx, class) {
            Plan::Closed(class, quota) => Decision::closed(class, quota, Backend::Redis),
            Plan::Count(rates) if rates.is_empty() => Decision::admitted(&rates, None, Backend::Redis),
            Plan::Count(rates) => self.decide_shared(shared, ctx, class, &rates, ahead).await,
        }
    }

    async fn decide_shared(
        &self,
        shared: &Shared,
        ctx: &TenantContext,
        class: LimitClass,
        rates: &Arc<[Rate]>,
        ahead: u64,
    ) -> Decision {
        // The link logs when Redis goes and comes back; each call only notes who decided.
        let Ok(taken) = shared.script.take(&shared.link, ctx, rates, 1, ahead).await else {
            return self.decide_here(ctx, Plan::share_of(ctx, class, shared.replicas), Backend::Degraded);
        };
        let kept = taken.calls.saturating_sub(1);
        shared.leases.keep(ctx, class, kept, rates, tightest(rates, &taken));
        let mut decision = Decision::of(rates, &taken, Backend::Redis);
        // Calls side by side: the lease of one may hold the very calls that Redis no longer has for another.
        if !decision.admitted
            && let Some(paid) = shared.leases.pay(ctx, class)
        {
            return paid;
        }
        if let (true, Some(bucket)) = (decision.admitted, decision.binding.as_mut()) {
            bucket.remaining += kept;
        }
        decision
    }

    fn decide_here(&self, ctx: &TenantContext, plan: Plan, backend: Backend) -> Decision {
        match plan {
            Plan::Closed(class, quota) => Decision::closed(class, quota, backend),
            Plan::Count(rates) => Decision::of(&rates, &self.local.take(ctx, &rates, 1), backend),
        }
    }

    fn look_at_share(&self, ctx: &TenantContext, class: LimitClass, replicas: u32) -> Vec<Bucket> {
        match Plan::share_of(ctx, class, replicas) {
            Plan::Count(rates) => buckets(&rates, &self.local.take(ctx, &rates, 0)).collect(),
            closed @ Plan::Closed(..) => closed_bucket(&closed).into_iter().collect(),
        }
    }
}

impl Decisions {
    fn note(&self, decision: &Decision) {
        let by = match decision.backend {
            Backend::Redis => &self.redis,
            Backend::Lease => &self.lease,
            Backend::Local => &self.local,
            Backend::Degraded => &self.degraded,
        };
        by.fetch_add(1, Ordering::Relaxed);
        if !decision.admitted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}
