//! Log lines on their way out: the same that are written, with the trace that they belong to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    LogBatch, LogExporter as _, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::outbox::{self, Outbox, Slot};
use super::tally::Signal;
use super::{BoxError, Collector};

/// What sending itself may say. Sent as well, each line would bring another one.
const OF_SENDING: [&str; 7] = ["h2", "hyper", "opentelemetry", "reqwest", "rustls", "tonic", "tower"];

type Line = (SdkLogRecord, InstrumentationScope);

/// Whether a line with this origin may be sent.
pub(in crate::telemetry) fn may_leave(metadata: &Metadata<'_>) -> bool {
    let room = metadata.target().split([':', '_', '-']).next().unwrap_or_default();
    !OF_SENDING.contains(&room)
}

/// What takes lines, and what sends them.
pub(super) fn open(collector: &Arc<Collector>, resource: &Resource) -> Result<(LineGate, Outbox), BoxError> {
    let mut exporter = collector.logs()?;
    exporter.set_resource(resource);
    let exporter = Arc::new(exporter);
    let (slot, outbox) = outbox::open(Signal::Logs, move |batch: Vec<Line>| {
        let exporter = Arc::clone(&exporter);
        async move {
            let lines: Vec<_> = batch.iter().map(|(record, scope)| (record, scope)).collect();
            exporter.export(LogBatch::new(&lines)).await
        }
    });
    Ok((LineGate { slot }, outbox))
}

/// The end of log records in this process.
#[derive(Debug)]
pub(super) struct LineGate {
    slot: Slot<Line>,
}

impl LogProcessor for LineGate {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.slot.put((record.clone(), scope.clone()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        // `TelemetryGuard::flush` sends what waits.
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Makes a record of each event.
pub(in crate::telemetry) struct LogExport {
    logger: SdkLogger,
}

impl LogExport {
    pub(super) fn new(provider: &SdkLoggerProvider) -> Self {
        Self { logger: provider.logger("stagedoor") }
    }
}

impl<S: Subscriber> Layer<S> for LogExport {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut record = self.logger.create_log_record();
        record.set_timestamp(opentelemetry::time::now());
        record.set_severity_number(severity(*metadata.level()));
        record.set_severity_text(metadata.level().as_str());
        record.set_target(metadata.target());
        event.record(&mut Fields(&mut record));
        // Trace and span are those that are current.
        self.logger.emit(record);
    }
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

/// Writes fields as attributes; the message is the body.
struct Fields<'a>(&'a mut SdkLogRecord);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: impl Into<AnyValue>) {
        match field.name() {
            "message" => self.0.set_body(value.into()),
            name => self.0.add_attribute(name.strip_prefix("r#").unwrap_or(name), value.into()),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.set(field, value),
            Err(_) => self.set(field, value.to_string()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[tokio::test]
    async fn a_line_has_its_fields_and_what_sending_says_stays() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&seen);
        let (slot, outbox) = outbox::open(Signal::Logs, move |batch: Vec<Line>| {
            keep.lock().unwrap().extend(batch);
            async { Ok::<_, Infallible>(()) }
        });
        let provider = SdkLoggerProvider::builder().with_log_processor(LineGate { slot }).build();
        let layer = LogExport::new(&provider).with_filter(tracing_subscriber::filter::filter_fn(may_leave));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(target: "stagedoor::request", status = 429_u64, outcome = "rate_limited", "request");
            tracing::info!(target: "hyper_util::client", "a connection");
            tracing::info!(target: "h2::codec", "a frame");
        });
        outbox.flush().await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        let record = &seen[0].0;
        assert_eq!(record.severity_number(), Some(Severity::Warn));
        assert_eq!(record.target().unwrap(), "stagedoor::request");
        assert_eq!(record.body(), Some(&AnyValue::from("request")));
        let attributes: Vec<_> =
            record.attributes_iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let wanted = [("status", AnyValue::from(429_i64)), ("outcome", AnyValue::from("rate_limited"))];
        assert_eq!(attributes, wanted);
    }
}
