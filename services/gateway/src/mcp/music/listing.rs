//! The list of tools: rmcp's `Tool` around each descriptor, written once, and the lists that keys are shown.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Value, json};
use stagedoor_domain::{Principal, ToolName, Toolset, ToolsetSet};
use stagedoor_tools::descriptors::{self, Descriptor};

/// A tool as lists show it.
#[derive(Debug)]
struct Listed {
    name: ToolName,
    title: &'static str,
    description: &'static str,
    json: String,
}

/// Every tool, and the lists made of them.
#[derive(Debug)]
pub(super) struct Listing {
    tools: Vec<Listed>,
    /// Rendered lists by what is shown; there are no more than there are kinds of toolsets, and few are asked for.
    lists: RwLock<HashMap<(ToolsetSet, bool), Bytes>>,
}

impl Listing {
    pub(super) fn new() -> Self {
        Self { tools: descriptors::all().into_iter().map(listed).collect(), lists: RwLock::default() }
    }

    /// The JSON array of the tools that a principal is shown.
    pub(super) fn of(&self, principal: &Principal) -> Bytes {
        let kind = (principal.toolsets, principal.read_only);
        let known = self.lists.read().ok().and_then(|lists| lists.get(&kind).cloned());
        known.unwrap_or_else(|| {
            let list = self.render(principal);
            if let Ok(mut lists) = self.lists.write() {
                lists.insert(kind, list.clone());
            }
            list
        })
    }

    /// The tools of one toolset that a principal is shown, in few words.
    pub(super) fn of_toolset(&self, principal: &Principal, toolset: Toolset) -> Vec<Value> {
        let shown =
            self.tools.iter().filter(|tool| tool.name.toolset() == toolset && principal.sees(tool.name));
        shown
            .map(|tool| {
                json!({ "name": tool.name, "title": tool.title, "description": tool.description,
                        "writes": tool.name.writes() })
            })
            .collect()
    }

    fn render(&self, principal: &Principal) -> Bytes {
        let visible = self.tools.iter().filter(|tool| principal.sees(tool.name));
        let texts: Vec<&str> = visible.map(|tool| tool.json.as_str()).collect();
        format!("[{}]", texts.join(",")).into()
    }
}

fn listed(tool: Descriptor) -> Listed {
    let Descriptor { name, title, description, .. } = tool;
    Listed { name, title, description, json: json!(shown(tool)).to_string() }
}

fn shown(tool: Descriptor) -> Tool {
    let annotations = annotations(&tool);
    Tool::new(tool.name.as_str(), tool.description, tool.input_schema)
        .with_title(tool.title)
        .with_raw_output_schema(Arc::new(tool.output_schema))
        .with_annotations(annotations)
}

/// What differs from what is assumed of a tool that says nothing (MCP 2025-06-18, `ToolAnnotations`); of a tool that
/// only reads, nothing else means anything.
fn annotations(tool: &Descriptor) -> ToolAnnotations {
    let mut annotations = ToolAnnotations::new().read_only(!tool.name.writes());
    if tool.name.writes() {
        annotations = annotations.destructive(tool.name.destroys());
        if tool.idempotent {
            annotations = annotations.idempotent(true);
        }
    }
    if tool.open_world { annotations } else { annotations.open_world(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_list_costs_an_agent_little() {
        let list: Value = descriptors::all().into_iter().map(|tool| json!(shown(tool))).collect();
        let list = list.to_string();
        assert!(list.len() < 38_400, "the tool list costs about {} tokens", list.len() / 4);
    }
}
