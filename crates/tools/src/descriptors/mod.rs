//! What agents are told about each tool: title, description, schemas, hints. The texts are for a model that
//! has to choose and to act; each token of them is paid by every agent.

mod schemas;
mod texts;

use serde_json::{Map, Value};
use stagedoor_domain::ToolName;

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
    /// JSON Schema (2020-12) of the structured answer.
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

fn descriptor(name: ToolName) -> Descriptor {
    let (title, description) = texts::of(name);
    let (input_schema, output_schema) = schemas::of(name);
    Descriptor {
        name,
        title,
        description,
        input_schema,
        output_schema,
        idempotent: !name.writes() || name == ToolName::PreferencesSet,
        open_world: !matches!(
            name,
            ToolName::AccountsList
                | ToolName::PreferencesGet
                | ToolName::PreferencesSet
                | ToolName::UsageStatus
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
