//! What must hold for any message and any headers: the bodies of the fuzz targets, which the property tests call too. In
//! builds for tests and fuzzing only.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Extensions, HeaderMap};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stagedoor_domain::text::{composed, first_control};
use stagedoor_domain::{
    ErrorCode, Principal, PrincipalKind, PublicError, ScopeSet, ToolName, Toolset, ToolsetSet,
};
use url::Url;

use super::message::{self, Message, Meta, Request};
use super::{body, headers, negotiate};
use crate::client::{self, TrustedProxies};
use crate::input_sanitizer::{InputSanitizer, Verdict};
use crate::narrowing::Narrowing;
use crate::shield::Doors;
use crate::token_validator::TokenValidator;

const INPUT: InputSanitizer = InputSanitizer::new(32);

/// A message is read or refused in few words; texts that get through have no character that nobody types or sees, and
/// what was mended is the same message.
///
/// # Panics
/// If that does not hold for `data`.
pub fn json_rpc(data: &[u8]) {
    let request = match message::read(data, INPUT) {
        Ok(Message::Request(request)) => request,
        Ok(Message::Notification { .. } | Message::Response) => return,
        Err(malformed) => return quoted(&malformed.error.public),
    };
    match INPUT.check(request.raw_params) {
        Ok(Verdict::Fit) => fit(&request),
        Ok(Verdict::ToMend) => mended(data, &request),
        Err(error) => {
            assert_eq!(error.code, ErrorCode::InvalidArguments);
            quoted(&error);
        }
    }
}

fn mended(data: &[u8], request: &Request<'_>) {
    let mended = INPUT.mended(data).expect("what passed the check is a message");
    let Ok(Message::Request(again)) = message::read(&mended, INPUT) else {
        panic!("a mended request stays one");
    };
    assert_eq!(again.id.get(), request.id.get());
    assert_eq!((&again.method, &again.params.name), (&request.method, &request.params.name));
    assert_eq!((&again.params.uri, &again.params.cursor), (&request.params.uri, &request.params.cursor));
    assert_eq!(INPUT.check(again.raw_params).ok(), Some(Verdict::Fit));
    fit(&again);
}

/// What the tools then meet.
fn fit(request: &Request<'_>) {
    let Some(arguments) = request.params.arguments else { return };
    let value = serde_json::from_str(arguments.get()).expect("what passed the check is JSON");
    all_texts(&value, &|text| {
        assert!(first_control(text).is_none(), "{text:?}");
        assert!(matches!(composed(text), Cow::Borrowed(_)), "{text:?}");
    });
    assert!(
        request.params.meta.as_ref().and_then(Meta::software).is_none_or(|software| software.len() < 500)
    );
}

