//! Answers and failures of tools as MCP writes them, and read back where another form of them is wanted.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stagedoor_bootstrap::metrics::CallOutcome;
use stagedoor_domain::{CallId, ErrorCode, PublicError};

/// The key in a failure's `_meta` under which its stable code stands.
const ERROR_META: &str = "dev.stagedoor/error";

/// What comes before the text of an answer, and between it and the structured content.
const BEFORE_TEXT: &[u8] = b"\"content\":[{\"type\":\"text\",\"text\":";
const BEFORE_STRUCTURE: &[u8] = b"}],\"structuredContent\":";
const AFTER_STRUCTURE: &[u8] = b",\"isError\":false";

/// An answer's JSON as the members of a `CallToolResult`: structured, and the same as text for older clients.
/// This is what the cache keeps, so that a cached call writes it out as it is.
pub fn render(structured: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(structured);
    let quoted = Value::from(text.as_ref()).to_string();
    let mut members = Vec::with_capacity(structured.len() + quoted.len() + 80);
    for part in [BEFORE_TEXT, quoted.as_bytes(), BEFORE_STRUCTURE, structured, AFTER_STRUCTURE] {
        members.extend_from_slice(part);
    }
    members.into()
}

/// An answer that was rendered, with a picture behind its text.
pub fn illustrate(members: &[u8], png: &[u8]) -> Bytes {
    let Some(text) = rendered_text(members) else { return Bytes::copy_from_slice(members) };
    let (before, after) = members.split_at(BEFORE_TEXT.len() + text.get().len());
    let picture = BASE64_STANDARD.encode(png);
    let image = format!("}},{{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"{picture}\"");
    [before, image.as_bytes(), after].concat().into()
}

/// The text of an answer that was rendered, still quoted.
pub(super) fn rendered_text(members: &[u8]) -> Option<&RawValue> {
    let from_text = members.strip_prefix(BEFORE_TEXT)?;
    serde_json::Deserializer::from_slice(from_text).into_iter().next()?.ok()
}

/// The structured content of an answer that was rendered.
pub(super) fn rendered_structure<T: DeserializeOwned>(members: &[u8]) -> Option<T> {
    let text = rendered_text(members)?;
    let structure = members.get(BEFORE_TEXT.len() + text.get().len() + BEFORE_STRUCTURE.len()..)?;
    serde_json::from_slice(structure.strip_suffix(AFTER_STRUCTURE)?).ok()
}

/// An answer that was rendered as a `CallToolResult` of its own.
pub(super) fn rendered_result(members: &[u8]) -> Option<JsonObject> {
    serde_json::from_slice(&[b"{", members, b"}"].concat()).ok()
}

/// A failure that the agent reads: one text that says what was wrong and what to do, and the code for programs.
pub fn failure(error: &PublicError, call: CallId) -> JsonObject {
    let mut text = format!("{}: {}", error.code, error.message);
    if let Some(hint) = &error.hint {
        text.push(' ');
        text.push_str(hint);
    }
    let mut meta = json!(error);
    meta["call"] = json!(call);
    let result = json!({
        "content": [{ "type": "text", "text": text }],
        "isError": true,
        "_meta": { ERROR_META: meta },
    });
    match result {
        Value::Object(result) => result,
        _ => JsonObject::new(),
    }
}

/// The stable code of a result that is a failure.
pub(in crate::mcp) fn failed_with(result: &JsonObject) -> Option<String> {
    result.get("isError").filter(|is| **is == Value::Bool(true))?;
    let code = result.get("_meta").and_then(|meta| meta.get(ERROR_META)?.get("code")?.as_str());
    Some(code.unwrap_or("internal").to_owned())
}

/// The class of an outcome for metrics.
pub(in crate::mcp) fn outcome_class(error: Option<ErrorCode>) -> CallOutcome {
    match error {
        None => CallOutcome::Success,
        Some(ErrorCode::RateLimited | ErrorCode::ProviderRateLimited | ErrorCode::Overloaded) => {
            CallOutcome::Limited
        }
        Some(ErrorCode::DeadlineExceeded) => CallOutcome::DeadlineExceeded,
        Some(
            ErrorCode::ProviderUnavailable
            | ErrorCode::ProviderInvalidAnswer
            | ErrorCode::ProviderRejected
            | ErrorCode::LinkFailed
            | ErrorCode::OutcomeUnknown
            | ErrorCode::PartlyDone,
        ) => CallOutcome::ProviderError,
        Some(
            ErrorCode::Internal
            | ErrorCode::StoreUnavailable
            | ErrorCode::KeyUnavailable
            | ErrorCode::AuditUnavailable
            | ErrorCode::SessionUnreadable,
        ) => CallOutcome::InternalError,
        Some(_) => CallOutcome::CallerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_both_structured_and_text() {
        let members = render(br#"{"title":"So \"What\""}"#);
        let result: Value =
            serde_json::from_str(&format!("{{{}}}", String::from_utf8_lossy(&members))).unwrap();
        assert_eq!(result["structuredContent"]["title"], "So \"What\"");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), result["structuredContent"]);
    }

    #[test]
    fn pictures_stand_behind_the_text_and_before_the_structure() {
        let one = illustrate(&render(br#"{"figure":1}"#), b"\x89PNG");
        let both = rendered_result(&illustrate(&one, b"second")).unwrap();
        assert_eq!(both["structuredContent"], json!({ "figure": 1 }));
        let content = both["content"].as_array().unwrap();
        assert_eq!(content[0]["text"], r#"{"figure":1}"#);
        let images: Vec<&Value> = content[1..].iter().map(|image| &image["data"]).collect();
        assert_eq!(images, [&json!("c2Vjb25k"), &json!("iVBORw==")]);
        assert_eq!((&content[1]["type"], &content[1]["mimeType"]), (&json!("image"), &json!("image/png")));
    }

    #[test]
    fn a_failure_says_its_code_and_an_answer_none() {
        let entropy = stagedoor_crypto::SystemEntropy;
        let call = CallId::generate(&stagedoor_domain::SystemClock::new(), &entropy);
        let failed = failure(&PublicError::new(ErrorCode::RateLimited, "Too many."), call);
        assert_eq!(failed_with(&failed).as_deref(), Some("rate_limited"));
        let answered = rendered_result(&render(b"{}")).unwrap();
        assert_eq!(failed_with(&answered), None);
    }

    #[test]
    fn what_was_rendered_is_read_back_in_each_form() {
        let answer = json!({ "title": "So \"What\"}],\"structuredContent\":{}", "tracks": [1, 2] });
        let members = render(answer.to_string().as_bytes());
        let text: String = serde_json::from_str(rendered_text(&members).unwrap().get()).unwrap();
        assert_eq!(text, answer.to_string());
        assert_eq!(rendered_structure::<Value>(&members), Some(answer.clone()));
        let result = rendered_result(&members).unwrap();
        assert_eq!((&result["structuredContent"], &result["isError"]), (&answer, &json!(false)));
        assert!(rendered_text(b"\"isError\":true").is_none());
    }
}
