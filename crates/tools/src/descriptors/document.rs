//! `docs/tools.md` is made of the descriptors: this says how, and that the page in the repository is the one.

use std::fmt::Write as _;

use serde_json::Value;
use stagedoor_domain::{Provider, ToolName, Toolset};

use super::Descriptor;

/// What stands before this is written by hand.
const GENERATED: &str = "<!-- From here on made of the descriptors. -->\n";
const DOCUMENT: &str = include_str!("../../../../docs/tools.md");

fn page() -> String {
    let tools = super::all();
    let mut page = String::from(GENERATED);
    page.push_str("\n## All at a glance\n\n");
    page.push_str("| tool | toolset | scope of the key | effect | answers kept | counts on | scopes at Spotify | scopes at Tidal |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for tool in &tools {
        line(&mut page, tool);
    }
    for toolset in Toolset::ALL {
        let _ = write!(page, "\n## {toolset}\n");
        for tool in tools.iter().filter(|tool| tool.name.toolset() == *toolset) {
            section(&mut page, tool);
        }
    }
    page
}

fn line(page: &mut String, tool: &Descriptor) {
    let name = tool.name;
    let scope = name.scope().map_or_else(|| "any".to_owned(), |scope| format!("`{scope}`"));
    let kept = match name.cache_class().default_ttl().map(|life| life.as_secs() / 60) {
        None => "no".to_owned(),
        Some(minutes) if minutes < 60 => format!("{minutes} min"),
        Some(minutes) => format!("{} h", minutes / 60),
    };
    let scopes = |provider| {
        let scopes: &[&str] = name.provider_scopes(provider);
        scopes.iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>().join(" ")
    };
    let _ = writeln!(
        page,
        "| `{name}` | {} | {scope} | {} | {kept} | {} | {} | {} |",
        name.toolset(),
        effect(tool),
        name.limit_class(),
        scopes(Provider::Spotify),
        scopes(Provider::Tidal),
    );
}

fn effect(tool: &Descriptor) -> &'static str {
    match (tool.name.writes(), tool.name.destroys(), tool.idempotent) {
        (false, ..) => "reads",
        (true, true, _) => "writes, can remove",
        (true, false, true) => "writes, twice is once",
        (true, false, false) => "writes",
    }
}

fn section(page: &mut String, tool: &Descriptor) {
    let _ = write!(page, "\n### `{}`\n\n{}: {}\n\n", tool.name, tool.title, tool.description);
    let required: Vec<&str> = tool.input_schema.get("required").map(words).unwrap_or_default();
    let arguments = tool.input_schema.get("properties").and_then(Value::as_object);
    for (name, schema) in arguments.into_iter().flatten() {
        let needed = if required.contains(&name.as_str()) { ", required" } else { "" };
        let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        let _ = write!(page, "- `{name}` ({}{needed})", kind(schema));
        page.push_str(if text.is_empty() { "\n" } else { ": " });
        if !text.is_empty() {
            let _ = writeln!(page, "{text}");
        }
    }
    let answer = super::answer_schema(tool.name);
    let members = answer.get("properties").and_then(Value::as_object);
    let members: Vec<String> = members.into_iter().flatten().map(|(name, _)| format!("`{name}`")).collect();
    let _ = writeln!(page, "- answers {}", members.join(", "));
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn kind(schema: &Value) -> String {
    if let Some(values) = schema.get("enum") {
        return words(values).join(" \\| ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some(word) => word.to_owned(),
        None => "any of several".to_owned(),
    }
}

#[test]
fn the_page_about_the_tools_is_made_of_them() {
    assert_eq!(super::all().len(), ToolName::ALL.len());
    let (by_hand, generated) = DOCUMENT.split_at(DOCUMENT.find(GENERATED).expect("the mark is there"));
    let page = page();
    if generated != page {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools.md");
        std::fs::write(path, format!("{by_hand}{page}")).expect("the folder of what is built is there");
        panic!("docs/tools.md is not what the descriptors say; the right page is in target/tools.md");
    }
}
