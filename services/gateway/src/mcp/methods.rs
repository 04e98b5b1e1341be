//! The methods of MCP and who answers each: the handshake and discovery here, everything else the surface.

use rmcp::model::{ErrorCode as RpcErrorCode, JsonObject, ServerCapabilities};
use serde_json::{Value, json};
use stagedoor_domain::{ErrorCode, PublicError};

use super::Endpoint;
use super::message::Request;
use super::revision::Revision;
use super::surface::{Caller, Notifier, OtherCall, Reply, RpcError, ToolCall};

/// How long a client may reuse a list: a key's toolsets change rarely, and a change is announced.
const LIST_TTL_MILLIS: u64 = 60_000;

/// Methods that 2026-07-28 removed.
const REMOVED: [&str; 5] =
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];

/// Methods whose 2026-07-28 results say how long and by whom they may be reused.
const CACHEABLE: [&str; 4] = ["resources/list", "resources/templates/list", "resources/read", "prompts/list"];

/// Answers one request, or says that its time is over.
pub(crate) async fn answer_in_time(
    endpoint: &Endpoint,
    caller: &Caller,
    request: &Request<'_>,
    notifier: &Notifier,
) -> Reply {
    let answered = answer(endpoint, caller, request, notifier);
    if let Ok(reply) = tokio::time::timeout(endpoint.deadline, answered).await {
        return reply;
    }
    let message = format!("The request took longer than {:?}.", endpoint.deadline);
    let public = PublicError::new(ErrorCode::DeadlineExceeded, message);
    if request.method != "tools/call" {
        return Reply::Error(RpcError::new(RpcErrorCode::INTERNAL_ERROR, public.hint("Try again.")));
    }
    let goes_on =
        request.params.name.as_deref().is_some_and(|name| endpoint.surface.outlives_its_caller(name));
    let hint = if goes_on {
        "The write goes on and may yet be done: read before you repeat it."
    } else {
        "It was given up. Try again, or ask for less."
    };
    Reply::Result(super::music::failure(&public.hint(hint), caller.ctx.call()))
}

async fn answer(endpoint: &Endpoint, caller: &Caller, request: &Request<'_>, notifier: &Notifier) -> Reply {
    let modern = caller.revision.is_modern();
    if modern && REMOVED.contains(&request.method.as_ref()) {
        return Reply::Error(unknown_method(&request.method));
    }
    match request.method.as_ref() {
        "tools/call" => call_tool(endpoint, caller, request, notifier).await,
        "tools/list" => list_tools(endpoint, caller, request),
        "server/discover" if modern => Reply::Result(discover(endpoint)),
        "initialize" => Reply::Result(initialize(endpoint, caller.revision)),
        "ping" => Reply::Result(JsonObject::new()),
        method => {
            let call = OtherCall { method, params: request.raw_params, notifier };
            match endpoint.surface.request(caller, call).await {
                Some(Reply::Result(result)) if modern && CACHEABLE.contains(&method) => {
                    Reply::Result(with_cache_hint(result))
                }
                Some(reply) => reply,
                None => Reply::Error(unknown_method(method)),
            }
        }
    }
}

async fn call_tool(
    endpoint: &Endpoint,
    caller: &Caller,
    request: &Request<'_>,
    notifier: &Notifier,
) -> Reply {
    let params = &request.params;
    let Some(name) = params.name.as_deref() else {
        let public = PublicError::new(ErrorCode::InvalidArguments, "`params.name` is missing.");
        return Reply::Error(RpcError::new(RpcErrorCode::INVALID_PARAMS, public));
    };
    let call = ToolCall {
        name,
        arguments: params.arguments,
        input_responses: params.input_responses,
        request_state: params.request_state.as_deref(),
        notifier,
    };
    endpoint.surface.call_tool(caller, call).await
}

fn list_tools(endpoint: &Endpoint, caller: &Caller, request: &Request<'_>) -> Reply {
    if request.params.cursor.is_some() {
        let public =
            PublicError::new(ErrorCode::InvalidCursor, "The list of tools has one page and no cursors.")
                .hint("Call again without `cursor`.");
        return Reply::Error(RpcError::new(RpcErrorCode::INVALID_PARAMS, public));
    }
    let tools = endpoint.surface.tools(caller);
    let hint = format!(",\"ttlMs\":{LIST_TTL_MILLIS},\"cacheScope\":\"private\"");
    let hint = if caller.revision.is_modern() { hint.as_bytes() } else { b"" };
    Reply::Members([b"\"tools\":", &*tools, hint].concat().into())
}

fn discover(endpoint: &Endpoint) -> JsonObject {
    let mut result = described(endpoint, &endpoint.surface.capabilities());
    result.insert("supportedVersions".to_owned(), json!(Revision::SUPPORTED.map(Revision::as_str)));
    with_cache_hint(result)
}

fn initialize(endpoint: &Endpoint, revision: Revision) -> JsonObject {
    let mut capabilities = endpoint.surface.handshake_capabilities();
    // Extensions are declared in each request, which began with 2026-07-28.
    capabilities.extensions = None;
    let mut result = described(endpoint, &capabilities);
    result.insert("protocolVersion".to_owned(), json!(revision.as_str()));
    result.insert("serverInfo".to_owned(), endpoint.server_info.value().clone());
    result
}

fn described(endpoint: &Endpoint, capabilities: &ServerCapabilities) -> JsonObject {
    let mut result = JsonObject::new();
    result.insert("capabilities".to_owned(), json!(capabilities));
    if let Some(instructions) = endpoint.surface.instructions() {
        result.insert("instructions".to_owned(), json!(instructions));
    }
    result
}

/// Everything here is behind a key, so nothing may be shared between readers.
fn with_cache_hint(mut result: JsonObject) -> JsonObject {
    result.entry("ttlMs").or_insert(Value::from(LIST_TTL_MILLIS));
    result.entry("cacheScope").or_insert(Value::from("private"));
    result
}

fn unknown_method(method: &str) -> RpcError {
    let shown: String = method.chars().take(80).collect();
    let public = PublicError::new(ErrorCode::UnknownMethod, format!("There is no method {shown:?} here."));
    RpcError::new(RpcErrorCode::METHOD_NOT_FOUND, public)
}
