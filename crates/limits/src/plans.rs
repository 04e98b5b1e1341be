//! A tenant's plans, made once for each state of its settings.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use stagedoor_domain::policy::{LimitClass, PenaltyStep, Quota};
use stagedoor_domain::{TenantContext, TenantId, TenantSettings};

use crate::plan::Plan;

/// The plans of one state of a tenant's settings.
#[derive(Debug)]
pub(crate) struct TenantPlans {
    limits: BTreeMap<LimitClass, Vec<Quota>>,
    tenant_limits: BTreeMap<LimitClass, Vec<Quota>>,
    penalties: Option<Vec<PenaltyStep>>,
    by_class: [Arc<Plan>; LimitClass::ALL.len()],
    all: Arc<Plan>,
}

impl TenantPlans {
    fn new(settings: &TenantSettings, replicas: u32) -> Self {
        let plan = |index: usize| Arc::new(Plan::new(settings, LimitClass::ALL[index], replicas));
        Self {
            limits: settings.limits.clone(),
            tenant_limits: settings.tenant_limits.clone(),
            penalties: settings.penalties.clone(),
            by_class: std::array::from_fn(plan),
            all: Arc::new(Plan::of_all(settings, replicas)),
        }
    }

    /// Whether `settings` would make the same plans.
    pub(crate) fn fit(&self, settings: &TenantSettings) -> bool {
        self.limits == settings.limits
            && self.tenant_limits == settings.tenant_limits
            && self.penalties == settings.penalties
    }

    /// The plan of a call of `class`.
    pub(crate) fn of(&self, class: LimitClass) -> &Arc<Plan> {
        &self.by_class[class as usize]
    }

    /// The buckets of all classes.
    pub(crate) fn all(&self) -> &Arc<Plan> {
        &self.all
    }
}

/// The plans of all tenants that called, for the whole quotas and for one replica's share.
#[derive(Debug, Default)]
pub(crate) struct Plans(RwLock<HashMap<(TenantId, u32), Arc<TenantPlans>>>);

/// Tenants whose plans are kept; beyond it all are made again.
const MOST: usize = 20_000;

impl Plans {
    /// The plans of the context's tenant, where `replicas` processes each keep their share of the quotas.
    pub(crate) fn of(&self, ctx: &TenantContext, replicas: u32) -> Arc<TenantPlans> {
        let (key, settings) = ((ctx.tenant_id(), replicas), &ctx.tenant().settings);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).map(Arc::clone);
        if let Some(plans) = known.filter(|plans| plans.fit(settings)) {
            return plans;
        }
        let plans = Arc::new(TenantPlans::new(settings, replicas));
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(key, Arc::clone(&plans));
        plans
    }
}
