//! Logs to standard error; traces, metrics and logs to a collector. `json` and `batch` are how log lines look and leave,
//! `otlp` is the way to the collector, `request` the trace of a request and `propagation` its caller's; `push` is how a
//! process that ends leaves its figures.

mod batch;
mod json;
mod otlp;
mod propagation;
mod push;
mod request;

use std::io::IsTerminal;
use std::time::Duration;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, dynamic_filter_fn, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogFormat, TelemetryConfig};

use batch::BatchedLines;
use json::JsonLines;

use otlp::Exports;

pub use opentelemetry::KeyValue;
pub(crate) use otlp::Tallies;
pub use otlp::export_metrics;
pub use propagation::Caller;
pub use push::{Figure, PushError, push};
pub(crate) use request::current;
pub use request::{RequestTrace, moment, within};

/// How long the end of a process waits for the collector.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// Why logs and traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("the log filter is wrong: {0}")]
    Filter(String),
    /// The exporter cannot be made.
    #[error("what goes to the collector (telemetry.otlp_endpoint) could not be set up")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The thread that writes log lines does not start.
    #[error("the thread for log lines could not be started")]
    Lines(#[source] std::io::Error),
    /// It was done before.
    #[error("logging was set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Keeps what is exported; [`Self::flush`] belongs at the end of the process. Dropping it writes the last log lines.
#[derive(Debug)]
#[must_use = "dropping it stops the export"]
pub struct TelemetryGuard {
    exports: Exports,
    lines: Option<BatchedLines>,
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            lines.flush();
        }
    }
}

/// Sets up logs and, where an endpoint is configured, what is exported; once a process, inside a tokio runtime.
pub fn init(config: &TelemetryConfig, service: &'static str) -> Result<TelemetryGuard, TelemetryError> {
    let filter = || parse_filter(&config.log_filter).map_err(TelemetryError::Filter);
    let exports = Exports::open(config, service).map_err(TelemetryError::Exporter)?;
    let traces = exports.tracer().map(|tracer| {
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        // A span costs nothing outside of a sampled request; what is logged is no part of it.
        let within = dynamic_filter_fn(|metadata, _| is_ours(metadata) && request::current().is_some());
        layer.with_filter(within.with_max_level_hint(LevelFilter::INFO))
    });
    let exported_lines = match exports.logs() {
        Some(layer) => Some(layer.with_filter(filter()?.and(filter_fn(otlp::may_leave)))),
        None => None,
    };
    let lines = writes_json(config.log_format).then(|| BatchedLines::start(std::io::stderr())).transpose();
    let lines = lines.map_err(TelemetryError::Lines)?;
    let logged = filter()?.and(filter_fn(|metadata| !is_ours(metadata)));
    tracing_subscriber::registry()
        .with(log_layer(lines.clone()).with_filter(logged))
        .with(exported_lines)
        .with(traces)
        .try_init()
        .map_err(TelemetryError::Twice)?;
    exports.begin();
    Ok(TelemetryGuard { exports, lines })
}

/// Whether it is a span of a request's trace; log lines name the trace instead.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("stagedoor")
}

/// Parses a filter such as `info,sqlx=warn`.
pub(crate) fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())
}

impl TelemetryGuard {
    /// Sends what waits, for at most two seconds. A collector that is down costs no more than that.
    pub async fn flush(&self) {
        if tokio::time::timeout(FLUSH_PATIENCE, self.exports.flush()).await.is_err() {
            tracing::warn!("the last telemetry could not be sent");
        }
    }
}

fn writes_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Pretty => false,
    }
}

/// JSON into `lines`, or without them text for people.
fn log_layer<S>(lines: Option<BatchedLines>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    match lines {
        Some(lines) => {
            fmt::layer().fmt_fields(JsonFields::new()).event_format(JsonLines).with_writer(lines).boxed()
        }
        None => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .compact()
            .boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_filter;
    use crate::config::TelemetryConfig;

    #[test]
    fn the_default_filter_parses_and_a_wrong_one_does_not() {
        assert!(parse_filter(&TelemetryConfig::default().log_filter).is_ok());
        assert!(parse_filter("info,stagedoor=loudly").is_err());
    }
}
