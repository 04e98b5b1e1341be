//! Figures of a process that ends: nobody could come and read them, so they are pushed, once.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};

use super::otlp::{Collector, resource};
use crate::config::TelemetryConfig;

/// Longer than any process that pushes: it pushes at its end.
const NEVER: Duration = Duration::from_hours(24);

/// A value at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The metric's name, with its unit at the end.
    pub name: &'static str,
    /// Labels, of closed sets.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// Why figures did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The exporter cannot be made.
    #[error("the metrics exporter could not be made")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The collector did not take them.
    #[error("the collector did not take the figures")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Pushes `figures`, if an endpoint is configured; whether it is.
pub async fn push(
    config: &TelemetryConfig,
    service: &'static str,
    figures: &[Figure],
) -> Result<bool, PushError> {
    let Some(collector) = Collector::open(config).map_err(PushError::Exporter)? else { return Ok(false) };
    let exporter = collector.metrics().map_err(PushError::Exporter)?;
    let provider = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(exporter).with_interval(NEVER).build())
        .with_resource(resource(service))
        .build();
    let meter = provider.meter("stagedoor");
    for figure in figures {
        let labels: Vec<KeyValue> =
            figure.labels.iter().map(|(name, value)| KeyValue::new(*name, value.clone())).collect();
        meter.f64_gauge(figure.name).build().record(figure.value, &labels);
    }
    // The provider blocks, and its exporter needs this runtime to go on meanwhile.
    let pushed = tokio::task::spawn_blocking(move || {
        let pushed = provider.force_flush();
        // What is left to say was said by the flush.
        let _ = provider.shutdown();
        pushed
    });
    match pushed.await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) => Err(PushError::Refused(error.into())),
        Err(error) => Err(PushError::Refused(error.into())),
    }
}
