//! One JSON-RPC 2.0 message as it came in: checked for form, borrowed from the body, not yet understood.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use stagedoor_domain::text::clean;
use stagedoor_domain::{ErrorCode, PublicError};

use super::surface::RpcError;
use crate::input_sanitizer::InputSanitizer;
use rmcp::model::ErrorCode as RpcErrorCode;

/// What arrived.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives at a time, on the stack; a box would cost each call"
)]
pub(crate) enum Message<'a> {
    /// Wants an answer.
    Request(Request<'a>),
    /// Wants none.
    Notification {
        /// Its method.
        method: Cow<'a, str>,
    },
    /// An answer to a question of ours; we ask none on a connection, so it is taken and dropped.
    Response,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Its id, as text, echoed as it came.
    pub(crate) id: &'a RawValue,
    /// Its method.
    pub(crate) method: Cow<'a, str>,
    /// Its parameters object as text.
    pub(crate) raw_params: Option<&'a RawValue>,
    /// The parameters that the adapter itself reads.
    pub(crate) params: Params<'a>,
}

/// The members of `params` that decide about routing; everything else stays text.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Params<'a> {
    #[serde(borrow, rename = "_meta")]
    raw_meta: Option<&'a RawValue>,
    #[serde(skip)]
    pub(crate) meta: Option<Meta<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) uri: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) task_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) input_responses: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) request_state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) cursor: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) protocol_version: Option<Cow<'a, str>>,
}

/// The members of `params._meta` that the adapter reads.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    pub(crate) protocol_version: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    pub(crate) client_capabilities: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientInfo")]
    pub(crate) client_info: Option<&'a RawValue>,
    #[serde(borrow, rename = "progressToken")]
    pub(crate) progress_token: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/logLevel")]
    pub(crate) log_level: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) traceparent: Option<Cow<'a, str>>,
}

impl Meta<'_> {
    /// The client's program and version, as it says itself: `name/version`. One that says it wrong is unnamed.
    pub(crate) fn software(&self) -> Option<Arc<str>> {
        #[derive(Deserialize)]
        struct ClientInfo<'a> {
            #[serde(borrow)]
            name: Cow<'a, str>,
            #[serde(borrow)]
            version: Option<Cow<'a, str>>,
        }
        let info: ClientInfo<'_> = serde_json::from_str(self.client_info?.get()).ok()?;
        let name = clean(&info.name, 80);
        let version = info.version.map(|version| clean(&version, 40)).filter(|version| !version.is_empty());
        match version {
            _ if name.is_empty() => None,
            Some(version) => Some(format!("{name}/{version}").into()),
            None => Some(name.into()),
        }
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// `Some` for a member that is there, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A message that cannot be served, with the id to answer under if one was readable.
#[derive(Debug)]
pub(crate) struct Malformed<'a> {
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) error: Box<RpcError>,
}

impl Malformed<'_> {
    fn new(code: RpcErrorCode, public: PublicError) -> Self {
        Self { id: None, error: Box::new(RpcError::new(code, public)) }
    }

    fn request(message: impl Into<String>) -> Self {
        Self::new(RpcErrorCode::INVALID_REQUEST, PublicError::new(ErrorCode::InvalidRequest, message))
    }
}

/// Reads one message, after `input` has looked at its bytes.
pub(crate) fn read(body: &[u8], input: InputSanitizer) -> Result<Message<'_>, Malformed<'_>> {
    let text = input.text(body).map_err(|public| {
        let code = match public.code {
            ErrorCode::MalformedJson => RpcErrorCode::PARSE_ERROR,
            _ => RpcErrorCode::INVALID_REQUEST,
        };
        Malformed::new(code, public)
    })?;
    if text.trim_start().starts_with('[') {
        let public =
            PublicError::new(ErrorCode::BatchUnsupported, "Batches are not part of MCP since 2025-06-18.")
                .hint("Send each request in a POST of its own.");
        return Err(Malformed::new(RpcErrorCode::INVALID_REQUEST, public));
    }
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    classify(wire)
}

fn unreadable<'a>(error: &serde_json::Error) -> Malformed<'a> {
    if error.is_data() {
        return Malformed::request(format!("Not a JSON-RPC 2.0 message: {error}."));
    }
    let public = PublicError::new(ErrorCode::MalformedJson, format!("The body is not JSON: {error}."));
    Malformed::new(RpcErrorCode::PARSE_ERROR, public)
}

