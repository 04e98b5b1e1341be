//! What the protocol adapter serves: the seam between MCP on the wire and what is behind it. The music
//! tools implement it; so do the conformance suite's fixtures. No HTTP here.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rmcp::model::{ClientCapabilities, ErrorCode as RpcErrorCode, JsonObject, ServerCapabilities};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stagedoor_audit::AuditClient;
use stagedoor_bootstrap::telemetry::RequestTrace;
use stagedoor_domain::{PublicError, ScopeSet, TenantContext};
use tokio::sync::{broadcast, mpsc};

use super::revision::Revision;
use crate::access_log::RequestRecord;
use crate::oauth::StepUp;

/// Who is calling, and how it speaks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Tenant, principal, call id.
    pub ctx: TenantContext,
    /// The protocol revision of this request.
    pub revision: Revision,
    /// What the client declared in this request (2026-07-28 only).
    pub capabilities: Option<ClientCapabilities>,
    /// The client's address, after trusted proxies.
    pub address: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: Option<Arc<str>>,
    /// The client's program and version, as it names itself in this request.
    pub software: Option<Arc<str>>,
    /// Where it is noted how the request went.
    pub record: Arc<RequestRecord>,
    /// The request's trace, if it has one; it ends with the last who holds it.
    pub trace: Option<Arc<RequestTrace>>,
    /// How it is told that it needs further scopes.
    pub step_up: StepUp,
}

impl Caller {
    /// Where the call comes from, for its audit record.
    pub fn audit_client(&self) -> AuditClient {
        AuditClient {
            address: Some(self.address),
            user_agent: self.user_agent.clone(),
            software: self.software.clone(),
        }
    }
}

/// A `tools/call` as it came in; arguments are still text, so that each tool parses them once into its own type.
#[derive(Debug)]
pub struct ToolCall<'a> {
    /// The tool's name.
    pub name: &'a str,
    /// The arguments object, if there is one.
    pub arguments: Option<&'a RawValue>,
    /// Answers to earlier input requests, by key (multi round-trip requests, 2026-07-28).
    pub input_responses: Option<&'a RawValue>,
    /// The state that came with those input requests; whatever the client says it is.
    pub request_state: Option<&'a str>,
    /// Where progress and log messages go while the call runs.
    pub notifier: &'a Notifier,
}

/// A request other than `tools/call` that a surface may serve.
#[derive(Debug)]
pub struct OtherCall<'a> {
    /// Its method, such as `resources/read`.
    pub method: &'a str,
    /// Its parameters, if there are any.
    pub params: Option<&'a RawValue>,
    /// Where progress and log messages go while it runs.
    pub notifier: &'a Notifier,
}

/// How a request ended.
#[derive(Debug)]
pub enum Reply {
    /// The members of a result object without its braces, such as `"content":[…],"isError":false`; ready to
    /// be written out.
    Members(Bytes),
    /// The same, with members for the result's `_meta`.
    MembersWithMeta(Bytes, JsonObject),
    /// A result object.
    Result(JsonObject),
    /// The client has to answer `inputRequests` and retry (multi round-trip requests, 2026-07-28). An object
    /// with `inputRequests` and/or `requestState`.
    InputRequired(JsonObject),
    /// The call goes on as a task (`io.modelcontextprotocol/tasks`); the members of `CreateTaskResult`.
    Task(JsonObject),
    /// A protocol error.
    Error(RpcError),
    /// The principal lacks a scope: HTTP 403 with a challenge that lists all that are needed.
    ScopeNeeded(ScopeSet),
}

/// A JSON-RPC error (JSON-RPC 2.0 §5.1).
#[derive(Debug, Clone)]
pub struct RpcError {
    /// The JSON-RPC code.
    pub code: RpcErrorCode,
    /// What went wrong, with our stable code; rendered into `message` and `data`.
    pub public: PublicError,
    /// Further members of `data`.
    pub data: Option<Box<Value>>,
}

impl RpcError {
    /// An error with no further data.
    pub fn new(code: RpcErrorCode, public: PublicError) -> Self {
        Self { code, public, data: None }
    }

    /// The error with further members of `data`; `data` must be an object.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(Box::new(data));
        self
    }
}

/// Something that subscribers of `subscriptions/listen` hear about.
#[derive(Debug, Clone)]
pub enum ServerEvent {
    /// The list of tools changed.
    ToolsListChanged,
    /// The list of prompts changed.
    PromptsListChanged,
    /// The list of resources changed.
    ResourcesListChanged,
    /// One resource changed, by URI.
    ResourceUpdated(String),
}

