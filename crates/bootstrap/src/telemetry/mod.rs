//! Logs to standard error and traces to a collector. `json` and `batch` are how log lines look and leave,
//! `exporter` is the way out of traces, `propagation` their way in; `push` is how a process that ends leaves its figures.

mod batch;
mod exporter;
mod json;
mod propagation;
mod push;

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogFormat, TelemetryConfig};

use batch::BatchedLines;
use json::JsonLines;

pub use propagation::{adopt_parent, current_traceparent};
pub use push::{Figure, PushError, push};

/// Why logs and traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("the log filter is wrong: {0}")]
    Filter(String),
    /// The exporter cannot be made.
    #[error("the trace exporter could not be made")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The thread that writes log lines does not start.
    #[error("the thread for log lines could not be started")]
    Lines(#[source] std::io::Error),
    /// It was done before.
    #[error("logging was set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Keeps the exporter; [`Self::flush`] belongs at the end of the process. Dropping it writes the last log lines.
#[derive(Debug)]
#[must_use = "dropping it stops the export of traces"]
pub struct TelemetryGuard {
    provider: Option<SdkTracerProvider>,
    lines: Option<BatchedLines>,
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            lines.flush();
        }
    }
}

/// Sets up logs and, where an endpoint is configured, traces; once a process, inside a tokio runtime.
pub fn init(config: &TelemetryConfig, service: &'static str) -> Result<TelemetryGuard, TelemetryError> {
    let filter = parse_filter(&config.log_filter).map_err(TelemetryError::Filter)?;
    let provider = exporter::provider(config, service).map_err(TelemetryError::Exporter)?;
    let traces = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("stagedoor"));
        layer.with_location(false).with_threads(false).with_tracked_inactivity(false)
    });
    let lines = writes_json(config.log_format).then(|| BatchedLines::start(std::io::stderr())).transpose();
    let lines = lines.map_err(TelemetryError::Lines)?;
    tracing_subscriber::registry()
        .with(filter)
        .with(log_layer(lines.clone()))
        .with(traces)
        .try_init()
        .map_err(TelemetryError::Twice)?;
    Ok(TelemetryGuard { provider, lines })
}

/// Parses a filter such as `info,sqlx=warn`.
pub(crate) fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())
}

impl TelemetryGuard {
    /// Sends what waits, for at most two seconds. A collector that is down costs no more than that.
    pub async fn flush(&self) {
        let Some(provider) = self.provider.clone() else { return };
        // The provider blocks, and its exporter needs this runtime to go on meanwhile.
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(exporter::FLUSH_PATIENCE));
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(error = %stagedoor_domain::error::Chain(&error), "the last traces could not be sent");
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
