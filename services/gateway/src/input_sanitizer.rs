//! What an agent sends, checked once before anything reads it: bytes, nesting, number and length of values, characters.
//! What values mean is for those who read them into their types.

mod walk;

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use stagedoor_domain::text::composed;
use stagedoor_domain::{ErrorCode, PublicError};

/// Checks and mends what agents send.
#[derive(Debug, Clone, Copy)]
pub struct InputSanitizer {
    max_depth: usize,
}

impl InputSanitizer {
    /// The most values in the parameters of a request.
    pub const MOST_VALUES: usize = 10_000;
    /// The longest string, in bytes.
    pub const LONGEST_STRING: usize = 64 * 1024;
    /// The longest name of a member, in bytes.
    pub const LONGEST_NAME: usize = 256;

    /// Arrays and objects may be nested `max_depth` deep.
    pub const fn new(max_depth: usize) -> Self {
        Self { max_depth }
    }

    /// The body as text, before it is parsed.
    ///
    /// # Errors
    /// `malformed_json` if it is not UTF-8 (RFC 8259 §8.1); `body_too_deep`, so that nothing behind can be made to
    /// recurse further.
    pub fn text(self, body: &[u8]) -> Result<&str, PublicError> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let message = format!("The body is not UTF-8: byte {} is wrong.", error.valid_up_to());
            PublicError::new(ErrorCode::MalformedJson, message)
        })?;
        // Counting the brackets is cheap, and nesting cannot be deeper than that.
        if openings(body) > self.max_depth && depth(body) > self.max_depth {
            let message = format!("The body is nested deeper than {} levels.", self.max_depth);
            return Err(PublicError::new(ErrorCode::BodyTooDeep, message));
        }
        Ok(text)
    }

    /// Whether the parameters of a request can be read as they are, or are to be [mended](Self::mended) first.
    ///
    /// # Errors
    /// `invalid_arguments` naming the field: a control character that nobody types, a member that stands twice or whose
    /// name shows something else than it is, more or longer values than any tool takes.
    pub fn check(self, params: Option<&RawValue>) -> Result<Verdict, PublicError> {
        params.map_or(Ok(Verdict::Fit), |params| walk::read(params.get()))
    }

    /// The same message with its texts [`composed`].
    ///
    /// # Errors
    /// `internal_error` if it is not a message whose parameters passed the check.
    pub fn mended(self, body: &[u8]) -> Result<Bytes, PublicError> {
        mended(body).map(Bytes::from).map_err(|error| {
            tracing::error!(error = %error, "a message could not be mended");
            PublicError::internal()
        })
    }
}

/// What the parameters of a request are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They can be read.
    Fit,
    /// Some text has characters that show nothing or reorder others, or is not composed.
    ToMend,
}

fn mended(body: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut message: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body)?;
    if let Some(raw) = message.get_mut("params") {
        let mut params: BTreeMap<String, Box<RawValue>> = serde_json::from_str(raw.get())?;
        for (_, text) in params.iter_mut().filter(|(name, _)| holds_texts(name)) {
            let mut value: Value = serde_json::from_str(text.get())?;
            compose(&mut value);
            *text = to_raw_value(&value)?;
        }
        *raw = to_raw_value(&params)?;
    }
    serde_json::to_vec(&message)
}

/// Whether a member of `params` has texts that are meant to be read, so that how they are written may be mended. All
/// others are names, which are what they are or nothing.
fn holds_texts(member: &str) -> bool {
    matches!(member, "argument" | "arguments" | "inputResponses")
}

