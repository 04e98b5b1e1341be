//! What agents are told about each tool: title, description, schemas, hints. The texts are for a model that
//! has to choose and to act; each token of them is paid by every agent.

#[cfg(test)]
mod document;
mod schemas;
mod texts;

use serde_json::{Map, Value};
use stagedoor_domain::ToolName;

use crate::schema;

/// One tool as agents see it.
#[derive(Debug, Clone)]
pub struct Descriptor {
    /// Its name.
    pub name: ToolName,
    /// A few words for people.
    pub title: &'static str,
    /// What it does and when to use it, for a model.
    pub description: &'static str,
    /// JSON Schema (2020-12) of the arguments.
    pub input_schema: Map<String, Value>,
    /// JSON Schema (2020-12) of the structured answer, in short: its members and their types.
    pub output_schema: Map<String, Value>,
    /// Whether the same call twice does no more than once.
    pub idempotent: bool,
    /// Whether it reaches beyond Stagedoor.
    pub open_world: bool,
}

/// Every tool, in the order in which lists show them.
pub fn all() -> Vec<Descriptor> {
    ToolName::ALL.iter().copied().map(descriptor).collect()
}

/// The whole JSON Schema (2020-12) of a tool's structured answer, items included; too long for a list of tools.
pub fn answer_schema(name: ToolName) -> Map<String, Value> {
    schemas::of(name).1
}

fn descriptor(name: ToolName) -> Descriptor {
    let (title, description) = texts::of(name);
    let (input_schema, answer_schema) = schemas::of(name);
    let output_schema = schema::in_short(&answer_schema);
    Descriptor {
        name,
        title,
        description,
        input_schema,
        output_schema,
        idempotent: !name.writes()
            || matches!(name, ToolName::PreferencesSet | ToolName::ConsentSet | ToolName::SharedQueueCommit),
        open_world: !matches!(
            name,
            ToolName::AccountsList
                | ToolName::PreferencesGet
                | ToolName::PreferencesSet
                | ToolName::ConsentGet
                | ToolName::ConsentSet
                | ToolName::HistoryStatus
                | ToolName::HistoryQuery
                | ToolName::Insights
                | ToolName::AuditQuery
                | ToolName::UsageStatus
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lists of tools cost is the same for every agent and every conversation: about 4 bytes a token.
    #[test]
    fn all_of_them_cost_an_agent_less_than_ten_thousand_tokens() {
        let sizes: Vec<(ToolName, [usize; 4])> = all()
            .into_iter()
            .map(|tool| {
                let schemas =
                    [tool.input_schema, tool.output_schema].map(|schema| Value::Object(schema).to_string());
                let texts = tool.name.as_str().len() + tool.title.len() + tool.description.len();
                // Names of members, quotes and hints as they stand in a list.
                (tool.name, [texts, schemas[0].len(), schemas[1].len(), 120])
            })
            .collect();
        let all: usize = sizes.iter().flat_map(|(_, sizes)| sizes).sum();
        assert!(all < 38_400, "{all} bytes: {sizes:?}");
        for tool in self::all() {
            assert!(tool.title.len() <= 30 && !tool.title.is_empty(), "{}: {}", tool.name, tool.title);
            assert!((10..=300).contains(&tool.description.len()), "{}: {}", tool.name, tool.description);
        }
    }

    #[test]
    fn every_schema_is_an_object_without_noise() {
        for tool in all() {
            for schema in [&tool.input_schema, &tool.output_schema] {
                let text = Value::Object(schema.clone()).to_string();
                assert_eq!(schema["type"], "object", "{}", tool.name);
                assert!(!text.contains("\"format\""), "{}: {text}", tool.name);
            }
            let nulls =
                |schema: &Map<String, Value>| Value::Object(schema.clone()).to_string().contains("null");
            assert!(!nulls(&tool.output_schema), "{}", tool.name);
            // In a merge patch, null is a value of its own.
            assert_eq!(nulls(&tool.input_schema), tool.name == ToolName::PreferencesSet, "{}", tool.name);
        }
    }
}
