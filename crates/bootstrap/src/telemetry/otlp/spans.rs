//! Spans on their way out. Only attributes on a list leave, whatever a room may have recorded, and those that say what a
//! person uses only where that may be told; names of errors, never their texts.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{Span as _, Status};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

use super::outbox::{self, Outbox, Slot};
use super::tally::Signal;
use super::{BoxError, Collector};

/// What may leave. Values are of closed sets or of the installation's own making: no text of a caller or a service.
const ALLOWED: &[&str] = &[
    "error.type",
    "gen_ai.operation.name",
    "gen_ai.prompt.name",
    "gen_ai.tool.name",
    "http.request.method",
    "http.request.resend_count",
    "http.response.status_code",
    "mcp.method.name",
    "mcp.protocol.version",
    "network.protocol.name",
    "network.protocol.version",
    "network.transport",
    "rpc.response.status_code",
    "server.address",
    "server.port",
    "stagedoor.audit.class",
    "stagedoor.auth.method",
    "stagedoor.cache.class",
    "stagedoor.cache.level",
    "stagedoor.call",
    "stagedoor.error",
    "stagedoor.limits.backend",
    "stagedoor.limits.class",
    "stagedoor.limits.outcome",
    "stagedoor.operation",
    "stagedoor.page",
    "stagedoor.provider",
    "stagedoor.tenant",
];

/// Those that say what is used: not of a person who has not agreed to that.
const OF_USE: &[&str] = &[
    "gen_ai.prompt.name",
    "gen_ai.tool.name",
    "stagedoor.cache.class",
    "stagedoor.cache.level",
    "stagedoor.limits.class",
    "stagedoor.operation",
];

/// Marks a span whose use may not be named, until it leaves.
const UNNAMED: &str = "stagedoor.unnamed";

/// Whether what is used may be named, for all spans below one; not until it is said.
#[derive(Debug, Clone, Default)]
pub(in crate::telemetry) struct MayName(Arc<AtomicBool>);

impl MayName {
    pub(in crate::telemetry) fn allow(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What takes ended spans, and what sends them.
pub(super) fn open(collector: &Arc<Collector>, resource: &Resource) -> Result<(SpanGate, Outbox), BoxError> {
    let mut exporter = collector.spans()?;
    exporter.set_resource(resource);
    let exporter = Arc::new(exporter);
    let (slot, outbox) = outbox::open(Signal::Spans, move |batch| {
        let exporter = Arc::clone(&exporter);
        async move { exporter.export(batch).await }
    });
    Ok((SpanGate { slot }, outbox))
}

/// The end of spans in this process.
#[derive(Debug)]
pub(super) struct SpanGate {
    slot: Slot<SpanData>,
}

impl SpanProcessor for SpanGate {
    fn on_start(&self, span: &mut Span, parents: &Context) {
        if parents.get::<MayName>().is_some_and(|may| !may.0.load(Ordering::Relaxed)) {
            span.set_attribute(KeyValue::new(UNNAMED, true));
        }
    }

    fn on_end(&self, span: SpanData) {
        self.slot.put(cleared(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        // `TelemetryGuard::flush` sends what waits.
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The span without what is not to leave.
fn cleared(mut span: SpanData) -> SpanData {
    let unnamed = span.attributes.iter().any(|attribute| attribute.key.as_str() == UNNAMED);
    span.attributes.retain(|attribute| {
        let key = attribute.key.as_str();
        ALLOWED.contains(&key) && !(unnamed && OF_USE.contains(&key))
    });
    span.events.events.clear();
    if let Status::Error { description } = &mut span.status {
        *description = Cow::Borrowed("");
    }
    span
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[tokio::test]
    async fn only_what_is_on_the_list_leaves_and_use_only_where_it_may_be_named() {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let keep = Arc::clone(&seen);
        let (slot, outbox) = outbox::open(Signal::Spans, move |batch: Vec<SpanData>| {
            keep.lock().unwrap().extend(batch);
            async { Ok::<_, std::convert::Infallible>(()) }
        });
        let provider = SdkTracerProvider::builder().with_span_processor(SpanGate { slot }).build();
        let tracer = provider.tracer("test");
        let may = MayName::default();
        let root = tracer.start("root");
        let within = Context::new().with_span(root).with_value(may.clone());
        for allowed in [false, true] {
            if allowed {
                may.allow();
            }
            let mut span = tracer.start_with_context("cache", &within);
            for key in ["stagedoor.provider", "stagedoor.cache.class", "user.email"] {
                span.set_attribute(KeyValue::new(key, "x"));
            }
            span.add_event("said", vec![KeyValue::new("error", "Robin's playlist")]);
            span.set_status(Status::error("Robin's playlist"));
            span.end();
        }
        outbox.flush().await;
        let seen = seen.lock().unwrap();
        let keys = |at: usize| -> Vec<_> {
            seen[at].attributes.iter().map(|attribute| attribute.key.as_str()).collect()
        };
        assert_eq!(keys(0), ["stagedoor.provider"]);
        assert_eq!(keys(1), ["stagedoor.provider", "stagedoor.cache.class"]);
        assert!(!format!("{seen:?}").contains("Robin"));
        assert!(OF_USE.iter().all(|key| ALLOWED.contains(key)));
    }
}
