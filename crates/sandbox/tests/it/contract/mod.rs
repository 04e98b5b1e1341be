//! The answers against the providers' own descriptions, where these are beside the checkout.

mod spotify;
mod tidal;

use std::path::{Path, PathBuf};

use jsonschema::{Draft, Validator};
use reqwest::RequestBuilder;
use serde_json::{Map, Value, json};

use crate::common::send;

#[test]
fn the_check_itself_refuses_what_the_contract_refuses() {
    let Some(spotify) = Contract::load("spotify-current.slim.json") else { return };
    let track = spotify.validator(&json!({ "$ref": "#/components/schemas/TrackObject" }));
    assert!(track.is_valid(&json!({ "name": "n" })));
    assert!(!track.is_valid(&json!({ "name": 5 })));
    assert!(!track.is_valid(&json!({ "album": { "name": "an album needs more than that" } })));
    let Some(tidal) = Contract::load("tidal-third-party.slice.json") else { return };
    let document =
        tidal.validator(&json!({ "$ref": "#/components/schemas/Tracks_Single_Resource_Data_Document" }));
    let with = |included: Value| json!({ "data": { "id": "1", "type": "tracks" }, "links": { "self": "/" }, "included": [included] });
    assert!(document.is_valid(&with(
        json!({ "id": "1", "type": "artists", "attributes": { "name": "n", "popularity": 0.5 } })
    )));
    assert!(
        !document
            .is_valid(&with(json!({ "id": "1", "type": "artists", "attributes": { "popularity": 0.5 } })))
    );
    assert!(!document.is_valid(&with(json!({ "id": "1", "type": "ghosts" }))));
    assert!(!document.is_valid(&json!({ "data": { "id": "1", "type": "tracks" } })));
}

/// An OpenAPI 3.0 description, its schemas rewritten as JSON Schema.
struct Contract {
    document: Value,
}

impl Contract {
    pub(super) fn load(name: &str) -> Option<Self> {
        let Some(file) = find(name) else {
            println!(
                "SKIPPED: no shared/openapi/{name} beside the checkout, so its contract was not checked"
            );
            return None;
        };
        let mut document = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        rewrite(&mut document);
        Some(Self { document })
    }

    /// Sends the request, and holds status and body against what the operation may answer.
    pub(super) async fn check(&self, template: &str, method: &str, request: RequestBuilder) {
        let (status, body) = send(request).await;
        let what = format!("{method} {template} -> {status}");
        let responses = &self.document["paths"][template][method]["responses"];
        assert!(responses.is_object(), "{what}: not an operation of the contract");
        let mut response = &responses[status.as_str()];
        let bare = json!({ "$ref": "#/components/schemas/ErrorObject" });
        let listed = !response.is_null() && response["content"]["application/json"]["schema"] != bare;
        if !listed && ["400", "404", "415"].contains(&status.as_str()) {
            // The Spotify description lists few client errors, and one without its envelope; their shape is the same.
            response = &responses["403"];
        }
        assert!(!response.is_null(), "{what}: the contract knows no such status: {body}");
        if let Some(reference) = response["$ref"].as_str() {
            response = self.document.pointer(reference.trim_start_matches('#')).unwrap();
        }
        let Some(content) = response["content"].as_object() else {
            assert!(body.is_null(), "{what}: the contract has no body");
            return;
        };
        let schema = &content.values().next().unwrap()["schema"];
        let errors: Vec<String> = self
            .validator(schema)
            .iter_errors(&body)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{what}:\n{}\n{body:#}", errors.join("\n"));
    }

    fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({ "allOf": [schema], "components": self.document["components"] });
        jsonschema::options().with_draft(Draft::Draft4).should_validate_formats(true).build(&whole).unwrap()
    }
}

/// `shared/openapi/NAME` in the nearest folder above that has it.
fn find(name: &str) -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/openapi").join(name)).find(|file| file.is_file())
}

/// `nullable` becomes a type union, and a discriminated union the schema that the discriminator picks.
fn rewrite(node: &mut Value) {
    match node {
        Value::Array(values) => values.iter_mut().for_each(rewrite),
        Value::Object(object) => {
            object.values_mut().for_each(rewrite);
            if object.remove("nullable") == Some(Value::Bool(true))
                && let Some(Value::String(kind)) = object.get("type").cloned()
            {
                object.insert("type".to_owned(), json!([kind, "null"]));
            }
            pick_by_discriminator(object);
        }
        _ => {}
    }
}

fn pick_by_discriminator(object: &mut Map<String, Value>) {
    let Some(discriminator) = object.remove("discriminator") else { return };
    let (Some(property), Some(mapping)) =
        (discriminator["propertyName"].as_str(), discriminator["mapping"].as_object())
    else {
        return;
    };
    object.remove("oneOf");
    let known: Vec<&String> = mapping.keys().collect();
    let mut all = vec![json!({ "required": [property], "properties": { property: { "enum": known } } })];
    for (value, target) in mapping {
        let other = json!({ "not": { "properties": { property: { "enum": [value] } } } });
        all.push(json!({ "anyOf": [other, { "$ref": target }] }));
    }
    object.insert("allOf".to_owned(), Value::Array(all));
}
