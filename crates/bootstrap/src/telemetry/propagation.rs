//! W3C Trace Context (Level 1, `traceparent` and `tracestate`): taking a caller's trace over, and naming our own.

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes `span` a child of the caller's, named by an HTTP header or by MCP's `_meta.traceparent`. A value that is not
/// of the standard's form is ignored, as the standard wants (§4.3).
pub fn adopt_parent(span: &Span, traceparent: Option<&str>, tracestate: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let context = TraceContextPropagator::new().extract(&Carrier { traceparent, tracestate });
    if context.span().span_context().is_valid() {
        // Fails only where no traces are exported, and then there is nothing to link.
        let _ = span.set_parent(context);
    }
}

/// The `traceparent` of `span`, for an answer or a log line; `None` where traces are off.
pub fn current_traceparent(span: &Span) -> Option<String> {
    let mut header = Header::default();
    TraceContextPropagator::new().inject_context(&span.context(), &mut header);
    header.0
}

struct Carrier<'a> {
    traceparent: &'a str,
    tracestate: Option<&'a str>,
}

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.traceparent),
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

#[derive(Default)]
struct Header(Option<String>);

impl Injector for Header {
    fn set(&mut self, key: &str, value: String) {
        if key == "traceparent" {
            self.0 = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::{adopt_parent, current_traceparent};

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn traceparent_after(given: Option<&str>) -> Option<String> {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("call");
            adopt_parent(&span, given, None);
            current_traceparent(&span)
        })
    }

    #[test]
    fn a_call_joins_its_callers_trace_under_a_span_of_its_own() {
        let own = traceparent_after(Some(CALLER)).unwrap();
        assert_eq!(own[..36], CALLER[..36], "another trace");
        assert_ne!(own[36..52], CALLER[36..52], "the caller's span");
    }

    #[test]
    fn a_malformed_header_starts_a_new_trace() {
        for given in ["", "00-0-0-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "ünïcode"]
        {
            let own = traceparent_after(Some(given)).unwrap();
            assert!(
                own.starts_with("00-") && own.len() == 55 && !own.contains("b7ad6b7169203331"),
                "{given}: {own}"
            );
        }
    }
}
