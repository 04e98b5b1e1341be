//! Preferences as an agent reads them: what is in effect, and who has set it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use stagedoor_domain::{Preferences, PreferencesLayer, TenantContext};
use stagedoor_storage::preferences::StoredPreferences;

/// What a person prefers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PreferencesOutput {
    // Its form is that of what `preferences_set` takes.
    #[schemars(with = "Map<String, Value>")]
    preferences: Preferences,
    // Who has set each member.
    #[schemars(with = "Map<String, Value>")]
    set_by: SetBy,
    /// Raised by each change; 0 if nothing was ever set.
    revision: i64,
    /// When it was last changed (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct SetBy {
    audio_quality: Layer,
    search_defaults: SearchSetBy,
    cache_preferences: CacheSetBy,
    privacy: PrivacySetBy,
}

#[derive(Debug, Serialize)]
struct SearchSetBy {
    limit: Layer,
    include_explicit: Layer,
}

#[derive(Debug, Serialize)]
struct CacheSetBy {
    enable_cache: Layer,
    cache_duration: Layer,
}

#[derive(Debug, Serialize)]
struct PrivacySetBy {
    enable_analytics: Layer,
    share_usage_data: Layer,
}

/// Where what is in effect comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Layer {
    Person,
    Tenant,
    Default,
}

/// What is in effect for a person who has set what is stored.
pub(super) fn shown(ctx: &TenantContext, stored: &StoredPreferences) -> PreferencesOutput {
    let tenant = &ctx.tenant().settings.preferences;
    PreferencesOutput {
        preferences: Preferences::of(&stored.preferences, tenant),
        set_by: set_by(&stored.preferences, tenant),
        revision: stored.revision,
        updated_at: stored.updated_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
    }
}

fn set_by(person: &PreferencesLayer, tenant: &PreferencesLayer) -> SetBy {
    fn of<T>(person: Option<T>, tenant: Option<T>) -> Layer {
        match (person, tenant) {
            (Some(_), _) => Layer::Person,
            (None, Some(_)) => Layer::Tenant,
            (None, None) => Layer::Default,
        }
    }
    let search = (&person.search_defaults, &tenant.search_defaults);
    let cache = (&person.cache_preferences, &tenant.cache_preferences);
    let privacy = (&person.privacy, &tenant.privacy);
    SetBy {
        audio_quality: of(person.audio_quality, tenant.audio_quality),
        search_defaults: SearchSetBy {
            limit: of(search.0.limit, search.1.limit),
            include_explicit: of(search.0.include_explicit, search.1.include_explicit),
        },
        cache_preferences: CacheSetBy {
            enable_cache: of(cache.0.enable_cache, cache.1.enable_cache),
            cache_duration: of(cache.0.cache_duration, cache.1.cache_duration),
        },
        privacy: PrivacySetBy {
            enable_analytics: of(privacy.0.enable_analytics, privacy.1.enable_analytics),
            share_usage_data: of(privacy.0.share_usage_data, privacy.1.share_usage_data),
        },
    }
}
