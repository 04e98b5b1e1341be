//! The one type that callers hold: counts a call on all of its buckets, wherever these are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stagedoor_domain::policy::LimitClass;
use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{Clock, Entropy, LimitScope, TenantContext, TenantId};
use stagedoor_redis_link::{RedisLink, Unavailable};

use crate::decision::{Backend, Decision, Look, buckets};
use crate::lease::{LeaseOptions, Leases, Spend, Taking};
use crate::local::LocalBuckets;
use crate::outage::{Outage, Phase};
use crate::plan::Plan;
use crate::plans::{Plans, TenantPlans};
use crate::record;
use crate::replicas::Replicas;
use crate::script::{Ask, BucketScript, Taken};

/// Counts calls per tenant, principal, class and window.
#[derive(Debug)]
pub struct Limiter {
    local: Arc<LocalBuckets>,
    plans: Plans,
    shared: Option<Shared>,
    decisions: Decisions,
}

/// How buckets are shared between replicas.
#[derive(Debug, Clone, Copy)]
pub struct SharedOptions {
    /// How far ahead calls are taken.
    pub leases: LeaseOptions,
    /// How many replicas there are at least: while Redis is out of reach each admits its share of every quota, one
    /// call per window at least. [`Replicas`] counts those that there are.
    pub minimum_replicas: u32,
}

impl Default for SharedOptions {
    fn default() -> Self {
        Self { leases: LeaseOptions::OFF, minimum_replicas: 1 }
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
    /// Refusals for a principal's own buckets, whoever decided.
    pub refused_principal: u64,
    /// Refusals for a tenant's buckets.
    pub refused_tenant: u64,
    /// Refusals for a penalty.
    pub refused_penalty: u64,
    /// Penalties that began with a refusal of this replica.
    pub penalties: u64,
    /// Round trips to Redis over the link, those of other users of the same link included.
    pub redis_trips: u64,
}

#[derive(Debug)]
struct Shared {
    link: Arc<RedisLink>,
    script: BucketScript,
    leases: Leases,
    outage: Arc<Outage>,
}

#[derive(Debug, Default)]
struct Decisions {
    by_backend: [AtomicU64; 4],
    refused: [AtomicU64; 2],
    refused_penalty: AtomicU64,
    penalties: AtomicU64,
}

impl Limiter {
    /// Buckets in this process only: exact for one replica.
    pub fn local(clock: Arc<dyn Clock>) -> Self {
        Self {
            local: Arc::new(LocalBuckets::new(clock)),
            plans: Plans::default(),
            shared: None,
            decisions: Decisions::default(),
        }
    }

    /// Buckets in Redis, shared by all replicas. Time is the Redis server's; `clock` only ages leases and
    /// serves the buckets of this process while Redis is out of reach.
    pub fn redis(link: Arc<RedisLink>, options: SharedOptions, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            link,
            script: BucketScript::new(),
            leases: Leases::new(options.leases, Arc::clone(&clock)),
            outage: Arc::new(Outage::new(options.minimum_replicas, Arc::clone(&clock))),
        };
        Self { shared: Some(shared), ..Self::local(clock) }
    }

    /// What counts this replica among the others, and brings what was admitted during an outage to Redis; to be run
    /// for as long as the limiter is used. `None` without Redis.
    pub fn replicas(&self, entropy: &dyn Entropy) -> Option<Replicas> {
        let shared = self.shared.as_ref()?;
        let (link, outage) = (Arc::clone(&shared.link), Arc::clone(&shared.outage));
        Some(Replicas::new(link, outage, Arc::clone(&self.local), entropy))
    }

    /// How many replicas share the quotas during an outage; 1 without Redis.
    pub fn known_replicas(&self) -> u32 {
        self.shared.as_ref().map_or(1, |shared| shared.outage.replicas())
    }

    /// Counts one call of `class` on the quotas of `api` and of `class`, the principal's and the tenant's: on all of
    /// them, or, if one has no room or a penalty is in force, on none. Never fails: without Redis this process decides
    /// on its own.
    pub async fn admit(&self, ctx: &TenantContext, class: LimitClass) -> Decision {
        let decision = match &self.shared {
            Some(shared) => self.decide(shared, ctx, class).await,
            None => self.decide_here(ctx, class, 1, Backend::Local),
        };
        self.decisions.note(&decision);
        decision
    }

    /// All limits of the principal, without counting; at most one round trip.
    pub async fn look(&self, ctx: &TenantContext) -> Look {
        let Some(shared) = &self.shared else { return self.look_here(ctx, 1) };
        let plans = self.plans.of(ctx, 1);
        if shared.outage.phase() != Phase::Out
            && let Ok(taken) = shared.script.take(&shared.link, ctx, plans.all(), Ask::LOOK).await
        {
            return looked(plans.all(), &taken);
        }
        self.look_here(ctx, shared.outage.replicas())
    }

    pub(crate) fn forget_here(&self, tenant: TenantId, principals: &[PrincipalKind]) {
        self.local.forget(tenant, principals);
        if let Some(shared) = &self.shared {
            shared.leases.forget(tenant, principals);
        }
    }

    pub(crate) fn link(&self) -> Option<&RedisLink> {
        self.shared.as_ref().map(|shared| &*shared.link)
    }

    #[cfg(test)]
    pub(crate) fn begin_outage(&self) {
        self.shared.iter().for_each(|shared| shared.outage.begin());
    }

