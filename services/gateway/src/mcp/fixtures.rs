//! What the official conformance suite expects to find: its tools (`test_*`), resources (`test://…`) and
//! prompts, in front of the real surface. Only with the feature `conformance-fixtures`; never in a release.

mod input_required;
mod prompts;
mod resources;
mod tools;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use rmcp::model::{
    ErrorCode as RpcErrorCode, JsonObject, PromptsCapability, ResourcesCapability, ServerCapabilities,
    ToolsCapability,
};
use serde::Deserialize;
use serde_json::{Value, json};
use stagedoor_domain::{Entropy, ErrorCode, PublicError};
use tokio::sync::broadcast;

use super::surface::{Caller, OtherCall, Reply, RpcError, ServerEvent, Surface, ToolCall};
use input_required::StateSeal;

/// How many events a slow listener may fall behind.
const EVENT_BACKLOG: usize = 16;

/// The fixtures in front of the surface that serves everything else.
#[derive(Debug)]
pub struct FixtureSurface {
    inner: Arc<dyn Surface>,
    events: broadcast::Sender<ServerEvent>,
    seal: StateSeal,
    definitions: Bytes,
    header_schema: Arc<JsonObject>,
}

impl FixtureSurface {
    /// Fixtures in front of `inner`. `entropy` makes the key that seals `requestState`.
    pub fn new(inner: Arc<dyn Surface>, entropy: &dyn Entropy) -> Self {
        Self {
            inner,
            events: broadcast::channel(EVENT_BACKLOG).0,
            seal: StateSeal::new(entropy),
            definitions: Bytes::from(Value::Array(tools::definitions()).to_string()),
            header_schema: Arc::new(members(tools::header_schema())),
        }
    }
}

#[async_trait]
impl Surface for FixtureSurface {
    fn capabilities(&self) -> ServerCapabilities {
        let mut capabilities = self.inner.capabilities();
        let mut tools = ToolsCapability::default();
        tools.list_changed = Some(true);
        let mut prompts = PromptsCapability::default();
        prompts.list_changed = Some(true);
        let mut resources = ResourcesCapability::default();
        resources.list_changed = Some(true);
        resources.subscribe = Some(true);
        capabilities.tools = Some(tools);
        capabilities.prompts = Some(prompts);
        capabilities.resources = Some(resources);
        capabilities.completions = Some(JsonObject::new());
        capabilities.logging = Some(JsonObject::new());
        capabilities
    }

    fn instructions(&self) -> Option<&'static str> {
        self.inner.instructions()
    }

    fn tools(&self, caller: &Caller) -> Bytes {
        joined(&self.inner.tools(caller), &self.definitions)
    }

    fn header_schema(&self, tool: &str) -> Option<Arc<JsonObject>> {
        if tool == tools::HEADER_TOOL {
            return Some(Arc::clone(&self.header_schema));
        }
        self.inner.header_schema(tool)
    }

    fn streams(&self, tool: &str) -> bool {
        tools::streams(tool) || self.inner.streams(tool)
    }

    async fn call_tool(&self, caller: &Caller, call: ToolCall<'_>) -> Reply {
        match call.name {
            "test_trigger_tool_change" => self.announce(ServerEvent::ToolsListChanged),
            "test_trigger_prompt_change" => self.announce(ServerEvent::PromptsListChanged),
            name if input_required::is_fixture(name) => input_required::call(&self.seal, caller, &call),
            name if tools::is_fixture(name) => tools::call(&call).await,
            _ => self.inner.call_tool(caller, call).await,
        }
    }

    async fn request(&self, caller: &Caller, call: OtherCall<'_>) -> Option<Reply> {
        let params = match call.params.map(|raw| serde_json::from_str::<Params>(raw.get())).transpose() {
            Ok(params) => params.unwrap_or_default(),
            Err(error) => return Some(invalid(format!("`params` is wrong: {error}."))),
        };
        let reply = match call.method {
            "prompts/list" => self.behind(caller, call, "prompts", prompts::list()).await,
            "resources/list" => self.behind(caller, call, "resources", resources::list()).await,
            "resources/templates/list" => {
                self.behind(caller, call, "resourceTemplates", resources::templates()).await
            }
            "prompts/get" if is_fixture(&params.name) => prompts::get(caller, &params),
            "resources/read" if is_fixture(&params.uri) => resources::read(caller, &params),
            "completion/complete" if is_fixture(params.completes()) => complete(&params),
            "resources/subscribe" | "resources/unsubscribe" if !caller.revision.is_modern() => {
                resources::subscription(&params)
            }
            "logging/setLevel" if !caller.revision.is_modern() => set_level(&params),
            _ => return self.inner.request(caller, call).await,
        };
        Some(reply)
    }

    /// The fixtures' own events; the music tools announce none that could be joined to them.
    fn events(&self, _caller: &Caller, _resources: &[String]) -> Option<broadcast::Receiver<ServerEvent>> {
        Some(self.events.subscribe())
    }
}

