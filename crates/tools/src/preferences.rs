//! `preferences_get` and `preferences_set`: what a person prefers, as one document that is changed by merge patch
//! (RFC 7396). A change counts on every replica before it is answered.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, Preferences, PublicError, TenantContext, UserId};
use stagedoor_storage::StoreError;
use stagedoor_storage::preferences::{self, StoredPreferences};

use crate::accounts::NoArguments;
use crate::arguments::{invalid, located};
use crate::desk::{Desk, acting_for, internal};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;
use crate::settling::Settling;

/// How often a change is merged anew that someone else's came before.
const ATTEMPTS: usize = 5;
/// The longest age of an answer that can be asked for, in seconds: 30 days, after which none is kept.
const LONGEST_DURATION: u32 = 30 * 86_400;

/// What to change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetArguments {
    #[schemars(with = "PreferencesPatch")]
    preferences: Value,
    /// `revision` that the change is meant for.
    #[serde(default)]
    expected_revision: Option<i64>,
}

// Read to say which member is wrong; what is merged is the JSON itself, in which null and nothing are two things.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is what counts")]
struct PreferencesPatch {
    cache_preferences: Option<CachePatch>,
}

/// About answers that were fetched before.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is what counts")]
struct CachePatch {
    /// Whether answers may be given again; default true.
    enable_cache: Option<bool>,
    /// How old they may be, in seconds.
    #[schemars(range(min = 1, max = LONGEST_DURATION))]
    cache_duration: Option<u32>,
}

/// What a person prefers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PreferencesOutput {
    // Its form is that of what `preferences_set` takes.
    #[schemars(with = "Map<String, Value>")]
    preferences: PreferencesShown,
    /// Raised by each change; 0 if nothing was ever set.
    revision: i64,
    /// When it was last changed (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct PreferencesShown {
    cache_preferences: CacheShown,
}

#[derive(Debug, Serialize)]
struct CacheShown {
    enable_cache: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_duration: Option<u32>,
}

/// `preferences_get`.
pub(crate) async fn get(desk: &Desk, ctx: &TenantContext, _arguments: NoArguments) -> Produced {
    let stored = load(desk, ctx, acting_for(ctx)?).await?;
    desk.fresh(&shown(&stored))
}

/// `preferences_set`.
pub(crate) async fn set(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: SetArguments,
) -> Produced {
    let user = acting_for(ctx)?;
    let SetArguments { preferences: patch, expected_revision } = arguments;
    check(&patch)?;
    let mut answer = Err(changed());
    for _ in 0..ATTEMPTS {
        let loaded = preferences::load_to_replace(desk.vault(), ctx, user).await;
        let (before, damage) = loaded.map_err(|error| store_failure(&error))?;
        if let Some(expected) = expected_revision.filter(|expected| *expected != before.revision) {
            return Err(moved(expected, before.revision));
        }
        let wanted = merged(&before.preferences, &patch)?;
        if let Some(damage) = &damage {
            store_failure(damage);
            origin.warn(
                "The preferences that were stored could not be read; this change begins with the defaults.",
            );
        } else if wanted == before.preferences {
            return desk.fresh(&shown(&before));
        }
        answer = store(desk, ctx, user, (&before, &wanted)).await;
        match &answer {
            // The patch holds for what is there now, unless the agent said for what it is meant.
            Err(error) if error.code == ErrorCode::Conflict && expected_revision.is_none() => {}
            _ => break,
        }
    }
    desk.fresh(&shown(&answer?))
}

/// Stores a change. Whether or not it is known to have been stored, no replica goes by what was there before.
async fn store(
    desk: &Desk,
    ctx: &TenantContext,
    user: UserId,
    (before, wanted): (&StoredPreferences, &Preferences),
) -> Result<StoredPreferences, PublicError> {
    let (cache, records) = (Arc::clone(&desk.cache), Arc::clone(&desk.records));
    let of = ctx.clone();
    let settling = Settling::new(desk.spawn(), async move {
        records.forget_preferences(&of, user).await;
        if let Err(error) = cache.bump_preferences(&of, user).await {
            tracing::warn!(error = %Chain(&error), "other replicas may go by earlier preferences for half a minute");
        }
    });
    let stored = preferences::store(desk.vault(), ctx, user, before, wanted).await;
    settling.now().await;
    stored.map_err(|error| match error {
        StoreError::Changed(_) => changed(),
        error => store_failure(&error),
    })
}

