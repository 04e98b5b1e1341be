//! Tables without lines, as wide as the terminal: a row for each thing that is listed, or a line for each field of one.

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table};
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};
use stagedoor_proto::dynamic;

use super::cells;
use crate::values;

/// What is listed, by the columns that the contract names for it.
pub(crate) fn rows(rows: &[&DynamicMessage], now: DateTime<Utc>, width: Option<u16>) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let columns: Vec<Column> = columns(first);
    let header = columns.iter().map(Column::title).collect();
    let rows = rows.iter().map(|row| columns.iter().map(|column| column.cell(row, now)).collect()).collect();
    plain_table(header, rows, width)
}

/// A table of texts. Without a terminal nothing is shortened or broken.
pub(crate) fn plain_table(header: Vec<String>, rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// One thing: its fields that are set, one a line, members of members with dots.
pub(crate) fn details(message: &DynamicMessage, now: DateTime<Utc>) -> String {
    let mut lines = Vec::new();
    collect(message, "", now, &mut lines);
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let lines: Vec<String> =
        lines.iter().map(|(name, value)| format!("{name:<width$}  {value}").trim_end().to_owned()).collect();
    lines.join("\n")
}

fn collect(message: &DynamicMessage, prefix: &str, now: DateTime<Utc>, lines: &mut Vec<(String, String)>) {
    for (field, value) in message.fields() {
        let name = format!("{prefix}{}", field.name());
        match value {
            Value::Message(inner) if !values::is_plain(&inner.descriptor()) => {
                collect(inner, &format!("{name}."), now, lines);
            }
            Value::List(list) if list.iter().all(|item| item.as_message().is_some()) => {
                for (index, item) in list.iter().filter_map(Value::as_message).enumerate() {
                    collect(item, &format!("{name}[{index}]."), now, lines);
                }
            }
            Value::Map(map) => {
                let mut pairs: Vec<_> = map.iter().collect();
                pairs.sort_by_key(|(key, _)| format!("{key:?}"));
                let kind = field.kind();
                let value_field =
                    kind.as_message().map(prost_reflect::MessageDescriptor::map_entry_value_field);
                for (key, value) in pairs {
                    let name = format!("{name}.{}", key.as_str().unwrap_or_default());
                    match (value, &value_field) {
                        (Value::Message(inner), _) => collect(inner, &format!("{name}."), now, lines),
                        (value, Some(field)) => lines.push((name, cells::long_text(field, value, now))),
                        (_, None) => {}
                    }
                }
            }
            value => lines.push((name, cells::long_text(&field, value, now))),
        }
    }
}

/// A column: a field, or a field of a member that has columns itself.
struct Column {
    path: Vec<FieldDescriptor>,
}

fn columns(row: &DynamicMessage) -> Vec<Column> {
    let mut columns = Vec::new();
    for field in dynamic::columns(&row.descriptor()) {
        let kind = field.kind();
        let inner = kind.as_message().filter(|inner| !values::is_plain(inner)).map(dynamic::columns);
        match inner {
            Some(inner) if !inner.is_empty() => {
                columns.extend(inner.into_iter().map(|member| Column { path: vec![field.clone(), member] }));
            }
            _ => columns.push(Column { path: vec![field] }),
        }
    }
    columns
}

impl Column {
    fn title(&self) -> String {
        let name = self.path.last().map(FieldDescriptor::name).unwrap_or_default();
        name.replace('_', " ").to_uppercase()
    }

    fn cell(&self, row: &DynamicMessage, now: DateTime<Utc>) -> String {
        match self.path.as_slice() {
            [field] => cell(row, field, now),
            [outer, inner] => {
                let member = row.get_field(outer);
                member.as_message().map(|member| cell(member, inner, now)).unwrap_or_default()
            }
            _ => String::new(),
        }
    }
}

/// A number that is 0 is shown; a time, a text or a list that is not there is not.
fn cell(message: &DynamicMessage, field: &FieldDescriptor, now: DateTime<Utc>) -> String {
    if field.supports_presence() && !message.has_field(field) {
        return "-".to_owned();
    }
    let text = cells::text(field, &message.get_field(field), now);
    if text.is_empty() { "-".to_owned() } else { text }
}
