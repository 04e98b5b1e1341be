//! What people prefer (SEED-T §4.1), in layers: what a person has set, what the tenant has, what is built in. How a
//! person's document is stored and brought to this version is for `storage`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scope::closed_set;

closed_set!(
    /// A quality of sound, from the lowest to the highest, as Tidal names its own.
    AudioQuality, AudioQualitySet, "A set of qualities." {
        Low = "LOW",
        High = "HIGH",
        Lossless = "LOSSLESS",
        HiResLossless = "HI_RES_LOSSLESS",
    }
);

impl schemars::JsonSchema for AudioQuality {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AudioQuality".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "enum": Self::ALL })
    }
}

/// What counts where nobody has set anything: searches without a limit of their own find so many of each kind.
const DEFAULT_LIMIT: u32 = 20;

/// What is preferred in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Preferences {
    /// The quality of sound that items should be offered in, where a service tells.
    pub audio_quality: AudioQuality,
    /// Of searches that do not say otherwise.
    pub search_defaults: SearchDefaults,
    /// Of answers that were fetched before.
    pub cache_preferences: CachePreferences,
    /// Of what is done with data about the person.
    pub privacy: PrivacyPreferences,
}

/// How a person's calls search that do not say it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SearchDefaults {
    /// How many of each kind.
    pub limit: u32,
    /// Whether items that the service marks explicit are shown.
    pub include_explicit: bool,
}

/// Whether and for how long a person's calls may be answered with what was fetched before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CachePreferences {
    /// Whether they may at all.
    pub enable_cache: bool,
    /// How old an answer may be at most, in seconds; `None` leaves it to the data's class. It shortens only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_duration: Option<u32>,
}

/// What may be done with data about a person beyond what they ask for. A consent is needed besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PrivacyPreferences {
    /// Whether it may be counted how the person uses Stagedoor.
    pub enable_analytics: bool,
    /// Whether what was counted may be given to anyone else.
    pub share_usage_data: bool,
}

impl Preferences {
    /// What is preferred where the person has set `person` and the tenant `tenant`.
    pub fn of(person: &PreferencesLayer, tenant: &PreferencesLayer) -> Self {
        let cache = (person.cache_preferences, tenant.cache_preferences);
        let search = (person.search_defaults, tenant.search_defaults);
        let privacy = (person.privacy, tenant.privacy);
        Self {
            audio_quality: first(person.audio_quality, tenant.audio_quality, AudioQuality::High),
            search_defaults: SearchDefaults {
                limit: first(search.0.limit, search.1.limit, DEFAULT_LIMIT),
                include_explicit: first(search.0.include_explicit, search.1.include_explicit, true),
            },
            cache_preferences: CachePreferences {
                enable_cache: first(cache.0.enable_cache, cache.1.enable_cache, true),
                cache_duration: cache.0.cache_duration.or(cache.1.cache_duration),
            },
            privacy: PrivacyPreferences {
                enable_analytics: first(privacy.0.enable_analytics, privacy.1.enable_analytics, true),
                share_usage_data: first(privacy.0.share_usage_data, privacy.1.share_usage_data, false),
            },
        }
    }
}

impl Default for Preferences {
    fn default() -> Self {
        Self::of(&PreferencesLayer::default(), &PreferencesLayer::default())
    }
}

fn first<T>(person: Option<T>, tenant: Option<T>, built_in: T) -> T {
    person.or(tenant).unwrap_or(built_in)
}

/// What one layer sets: a person's document, or a tenant's defaults. What it leaves out is the next layer's.
///
/// Read by [`PreferencesLayer::read`], member by member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PreferencesLayer {
    /// See [`Preferences::audio_quality`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_quality: Option<AudioQuality>,
    /// See [`Preferences::search_defaults`].
    #[serde(skip_serializing_if = "is_default")]
    pub search_defaults: SearchLayer,
    /// See [`Preferences::cache_preferences`].
    #[serde(skip_serializing_if = "is_default")]
    pub cache_preferences: CacheLayer,
    /// See [`Preferences::privacy`].
    #[serde(skip_serializing_if = "is_default")]
    pub privacy: PrivacyLayer,
}

/// What one layer sets of [`SearchDefaults`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SearchLayer {
    /// From 1 to [`SearchLayer::MOST`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// See [`SearchDefaults::include_explicit`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_explicit: Option<bool>,
}

impl SearchLayer {
    /// The most items of a kind that a search finds at a time.
    pub const MOST: u32 = 50;
}

/// What one layer sets of [`CachePreferences`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheLayer {
    /// See [`CachePreferences::enable_cache`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_cache: Option<bool>,
    /// In seconds, from 1 to [`CacheLayer::LONGEST`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_duration: Option<u32>,
}

impl CacheLayer {
    /// 30 days in seconds, after which no answer is kept.
    pub const LONGEST: u32 = 30 * 86_400;
}

/// What one layer sets of [`PrivacyPreferences`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PrivacyLayer {
    /// See [`PrivacyPreferences::enable_analytics`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_analytics: Option<bool>,
    /// See [`PrivacyPreferences::share_usage_data`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_usage_data: Option<bool>,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_has_set_anything_the_defaults_of_the_schema_hold() {
        let built_in = serde_json::to_value(Preferences::default()).unwrap();
        let wanted = serde_json::json!({
            "audio_quality": "HIGH",
            "search_defaults": { "limit": 20, "include_explicit": true },
            "cache_preferences": { "enable_cache": true },
            "privacy": { "enable_analytics": true, "share_usage_data": false },
        });
        assert_eq!(built_in, wanted);
        assert_eq!(serde_json::to_value(PreferencesLayer::default()).unwrap(), serde_json::json!({}));
    }

    #[test]
    fn the_person_goes_before_the_tenant_member_by_member() {
        let layer = |json| PreferencesLayer::read(&json).0;
        let tenant = layer(serde_json::json!({
            "audio_quality": "LOSSLESS",
            "search_defaults": { "limit": 5, "include_explicit": false },
            "cache_preferences": { "cache_duration": 60 },
        }));
        let person = layer(serde_json::json!({
            "search_defaults": { "limit": 7 },
            "cache_preferences": { "enable_cache": false },
            "privacy": { "enable_analytics": false },
        }));
        let both = Preferences::of(&person, &tenant);
        assert_eq!(both.audio_quality, AudioQuality::Lossless);
        assert_eq!(both.search_defaults, SearchDefaults { limit: 7, include_explicit: false });
        assert_eq!(
            both.cache_preferences,
            CachePreferences { enable_cache: false, cache_duration: Some(60) }
        );
        assert_eq!(both.privacy, PrivacyPreferences { enable_analytics: false, share_usage_data: false });
    }

    #[test]
    fn qualities_are_in_order() {
        assert!(AudioQuality::ALL.is_sorted() && AudioQuality::Low < AudioQuality::HiResLossless);
    }
}
