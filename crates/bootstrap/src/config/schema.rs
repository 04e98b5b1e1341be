//! The configuration's JSON schema, and questions about it: which keys there are, which are secret, which is nearest.

use schemars::schema_for;
use serde_json::Value;

use super::Config;

/// The nearest key is offered only within this many single-character edits.
const MAX_EDITS: usize = 3;

/// The schema (JSON Schema 2020-12).
pub(super) struct ConfigSchema(Value);

impl ConfigSchema {
    pub(super) fn new() -> Self {
        Self(schema_for!(Config).to_value())
    }

    pub(super) fn into_value(self) -> Value {
        self.0
    }

    pub(super) fn has_section(&self, section: &str) -> bool {
        self.section(section).is_some()
    }

    pub(super) fn has_key(&self, section: &str, key: &str) -> bool {
        self.key(section, key).is_some()
    }

    pub(super) fn is_secret(&self, section: &str, key: &str) -> bool {
        self.key(section, key).is_some_and(|schema| {
            let alternatives = schema["anyOf"].as_array().into_iter().flatten();
            std::iter::once(schema).chain(alternatives).any(|schema| schema["writeOnly"] == true)
        })
    }

    /// What the key is, from its doc comment.
    pub(super) fn description(&self, section: &str, key: &str) -> Option<String> {
        let text = self.key(section, key)?["description"].as_str()?;
        let range = self.range(section, key).map(|range| format!(" ({range})")).unwrap_or_default();
        Some(format!("wanted: {}{range}", text.replace('\n', " ").trim_end_matches('.')))
    }

    /// `from 1 to 200`, if both ends are set.
    pub(super) fn range(&self, section: &str, key: &str) -> Option<String> {
        let (minimum, maximum) = self.bounds(section, key);
        Some(format!("from {} to {}", minimum?, maximum?))
    }

    pub(super) fn bounds(
        &self,
        section: &str,
        key: &str,
    ) -> (Option<&serde_json::Number>, Option<&serde_json::Number>) {
        let number = |name| self.key(section, key).and_then(|schema| schema[name].as_number());
        (number("minimum"), number("maximum"))
    }

    /// The known section or `section.key` that is nearest to `path`; the same key in another section counts too.
    pub(super) fn nearest(&self, path: &str) -> Option<String> {
        let Some((section, key)) = path.split_once('.') else {
            return closest(path, self.sections());
        };
        let section = closest(section, self.sections());
        let here =
            section.and_then(|section| Some(format!("{section}.{}", closest(key, self.keys(&section))?)));
        let elsewhere = || self.sections().filter(|other| self.has_key(other, key)).min();
        here.or_else(|| elsewhere().map(|section| format!("{section}.{key}")))
    }

    fn sections(&self) -> impl Iterator<Item = &str> {
        names(&self.0["properties"])
    }

    fn keys(&self, section: &str) -> impl Iterator<Item = &str> {
        self.section(section).map(|schema| names(&schema["properties"])).into_iter().flatten()
    }

    fn section(&self, section: &str) -> Option<&Value> {
        let schema = self.0["properties"].get(section)?;
        match schema["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')),
            None => Some(schema),
        }
    }

    fn key(&self, section: &str, key: &str) -> Option<&Value> {
        self.section(section)?["properties"].get(key)
    }
}

fn names(properties: &Value) -> impl Iterator<Item = &str> {
    properties.as_object().into_iter().flatten().map(|(name, _)| name.as_str())
}

fn closest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let ranked = known.map(|name| (strsim::damerau_levenshtein(wanted, name), name));
    ranked
        .filter(|(edits, name)| *edits <= MAX_EDITS && *edits < name.len())
        .min()
        .map(|(_, name)| name.to_owned())
}
