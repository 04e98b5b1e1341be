//! Figures that other rooms keep themselves, read when metrics are asked for. One file for each of the larger rooms;
//! labels are closed sets.

mod audit;
mod cache;
mod limits;
mod providers;
mod rooms;
mod usage;

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use stagedoor_audit::{AuditLog, Checkpointer};
use stagedoor_cache::Cache;
use stagedoor_key_encryption::KeyRing;
use stagedoor_limits::Limiter;
use stagedoor_providers::Providers;
use stagedoor_storage::{KeyVault, Store};
use stagedoor_tools::{Beside, SessionsInUse};
use stagedoor_usage::UsageLog;

use crate::concurrency::Concurrency;
use crate::key_use::KeyUses;
use crate::privacy::worker::OpenRequests;
use crate::tenant_watch::TenantWatch;
use crate::violations::Violations;
use crate::vital_signs::VitalSigns;

/// Where the figures are.
#[derive(Clone)]
pub struct Gauges {
    /// Answers kept.
    pub cache: Arc<Cache>,
    /// What is fetched beside calls.
    pub beside: Arc<Beside>,
    /// The tenants' limits.
    pub limiter: Arc<Limiter>,
    /// Requests under way.
    pub concurrency: Arc<Concurrency>,
    /// Refused calls.
    pub violations: Arc<Violations>,
    /// Changes of tenants.
    pub tenants: Arc<TenantWatch>,
    /// When keys were last used.
    pub key_uses: Arc<KeyUses>,
    /// The music services, once they are set up.
    pub providers: Arc<OnceLock<Providers>>,
    /// What calls come to.
    pub usage: Arc<UsageLog>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Its checkpoints.
    pub checkpointer: Checkpointer,
    /// Requests of people for their data.
    pub requests: Arc<OpenRequests>,
    /// Opened sessions.
    pub sessions: Arc<SessionsInUse>,
    /// The database.
    pub store: Store,
    /// The keys of tenants and people.
    pub vault: Arc<KeyVault>,
    /// How the database is.
    pub signs: Arc<VitalSigns>,
    /// The key-encryption keys.
    pub keys: Arc<KeyRing>,
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut page = Page(&mut encoder);
        cache::write(&mut page, &self.cache.counters(), self.beside.counts())?;
        limits::write(&mut page, self)?;
        if let Some(providers) = self.providers.get() {
            providers::write(&mut page, providers)?;
        }
        audit::write(&mut page, self)?;
        usage::write(&mut page, self)?;
        rooms::write(&mut page, self)
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}

/// Where the figures go.
struct Page<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    /// One counter for each set of labels.
    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = ([(&'static str, &'static str); N], u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// One gauge for each value of a label.
    fn gauges<T: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = ([(&'static str, &'static str); 1], T)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
