//! Answers as bytes. Tool results arrive as finished members and are copied once, around them the envelope.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use rmcp::model::{ErrorCode as RpcErrorCode, JsonObject};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use stagedoor_domain::ErrorCode;

use super::revision::Revision;
use super::surface::{Caller, Reply, RpcError};

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Who the server is, as every 2026-07-28 result says, in the forms that rendering needs.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    value: Value,
    /// `"resultType":"complete","_meta":{…}`
    complete: Box<str>,
}

impl ServerInfo {
    /// The name and version of this build.
    pub fn of_this_build() -> Self {
        let value = json!({
            "name": "stagedoor",
            "title": "Stagedoor",
            "version": env!("CARGO_PKG_VERSION"),
        });
        let complete = format!("\"resultType\":\"complete\",\"_meta\":{{\"{SERVER_INFO}\":{value}}}").into();
        Self { value, complete }
    }

    /// The `Implementation` object.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }
}

/// A response message as JSON text, and what HTTP adds to it.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// What goes with a 403 that a further scope would lift.
    challenge: Option<HeaderValue>,
}

/// A reply as a response message.
pub(crate) fn message(id: &RawValue, caller: &Caller, server: &ServerInfo, reply: Reply) -> Rendered {
    let (revision, mut challenge) = (caller.revision, None);
    let (status, body) = match reply {
        Reply::Members(members) => (StatusCode::OK, from_members(id, revision, server, &members)),
        Reply::MembersWithMeta(members, meta) => {
            (StatusCode::OK, from_members_with_meta(id, revision, server, &members, meta))
        }
        Reply::Result(result) => (StatusCode::OK, from_object(id, revision, server, result, "complete")),
        Reply::InputRequired(result) => {
            (StatusCode::OK, from_object(id, revision, server, result, "input_required"))
        }
        Reply::Task(result) => (StatusCode::OK, from_object(id, revision, server, result, "task")),
        Reply::Error(error) => (status(&error, revision), error_message(Some(id), &error)),
        Reply::ScopeNeeded(scopes) => {
            let step_up = &caller.step_up;
            challenge = Some(step_up.challenge(scopes, caller.ctx.principal().scopes));
            let error = crate::problem::scope_needed(scopes, step_up.is_for_a_token());
            (StatusCode::FORBIDDEN, error_message(Some(id), &error))
        }
    };
    Rendered { status, body, challenge }
}

/// An error as a response message; without an id where none was readable.
pub(crate) fn refusal(id: Option<&RawValue>, revision: Revision, error: &RpcError) -> Rendered {
    Rendered { status: status(error, revision), body: error_message(id, error), challenge: None }
}

/// The HTTP answer, with `extra` headers.
pub(crate) fn response(rendered: Rendered, extra: HeaderMap) -> Response {
    let mut response = Response::new(Body::from(Bytes::from(rendered.body)));
    *response.status_mut() = rendered.status;
    *response.headers_mut() = extra;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = rendered.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The JSON text of an error message. Without a readable id the member is left out, as MCP's schema wants it
/// (JSON-RPC 2.0 §5 would have `null`).
fn error_message(id: Option<&RawValue>, error: &RpcError) -> Vec<u8> {
    let mut data: Map<String, Value> = match error.data.as_deref() {
        Some(Value::Object(members)) => members.clone(),
        _ => Map::new(),
    };
    if let Value::Object(public) = json!(error.public) {
        data.extend(public.into_iter().filter(|(name, _)| name != "message"));
    }
    let error = json!({ "code": error.code.0, "message": error.public.message, "data": data });
    let id = id.map_or(String::new(), |id| format!("\"id\":{id},"));
    format!("{{\"jsonrpc\":\"2.0\",{id}\"error\":{error}}}").into_bytes()
}

/// The HTTP status of a protocol error. Before 2026-07-28 an unknown method was an ordinary answer.
fn status(error: &RpcError, revision: Revision) -> StatusCode {
    if error.public.code == ErrorCode::UnknownMethod && !revision.is_modern() {
        return StatusCode::OK;
    }
    if error.code == RpcErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY {
        return StatusCode::BAD_REQUEST;
    }
    StatusCode::from_u16(error.public.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn from_members(id: &RawValue, revision: Revision, server: &ServerInfo, members: &[u8]) -> Vec<u8> {
    let envelope = if revision.is_modern() { server.complete.as_bytes() } else { b"" };
    let separator: &[u8] = if envelope.is_empty() || members.is_empty() { b"" } else { b"," };
    [
        b"{\"jsonrpc\":\"2.0\",\"id\":",
        id.get().as_bytes(),
        b",\"result\":{",
        envelope,
        separator,
        members,
        b"}}",
    ]
    .concat()
}

/// The same with more in `_meta`, which few answers have.
fn from_members_with_meta(
    id: &RawValue,
    revision: Revision,
    server: &ServerInfo,
    members: &[u8],
    mut meta: JsonObject,
) -> Vec<u8> {
    let result_type = if revision.is_modern() {
        meta.insert(SERVER_INFO.to_owned(), server.value.clone());
        "\"resultType\":\"complete\","
    } else {
        ""
    };
    let mut with_meta = format!("{result_type}\"_meta\":{}", Value::Object(meta)).into_bytes();
    if !members.is_empty() {
        with_meta.push(b',');
        with_meta.extend_from_slice(members);
    }
    let id = id.get().as_bytes();
    [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"result\":{", &with_meta, b"}}"].concat()
}

fn from_object(
    id: &RawValue,
    revision: Revision,
    server: &ServerInfo,
    mut result: JsonObject,
    result_type: &str,
) -> Vec<u8> {
    if revision.is_modern() {
        result.insert("resultType".to_owned(), json!(result_type));
        if let Value::Object(meta) = result.entry("_meta").or_insert_with(|| json!({})) {
            meta.insert(SERVER_INFO.to_owned(), server.value.clone());
        }
    }
    let result = Value::Object(result);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.get()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_wrapped_as_each_era_wants_them() {
        let id = RawValue::from_string("\"a\"".to_owned()).unwrap();
        let server = ServerInfo::of_this_build();
        let text = |revision| {
            let bytes = from_members(&id, revision, &server, br#""content":[]"#);
            serde_json::from_slice::<Value>(&bytes).unwrap()
        };
        assert_eq!(
            text(Revision::V20251125),
            json!({ "jsonrpc": "2.0", "id": "a", "result": { "content": [] } })
        );
        let modern = text(Revision::V20260728);
        assert_eq!(modern["result"]["resultType"], "complete");
        assert_eq!(modern["result"]["_meta"][SERVER_INFO]["name"], "stagedoor");
        for revision in [Revision::V20251125, Revision::V20260728] {
            let meta = JsonObject::from_iter([("a".to_owned(), json!(1))]);
            let bytes = from_members_with_meta(&id, revision, &server, br#""content":[]"#, meta);
            let result = serde_json::from_slice::<Value>(&bytes).unwrap()["result"].take();
            assert_eq!((&result["content"], &result["_meta"]["a"]), (&json!([]), &json!(1)));
            assert_eq!(result.get("resultType").is_some(), revision.is_modern());
            assert_eq!(result["_meta"].get(SERVER_INFO).is_some(), revision.is_modern());
        }
    }
}
