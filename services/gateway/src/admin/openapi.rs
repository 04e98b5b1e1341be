//! The OpenAPI 3.1 document of the JSON front, made of the descriptors and their comments once.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue};
use prost_reflect::{
    Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};
use serde_json::{Map, Value, json};
use stagedoor_proto::dynamic::{self, HttpRoute};

/// `GET /openapi.json`.
pub(super) async fn serve() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));
    let mut response = DOCUMENT.as_str().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn document() -> Value {
    let mut paths = Map::new();
    let mut schemas = Schemas::default();
    let mut tags = Vec::new();
    for service in dynamic::services() {
        tags.push(json!({ "name": service.name(), "description": dynamic::comments(&service) }));
        for method in service.methods() {
            let Some(route) = dynamic::http_route(&method) else { continue };
            let operations = paths.entry(&route.path).or_insert_with(|| json!({}));
            operations[route.method.to_ascii_lowercase()] = operation(&method, &route, &mut schemas);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stagedoor admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The same as gRPC's stagedoor.admin.v1; docs/admin-api.md has it for people.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "tags": tags,
        "security": [{ "adminKey": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "adminKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An admin key, `sd_admin_…`, or a token of the configured issuer.",
                },
            },
            "responses": { "Problem": problem() },
            "schemas": schemas.finish(),
        },
    })
}

fn operation(method: &MethodDescriptor, route: &HttpRoute, schemas: &mut Schemas) -> Value {
    let input = method.input();
    let in_path = |field: &FieldDescriptor| route.path.contains(&format!("{{{}}}", field.name()));
    let mut parameters: Vec<Value> = Vec::new();
    let mut body = Map::new();
    let mut required = Vec::new();
    for field in input.fields() {
        let needed = dynamic::field_behavior(&field).required;
        if in_path(&field) {
            parameters.push(parameter(&field, "path", field.name(), true, schemas));
        } else if !route.has_body {
            parameters.push(parameter(&field, "query", field.json_name(), needed, schemas));
        } else {
            body.insert(field.json_name().to_owned(), schemas.described(&field));
            required.extend(needed.then(|| field.json_name().to_owned()));
        }
    }
    let media = if method.is_server_streaming() { "application/x-ndjson" } else { "application/json" };
    let output = method.output();
    let mut operation = json!({
        "tags": [method.parent_service().name()],
        "operationId": method.name(),
        "description": dynamic::comments(method),
        "parameters": parameters,
        "responses": {
            "200": {
                "description": dynamic::comments(&output),
                "content": { media: { "schema": schemas.reference(&output) } },
            },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if let Some(access) = dynamic::access(method) {
        let roles: Vec<_> = access.roles().map(|role| role.as_str_name()).collect();
        operation["x-stagedoor-roles"] = json!(roles);
    }
    if !body.is_empty() {
        let schema = json!({ "type": "object", "properties": body, "required": required });
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

fn parameter(
    field: &FieldDescriptor,
    place: &str,
    name: &str,
    required: bool,
    schemas: &mut Schemas,
) -> Value {
    json!({
        "name": name,
        "in": place,
        "required": required,
        "description": dynamic::comments(field),
        "schema": schemas.of_field(field),
    })
}

/// Errors, as RFC 9457 has them.
fn problem() -> Value {
    json!({
        "description": "It was not done. `code` is stable; docs/errors.md lists every one.",
        "content": { "application/problem+json": { "schema": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "code"],
            "properties": {
                "type": { "type": "string" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
                "code": { "type": "string" },
                "hint": { "type": "string" },
                "details": { "type": "object" },
            },
        } } },
    })
}

/// The messages and enums that operations refer to.
#[derive(Default)]
struct Schemas {
    made: Map<String, Value>,
}

impl Schemas {
    fn finish(self) -> Map<String, Value> {
        self.made
    }

    fn reference(&mut self, message: &MessageDescriptor) -> Value {
        let name = message.name().to_owned();
        if !self.made.contains_key(&name) {
            // Before its fields, which may be of its own kind.
            self.made.insert(name.clone(), Value::Null);
            let properties: Map<String, Value> = message
                .fields()
                .map(|field| (field.json_name().to_owned(), self.described(&field)))
                .collect();
            let schema = json!({
                "type": "object",
                "description": dynamic::comments(message),
                "properties": properties,
            });
            self.made.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn described(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = self.of_field(field);
        schema["description"] = json!(dynamic::comments(field));
        let behavior = dynamic::field_behavior(field);
        if behavior.output_only {
            schema["readOnly"] = json!(true);
        }
        if behavior.input_only {
            schema["writeOnly"] = json!(true);
        }
        schema
    }

    fn of_field(&mut self, field: &FieldDescriptor) -> Value {
        if field.is_map()
            && let Kind::Message(entry) = field.kind()
            && let Some(value) = entry.map_entry_value_field().into()
        {
            let value: FieldDescriptor = value;
            return json!({ "type": "object", "additionalProperties": self.of_kind(&value.kind()) });
        }
        let schema = self.of_kind(&field.kind());
        if field.cardinality() == Cardinality::Repeated {
            json!({ "type": "array", "items": schema })
        } else {
            schema
        }
    }

    /// As proto3 writes it in JSON.
    fn of_kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                json!({ "type": "string", "pattern": "^-?[0-9]+$" })
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "minimum": 0 }),
            Kind::Enum(names) => self.of_enum(names),
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
                "google.protobuf.Duration" => json!({ "type": "string", "examples": ["86400s"] }),
                "google.protobuf.FieldMask" => json!({ "type": "string", "examples": ["name,plan"] }),
                _ => self.reference(message),
            },
        }
    }

    fn of_enum(&mut self, names: &EnumDescriptor) -> Value {
        let values: Vec<_> = names.values().map(|value| value.name().to_owned()).collect();
        let schema = json!({ "type": "string", "description": dynamic::comments(names), "enum": values });
        self.made.insert(names.name().to_owned(), schema);
        json!({ "$ref": format!("#/components/schemas/{}", names.name()) })
    }
}
