//! A change of preferences: its form, what is wrong with one, and how it is merged (RFC 7396).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use stagedoor_domain::PublicError;
use stagedoor_domain::preferences::{AudioQuality, CacheLayer, SearchLayer};
use stagedoor_storage::preferences::Document;

use crate::arguments::{invalid, located};

// Read to say which member is wrong; what is merged is the JSON itself, in which null and nothing are two things.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is what counts")]
pub(crate) struct PreferencesPatch {
    /// Tidal tells which it has.
    audio_quality: Option<AudioQuality>,
    search_defaults: Option<SearchPatch>,
    cache_preferences: Option<CachePatch>,
    privacy: Option<PrivacyPatch>,
}

// Of searches that do not say it themselves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is what counts")]
struct SearchPatch {
    #[schemars(range(min = 1, max = SearchLayer::MOST))]
    limit: Option<u32>,
    include_explicit: Option<bool>,
}

// About answers that were fetched before.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is what counts")]
struct CachePatch {
    enable_cache: Option<bool>,
    /// How old answers may be, in seconds.
    #[schemars(range(min = 1, max = CacheLayer::LONGEST))]
    cache_duration: Option<u32>,
}

/// What may be done with usage data, besides `consent_set`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is what counts")]
struct PrivacyPatch {
    enable_analytics: Option<bool>,
    share_usage_data: Option<bool>,
}

/// Names the member that is unknown, of a wrong type or out of bounds.
pub(super) fn check(patch: &Value) -> Result<(), PublicError> {
    // A list in the order of the members would be read as well.
    let Value::Object(members) = patch else { return Err(invalid("`preferences` must be an object.")) };
    for name in PARTS {
        if members.get(name).is_some_and(|member| !member.is_object() && !member.is_null()) {
            return Err(invalid(format!(
                "`preferences.{name}` must be an object, or null for the defaults."
            )));
        }
    }
    serde_path_to_error::deserialize::<_, PreferencesPatch>(patch)
        .map_err(|error| located(Some("preferences"), &error))?;
    let instead = "; to have nothing answered from the cache, set `enable_cache` to false";
    within(patch, "search_defaults", "limit", SearchLayer::MOST, "")?;
    within(patch, "cache_preferences", "cache_duration", CacheLayer::LONGEST, instead)
}

fn within(patch: &Value, part: &str, name: &str, most: u32, instead: &str) -> Result<(), PublicError> {
    match patch.get(part).and_then(|part| part.get(name)).and_then(Value::as_u64) {
        Some(number) if number == 0 || number > most.into() => Err(invalid(format!(
            "`preferences.{part}.{name}` is {number}, but must be from 1 to {most}{instead}."
        ))),
        _ => Ok(()),
    }
}

/// The parts that have members of their own.
const PARTS: [&str; 3] = ["search_defaults", "cache_preferences", "privacy"];

/// The document with the patch merged in. A part of which the patch leaves nothing set is gone.
pub(super) fn merged(document: &Document, patch: &Value) -> Document {
    let mut merged = Value::Object(document.clone());
    merge(&mut merged, patch);
    let Value::Object(mut merged) = merged else { return Document::new() };
    let is_empty = |part: &Value| part.as_object().is_some_and(Map::is_empty);
    merged.retain(|name, part| !(PARTS.contains(&name.as_str()) && is_empty(part)));
    merged
}

/// RFC 7396 §2, `MergePatch`.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in members {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_merge_as_the_standard_says() {
        // RFC 7396, appendix A.
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} and {patch}");
        }
    }

    #[test]
    fn null_leaves_a_member_to_the_layer_below_and_nothing_leaves_it_as_it_is() {
        let set =
            json!({ "cache_preferences": { "enable_cache": false, "cache_duration": 60 }, "later": {} });
        let with = |patch: &Value| {
            check(patch).unwrap();
            let merged = Value::Object(merged(set.as_object().unwrap(), patch));
            assert_eq!(merged["later"], set["later"], "what a later release has set");
            merged["cache_preferences"].clone()
        };
        assert_eq!(with(&json!({})), set["cache_preferences"]);
        assert_eq!(with(&json!({ "cache_preferences": {} })), set["cache_preferences"]);
        assert_eq!(
            with(&json!({ "cache_preferences": { "enable_cache": null } })),
            json!({ "cache_duration": 60 })
        );
        assert_eq!(
            with(&json!({ "cache_preferences": { "cache_duration": 5 } })),
            json!({ "enable_cache": false, "cache_duration": 5 })
        );
        assert_eq!(with(&json!({ "cache_preferences": null })), Value::Null);
        let both = json!({ "cache_preferences": { "enable_cache": null, "cache_duration": null } });
        assert_eq!(with(&both), Value::Null, "an empty part is none");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_member() {
        let told = |patch: &Value| check(patch).unwrap_err().message;
        let cache = |member: &str, value: Value| json!({ "cache_preferences": { member: value } });
        assert_eq!(
            told(&cache("enable_cache", json!("yes"))),
            "`preferences.cache_preferences.enable_cache`: invalid type: string \"yes\", expected a boolean."
        );
        assert!(told(&cache("enable_cach", json!(null))).starts_with(
            "`preferences.cache_preferences.enable_cach`: unknown field `enable_cach`, expected"
        ));
        assert!(told(&json!({ "cache": null })).starts_with("`preferences.cache`: unknown field `cache`"));
        for no_object in [json!(1), json!([true, 5]), json!([null, null])] {
            let told = told(&json!({ "cache_preferences": no_object }));
            assert!(told.starts_with("`preferences.cache_preferences` must be an object"), "{told}");
        }
        assert!(told(&cache("cache_duration", json!(-1))).contains("cache_duration`: invalid value"));
        assert!(
            told(&cache("cache_duration", json!(0))).contains("cache_duration` is 0, but must be from 1")
        );
        assert!(told(&cache("cache_duration", json!(2_592_001))).contains("but must be from 1 to 2592000"));
        assert_eq!(told(&json!([1])), "`preferences` must be an object.");
        let search = |limit: Value| json!({ "search_defaults": { "limit": limit } });
        assert_eq!(
            told(&search(json!(51))),
            "`preferences.search_defaults.limit` is 51, but must be from 1 to 50."
        );
        assert!(
            told(&search(json!("many"))).starts_with("`preferences.search_defaults.limit`: invalid type")
        );
        assert_eq!(
            told(&json!({ "audio_quality": "ULTRA" })),
            "`preferences.audio_quality`: unknown audio quality \"ULTRA\"; known: LOW, HIGH, LOSSLESS, \
             HI_RES_LOSSLESS."
        );
        assert!(
            told(&json!({ "privacy": { "enable_analytics": 1 } }))
                .starts_with("`preferences.privacy.enable_analytics`: invalid type")
        );
    }
}