fn all_texts(value: &Value, check: &dyn Fn(&str)) {
    match value {
        Value::String(text) => check(text),
        Value::Array(values) => values.iter().for_each(|value| all_texts(value, check)),
        Value::Object(members) => {
            for (name, value) in members {
                check(name);
                all_texts(value, check);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A refusal quotes what it was sent, and does not repeat it.
fn quoted(error: &PublicError) {
    assert!(error.message.len() <= PublicError::LONGEST_MESSAGE, "{}", error.message);
}

/// Headers, one to a line, then an empty line and a body. Nothing is shown that the header takes away; what agrees with
/// its body is named as the body names it; two keys are none.
///
/// # Panics
/// If that does not hold for `data`.
pub fn http_headers(data: &[u8]) {
    let (head, rest) = data
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .map_or((data, &data[..0]), |at| (&data[..at], &data[at + 2..]));
    let headers = headers_of(head);
    if TokenValidator.validate(&headers).is_ok() {
        assert_eq!(headers.get_all(AUTHORIZATION).iter().count(), 1);
    }
    narrowing(&headers);
    let client = client::of(&TrustedProxies::default(), &Extensions::new(), &headers);
    assert!(client.user_agent.is_none_or(|agent| agent.chars().count() <= 256));
    let doors = Doors::new(&["music.example".to_owned()], vec!["https://app.example".to_owned()]);
    if doors.check(None, &headers).is_ok()
        && let Some(origin) = headers.get("origin").and_then(|origin| origin.to_str().ok())
    {
        let own = Url::parse(origin).is_ok_and(|url| url.host_str() == Some("music.example"));
        assert!(own || origin.eq_ignore_ascii_case("https://app.example"), "{origin}");
    }
    if let Err(error) = body::check_media_types(&headers) {
        quoted(&error.public);
    }
    let Ok(Message::Request(request)) = message::read(rest, INPUT) else { return };
    agreeing(&headers, &request);
}

/// Whatever the headers say, no more is left than there was.
fn narrowing(headers: &HeaderMap) {
    let whole = Arc::new(Principal {
        kind: PrincipalKind::Job("fuzzing"),
        user: None,
        scopes: ScopeSet::all(),
        toolsets: ToolsetSet::empty().with(Toolset::Catalog).with(Toolset::Playlists),
        read_only: false,
        expires_at: None,
        allowed_networks: Vec::new(),
    });
    match Narrowing::default().and_headers(headers) {
        Ok(narrowing) => {
            let left = narrowing.of(Arc::clone(&whole));
            assert!(ToolName::ALL.iter().all(|tool| !left.sees(*tool) || whole.sees(*tool)));
        }
        Err(error) => quoted(&error),
    }
}

fn agreeing(headers: &HeaderMap, request: &Request<'_>) {
    let schema = json!({ "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } });
    if let Err(error) = negotiate::negotiate(headers, request) {
        quoted(&error.public);
    }
    match headers::agree(headers, request, schema.as_object()) {
        Ok(()) => {
            assert_eq!(headers.get("mcp-method").map(HeaderValue::as_bytes), Some(request.method.as_bytes()));
            let arguments = request.params.arguments.map_or("", RawValue::get);
            let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
            assert_eq!(headers.contains_key("mcp-param-region"), is_primitive(&arguments["region"]));
        }
        Err(error) => quoted(&error.public),
    }
}

fn is_primitive(value: &Value) -> bool {
    value.is_string() || value.is_boolean() || value.is_number()
}

fn headers_of(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            "[a-z:/ ]{0,10}",
            any::<char>().prop_map(String::from),
            prop::sample::select(vec!["e\u{301}", "\u{202e}", "\u{200b}", "\0", "\n", "\u{7f}", "\u{e0041}"])
                .prop_map(str::to_owned),
        ];
        prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((text(), inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn request() -> impl Strategy<Value = Value> {
        let method =
            prop::sample::select(vec!["tools/call", "resources/read", "completion/complete", "ping"]);
        (method, text(), any_value(), any_value(), any_value()).prop_map(|(method, name, arguments, meta, other)| {
            json!({
                "jsonrpc": "2.0", "id": 7, "method": method,
                "params": { "name": name, "arguments": arguments, "_meta": meta, "inputResponses": other },
            })
        })
    }

    /// What `fuzz/seeds` has for a target: made by hand, or once broke something.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "{target}");
        seeds.into_iter().map(|seed| std::fs::read(seed).unwrap()).collect()
    }

    #[test]
    fn every_seed_holds() {
        for seed in seeds("json_rpc") {
            json_rpc(&seed);
        }
        for seed in seeds("headers") {
            http_headers(&seed);
        }
    }

    proptest! {
        #[test]
        fn any_request_is_fit_mended_or_refused(request in request()) {
            json_rpc(request.to_string().as_bytes());
        }

        #[test]
        fn a_request_that_was_cut_or_changed_is_refused_or_read(
            request in request(), at in any::<prop::sample::Index>(), with in any::<u8>(),
        ) {
            let mut body = request.to_string().into_bytes();
            let at = at.index(body.len());
            json_rpc(&body[..at]);
            body[at] = with;
            json_rpc(&body);
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            json_rpc(&bytes);
            http_headers(&bytes);
        }

        #[test]
        fn headers_are_read_or_refused(
            lines in prop::collection::vec((
                prop::sample::select(vec![
                    "authorization", "x-mcp-toolsets", "x-mcp-readonly", "mcp-method", "mcp-name", "accept",
                    "mcp-param-region", "mcp-protocol-version", "content-type", "host", "origin", "user-agent",
                    "x-forwarded-for",
                ]),
                prop_oneof![
                    "(Bearer|bearer|Basic) [A-Za-z0-9_]{0,80}", "[a-z,/ ]{0,30}", "=\\?base64\\?[A-Za-z0-9+/=]{0,20}\\?=",
                    "tools/call|search|eu|true|catalog|music.example|https://app.example|application/json",
                    "[ -~]{0,40}",
                ],
            ), 0..8),
            region in prop_oneof![Just(json!("eu")), Just(Value::Null), Just(json!(7)), Just(json!([]))],
        ) {
            let body = json!({
                "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": { "name": "search", "arguments": { "region": region } },
            });
            let head: Vec<String> = lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let head = head.concat();
            http_headers(format!("mcp-method: tools/call\nmcp-name: search\n{head}\n{body}").as_bytes());
            http_headers(format!("{head}\n{body}").as_bytes());
        }
    }
}
