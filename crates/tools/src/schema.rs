//! JSON Schemas of inputs and outputs without the noise that Rust types bring along: agents pay for each
//! token, and validators warn about `format: uint32`.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of arguments as one object, subschemas inlined.
pub(crate) fn of_input<T: JsonSchema>() -> Map<String, Value> {
    of::<T>(
        SchemaSettings::draft2020_12().for_deserialize().with(|settings| settings.inline_subschemas = true),
        Shape { described: true, nulls: false },
    )
}

/// The same of arguments in which null is not the same as nothing (RFC 7396).
pub(crate) fn of_patch<T: JsonSchema>() -> Map<String, Value> {
    of::<T>(
        SchemaSettings::draft2020_12().for_deserialize().with(|settings| settings.inline_subschemas = true),
        Shape { described: true, nulls: true },
    )
}

/// The schema of an answer: what is left out when empty is not required. No descriptions, because answers
/// speak for themselves and every agent pays for the list; each type stands once.
pub(crate) fn of_output<T: JsonSchema>() -> Map<String, Value> {
    of::<T>(SchemaSettings::draft2020_12().for_serialize(), Shape { described: false, nulls: false })
}

/// A schema of answers for a list of tools, where every agent pays for it: what members there are, and of which type
/// those are that always are. It holds for whatever the whole schema holds for.
pub(crate) fn in_short(schema: &Map<String, Value>) -> Map<String, Value> {
    let definitions = schema.get("$defs").and_then(Value::as_object);
    let mut short = schema.clone();
    short.remove("$defs");
    let always = short.remove("required").unwrap_or_default();
    let always: Vec<&str> = always.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let members = short.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (member_name, member) in members {
        let name = member.get("$ref").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
        let definition = name.and_then(|name| definitions?.get(name)).unwrap_or(member);
        // One of several forms has no one type.
        let kind = definition.get("type").filter(|_| always.contains(&member_name.as_str()));
        let kind = kind.map(|kind| ("type".to_owned(), kind.clone()));
        *member = Value::Object(kind.into_iter().collect());
    }
    short
}

/// What is left in.
#[derive(Clone, Copy)]
struct Shape {
    described: bool,
    nulls: bool,
}

fn of<T: JsonSchema>(settings: SchemaSettings, shape: Shape) -> Map<String, Value> {
    let settings = settings.with(|settings| settings.meta_schema = None);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema, shape);
    match schema {
        Value::Object(mut object) => {
            // What it is of, the tool's own description says.
            object.remove("description");
            object
        }
        _ => Map::new(),
    }
}

fn tidy(schema: &mut Value, shape: Shape) {
    match schema {
        Value::Object(object) => {
            object.remove("title");
            object.remove("format");
            // That a count is not negative goes without saying; that nothing else is taken, the tools say themselves.
            if object.get("minimum") == Some(&Value::from(0)) {
                object.remove("minimum");
            }
            if object.get("additionalProperties") == Some(&Value::Bool(false)) {
                object.remove("additionalProperties");
            }
            if !shape.described {
                object.remove("description");
                object.remove("minimum");
            }
            if !shape.nulls {
                nullable_to_optional(object);
            }
            for (name, value) in object.iter_mut() {
                match name.as_str() {
                    "properties" | "$defs" => {
                        let members = value.as_object_mut().into_iter().flat_map(Map::values_mut);
                        members.for_each(|member| tidy(member, shape));
                    }
                    "description" | "enum" | "const" | "default" | "required" => {}
                    _ => tidy(value, shape),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| tidy(value, shape)),
        _ => {}
    }
}

/// `["string", "null"]` becomes `"string"`: what is optional is already not `required`.
fn nullable_to_optional(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get("type") {
        let rest: Vec<Value> = types.iter().filter(|name| *name != "null").cloned().collect();
        let kind = if let [only] = rest.as_slice() { only.clone() } else { rest.into() };
        object.insert("type".to_owned(), kind);
        if let Some(Value::Array(values)) = object.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
    }
    let branches = object.get("anyOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let rest: Vec<Value> = branches.iter().filter(|branch| branch["type"] != "null").cloned().collect();
    if branches.len() == 2
        && let [Value::Object(only)] = rest.as_slice()
    {
        object.remove("anyOf");
        for (name, value) in only {
            object.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(JsonSchema, serde::Serialize)]
    struct Answer {
        always: Vec<u8>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        sometimes: Vec<u8>,
    }

    #[test]
    fn what_an_answer_may_leave_out_is_not_required() {
        assert_eq!(of_output::<Answer>()["required"], serde_json::json!(["always"]));
    }

    #[test]
    fn in_short_an_answer_keeps_its_members_and_their_types() {
        #[derive(JsonSchema, serde::Serialize)]
        struct Answered {
            provider: stagedoor_domain::Provider,
            items: Vec<stagedoor_domain::music::SavedItem>,
            #[serde(skip_serializing_if = "Option::is_none")]
            first: Option<stagedoor_domain::music::Item>,
            #[serde(skip_serializing_if = "Option::is_none")]
            total: Option<u32>,
        }
        let whole = of_output::<Answered>();
        let short = serde_json::json!({
            "type": "object",
            "properties": {
                "provider": { "type": "string" },
                "items": { "type": "array" },
                "first": {},
                "total": {},
            },
        });
        assert_eq!(Value::Object(in_short(&whole)), short);
        assert!(Value::Object(whole).to_string().contains("isrc"), "the whole schema says all");
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Example {
        /// Named like a keyword on purpose.
        title: Option<String>,
        count: u8,
        provider: Option<stagedoor_domain::Provider>,
    }

    #[test]
    fn no_noise_is_left() {
        let schema = Value::Object(of_input::<Example>());
        assert_eq!(schema["properties"]["title"]["type"], "string");
        assert_eq!(schema["properties"]["count"].get("format"), None);
        assert_eq!(schema["properties"]["provider"]["type"], "string");
        assert!(!schema.to_string().contains("null"), "{schema}");
    }
}
