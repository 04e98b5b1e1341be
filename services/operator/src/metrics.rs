//! What the operator counts, in the text form of `OpenMetrics`. Labels are closed: kinds, outcomes, names of RPCs, codes.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use crate::kind::KindName;

type Labels = Vec<(&'static str, &'static str)>;

/// Seconds.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// How working on an object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileOutcome {
    /// It is as its spec says.
    Settled,
    /// Something else has to be there or to happen first.
    Waiting,
    /// It failed and is tried again.
    Failed,
    /// Someone was quicker; it is tried again at once.
    Conflict,
    /// Its finalizer is gone.
    Released,
    /// It is another installation's: nothing was done.
    Foreign,
}

impl ReconcileOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
            Self::Released => "released",
            Self::Foreign => "foreign",
        }
    }
}

/// What was done to bring an object about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Something was made.
    Created,
    /// Something was changed because the object was.
    Updated,
    /// Something was changed back that someone else had changed.
    DriftCorrected,
    /// A key was replaced.
    Rotated,
    /// A key was revoked.
    Revoked,
    /// Something was removed.
    Deleted,
}

impl Change {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::DriftCorrected => "drift_corrected",
            Self::Rotated => "rotated",
            Self::Revoked => "revoked",
            Self::Deleted => "deleted",
        }
    }
}

/// Every metric of the operator.
pub struct OperatorMetrics {
    reconciles: Family<Labels, Counter>,
    reconcile_duration: Family<Labels, Histogram>,
    changes: Family<Labels, Counter>,
    admin_calls: Family<Labels, Counter>,
    admin_call_duration: Family<Labels, Histogram>,
    events_lost: Counter,
    leading: Gauge,
    lease_losses: Counter,
    last_admin_answer: Gauge,
    registry: Registry,
}

impl OperatorMetrics {
    /// Every metric at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("stagedoor_operator");
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let mut metrics = Self {
            reconciles: Family::default(),
            reconcile_duration: Family::new_with_constructor(histogram),
            changes: Family::default(),
            admin_calls: Family::default(),
            admin_call_duration: Family::new_with_constructor(histogram),
            events_lost: Counter::default(),
            leading: Gauge::default(),
            lease_losses: Counter::default(),
            last_admin_answer: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("reconciles", "Times that an object was worked on", metrics.reconciles.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of working on an object",
            Unit::Seconds,
            metrics.reconcile_duration.clone(),
        );
        registry.register("changes", "What was changed to bring objects about", metrics.changes.clone());
        registry.register("admin_calls", "Calls of the admin API", metrics.admin_calls.clone());
        registry.register_with_unit(
            "admin_call_duration",
            "Duration of calls of the admin API, without waiting for the rate",
            Unit::Seconds,
            metrics.admin_call_duration.clone(),
        );
        registry.register("events_lost", "Events that Kubernetes did not take", metrics.events_lost.clone());
        registry.register("leading", "Whether this replica acts: 1 or 0", metrics.leading.clone());
        registry.register("lease_losses", "Times that the lease was lost", metrics.lease_losses.clone());
        registry.register(
            "last_admin_answer_timestamp_seconds",
            "When the admin API answered last, in seconds since 1970",
            metrics.last_admin_answer.clone(),
        );
        metrics.registry = registry;
        metrics
    }

    /// An object was worked on.
    pub fn reconciled(&self, kind: KindName, outcome: ReconcileOutcome, took: Duration) {
        let labels = vec![("kind", kind.as_str()), ("outcome", outcome.as_str())];
        self.reconciles.get_or_create(&labels).inc();
        self.reconcile_duration.get_or_create(&vec![("kind", kind.as_str())]).observe(took.as_secs_f64());
    }

    /// Something was changed.
    pub fn changed(&self, kind: KindName, change: Change) {
        self.changes.get_or_create(&vec![("kind", kind.as_str()), ("change", change.as_str())]).inc();
    }

    /// The admin API was called.
    pub fn admin_call(&self, rpc: &'static str, code: Code, took: Duration) {
        self.admin_calls.get_or_create(&vec![("rpc", rpc), ("code", code_name(code))]).inc();
        self.admin_call_duration.get_or_create(&vec![("rpc", rpc)]).observe(took.as_secs_f64());
    }

    /// The admin API let the operator in and answered.
    pub fn admin_answered(&self, at_unix_seconds: i64) {
        self.last_admin_answer.set(at_unix_seconds);
    }

    /// Kubernetes did not take an event.
    pub fn event_lost(&self) {
        self.events_lost.inc();
    }

    /// This replica acts, or does not.
    pub fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// The lease was lost.
    pub fn lease_lost(&self) {
        self.lease_losses.inc();
    }

    /// Everything in the text form of `OpenMetrics`.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "a metric could not be rendered");
        }
        text
    }
}

impl Default for OperatorMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OperatorMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorMetrics").finish_non_exhaustive()
    }
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::InvalidArgument => "invalid_argument",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::Unauthenticated => "unauthenticated",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::Unavailable => "unavailable",
        Code::Internal => "internal",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_with_its_labels() {
        let metrics = OperatorMetrics::new();
        metrics.reconciled(KindName::AgentKey, ReconcileOutcome::Settled, Duration::from_millis(3));
        metrics.changed(KindName::AgentKey, Change::Rotated);
        metrics.admin_call("GetTenant", Code::Unavailable, Duration::from_millis(3));
        metrics.leading(true);
        let text = metrics.render();
        for line in [
            "stagedoor_operator_reconciles_total{kind=\"AgentKey\",outcome=\"settled\"} 1",
            "stagedoor_operator_changes_total{kind=\"AgentKey\",change=\"rotated\"} 1",
            "stagedoor_operator_admin_calls_total{rpc=\"GetTenant\",code=\"unavailable\"} 1",
            "stagedoor_operator_leading 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
