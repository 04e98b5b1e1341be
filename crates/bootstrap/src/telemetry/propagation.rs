//! W3C Trace Context (Level 1, `traceparent`), as it comes in HTTP headers and in MCP's `params._meta` (SEP-414).
//! `tracestate` and `baggage` are not read: they may say anything about anyone, and nothing here needs them.

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// What a caller says of the span that it is in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// `traceparent`.
    pub parent: Option<&'a str>,
}

impl Caller<'_> {
    /// The span, unless what is said is not of the standard's form, which is ignored, as the standard wants (§4.3).
    pub(super) fn span(&self) -> Option<SpanContext> {
        self.parent?;
        let context =
            TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), self);
        let span = context.span().span_context().clone();
        span.is_valid().then_some(span)
    }
}

impl Extractor for Caller<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key == "traceparent" { self.parent } else { None }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};

    use super::super::request::{RequestTrace, current, moment, within};
    use super::Caller;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const PROXY: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa01a902b7-01";

    #[derive(Debug, Clone, Default)]
    struct Ended(Arc<Mutex<Vec<SpanData>>>);

    impl SpanProcessor for Ended {
        fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    fn traced(callers: &[Caller<'_>], ratio: f64) -> Option<SpanData> {
        let ended = Ended::default();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
        let provider =
            SdkTracerProvider::builder().with_span_processor(ended.clone()).with_sampler(sampler).build();
        let trace = RequestTrace::begin_with(&provider.tracer("test"), "request", moment(), callers)?;
        drop(trace);
        ended.0.lock().unwrap().pop()
    }

    fn parent(text: &str) -> Caller<'_> {
        Caller { parent: Some(text) }
    }

    #[test]
    fn a_call_joins_its_callers_trace_and_names_the_one_of_the_transport() {
        let span = traced(&[parent(CALLER), parent(PROXY)], 0.0).unwrap();
        assert_eq!(span.span_context.trace_id().to_string(), CALLER[3..35]);
        assert_eq!(span.parent_span_id.to_string(), CALLER[36..52]);
        assert_ne!(span.span_context.span_id().to_string(), CALLER[36..52]);
        assert!(span.parent_span_is_remote);
        assert_eq!(span.links.links.len(), 1);
        assert_eq!(span.links.links[0].span_context.trace_id().to_string(), PROXY[3..35]);
        let same = traced(&[parent(CALLER), parent(CALLER)], 0.0).unwrap();
        assert!(same.links.links.is_empty(), "a link to its own parent");
        let only = traced(&[Caller::default(), parent(PROXY)], 0.0).unwrap();
        assert_eq!(only.span_context.trace_id().to_string(), PROXY[3..35]);
    }

    #[test]
    fn a_malformed_header_starts_a_new_trace() {
        for given in ["", "00-0-0-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "ünïcode"]
        {
            let span = traced(&[parent(given)], 1.0).unwrap();
            assert_eq!(span.parent_span_id.to_string(), "0000000000000000", "{given}");
        }
    }

    #[test]
    fn the_caller_decides_about_sampling_and_else_the_share() {
        assert!(traced(&[], 0.0).is_none());
        assert!(traced(&[], 1.0).is_some());
        assert!(traced(&[parent(CALLER)], 0.0).is_some());
        let unsampled = CALLER.replace("-01", "-00");
        assert!(traced(&[parent(&unsampled)], 1.0).is_none());
    }

    #[tokio::test]
    async fn work_within_a_request_knows_its_trace() {
        let provider = SdkTracerProvider::builder().build();
        let trace = RequestTrace::begin_with(&provider.tracer("test"), "request", moment(), &[]).unwrap();
        let within = within(Some(&trace), async { current() }).await;
        assert_eq!(within.unwrap().0.to_string(), trace.trace_id());
        assert_eq!(current(), None);
    }
}
