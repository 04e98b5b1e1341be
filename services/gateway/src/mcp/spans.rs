//! The span around one MCP request, by OpenTelemetry's semantic conventions for MCP and `GenAI` (development status,
//! 2026). What callers name is not in it: no arguments, no URIs, no addresses, and the tool only of those who let their
//! use be counted.

use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, Version};
use stagedoor_bootstrap::metrics::{AuthMethod, Label};
use stagedoor_bootstrap::telemetry::{Caller as Remote, KeyValue, RequestTrace};
use stagedoor_domain::{ErrorCode, TenantContext, ToolName};

use super::message::Request;
use super::music;
use super::surface::{Caller, Reply, RpcError};
use crate::state::AppState;

/// Methods by which spans are named; any other is `_OTHER`, because callers make them up.
const METHODS: [&str; 16] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/update",
    "tools/call",
    "tools/list",
];

const OTHER: &str = "_OTHER";

/// What is known of a request's trace before its body is read.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When the request came.
    pub began: SystemTime,
    /// When it was known who calls.
    pub signed_in: SystemTime,
    /// How they proved it.
    pub method: AuthMethod,
}

/// The trace of a request, as a child of what `_meta` names, else of what the HTTP headers name.
pub(super) fn begin(ctx: &TenantContext, parts: &Parts, request: &Request<'_>) -> Option<Arc<RequestTrace>> {
    let arrival = parts.extensions.get::<Arrival>()?;
    let meta = request.params.meta.as_ref();
    let of_message = Remote { parent: meta.and_then(|meta| meta.traceparent.as_deref()) };
    let of_transport = Remote { parent: header(&parts.headers, "traceparent") };
    let method = METHODS.into_iter().find(|known| *known == request.method).unwrap_or(OTHER);
    let trace = RequestTrace::begin(method, arrival.began, &[of_message, of_transport])?;
    if ctx.user().is_none() {
        trace.allow_names();
    }
    trace.set("mcp.method.name", method);
    trace.set("network.transport", "tcp");
    trace.set("network.protocol.name", "http");
    trace.set("network.protocol.version", version(parts.version));
    trace.set("stagedoor.tenant", ctx.tenant().slug.as_str().to_owned());
    trace.set("stagedoor.call", ctx.call().to_string());
    let how = KeyValue::new("stagedoor.auth.method", arrival.method.text());
    trace.add_past("authenticate", (arrival.began, arrival.signed_in), vec![how]);
    Some(Arc::new(trace))
}

/// Says which revision is spoken, and what is used, if that may be told of the caller.
pub(super) async fn name(state: &AppState, caller: &Caller, request: &Request<'_>) {
    let Some(trace) = &caller.trace else { return };
    trace.set("mcp.protocol.version", caller.revision.as_str());
    if !state.dispatcher.desk().counts_usage(&caller.ctx).await {
        return;
    }
    trace.allow_names();
    let Some(name) = request.params.name.as_deref() else { return };
    match request.method.as_ref() {
        "tools/call" => {
            trace.set("gen_ai.operation.name", "execute_tool");
            if let Ok(tool) = name.parse::<ToolName>() {
                trace.set("gen_ai.tool.name", tool.as_str());
                trace.rename(format!("tools/call {tool}"));
            }
        }
        "prompts/get" => {
            if let Some(prompt) = music::prompt_name(name) {
                trace.set("gen_ai.prompt.name", prompt);
                trace.rename(format!("prompts/get {prompt}"));
            }
        }
        _ => {}
    }
}

/// Says how the request ended.
pub(super) fn conclude(caller: &Caller, reply: &Reply) {
    let Some(trace) = caller.trace.as_deref() else { return };
    match reply {
        Reply::Error(error) => refused(Some(trace), error),
        Reply::ScopeNeeded(_) => {
            trace.fail(ErrorCode::InsufficientScope.as_str());
            trace.set("stagedoor.error", ErrorCode::InsufficientScope.as_str());
        }
        Reply::Result(result) => {
            if let Some(code) = music::failed_with(result) {
                trace.fail("tool_error");
                trace.set("stagedoor.error", code);
            }
        }
        Reply::Members(_) | Reply::MembersWithMeta(..) | Reply::InputRequired(_) | Reply::Task(_) => {}
    }
}

/// Says that the request ended with a protocol error.
pub(super) fn refused(trace: Option<&RequestTrace>, error: &RpcError) {
    let Some(trace) = trace else { return };
    let code = error.code.0.to_string();
    trace.set("rpc.response.status_code", code.clone());
    trace.set("stagedoor.error", error.public.code.as_str());
    trace.fail(code);
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_in_order_and_each_stands_once() {
        assert!(METHODS.is_sorted_by(|one, next| one < next));
    }
}
