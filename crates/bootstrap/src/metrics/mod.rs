//! The process's metrics, in the text form of `OpenMetrics` 1.0. Counting costs an atomic addition.

pub(crate) mod exposition;
mod labels;
mod process;
mod table;

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use stagedoor_domain::{Provider, ToolName};

pub use labels::{AuthFailure, AuthMethod, CallOutcome, HttpOutcome, Label, ProviderOutcome};
pub use table::{CounterGrid, Counters, Durations};

/// The content type of [`Metrics::render`] (`OpenMetrics` 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The content type of [`Metrics::render_plain`] (Prometheus text format 0.0.4).
pub const PLAIN_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const CALL_BUCKETS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];

/// Every metric of a service.
pub struct Metrics {
    /// HTTP requests on the public port.
    pub http_requests: Counters<HttpOutcome>,
    /// Tool calls, whoever made them.
    pub calls: Counters<CallOutcome>,
    /// How long they took.
    pub call_duration: Durations<CallOutcome>,
    /// Tool calls by tool: of keys that act for no person, and of people who let their use be counted.
    pub tool_calls: CounterGrid<ToolName, CallOutcome>,
    /// How long these took.
    pub tool_call_duration: Durations<ToolName>,
    /// Requests to providers.
    pub provider_requests: CounterGrid<Provider, ProviderOutcome>,
    /// How long providers took to answer.
    pub provider_duration: Durations<Provider>,
    /// Credentials that were let in.
    pub auth_successes: Counters<AuthMethod>,
    /// Refused credentials.
    pub auth_failures: Counters<AuthFailure>,
    registry: Registry,
}

impl Metrics {
    /// Every metric at zero.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same, with collectors of the caller's own, such as a pool's gauges.
    pub fn with(register: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::with_prefix("stagedoor");
        let r = &mut registry;
        let metrics = Self {
            http_requests: Counters::register(r, "http_requests", "HTTP requests on the public port"),
            calls: Counters::register(r, "calls", "Tool calls, whoever made them"),
            call_duration: Durations::register(
                r,
                "call_duration",
                "Duration of tool calls, whoever made them",
                CALL_BUCKETS,
            ),
            tool_calls: CounterGrid::register(
                r,
                "tool_calls",
                "Tool calls whose use may be counted, by tool",
            ),
            tool_call_duration: Durations::register(
                r,
                "tool_call_duration",
                "Duration of tool calls whose use may be counted, by tool",
                CALL_BUCKETS,
            ),
            provider_requests: CounterGrid::register(r, "provider_requests", "Requests to providers"),
            provider_duration: Durations::register(
                r,
                "provider_duration",
                "Duration of providers' answers",
                CALL_BUCKETS,
            ),
            auth_successes: Counters::register(r, "auth_successes", "Credentials that were let in"),
            auth_failures: Counters::register(r, "auth_failures", "Refused credentials"),
            registry: Registry::default(),
        };
        register(&mut registry);
        registry.register_collector(Box::new(Tasks));
        registry.register_collector(Box::new(crate::telemetry::Tallies));
        registry.register_collector(Box::new(process::Process));
        Self { registry, ..metrics }
    }

    /// Everything in the text form of `OpenMetrics`, see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(32 * 1024);
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "a metric could not be rendered");
        }
        text
    }

    /// The same in the older form, without exemplars, see [`PLAIN_CONTENT_TYPE`].
    pub fn render_plain(&self) -> String {
        exposition::plain(&self.render())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The figures of `tasks`, read when scraped.
#[derive(Debug)]
struct Tasks;

impl prometheus_client::collector::Collector for Tasks {
    fn encode(
        &self,
        mut encoder: prometheus_client::encoding::DescriptorEncoder<'_>,
    ) -> Result<(), fmt::Error> {
        use prometheus_client::encoding::EncodeMetric;
        use prometheus_client::metrics::MetricType;
        use prometheus_client::metrics::counter::ConstCounter;
        use prometheus_client::metrics::gauge::ConstGauge;

        let panics = ConstCounter::new(crate::tasks::panics());
        panics.encode(encoder.encode_descriptor(
            "task_panics",
            "Background tasks that panicked",
            None,
            MetricType::Counter,
        )?)?;
        let running = ConstGauge::new(i64::try_from(crate::tasks::running()).unwrap_or(i64::MAX));
        running.encode(encoder.encode_descriptor(
            "tasks_running",
            "Background tasks",
            None,
            MetricType::Gauge,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stagedoor_domain::{Provider, ToolName};

    use super::{CallOutcome, HttpOutcome, Label, Metrics, ProviderOutcome};

    #[test]
    fn what_is_counted_is_rendered_under_its_labels_and_nowhere_else() {
        let metrics = Metrics::new();
        metrics.tool_calls.count(ToolName::PlaylistAdd, CallOutcome::Limited);
        metrics.provider_requests.count(Provider::Tidal, ProviderOutcome::CircuitOpen);
        metrics.http_requests.add(HttpOutcome::of_status(403), 3);
        metrics.tool_call_duration.record(ToolName::Search, Duration::from_millis(3));
        let text = metrics.render();
        let counted: Vec<&str> =
            text.lines().filter(|line| line.contains("_total{") && !line.ends_with(" 0")).collect();
        assert_eq!(
            counted,
            [
                "stagedoor_http_requests_total{outcome=\"denied\"} 3",
                "stagedoor_tool_calls_total{tool=\"playlist_add\",outcome=\"limited\"} 1",
                "stagedoor_provider_requests_total{provider=\"tidal\",outcome=\"circuit_open\"} 1",
            ]
        );
        assert!(
            text.contains("stagedoor_tool_call_duration_seconds_bucket{le=\"0.005\",tool=\"search\"} 1"),
            "{text}"
        );
        assert!(text.contains("stagedoor_task_panics_total 0"), "{text}");
        for figure in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_network_receive_bytes_total ",
        ] {
            assert!(
                text.contains(&format!("stagedoor_{figure}")) || !cfg!(target_os = "linux"),
                "{figure}: {text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn every_label_value_has_its_place_and_a_text_of_its_own() {
        fn check<A: Label>() {
            let mut texts: Vec<_> = A::ALL.iter().map(|value| value.text()).collect();
            assert!(A::ALL.iter().enumerate().all(|(index, value)| value.index() == index), "{}", A::NAME);
            texts.sort_unstable();
            texts.dedup();
            assert_eq!(texts.len(), A::ALL.len(), "{}", A::NAME);
        }
        check::<ToolName>();
        check::<Provider>();
        check::<CallOutcome>();
        check::<ProviderOutcome>();
    }
}