    #[cfg(test)]
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.shared.as_ref().map(|shared| shared.outage.phase())
    }

    /// What has been done since the start.
    pub fn counters(&self) -> LimiterCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [redis, lease, local, degraded] = self.decisions.by_backend.each_ref().map(read);
        let [refused_principal, refused_tenant] = self.decisions.refused.each_ref().map(read);
        LimiterCounters {
            redis,
            lease,
            local,
            degraded,
            refused_principal,
            refused_tenant,
            refused_penalty: read(&self.decisions.refused_penalty),
            penalties: read(&self.decisions.penalties),
            redis_trips: self.shared.as_ref().map_or(0, |shared| shared.link.trips()),
        }
    }

    async fn decide(&self, shared: &Shared, ctx: &TenantContext, class: LimitClass) -> Decision {
        shared.outage.notice(shared.link.lost());
        match shared.outage.phase() {
            Phase::Shared => {}
            Phase::Out => return self.decide_alone(shared, ctx, class, true),
            Phase::Settling => return self.decide_on_both(shared, ctx, class).await,
        }
        let mut spend = shared.leases.spend(ctx, class, false);
        while let Spend::Wait(taken) = spend {
            taken.await;
            spend = shared.leases.spend(ctx, class, true);
        }
        let taking = match spend {
            Spend::Paid(decision) => return decision,
            Spend::TakeAhead(taking) => Some(taking),
            Spend::Ask | Spend::Wait(_) => None,
        };
        let plans = self.plans.of(ctx, 1);
        if let Some(decision) = decided_by(plans.of(class), Backend::Redis) {
            return decision;
        }
        if let Ok(decision) = self.ask(shared, ctx, class, &plans, taking).await {
            return decision;
        }
        // The link logs when Redis goes and comes back; each call only notes who decided.
        shared.outage.begin();
        self.decide_alone(shared, ctx, class, true)
    }

    async fn ask(
        &self,
        shared: &Shared,
        ctx: &TenantContext,
        class: LimitClass,
        plans: &Arc<TenantPlans>,
        mut taking: Option<Taking<'_>>,
    ) -> Result<Decision, Unavailable> {
        let plan = plans.of(class);
        let ask = taking.as_mut().map_or(Ask::ONE, |taking| taking.ask(plan));
        let taken = shared.script.take(&shared.link, ctx, plan, ask).await?;
        record::decided(ctx, plan, ask, &taken);
        let mut decision = Decision::of(plan, &taken, Backend::Redis);
        if let Some(penalty) = decision.penalty {
            self.local.remember(ctx, penalty);
        }
        let kept = taken.calls.saturating_sub(1);
        match taking {
            Some(taking) => taking.keep(kept, plans, &decision),
            None => shared.leases.note(ctx, class, &decision),
        }
        if let (true, Some(bucket)) = (decision.admitted, decision.binding.as_mut()) {
            bucket.remaining += kept;
        }
        Ok(decision)
    }

    /// Redis was out of reach a moment ago, and other replicas may not have brought yet what they admitted: both it
    /// and this replica's share must have room.
    async fn decide_on_both(&self, shared: &Shared, ctx: &TenantContext, class: LimitClass) -> Decision {
        let here = self.decide_alone(shared, ctx, class, false);
        let plans = self.plans.of(ctx, 1);
        if !here.admitted || decided_by(plans.of(class), Backend::Redis).is_some() {
            return here;
        }
        if let Ok(decision) = self.ask(shared, ctx, class, &plans, None).await {
            return decision;
        }
        shared.outage.begin();
        self.local.owe(ctx, &here.plan);
        here
    }

    fn decide_alone(&self, shared: &Shared, ctx: &TenantContext, class: LimitClass, owe: bool) -> Decision {
        let decision = self.decide_here(ctx, class, shared.outage.replicas(), Backend::Degraded);
        if owe && decision.admitted {
            self.local.owe(ctx, &decision.plan);
        }
        decision
    }

    fn decide_here(
        &self,
        ctx: &TenantContext,
        class: LimitClass,
        replicas: u32,
        backend: Backend,
    ) -> Decision {
        let plans = self.plans.of(ctx, replicas);
        let plan = plans.of(class);
        decided_by(plan, backend)
            .unwrap_or_else(|| Decision::of(plan, &self.local.take(ctx, plan, Ask::ONE), backend))
    }

    fn look_here(&self, ctx: &TenantContext, replicas: u32) -> Look {
        let plans = self.plans.of(ctx, replicas);
        looked(plans.all(), &self.local.take(ctx, plans.all(), Ask::LOOK))
    }
}

/// The decision that needs no counting.
fn decided_by(plan: &Arc<Plan>, backend: Backend) -> Option<Decision> {
    match plan.closed.first() {
        Some(bucket) => Some(Decision::closed(plan, *bucket, backend)),
        None if plan.counts => None,
        None => Some(Decision::admitted(plan, None, backend)),
    }
}

fn looked(plan: &Plan, taken: &Taken) -> Look {
    Look {
        buckets: buckets(plan, taken).chain(plan.closed.iter().copied()).collect(),
        penalty: taken.penalty.map(|penalty| penalty.seen(taken.now)),
    }
}

impl Decisions {
    fn note(&self, decision: &Decision) {
        let count = |counter: &AtomicU64| _ = counter.fetch_add(1, Ordering::Relaxed);
        count(&self.by_backend[decision.backend as usize]);
        if decision.admitted {
            return;
        }
        match decision.binding.map(|bucket| bucket.scope) {
            Some(LimitScope::Principal) => count(&self.refused[0]),
            Some(LimitScope::Tenant) => count(&self.refused[1]),
            None => count(&self.refused_penalty),
        }
        if decision.began {
            count(&self.penalties);
        }
    }
}
