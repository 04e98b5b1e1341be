//! The trace of one request: the span around it, which takes over its caller's trace, and what other rooms may ask of the
//! span that they are in. They make spans of their own with `tracing`; those exist within a traced request only.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::time::SystemTime;

use opentelemetry::trace::{
    FutureExt, Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceId,
    Tracer,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

use super::otlp::{self, MayName};
use super::propagation::Caller;

/// The span of one request; it ends when this goes.
pub struct RequestTrace {
    context: Context,
    may_name: MayName,
    tracer: SdkTracer,
}

impl RequestTrace {
    /// A span that began at `began`, as a child of the first of `callers` that names a span and linked to others that do.
    /// `None` where traces are not exported, or this one is not sampled: its caller's decision, else a share.
    pub fn begin(name: &'static str, began: SystemTime, callers: &[Caller<'_>]) -> Option<Self> {
        Self::begin_with(otlp::tracer()?, name, began, callers)
    }

    pub(super) fn begin_with(
        tracer: &SdkTracer,
        name: &'static str,
        began: SystemTime,
        callers: &[Caller<'_>],
    ) -> Option<Self> {
        let mut remote: Vec<SpanContext> = callers.iter().filter_map(Caller::span).collect();
        remote.dedup();
        let mut remote = remote.into_iter();
        let parent = remote.next();
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Server)
            .with_start_time(began)
            .with_links(remote.map(Link::with_context).collect());
        let around = Context::new();
        let around = parent.map_or(around.clone(), |parent| around.with_remote_span_context(parent));
        let span = tracer.build_with_context(builder, &around);
        if !span.span_context().is_sampled() {
            return None;
        }
        let may_name = MayName::default();
        let context = Context::new().with_span(span).with_value(may_name.clone());
        Some(Self { context, may_name, tracer: tracer.clone() })
    }

    /// The hexadecimal id of the trace, for log lines.
    pub fn trace_id(&self) -> String {
        self.context.span().span_context().trace_id().to_string()
    }

    /// Names the span once it is known what it is.
    pub fn rename(&self, name: impl Into<Cow<'static, str>>) {
        self.context.span().update_name(name);
    }

    /// Sets an attribute. Only those on the list of what may leave do.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// Says that it failed, by the name of a kind of failure (`error.type`); never by a text.
    pub fn fail(&self, kind: impl Into<Value>) {
        self.set("error.type", kind);
        self.context.span().set_status(Status::error(""));
    }

    /// Says that spans below it may say what is used. Until then they do not.
    pub fn allow_names(&self) {
        self.may_name.allow();
    }

    /// Adds a span of something that is over, done before the trace was known.
    pub fn add_past(
        &self,
        name: &'static str,
        (began, ended): (SystemTime, SystemTime),
        attributes: Vec<KeyValue>,
    ) {
        let builder = SpanBuilder::from_name(name).with_start_time(began).with_attributes(attributes);
        self.tracer.build_with_context(builder, &self.context).end_with_timestamp(ended);
    }
}

impl Drop for RequestTrace {
    fn drop(&mut self) {
        // Work that goes on may hold the context, and the span with it.
        self.context.span().end();
    }
}

impl fmt::Debug for RequestTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestTrace").field(&self.trace_id()).finish()
    }
}

/// Runs `work` in the trace, wherever it is run: spans that it makes are below the request's. Without one it stays in the
/// trace that this is called in.
pub fn within<F: Future>(trace: Option<&RequestTrace>, work: F) -> impl Future<Output = F::Output> + use<F> {
    work.with_context(trace.map_or_else(Context::current, |trace| trace.context.clone()))
}

/// This moment, for when a request began.
pub fn moment() -> SystemTime {
    opentelemetry::time::now()
}

/// The trace and the span that this is called in, if the trace is sampled.
pub(crate) fn current() -> Option<(TraceId, SpanId)> {
    Context::map_current(|context| {
        if !context.has_active_span() {
            return None;
        }
        let span = context.span();
        let span = span.span_context();
        span.is_sampled().then(|| (span.trace_id(), span.span_id()))
    })
}
