//! The versions of the preferences' document and the way from each to the next. A document of a later version is nobody's
//! to read or to replace.

use serde_json::Value;

use super::Document;

/// A way to the next version.
type Migration = fn(&mut Document);

/// Each earlier version and the way from it to the one below it; from the last to the present one.
const MIGRATIONS: [(&str, Migration); 1] = [("1.0", only_what_was_set)];
/// The version that is written.
pub(super) const PRESENT: &str = "2.0";

/// Whether this build reads documents of `version`.
pub(super) fn is_known(version: &str) -> bool {
    version == PRESENT || MIGRATIONS.iter().any(|(from, _)| *from == version)
}

/// The document as the present version has it; `None` if the version is not known.
pub(super) fn migrate(mut document: Document, version: &str) -> Option<Document> {
    if version == PRESENT {
        return Some(document);
    }
    let first = MIGRATIONS.iter().position(|(from, _)| *from == version)?;
    for (_, step) in &MIGRATIONS[first..] {
        step(&mut document);
    }
    Some(document)
}

/// From 1.0 to 2.0. Version 1.0 had a default in every member that the person had not set; what stands there and is the
/// default of 1.0 is taken for not set, so that the tenant's defaults, which came with 2.0, hold for it.
fn only_what_was_set(document: &mut Document) {
    const DEFAULTS: [(&str, Value); 2] =
        [("enable_cache", Value::Bool(true)), ("cache_duration", Value::Null)];
    if let Some(Value::Object(cache)) = document.get_mut("cache_preferences") {
        for (name, default) in DEFAULTS {
            if cache.get(name) == Some(&default) {
                cache.remove(name);
            }
        }
        if cache.is_empty() {
            document.remove("cache_preferences");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn migrated(document: &Value, version: &str) -> Option<Value> {
        migrate(document.as_object().unwrap().clone(), version).map(Value::Object)
    }

    #[test]
    fn of_the_first_version_what_was_set_stays() {
        for (before, after) in [
            (json!({}), json!({})),
            (json!({ "cache_preferences": { "enable_cache": true, "cache_duration": null } }), json!({})),
            (
                json!({ "cache_preferences": { "enable_cache": false, "cache_duration": null } }),
                json!({ "cache_preferences": { "enable_cache": false } }),
            ),
            (
                json!({ "cache_preferences": { "enable_cache": true, "cache_duration": 60, "later": null }, "more": [1] }),
                json!({ "cache_preferences": { "cache_duration": 60, "later": null }, "more": [1] }),
            ),
        ] {
            assert_eq!(migrated(&before, "1.0"), Some(after), "{before}");
        }
    }

    #[test]
    fn a_document_of_the_present_version_is_left_as_it_is_and_a_later_one_alone() {
        let document = json!({ "cache_preferences": { "enable_cache": true } });
        assert_eq!(migrated(&document, PRESENT), Some(document.clone()));
        for later in ["2.1", "3.0", "", "1"] {
            assert!(!is_known(later));
            assert_eq!(migrated(&document, later), None);
        }
    }

    #[test]
    fn every_version_leads_to_the_present_one() {
        for (version, _) in MIGRATIONS {
            assert!(is_known(version) && version != PRESENT);
        }
    }
}