async fn load(desk: &Desk, ctx: &TenantContext, user: UserId) -> Result<StoredPreferences, PublicError> {
    preferences::load(desk.vault(), ctx, user).await.map_err(|error| match error {
        StoreError::Unreadable { .. } => {
            store_failure(&error);
            PublicError::new(ErrorCode::Internal, "The person's stored preferences could not be opened.")
                .hint("Until preferences_set replaces them nothing is answered from the cache; the operator may be able to restore them.")
        }
        error => store_failure(&error),
    })
}

/// Names the member that is unknown or of a wrong type.
fn check(patch: &Value) -> Result<(), PublicError> {
    // A list in the order of the members would be read as well.
    if !patch.is_object() {
        return Err(invalid("`preferences` must be an object."));
    }
    if patch.get("cache_preferences").is_some_and(|member| !member.is_object() && !member.is_null()) {
        return Err(invalid("`preferences.cache_preferences` must be an object, or null for the defaults."));
    }
    read::<PreferencesPatch>(patch)?;
    let duration = patch.pointer("/cache_preferences/cache_duration").and_then(Value::as_u64);
    match duration {
        Some(seconds) if seconds == 0 || seconds > LONGEST_DURATION.into() => Err(invalid(format!(
            "`preferences.cache_preferences.cache_duration` is {seconds}, but must be from 1 to {LONGEST_DURATION}; \
             to have nothing answered from the cache, set `enable_cache` to false."
        ))),
        _ => Ok(()),
    }
}

fn read<'a, T: Deserialize<'a>>(patch: &'a Value) -> Result<T, PublicError> {
    serde_path_to_error::deserialize(patch).map_err(|error| located(Some("preferences"), &error))
}

/// The document with the patch merged in.
fn merged(before: &Preferences, patch: &Value) -> Result<Preferences, PublicError> {
    let mut document = serde_json::to_value(before).map_err(|error| internal(&error))?;
    merge(&mut document, patch);
    serde_json::from_value(document).map_err(|error| internal(&error))
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

fn shown(stored: &StoredPreferences) -> PreferencesOutput {
    let cache = stored.preferences.cache_preferences;
    PreferencesOutput {
        preferences: PreferencesShown {
            cache_preferences: CacheShown {
                enable_cache: cache.enable_cache,
                cache_duration: cache.cache_duration,
            },
        },
        revision: stored.revision,
        updated_at: stored.updated_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
    }
}

fn moved(expected: i64, now: i64) -> PublicError {
    let message = format!(
        "The preferences are at revision {now}, not {expected}: they were changed meanwhile. Nothing was done."
    );
    PublicError::new(ErrorCode::Conflict, message)
        .hint("Read them with preferences_get and decide again; or leave `expected_revision` out.")
}

fn changed() -> PublicError {
    PublicError::new(
        ErrorCode::Conflict,
        "The preferences were changed by someone else meanwhile. Nothing was done.",
    )
    .hint("Read them with preferences_get, then call again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use stagedoor_domain::policy::CachePreferences;

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
    fn null_restores_a_default_and_nothing_leaves_it() {
        let set = Preferences {
            cache_preferences: CachePreferences { enable_cache: false, cache_duration: Some(60) },
        };
        let with = |patch: &Value| {
            check(patch).unwrap();
            let cache = merged(&set, patch).unwrap().cache_preferences;
            (cache.enable_cache, cache.cache_duration)
        };
        assert_eq!(with(&json!({})), (false, Some(60)));
        assert_eq!(with(&json!({ "cache_preferences": {} })), (false, Some(60)));
        assert_eq!(with(&json!({ "cache_preferences": { "enable_cache": null } })), (true, Some(60)));
        assert_eq!(with(&json!({ "cache_preferences": { "cache_duration": null } })), (false, None));
        assert_eq!(with(&json!({ "cache_preferences": { "cache_duration": 5 } })), (false, Some(5)));
        assert_eq!(with(&json!({ "cache_preferences": null })), (true, None));
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
    }
}