/// What is behind the protocol.
#[async_trait]
pub trait Surface: Debug + Send + Sync + 'static {
    /// The capabilities that `initialize` and `server/discover` declare.
    fn capabilities(&self) -> ServerCapabilities;

    /// How to use the server, for the model behind the client.
    fn instructions(&self) -> Option<&'static str> {
        None
    }

    /// The JSON array of the tools that this caller is shown, in a stable order.
    fn tools(&self, caller: &Caller) -> Bytes;

    /// The input schema of a tool whose schema has `x-mcp-header` annotations; `None` for all others.
    fn header_schema(&self, tool: &str) -> Option<Arc<JsonObject>> {
        let _ = tool;
        None
    }

    /// Whether a tool may send progress or log messages before its result even when no progress token came.
    fn streams(&self, tool: &str) -> bool {
        let _ = tool;
        false
    }

    /// Whether a call of this tool goes on when its caller leaves or its time is over.
    fn outlives_its_caller(&self, tool: &str) -> bool {
        let _ = tool;
        false
    }

    /// Calls a tool.
    async fn call_tool(&self, caller: &Caller, call: ToolCall<'_>) -> Reply;

    /// Any other request: resources, prompts, completion, `logging/setLevel`. `None`: no such method here.
    async fn request(&self, caller: &Caller, call: OtherCall<'_>) -> Option<Reply> {
        let _ = (caller, call);
        None
    }

    /// The same for clients that shake hands, and subscribe to resources by a method of their own.
    fn handshake_capabilities(&self) -> ServerCapabilities {
        self.capabilities()
    }

    /// Whether this caller can be told of changes of the resource.
    fn watches(&self, caller: &Caller, uri: &str) -> bool {
        let _ = (caller, uri);
        true
    }

    /// What this caller may hear about, of these resources and in general; `None` if nothing of it ever changes.
    fn events(&self, caller: &Caller, resources: &[String]) -> Option<broadcast::Receiver<ServerEvent>> {
        let _ = (caller, resources);
        None
    }
}

/// Where a running call sends notifications. They reach the client on the response stream of its own request.
#[derive(Debug, Clone)]
pub struct Notifier {
    progress_token: Option<Value>,
    takes_logs: bool,
    sender: Option<mpsc::Sender<Value>>,
}

impl Notifier {
    /// A notifier that nobody listens to.
    pub fn silent() -> Self {
        Self { progress_token: None, takes_logs: false, sender: None }
    }

    /// A notifier into a response stream, with the request's progress token if it sent one. `takes_logs` is
    /// false where the client did not ask for log messages (2026-07-28 asks in each request).
    pub fn new(progress_token: Option<Value>, takes_logs: bool, sender: mpsc::Sender<Value>) -> Self {
        Self { progress_token, takes_logs, sender: Some(sender) }
    }

    /// Reports progress, if the client asked for it. `progress` must grow from call to call.
    pub async fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let Some(token) = &self.progress_token else { return };
        let mut params = json!({ "progressToken": token, "progress": progress });
        if let Some(total) = total {
            params["total"] = json!(total);
        }
        if let Some(message) = message {
            params["message"] = json!(message);
        }
        self.notify("notifications/progress", params).await;
    }

    /// Whether the client asked for progress.
    pub fn takes_progress(&self) -> bool {
        self.progress_token.is_some() && self.sender.is_some()
    }

    /// Reports progress, if the client asked for it and reads fast enough; waits for nobody. `progress` must grow from
    /// call to call.
    pub fn try_progress(&self, progress: u64, total: Option<u64>, message: &str) {
        let (Some(token), Some(sender)) = (&self.progress_token, &self.sender) else { return };
        let mut params = json!({ "progressToken": token, "progress": progress });
        if let Some(total) = total {
            params["total"] = json!(total);
        }
        if !message.is_empty() {
            params["message"] = json!(message);
        }
        let message = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        // What finds no place is told with the next step; a client that left is no error.
        let _ = sender.try_send(message);
    }

    /// Sends any notification. Waits while the client reads slowly; a client that left is no error.
    pub async fn notify(&self, method: &str, params: Value) {
        if method == "notifications/message" && !self.takes_logs {
            return;
        }
        if let Some(sender) = &self.sender {
            let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
            // The receiver is gone only when the request itself was dropped, and this future with it.
            let _ = sender.send(message).await;
        }
    }
}