impl FixtureSurface {
    /// A list of fixtures behind what the real surface lists.
    async fn behind(&self, caller: &Caller, call: OtherCall<'_>, member: &str, fixtures: Reply) -> Reply {
        match (self.inner.request(caller, call).await, fixtures) {
            (Some(Reply::Result(mut real)), Reply::Result(mut fixtures)) => {
                if let (Some(Value::Array(list)), Some(Value::Array(more))) =
                    (real.get_mut(member), fixtures.get_mut(member))
                {
                    list.append(more);
                }
                Reply::Result(real)
            }
            (Some(other), _) => other,
            (None, fixtures) => fixtures,
        }
    }

    fn announce(&self, event: ServerEvent) -> Reply {
        let listeners = self.events.send(event).unwrap_or(0);
        text(&format!("{listeners} listeners were told."))
    }
}

/// The members of `params` that fixtures other than tools read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Params {
    name: String,
    uri: String,
    level: String,
    arguments: JsonObject,
    argument: JsonObject,
    #[serde(rename = "ref")]
    reference: JsonObject,
    input_responses: Option<Value>,
}

impl Params {
    /// The prompt or template whose argument is completed.
    fn completes(&self) -> &str {
        let named = self.reference.get("name").or_else(|| self.reference.get("uri"));
        named.and_then(Value::as_str).unwrap_or_default()
    }
}

/// Whether a prompt's name or a resource's address is the suite's.
fn is_fixture(name: &str) -> bool {
    name.starts_with("test_") || name.starts_with("test://")
}

fn complete(params: &Params) -> Reply {
    let typed = params.argument.get("value").and_then(Value::as_str).unwrap_or_default();
    let values: Vec<&str> =
        ["test", "testValue1", "testValue2"].into_iter().filter(|value| value.starts_with(typed)).collect();
    result(json!({ "completion": { "total": values.len(), "hasMore": false, "values": values } }))
}

/// The level is checked and forgotten: without a session there is nowhere to keep it.
fn set_level(params: &Params) -> Reply {
    const LEVELS: [&str; 8] =
        ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    if LEVELS.contains(&params.level.as_str()) {
        result(json!({}))
    } else {
        invalid(format!("`level` must be one of {}.", LEVELS.join(", ")))
    }
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let Some(head) = first.strip_suffix(b"]").filter(|head| head.len() > 1) else {
        return Bytes::copy_from_slice(second);
    };
    let mut whole = BytesMut::with_capacity(first.len() + second.len());
    whole.put_slice(head);
    whole.put_u8(b',');
    whole.put_slice(&second[1..]);
    whole.freeze()
}

fn result(value: Value) -> Reply {
    Reply::Result(members(value))
}

fn text(text: &str) -> Reply {
    result(json!({ "content": [{ "type": "text", "text": text }] }))
}

fn tool_error(text: &str) -> Reply {
    result(json!({ "content": [{ "type": "text", "text": text }], "isError": true }))
}

fn invalid(message: String) -> Reply {
    Reply::Error(RpcError::new(
        RpcErrorCode::INVALID_PARAMS,
        PublicError::new(ErrorCode::InvalidArguments, message),
    ))
}

fn members(value: Value) -> JsonObject {
    match value {
        Value::Object(members) => members,
        other => unreachable!("fixtures are written as objects, not {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_lists_are_joined_whatever_is_in_front() {
        assert_eq!(joined(b"[]", b"[1,2]"), "[1,2]");
        assert_eq!(joined(b"[0]", b"[1,2]"), "[0,1,2]");
    }
}
