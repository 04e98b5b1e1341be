//! What working on an object needs beside the object: clients, stores of what is watched, events, and who gets to wait how long.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use kube::runtime::reflector::Store;
use kube::{Client, Resource, ResourceExt};
use stagedoor_bootstrap::config::OperatorConfig;
use stagedoor_domain::{Clock, Entropy};

use crate::admin::AdminApi;
use crate::events::Events;
use crate::metrics::OperatorMetrics;
use crate::resources::{AgentKey, ProviderApp, Tenant};

/// The objects that are watched, as they were last seen.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Tenants.
    pub tenants: Store<Tenant>,
    /// Tenants' clients.
    pub provider_apps: Store<ProviderApp>,
    /// Keys.
    pub agent_keys: Store<AgentKey>,
}

/// Everything that is handed to whoever works on an object.
pub struct Context {
    /// Kubernetes.
    pub client: Client,
    /// The admin API.
    pub admin: Arc<AdminApi>,
    /// Where events go.
    pub events: Events,
    /// What is counted.
    pub metrics: Arc<OperatorMetrics>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for pauses.
    pub entropy: Arc<dyn Entropy>,
    /// The configuration.
    pub config: OperatorConfig,
    /// What is watched.
    pub stores: Stores,
    /// Who waits how long.
    pub pauses: Pauses,
}

impl Context {
    /// A pause of `whole`, at random between `whole` and a fifth more: what began together does not stay together.
    pub fn spread(&self, whole: Duration) -> Duration {
        whole + whole.mul_f64(0.2 * self.random())
    }

    /// The pause before the next attempt for an object that failed once more.
    pub fn pause(&self, uid: &str, generation: i64, at_least: Option<Duration>) -> Duration {
        let failures = self.pauses.failed(uid, generation);
        let doubled = self.config.retry_base().saturating_mul(2_u32.saturating_pow(failures.min(31)));
        let whole = doubled.min(self.config.retry_max());
        let pause = whole.mul_f64(0.5 + 0.5 * self.random());
        at_least.map_or(pause, |least| pause.max(self.spread(least)))
    }

    /// Whether objects of a namespace may have done what only a platform operator does.
    pub fn is_of_platform(&self, namespace: &str) -> bool {
        self.config.platform_namespaces.iter().any(|name| name == "*" || name == namespace)
    }

    /// Now, UTC.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// At least 0, less than 1.
    fn random(&self) -> f64 {
        let mut bytes = [0; 4];
        self.entropy.fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / 2_f64.powi(32)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("config", &self.config).finish_non_exhaustive()
    }
}

/// How often in a row each object failed.
#[derive(Debug, Default)]
pub struct Pauses(Mutex<HashMap<String, (i64, u32)>>);

impl Pauses {
    /// Counts a failure; answers how many came before it since the object was changed last.
    fn failed(&self, uid: &str, generation: i64) -> u32 {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = pauses.entry(uid.to_owned()).or_insert((generation, 0));
        if entry.0 != generation {
            *entry = (generation, 0);
        }
        let before = entry.1;
        entry.1 = before.saturating_add(1);
        before
    }

    /// It is well again, or gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// The one of several objects that claim the same thing which may have it: whoever has it already, else the oldest.
pub fn first_claim<K: Resource<DynamicType = ()>>(
    claims: impl IntoIterator<Item = Arc<K>>,
    has_it: impl Fn(&K) -> bool,
) -> Option<Arc<K>> {
    claims.into_iter().min_by_key(|object| {
        let made = object.meta().creation_timestamp.as_ref().map(|time| time.0);
        (!has_it(object), made, object.uid())
    })
}
