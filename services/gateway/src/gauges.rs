//! Figures that other rooms keep themselves, read when metrics are asked for: cache, limiter, audit queue, sessions,
//! database connections.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use stagedoor_audit::AuditLog;
use stagedoor_cache::Cache;
use stagedoor_crypto::KekProvider;
use stagedoor_key_encryption::KeyRing;
use stagedoor_limits::Limiter;
use stagedoor_storage::Store;
use stagedoor_tools::{RefreshOutcome, SessionsInUse};

/// Where the figures are.
#[derive(Debug, Clone)]
pub struct Gauges {
    /// Answers kept.
    pub cache: Arc<Cache>,
    /// The tenants' limits.
    pub limiter: Arc<Limiter>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Opened sessions.
    pub sessions: Arc<SessionsInUse>,
    /// The database.
    pub store: Store,
    /// The key-encryption keys.
    pub keys: Arc<KeyRing>,
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let cache = self.cache.counters();
        let limiter = self.limiter.counters();
        let audit = self.audit.counts();
        let sessions = self.sessions.counts();
        let (open, idle) = self.store.connections();
        let counters = [
            ("cache_hits_l1", "Answers from this process", cache.hits_l1),
            ("cache_hits_l2", "Answers from Redis", cache.hits_l2),
            ("cache_misses", "Answers that had to be fetched", cache.misses),
            ("cache_coalesced", "Calls that waited for another's fetch", cache.coalesced),
            ("cache_bypassed", "Fetches past the cache", cache.bypassed),
            ("cache_poisoned", "Entries of Redis that were not what was put there", cache.poisoned),
            ("cache_degraded", "Look-ups while Redis was out of reach", cache.degraded),
            ("cache_evictions", "Answers that made room for others", cache.evictions),
            ("cache_redis_trips", "Round trips of the cache to Redis", cache.redis_trips),
            ("limiter_redis", "Decisions by the shared buckets", limiter.redis),
            ("limiter_lease", "Calls paid from a lease", limiter.lease),
            ("limiter_local", "Decisions without Redis", limiter.local),
            ("limiter_degraded", "Decisions while Redis was out of reach", limiter.degraded),
            ("limiter_refused", "Calls over a quota", limiter.refused),
            ("limiter_redis_trips", "Round trips of the limiter to Redis", limiter.redis_trips),
            ("audit_queued", "Audit records handed to the queue", audit.queued),
            ("audit_written", "Audit records in the store", audit.written),
            ("audit_dropped", "Audit records lost", audit.dropped),
            (
                "audit_late_closings",
                "Closing records that failed at once and were queued",
                audit.late_closings,
            ),
            ("audit_retries", "Batches of audit records tried again", audit.retries),
            ("sessions_opened_cold", "Sessions opened from the database", sessions.opened_cold),
            ("sessions_opened_memory", "Uses of sessions in memory", sessions.opened_memory),
            ("session_rotations", "Sessions that got a new id and seal", sessions.rotations),
            ("session_quarantines", "Sessions that did not open and were set aside", sessions.quarantines),
            ("devices_new", "Devices that were new to an account", sessions.devices_new),
            (
                "devices_exceeded",
                "Times that an account was used from too many devices",
                sessions.devices_exceeded,
            ),
            ("devices_refused", "Calls refused because of the device", sessions.devices_refused),
            ("hijack_attempts", "Handles used by someone else than their owner", sessions.hijack_attempts),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let help = "Refreshes of people's tokens, by how they ended";
        let mut refreshes =
            encoder.encode_descriptor("session_refreshes", help, None, MetricType::Counter)?;
        for (outcome, count) in RefreshOutcome::ALL.iter().zip(sessions.refreshes) {
            let labels = [("outcome", outcome.as_str())];
            ConstCounter::new(count).encode(refreshes.encode_family(&labels)?)?;
        }
        let gauges = [
            ("cache_l1_bytes", "Bytes of answers in this process", cache.l1_bytes),
            ("cache_l1_entries", "Answers in this process", cache.l1_entries),
            ("audit_parked", "Audit records that the store did not take yet", audit.parked),
            ("sessions_in_memory", "Opened sessions in memory", sessions.in_memory),
            ("store_connections_open", "Database connections open", u64::from(open)),
            ("store_connections_idle", "Database connections idle", idle as u64),
            ("key_encryption_keys", "Key-encryption keys that unwrap", self.keys.ids().len() as u64),
            (
                "key_encryption_trouble",
                "1 while key-encryption keys are missing, damaged or out of reach",
                u64::from(self.keys.problem().is_some()),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
