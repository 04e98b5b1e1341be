//! The HTTP headers of MCP and their agreement with the body (2026-07-28, Streamable HTTP, "Standard
//! headers"): a middlebox that routes by a header must never route something else than we serve.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::ACCEPT;
use rmcp::model::{ErrorCode as RpcErrorCode, JsonObject};
use serde_json::Value;
use stagedoor_domain::{ErrorCode, PublicError};

use super::message::{Params, Request};
use super::surface::RpcError;

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAM_PREFIX: &str = "mcp-param-";

/// The only value of a header, if it is there.
///
/// A header that stands twice is an error: whoever reads the other one would read another request.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, RpcError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(mismatch(format!("The header {name} stands more than once.")));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| mismatch(format!("The header {name} has characters that are not allowed.")))
}

/// Whether the client takes `media_type` (RFC 9110 §12.5.1); no `Accept` header takes anything.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let mut values = headers.get_all(ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    let (main_type, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let matches = name.eq_ignore_ascii_case(media_type)
            || name == "*/*"
            || name.strip_suffix("/*").is_some_and(|prefix| prefix.eq_ignore_ascii_case(main_type));
        let refused = parts.any(|parameter| {
            parameter
                .strip_prefix("q=")
                .is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        });
        matches && !refused
    })
}

/// Checks `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*` of a 2026-07-28 request.
pub(crate) fn agree(
    headers: &HeaderMap,
    request: &Request<'_>,
    schema: Option<&JsonObject>,
) -> Result<(), RpcError> {
    method_agrees(headers, &request.method)?;
    if let Some(expected) = name_of(&request.method, &request.params) {
        let raw = single(headers, NAME)?.ok_or_else(|| {
            mismatch(format!("The header Mcp-Name is missing; {} needs it.", request.method))
        })?;
        if decode(raw, "Mcp-Name")? != expected {
            return Err(mismatch(format!("The header Mcp-Name is {raw:?}, but the body says {expected:?}.")));
        }
    }
    if let Some(schema) = schema {
        params_agree(headers, &request.params, schema)?;
    }
    Ok(())
}

/// Checks `Mcp-Method` alone; a notification carries no more.
pub(crate) fn method_agrees(headers: &HeaderMap, method: &str) -> Result<(), RpcError> {
    match single(headers, METHOD)? {
        None => Err(mismatch("The header Mcp-Method is missing.".to_owned())),
        Some(value) if value != method => {
            Err(mismatch(format!("The header Mcp-Method is {value:?}, but the body says {method:?}.")))
        }
        Some(_) => Ok(()),
    }
}

/// Checks that an `Mcp-Method` on the handshake, where it is optional, does not contradict it.
pub(crate) fn handshake_agrees(headers: &HeaderMap) -> Result<(), RpcError> {
    match single(headers, METHOD)? {
        None => Ok(()),
        Some(_) => method_agrees(headers, "initialize"),
    }
}

fn name_of<'a>(method: &str, params: &'a Params<'_>) -> Option<&'a str> {
    match method {
        "tools/call" | "prompts/get" => params.name.as_deref(),
        "resources/read" => params.uri.as_deref(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => params.task_id.as_deref(),
        _ => None,
    }
}

fn params_agree(headers: &HeaderMap, params: &Params<'_>, schema: &JsonObject) -> Result<(), RpcError> {
    let arguments: Value = match params.arguments {
        Some(raw) => serde_json::from_str(raw.get()).unwrap_or(Value::Null),
        None => Value::Null,
    };
    for (path, header) in annotations(schema) {
        let full = format!("{PARAM_PREFIX}{}", header.to_ascii_lowercase());
        let in_body = primitive(path.iter().fold(&arguments, |value, part| &value[part.as_str()]));
        let field = path.join(".");
        match (single(headers, &full)?, in_body) {
            (None, None) => {}
            (Some(_), None) => return Err(mismatch(format!("{full} is there, but `{field}` is not."))),
            (None, Some(_)) => return Err(mismatch(format!("{full} is missing; `{field}` needs it."))),
            (Some(raw), Some(expected)) => {
                if decode(raw, &full)? != expected {
                    return Err(mismatch(format!("{full} is {raw:?}, but `{field}` is {expected:?}.")));
                }
            }
        }
    }
    Ok(())
}

/// Every `x-mcp-header` annotation on a chain of `properties`, with the path to its value.
fn annotations(schema: &JsonObject) -> Vec<(Vec<String>, String)> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, property) in properties {
        let Some(property) = property.as_object() else { continue };
        if let Some(header) = property.get("x-mcp-header").and_then(Value::as_str) {
            found.push((vec![name.clone()], header.to_owned()));
        }
        found.extend(annotations(property).into_iter().map(|(mut path, header)| {
            path.insert(0, name.clone());
            (path, header)
        }));
    }
    found
}

fn primitive(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A header value, unwrapped from `=?base64?…?=` where it has characters that headers cannot carry.
fn decode<'a>(raw: &'a str, name: &str) -> Result<std::borrow::Cow<'a, str>, RpcError> {
    let Some(encoded) = raw.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(raw.into());
    };
    let bytes = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.map(Into::into).ok_or_else(|| mismatch(format!("The header {name} is not valid Base64 of UTF-8.")))
}

pub(crate) fn mismatch(message: String) -> RpcError {
    RpcError::new(RpcErrorCode::HEADER_MISMATCH, PublicError::new(ErrorCode::HeaderMismatch, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_accept(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())])
    }

    #[test]
    fn accept_is_read_as_rfc_9110_says() {
        assert!(accepts(&HeaderMap::new(), "application/json"));
        assert!(accepts(&with_accept("application/json, text/event-stream"), "text/event-stream"));
        assert!(accepts(&with_accept("*/*"), "application/json"));
        assert!(accepts(&with_accept("application/*;q=0.5"), "application/json"));
        assert!(!accepts(&with_accept("application/json;q=0"), "application/json"));
        assert!(!accepts(&with_accept("text/html"), "application/json"));
    }

    #[test]
    fn a_header_that_stands_twice_is_refused() {
        let mut headers = HeaderMap::new();
        headers.append(METHOD, "ping".parse().unwrap());
        headers.append(METHOD, "ping".parse().unwrap());
        assert!(method_agrees(&headers, "ping").is_err());
    }

    #[test]
    fn annotations_are_found_at_any_depth_of_properties() {
        let schema = serde_json::json!({ "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "inner": { "properties": { "flag": { "type": "boolean", "x-mcp-header": "Flag" } } },
        }});
        let mut found = annotations(schema.as_object().unwrap());
        found.sort();
        assert_eq!(
            found,
            [
                (vec!["inner".to_owned(), "flag".to_owned()], "Flag".to_owned()),
                (vec!["region".to_owned()], "Region".to_owned()),
            ]
        );
    }
}
