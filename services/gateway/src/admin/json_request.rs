//! A request over HTTP as one JSON object, and that as a message: body first, then query, then the fields of the path.

use prost_reflect::{DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde::de::IntoDeserializer;
use serde_json::{Map, Value, json};
use serde_path_to_error::{Deserializer, Track};
use stagedoor_domain::{ErrorCode, PublicError};
use url::form_urlencoded;

/// The fields of a request.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    input: &'a MessageDescriptor,
    object: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Those of a body. Which of a field's two names counts where both stand there, nobody can tell.
    pub(super) fn new(input: &'a MessageDescriptor, body: Map<String, Value>) -> Result<Self, PublicError> {
        match named_twice(input, &body) {
            Some(field) => Err(wrong(
                field.name(),
                &format!("{field} stands under both of its names.", field = field.name()),
            )),
            None => Ok(Self { input, object: body }),
        }
    }

    /// Adds those of a query; a list stands once for each of its values.
    pub(super) fn add_query(&mut self, query: &str) -> Result<(), PublicError> {
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            let field = self.field(&name)?;
            let value = value(&field, &text);
            if !field.is_list() {
                self.put(&field, value);
            } else if let Value::Array(values) =
                self.object.entry(field.json_name()).or_insert_with(|| json!([]))
            {
                values.push(value);
            }
        }
        Ok(())
    }

    /// Sets the version that the caller has seen, from a header `If-Match` (RFC 9110 §13.1.1). One that cannot be looked at
    /// is refused: passed over, what the caller has not seen would be changed.
    pub(super) fn add_etag(&mut self, given: &[u8]) -> Result<(), PublicError> {
        let given = str::from_utf8(given).unwrap_or_default().trim();
        if given == "*" {
            return Ok(());
        }
        if self.input.get_field_by_name("etag").is_none() {
            return Err(wrong(
                "If-Match",
                "What this request is about has no versions; leave If-Match away.",
            ));
        }
        let strong = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let Some(etag) = strong.filter(|etag| !etag.is_empty() && !etag.contains('"')) else {
            let message =
                "If-Match must be one etag in quotation marks, as an answer's header ETag has it, or *.";
            return Err(wrong("If-Match", message));
        };
        let seen = self.object.entry("etag").or_insert_with(|| json!(etag));
        if seen == etag {
            return Ok(());
        }
        Err(wrong(
            "If-Match",
            "If-Match, sent once, and the body's `etag` must be the same; send one of them.",
        ))
    }

    /// Sets one of the path, which goes before what the body says.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<(), PublicError> {
        let field = self.field(name)?;
        self.put(&field, value(&field, text));
        Ok(())
    }

    /// The message.
    pub(super) fn finish(self) -> Result<DynamicMessage, PublicError> {
        let mut track = Track::new();
        let object = Value::Object(self.object);
        let reader = Deserializer::new(object.into_deserializer(), &mut track);
        let options = DeserializeOptions::new();
        DynamicMessage::deserialize_with_options(self.input.clone(), reader, &options).map_err(|error| {
            let path = track.path().to_string();
            let place = if path == "." { String::new() } else { format!("{path}: ") };
            wrong(&path, &format!("{place}{error}"))
        })
    }

    fn put(&mut self, field: &FieldDescriptor, value: Value) {
        // The other of the two names that proto3 JSON allows must not stand beside it.
        self.object.remove(field.name());
        self.object.insert(field.json_name().to_owned(), value);
    }

    fn field(&self, name: &str) -> Result<FieldDescriptor, PublicError> {
        let found = self.input.get_field_by_name(name).or_else(|| self.input.get_field_by_json_name(name));
        found.ok_or_else(|| {
            let known: Vec<_> = self.input.fields().map(|field| field.json_name().to_owned()).collect();
            wrong(name, &format!("There is no field {name:?}; there are: {}.", known.join(", ")))
        })
    }
}

/// A field that stands in the object, or in one inside it, under both names that proto3 JSON allows.
fn named_twice(message: &MessageDescriptor, object: &Map<String, Value>) -> Option<FieldDescriptor> {
    message.fields().find_map(|field| {
        let (proto, json) = (object.get(field.name()), object.get(field.json_name()));
        if field.name() != field.json_name() && proto.is_some() && json.is_some() {
            return Some(field);
        }
        let kind = field.kind();
        let inner = kind.as_message().filter(|_| !field.is_map())?;
        match proto.or(json)? {
            Value::Object(object) => named_twice(inner, object),
            Value::Array(items) => items.iter().find_map(|item| named_twice(inner, item.as_object()?)),
            _ => None,
        }
    })
}

/// A text of a path or query as proto3 JSON takes it: numbers and times are texts there too.
fn value(field: &FieldDescriptor, text: &str) -> Value {
    match (field.kind(), text) {
        (Kind::Bool, "true" | "") => Value::Bool(true),
        (Kind::Bool, "false") => Value::Bool(false),
        // `spotify` and `SPOTIFY` for PROVIDER_SPOTIFY.
        (Kind::Enum(names), text) => {
            let upper = text.to_ascii_uppercase().replace('-', "_");
            let fits = |name: &str| name == upper || name.ends_with(&format!("_{upper}"));
            let found = names.values().find(|value| fits(value.name()));
            found.map_or_else(|| json!(text), |value| json!(value.name()))
        }
        _ => json!(text),
    }
}

fn wrong(field: &str, message: &str) -> PublicError {
    let fields = json!({ "fields": [{ "field": field, "description": message }] });
    let error = PublicError::new(ErrorCode::InvalidArguments, message);
    error.details(fields).hint("GET /openapi.json describes every request.")
}