fn compose(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(mended) = composed(text) {
                *text = mended;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(compose),
        Value::Object(members) => members.values_mut().for_each(compose),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// How many arrays and objects might begin.
fn openings(body: &[u8]) -> usize {
    body.iter().filter(|byte| matches!(byte, b'{' | b'[')).count()
}

/// How deep arrays and objects are nested, strings left out.
fn depth(body: &[u8]) -> usize {
    let (mut deepest, mut depth, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in body {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: InputSanitizer = InputSanitizer { max_depth: 64 };

    fn verdict(params: &str) -> Result<Verdict, String> {
        let raw = RawValue::from_string(params.to_owned()).unwrap();
        INPUT.check(Some(&raw)).map_err(|error| {
            assert_eq!(error.code, ErrorCode::InvalidArguments);
            error.message
        })
    }

    fn fault(params: &str) -> String {
        verdict(params).unwrap_err()
    }

    #[test]
    fn brackets_inside_strings_are_not_nesting() {
        assert_eq!(depth(br#"{"a":"[[[[\"[[[["}"#), 1);
        assert_eq!(depth(b"[[{}]]"), 3);
        assert_eq!(InputSanitizer::new(2).text(b"[[{}]]").unwrap_err().code, ErrorCode::BodyTooDeep);
        assert_eq!(INPUT.text(b"\xff").unwrap_err().code, ErrorCode::MalformedJson);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field() {
        let at = |field: &str, params: &str| {
            let message = fault(params);
            assert!(message.starts_with(&format!("`{field}` ")), "{field}: {message}");
            message
        };
        assert!(at("name", r#"{"name":"a","arguments":{"name":"a\u0000"}}"#).contains("U+0000"));
        assert!(at("tracks[1]", r#"{"arguments":{"tracks":["a","\u001b[0m"]}}"#).contains("U+001B"));
        assert!(
            at("patch.privacy", "{\"arguments\":{\"patch\":{\"privacy\":\"\u{7f}\"}}}").contains("U+007F")
        );
        at("params.uri", r#"{"uri":"stagedoor://\u0085"}"#);
        at("params._meta.x", r#"{"_meta":{"x":"\u0001"}}"#);
        assert!(at("limit", r#"{"arguments":{"limit":1,"limit":2}}"#).ends_with("stands twice."));
        at("arguments", r#"{"arguments":{"na\u202eme":1}}"#);
        at("arguments", r#"{"arguments":{"e\u0301":1}}"#);
        at("arguments", r#"{"arguments":{"$serde_json::private::RawValue":"[\"\\u0000\"]"}}"#);
        at("query", &format!(r#"{{"arguments":{{"query":"{}"}}}}"#, "x".repeat(65_537)));
        at("arguments", &format!(r#"{{"arguments":{{"{}":1}}}}"#, "x".repeat(257)));
        assert!(at("query", r#"{"arguments":{"query":"\ud800"}}"#).contains("hex escape"));
        assert!(
            fault(&format!(r#"{{"arguments":[{}]}}"#, "0,".repeat(10_000) + "0")).contains("10000 values")
        );
    }

    #[test]
    fn texts_are_mended_and_names_are_not() {
        for fit in [
            "{}",
            "[]",
            "7",
            r#"{"arguments":{"query":"Caf\u00e9 del Mar","note":"two\nlines\t"}}"#,
            r#"{"name":"search\u202e","_meta":{"x":"e\u0301"}}"#,
        ] {
            assert_eq!(verdict(fit), Ok(Verdict::Fit), "{fit}");
        }
        for to_mend in [
            r#"{"arguments":{"query":"Cafe\u0301"}}"#,
            "{\"arguments\":{\"tracks\":[\"spotify:track:1\u{200b}\"]}}",
            "{\"argument\":{\"value\":\"\u{feff}a\"}}",
        ] {
            assert_eq!(verdict(to_mend), Ok(Verdict::ToMend), "{to_mend}");
        }
        let body = r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"tools/call","params":{"name":"a\u202e",
            "_meta":{"progressToken":1e400},"arguments":{"query":"Cafe\u0301 \u202edel\u200b\nMar","limit":7}}}"#;
        let mended = INPUT.mended(body.as_bytes()).unwrap();
        let text = std::str::from_utf8(&mended).unwrap();
        assert!(text.contains(r#""id":12345678901234567890123,"#), "{text}");
        assert!(text.contains(r#""progressToken":1e400"#) && text.contains(r#""name":"a\u202e""#), "{text}");
        assert!(text.contains(r#""arguments":{"limit":7,"query":"Café del\nMar"}"#), "{text}");
        assert!(INPUT.mended(b"[]").is_err());
    }
}
