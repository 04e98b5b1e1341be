//! Shows answers: tables for people; the API's own JSON, or that as YAML, for programs.

mod cells;
mod table;

use chrono::{DateTime, Utc};
use prost_reflect::DynamicMessage;

use crate::catalogue::RpcCommand;
use crate::client::next_page;
use crate::command_line::OutputFormat;
use crate::error::CtlError;
use crate::surroundings::Surroundings;
use crate::values;

pub(crate) use table::plain_table;

/// Prints an answer.
pub(crate) fn show(
    rpc: &RpcCommand,
    answer: &DynamicMessage,
    format: OutputFormat,
    surroundings: &mut Surroundings,
) -> Result<(), CtlError> {
    let text = match format {
        OutputFormat::Table => {
            let now = surroundings.clock.now();
            people_text(rpc, answer, now, surroundings.terminal.output_width)
        }
        format => {
            let json = values::to_json(answer).map_err(|error| CtlError::Answer(error.to_string()))?;
            structured(&json, format)?
        }
    };
    if !text.is_empty() {
        surroundings.print(&text).map_err(CtlError::Stream)?;
    }
    if format == OutputFormat::Table {
        for note in notes(rpc, answer, surroundings.clock.now()) {
            surroundings.say(&note);
        }
    }
    Ok(())
}

/// JSON or YAML of a value; not for tables.
pub(crate) fn structured(json: &serde_json::Value, format: OutputFormat) -> Result<String, CtlError> {
    match format {
        OutputFormat::Yaml => serde_saphyr::to_string(json)
            .map(|text| text.trim_end().to_owned())
            .map_err(|error| CtlError::Answer(error.to_string())),
        OutputFormat::Json | OutputFormat::Table => Ok(format!("{json:#}")),
    }
}

fn people_text(rpc: &RpcCommand, answer: &DynamicMessage, now: DateTime<Utc>, width: Option<u16>) -> String {
    let Some(listed) = rpc.listed() else { return table::details(answer, now) };
    let rows = answer.get_field(&listed);
    let rows: Vec<&DynamicMessage> =
        rows.as_list().unwrap_or_default().iter().filter_map(|row| row.as_message()).collect();
    match rows.as_slice() {
        [] => String::new(),
        rows => table::rows(rows, now, width),
    }
}

/// What is said beside an answer: how to go on, what is told once.
fn notes(rpc: &RpcCommand, answer: &DynamicMessage, now: DateTime<Utc>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(listed) = rpc.listed() {
        if answer.get_field(&listed).as_list().is_none_or(<[_]>::is_empty) {
            notes.push("Nothing.".to_owned());
        }
        for (field, value) in
            answer.fields().filter(|(field, _)| *field != listed && field.name() != "next_page_token")
        {
            notes.push(format!("{}: {}", field.name(), cells::text(&field, value, now)));
        }
    }
    if let Some(token) = next_page(answer) {
        notes.push(format!("There is more: --all shows everything, --page-token {token} the next page."));
    }
    let told_once =
        answer.fields().filter(|(field, _)| rpc.writes() && ["secret", "url"].contains(&field.name()));
    for (field, _) in told_once {
        notes.push(format!("{}: {}", field.name(), stagedoor_proto::dynamic::comments(&field)));
    }
    notes
}
