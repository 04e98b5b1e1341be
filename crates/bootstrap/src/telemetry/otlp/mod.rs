//! What a collector gets: `collector` is the way to it, `outbox` where things wait for it, `spans`, `records` and
//! `figures` what is sent, `tally` what is counted of it.

mod collector;
mod figures;
mod outbox;
mod records;
mod spans;
mod tally;

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use crate::config::{OtlpSignal, TelemetryConfig};

pub(super) use collector::Collector;
use figures::Figures;
pub use figures::export_metrics;
pub(super) use outbox::Outbox;
pub(super) use records::{LogExport, may_leave};
pub(super) use spans::MayName;
pub(crate) use tally::Tallies;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();
static FIGURES: OnceLock<Figures> = OnceLock::new();

/// Everything that is exported.
#[derive(Debug, Default)]
pub(super) struct Exports {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    outboxes: Vec<Outbox>,
}

impl Exports {
    /// The signals that `config` wants, on their way to its collector; nothing without one.
    pub(super) fn open(config: &TelemetryConfig, service: &'static str) -> Result<Self, BoxError> {
        let mut exports = Self::default();
        let Some(collector) = Collector::open(config)? else { return Ok(exports) };
        let (collector, resource) = (Arc::new(collector), resource(service));
        if config.exports(OtlpSignal::Traces) {
            let (processor, outbox) = spans::open(&collector, &resource)?;
            let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sampling_ratio)));
            let provider = SdkTracerProvider::builder()
                .with_span_processor(processor)
                .with_sampler(sampler)
                .with_resource(resource.clone())
                .build();
            exports.traces = Some(provider);
            exports.outboxes.push(outbox);
        }
        if config.exports(OtlpSignal::Logs) {
            let (processor, outbox) = records::open(&collector, &resource)?;
            let provider =
                SdkLoggerProvider::builder().with_log_processor(processor).with_resource(resource.clone());
            exports.logs = Some(provider.build());
            exports.outboxes.push(outbox);
        }
        if config.exports(OtlpSignal::Metrics) {
            let began = opentelemetry::time::now();
            // A process exports once; `init` refuses a second time.
            let _ = FIGURES.set(Figures::new(collector, &resource, began));
        }
        Ok(exports)
    }

    /// What makes spans.
    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        self.traces.as_ref().map(|provider| provider.tracer("stagedoor"))
    }

    /// What takes log lines.
    pub(super) fn logs(&self) -> Option<LogExport> {
        self.logs.as_ref().map(LogExport::new)
    }

    /// Lets requests be traced from now on.
    pub(super) fn begin(&self) {
        if let Some(tracer) = self.tracer() {
            let _ = TRACER.set(tracer);
        }
    }

    /// Sends what waits.
    pub(super) async fn flush(&self) {
        for outbox in &self.outboxes {
            outbox.flush().await;
        }
    }
}

/// What makes the spans of requests, where traces are exported.
pub(super) fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// Who exports (OpenTelemetry semantic conventions, "Service" and "Telemetry SDK"). `OTEL_RESOURCE_ATTRIBUTES` adds to it.
pub(super) fn resource(service: &'static str) -> Resource {
    let host = crate::host::host_name();
    Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", format!("{host}:{}", std::process::id())),
        ])
        .build()
}

/// Nanoseconds since 1970, as OTLP counts.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
