//! Tidal's answer to adding something to a list: what is in now, and what it left out and why.

use serde::Deserialize;

use super::document::Identifier;
use crate::text;

#[derive(Deserialize)]
pub(super) struct AddAnswer {
    data: Vec<Identifier>,
    meta: Option<AddMeta>,
}

#[derive(Deserialize)]
struct AddMeta {
    skipped: Option<Vec<SkippedItem>>,
}

#[derive(Deserialize)]
struct SkippedItem {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    reason: Option<String>,
}

impl AddAnswer {
    /// The entry that the answer lists for an item, each once.
    pub(super) fn take(&mut self, kind: &str, id: &str) -> Option<Identifier> {
        let at = self.data.iter().position(|added| added.kind == kind && added.id == id)?;
        Some(self.data.remove(at))
    }

    /// Why the item is not listed, in Tidal's word, lower case; `unknown` if it does not tell.
    pub(super) fn reason(&self, kind: &str, id: &str) -> String {
        let skipped = self.meta.as_ref().and_then(|meta| meta.skipped.as_deref()).unwrap_or_default();
        let told = skipped.iter().find(|skipped| skipped.kind == kind && skipped.id == id);
        let reason = told.and_then(|skipped| text::word(skipped.reason.as_deref()?));
        reason.map_or_else(|| "unknown".to_owned(), |reason| reason.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_in_only_if_the_answer_lists_it_and_as_often_as_it_does() {
        let mut answer: AddAnswer = serde_json::from_str(
            r#"{"data":[{"id":"1","type":"tracks"}],"meta":{"skipped":[{"id":"2","type":"tracks","reason":"NEW"},
                {"id":"3","type":"tracks"}]}}"#,
        )
        .unwrap();
        assert!(answer.take("videos", "1").is_none());
        assert!(answer.take("tracks", "1").is_some());
        assert!(answer.take("tracks", "1").is_none());
        assert_eq!(answer.reason("tracks", "2"), "new");
        assert_eq!(answer.reason("videos", "2"), "unknown");
        assert_eq!(answer.reason("tracks", "3"), "unknown");
        let bare: AddAnswer = serde_json::from_str(r#"{"data":[]}"#).unwrap();
        assert_eq!(bare.reason("tracks", "1"), "unknown");
    }
}
