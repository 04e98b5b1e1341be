//! What the sealed columns hold once they are opened, as JSON.

use serde_json::Value;

use crate::error::StoreError;
use crate::packed;
use crate::playlist_versions;

/// How opened bytes are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Contents {
    /// JSON, or text.
    Document,
    /// The same, packed.
    Packed,
    /// The same after the part's number, 4 bytes.
    JobPart,
    /// Names of entries.
    Entries,
    /// `length 4 | salt 32 | payload`, repeated: a list of payloads.
    AuditBundle,
}

/// The sealed columns of a table, in the order in which its query brings them.
pub(super) fn of(table: &str) -> &'static [(&'static str, Contents)] {
    match table {
        "listening_history" => &[("play", Contents::Document)],
        "preferences" => &[("document", Contents::Document)],
        "consents" => &[("proof", Contents::Document)],
        "playlist_versions" => &[("head", Contents::Document)],
        "playlist_chunks" => &[("entries", Contents::Entries)],
        "idempotency_keys" => &[("note", Contents::Packed), ("answer", Contents::Packed)],
        "jobs" => &[("message", Contents::Document), ("document", Contents::Packed)],
        "job_parts" => &[("content", Contents::JobPart)],
        "audit_payloads" => &[("sealed", Contents::AuditBundle)],
        _ => &[],
    }
}

impl Contents {
    /// [`StoreError::NotUnderstood`], which repeats nothing of it, for what is something else.
    pub(super) fn read(self, opened: &[u8]) -> Result<Value, StoreError> {
        match self {
            Self::Document => document(opened),
            Self::Packed => document(&packed::unpack(opened, "a packed value")?),
            Self::JobPart => {
                let packed = opened.get(4..).ok_or_else(|| another("a job's part"))?;
                document(&packed::unpack(packed, "job_parts.content")?)
            }
            Self::Entries => {
                Ok(playlist_versions::entry_names(opened)?.into_iter().map(String::from).collect())
            }
            Self::AuditBundle => bundle(opened),
        }
    }
}

fn document(bytes: &[u8]) -> Result<Value, StoreError> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    std::str::from_utf8(bytes).map(Value::from).map_err(|_| another("a document"))
}

fn bundle(mut rest: &[u8]) -> Result<Value, StoreError> {
    let cut = || another("audit_payloads.sealed");
    let mut payloads = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let (_salt, after) = after.split_first_chunk::<32>().ok_or_else(cut)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut())?;
        let (payload, after) = after.split_at_checked(length).ok_or_else(cut)?;
        payloads.push(document(payload)?);
        rest = after;
    }
    Ok(Value::Array(payloads))
}

fn another(what: &'static str) -> StoreError {
    StoreError::not_understood(what, "something else")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn opened_bytes_are_read_as_what_they_are() {
        let read = |contents: Contents, bytes: &[u8]| contents.read(bytes).ok();
        assert_eq!(read(Contents::Document, br#"{"a":1}"#), Some(json!({"a": 1})));
        assert_eq!(read(Contents::Document, "größer".as_bytes()), Some(json!("größer")));
        assert_eq!(read(Contents::Document, &[0xff]), None);
        let packed = packed::pack(b"[1,2]", "test").unwrap();
        assert_eq!(read(Contents::Packed, &packed), Some(json!([1, 2])));
        assert_eq!(read(Contents::Packed, b"[1,2]"), None);
        assert_eq!(read(Contents::JobPart, &[&[0, 0, 0, 7], &packed[..]].concat()), Some(json!([1, 2])));
        assert_eq!(read(Contents::JobPart, &[0, 0]), None);
        let entry = |payload: &[u8]| [&[0, 0, 0, 2][..], &[9; 32], payload].concat();
        let bundle = [entry(b"{}"), entry(b"[]")].concat();
        assert_eq!(read(Contents::AuditBundle, &bundle), Some(json!([{}, []])));
        assert_eq!(read(Contents::AuditBundle, &bundle[..bundle.len() - 1]), None);
        assert_eq!(read(Contents::AuditBundle, b""), Some(json!([])));
    }
}
