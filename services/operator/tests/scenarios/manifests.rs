//! The definitions in charts/ are those of this version, and hold together.

use std::path::Path;

use serde_json::Value;
use stagedoor_operator::resources::{definitions, manifest};

#[test]
fn the_manifests_in_the_chart_are_those_of_this_version() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/stagedoor/crds");
    for definition in definitions() {
        let (name, text) = manifest(&definition).unwrap();
        let committed = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            committed == text,
            "charts/stagedoor/crds/{name} is old; `cargo run -p stagedoor-operator -- crds --out charts/stagedoor/crds`"
        );
    }
}

#[test]
fn every_definition_is_structural_described_and_has_status_columns_and_names() {
    for definition in definitions() {
        let kind = definition.spec.names.kind.clone();
        assert_eq!(definition.spec.scope, "Namespaced");
        assert_eq!(definition.spec.names.categories.as_deref(), Some(&["stagedoor".to_owned()][..]));
        assert!(definition.spec.names.short_names.is_some());
        let version = serde_json::to_value(&definition.spec.versions[0]).unwrap();
        assert_eq!(version["name"], "v1alpha1");
        assert!(version["subresources"]["status"].is_object());
        let columns: Vec<_> = version["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        assert!(["Ready", "Synced", "Age"].iter().all(|name| columns.contains(name)), "{kind}: {columns:?}");
        structural(&kind, &version["schema"]["openAPIV3Schema"]);
    }
}

/// Every value has a type and a description, and nothing of what structural schemas exclude.
fn structural(place: &str, schema: &Value) {
    let untyped = schema["type"].is_null() && schema["x-kubernetes-preserve-unknown-fields"].is_null();
    assert!(!untyped, "{place} has no type");
    for excluded in ["$ref", "definitions", "uniqueItems", "deprecated", "nullable"] {
        assert!(schema[excluded].is_null(), "{place}: {excluded}");
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        assert!(inner["description"].is_string(), "{place}.{name} has no description");
        structural(&format!("{place}.{name}"), inner);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            structural(&format!("{place}[]"), &schema[inner]);
        }
    }
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        assert!(rule["message"].is_string(), "{place}: a rule without words: {rule}");
    }
}