fn classify(wire: Wire<'_>) -> Result<Message<'_>, Malformed<'_>> {
    if wire.jsonrpc.as_deref() != Some("2.0") {
        let malformed = Malformed::request("`jsonrpc` must be \"2.0\".");
        return Err(Malformed { id: wire.id.filter(|id| is_valid_id(id)), ..malformed });
    }
    let Some(method) = wire.method else {
        return if wire.result.is_some() || wire.error.is_some() {
            Ok(Message::Response)
        } else {
            let malformed = Malformed::request("`method` is missing.");
            Err(Malformed { id: wire.id.filter(|id| is_valid_id(id)), ..malformed })
        };
    };
    let Some(id) = wire.id else { return Ok(Message::Notification { method }) };
    if !is_valid_id(id) {
        return Err(Malformed::request("`id` must be a string or an integer, at most 256 bytes long."));
    }
    let params =
        read_params(wire.params).map_err(|error| Malformed { id: Some(id), error: Box::new(error) })?;
    Ok(Message::Request(Request { id, method, raw_params: wire.params, params }))
}

fn read_params(raw: Option<&RawValue>) -> Result<Params<'_>, RpcError> {
    let Some(raw) = raw else { return Ok(Params::default()) };
    let wrong = |code: ErrorCode, message: String| {
        RpcError::new(RpcErrorCode::INVALID_PARAMS, PublicError::new(code, message))
    };
    if !raw.get().starts_with('{') {
        return Err(wrong(ErrorCode::InvalidArguments, "`params` must be an object.".to_owned()));
    }
    let mut params: Params<'_> = serde_json::from_str(raw.get())
        .map_err(|error| wrong(ErrorCode::InvalidArguments, format!("`params` is wrong: {error}.")))?;
    if let Some(meta) = params.raw_meta {
        let meta: Meta<'_> = serde_json::from_str(meta.get()).map_err(|error| {
            wrong(ErrorCode::InvalidRequestMeta, format!("`params._meta` is wrong: {error}."))
        })?;
        if meta.progress_token.is_some_and(|token| !is_valid_id(token)) {
            let message = "`params._meta.progressToken` must be a string or an integer.".to_owned();
            return Err(wrong(ErrorCode::InvalidRequestMeta, message));
        }
        params.meta = Some(meta);
    }
    Ok(params)
}

/// A string or an integer (MCP, base protocol, "Requests"); the length is ours.
fn is_valid_id(id: &RawValue) -> bool {
    let text = id.get().as_bytes();
    let integer =
        || text.iter().enumerate().all(|(at, byte)| byte.is_ascii_digit() || (at == 0 && *byte == b'-'));
    text.len() <= 256 && (text[0] == b'"' || integer())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> &'static str {
        read(body, InputSanitizer::new(16))
            .map_or_else(|malformed| malformed.error.public.code.as_str(), |_| "fine")
    }

    #[test]
    fn each_kind_of_bad_body_has_its_own_code() {
        assert_eq!(code(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"), "fine");
        assert_eq!(code(b"{"), "malformed_json");
        assert_eq!(code(b"\xff"), "malformed_json");
        assert_eq!(code(b"[]"), "batch_unsupported");
        assert_eq!(code("[".repeat(17).as_bytes()), "body_too_deep");
        assert_eq!(code(b"{\"id\":1,\"method\":\"ping\"}"), "invalid_request");
        assert_eq!(code(b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}"), "invalid_request");
        assert_eq!(code(b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}"), "invalid_request");
        assert_eq!(
            code(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}"),
            "invalid_arguments"
        );
        assert_eq!(code(b"7"), "invalid_request");
    }

    #[test]
    fn a_client_names_its_program_as_far_as_it_can_be_read() {
        let software = |info: &str| {
            let meta = format!("{{\"io.modelcontextprotocol/clientInfo\":{info}}}");
            serde_json::from_str::<Meta<'_>>(&meta).unwrap().software()
        };
        assert_eq!(software(r#"{"name":"Amp","version":"1.2"}"#).as_deref(), Some("Amp/1.2"));
        assert_eq!(software(r#"{"name":"Amp\u202e\n"}"#).as_deref(), Some("Amp"));
        assert_eq!(software(r#"{"name":" "}"#), None);
        assert_eq!(software(r#"{"name":7}"#), None);
        assert_eq!(software("[]"), None);
    }
}
