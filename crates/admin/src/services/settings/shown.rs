//! What is stored of a tenant's settings as callers see it: what it overrides, and what holds in effect.

use std::collections::BTreeMap;

use serde_json::Value;
use stagedoor_domain::policy::{DevicePolicy as Devices, PenaltyStep as Step, Quota as Limit};
use stagedoor_domain::{
    CacheClass, LimitClass, PolicyGate, Preferences, PreferencesLayer, Provider, QueueLimits, Retained,
    RetentionSettings, TenantSettings,
};
use stagedoor_proto::admin::v1::{
    AuditSettings, DefaultCache, DefaultPreferences, DefaultPrivacy, DefaultSearch, DevicePolicy, GateList,
    PenaltyList, PenaltyStep, PrivacyTerms, QueueBounds, Quota, QuotaList, Retention, Settings,
};

use crate::rooms::Installation;

/// What `stored` overrides, as far as this version can read it.
pub(super) fn of(stored: &Value) -> Settings {
    let read = TenantSettings::read(stored).0;
    let holds = |member: &str, name: &str| stored.get(member).is_some_and(|value| value.get(name).is_some());
    Settings {
        limits: quotas(&read.limits),
        tenant_limits: quotas(&read.tenant_limits),
        penalties: read.penalties.as_deref().map(penalties),
        concurrent_calls: read.concurrent_calls,
        cache_ttl_seconds: named(&read.cache_ttl_seconds, |seconds| *seconds),
        devices: stored.get("devices").map(|_| {
            let all = devices(&read.devices);
            let text = |name: &str, text: String| if holds("devices", name) { text } else { String::new() };
            DevicePolicy {
                new_device: text("new_device", all.new_device),
                too_many: text("too_many", all.too_many),
                concurrent: all.concurrent.filter(|_| holds("devices", "concurrent")),
                window_seconds: all.window_seconds.filter(|_| holds("devices", "window_seconds")),
            }
        }),
        policy_gates: named(&read.policy_gates, |gates| GateList { gates: named(gates, |open| *open) }),
        audit: set(AuditSettings { max_log_size_bytes: read.audit.max_log_size_bytes }),
        retention: set(retention(&read.retention)),
        preferences: set(preferences(&read.preferences)),
        queues: stored.get("queues").map(|_| {
            let all = queues(read.queues);
            QueueBounds {
                per_person: all.per_person.filter(|_| holds("queues", "per_person")),
                items: all.items.filter(|_| holds("queues", "items")),
                members: all.members.filter(|_| holds("queues", "members")),
            }
        }),
        privacy: set(PrivacyTerms {
            policy_version: read
                .privacy
                .policy_version
                .filter(|_| holds("privacy", "policy_version"))
                .unwrap_or_default(),
            policy_url: read.privacy.policy_url.unwrap_or_default(),
        }),
        ..Settings::default()
    }
}

fn queues(limits: QueueLimits) -> QueueBounds {
    QueueBounds {
        per_person: Some(limits.per_person),
        items: Some(limits.items),
        members: Some(limits.members),
    }
}

/// Fills in what holds where nothing is overridden. What depends on a replica, such as the calls under way at a time, stays
/// open.
pub(super) fn fill_in(settings: &mut Settings, read: &TenantSettings, installation: &Installation) {
    for class in LimitClass::ALL {
        settings.limits.insert(class.to_string(), list(&read.quotas(*class)));
        settings.tenant_limits.insert(class.to_string(), list(&read.tenant_quotas(*class)));
    }
    settings.penalties = Some(penalties(read.penalty_steps()));
    for class in CacheClass::ALL {
        let life = read.cache_ttl(*class).map_or(0, |life| life.first.as_secs());
        settings.cache_ttl_seconds.insert(class.to_string(), life);
    }
    settings.devices = Some(devices(&read.devices));
    for provider in Provider::ALL {
        let gates = PolicyGate::ALL.iter().map(|gate| (gate.to_string(), read.is_open(*provider, *gate)));
        settings.policy_gates.insert(provider.to_string(), GateList { gates: gates.collect() });
    }
    let size = read.audit.max_log_size_bytes.unwrap_or(installation.max_log_size_bytes);
    settings.audit = Some(AuditSettings { max_log_size_bytes: Some(size) });
    let days = |what| Some(read.retention.days(what, &installation.retention));
    settings.retention = Some(Retention {
        sessions_days: days(Retained::Sessions),
        audit_days: days(Retained::Audit),
        metrics_days: days(Retained::Metrics),
        limit_violations_days: days(Retained::LimitViolations),
    });
    settings.queues = Some(queues(read.queues));
    settings.preferences = Some(in_effect(&read.preferences));
    settings.privacy = Some(PrivacyTerms {
        policy_version: read.privacy.policy_version.clone().unwrap_or_default(),
        policy_url: read.privacy.policy_url.clone().unwrap_or_default(),
    });
}

fn quotas(limits: &BTreeMap<LimitClass, Vec<Limit>>) -> BTreeMap<String, QuotaList> {
    named(limits, |limits| list(limits))
}

fn list(limits: &[Limit]) -> QuotaList {
    let quota = |limit: &Limit| Quota {
        capacity: limit.capacity,
        window_seconds: u32::try_from(limit.window.as_secs()).unwrap_or(u32::MAX),
    };
    QuotaList { quotas: limits.iter().map(quota).collect() }
}

fn penalties(steps: &[Step]) -> PenaltyList {
    let step = |step: &Step| PenaltyStep {
        refusals: step.refusals,
        within_seconds: step.within_seconds,
        block_seconds: step.block_seconds,
    };
    PenaltyList { steps: steps.iter().map(step).collect() }
}

fn devices(policy: &Devices) -> DevicePolicy {
    DevicePolicy {
        new_device: policy.new_device.to_string(),
        too_many: policy.too_many.to_string(),
        concurrent: Some(policy.concurrent),
        window_seconds: Some(policy.window_seconds),
    }
}

fn retention(settings: &RetentionSettings) -> Retention {
    Retention {
        sessions_days: settings.sessions_days,
        audit_days: settings.audit_days,
        metrics_days: settings.metrics_days,
        limit_violations_days: settings.limit_violations_days,
    }
}

fn preferences(layer: &PreferencesLayer) -> DefaultPreferences {
    let (search, cache, privacy) = (layer.search_defaults, layer.cache_preferences, layer.privacy);
    DefaultPreferences {
        audio_quality: layer.audio_quality.map(|quality| quality.to_string()).unwrap_or_default(),
        search_defaults: set(DefaultSearch {
            limit: search.limit,
            include_explicit: search.include_explicit,
        }),
        cache_preferences: set(DefaultCache {
            enable_cache: cache.enable_cache,
            cache_duration: cache.cache_duration,
        }),
        privacy: set(DefaultPrivacy {
            enable_analytics: privacy.enable_analytics,
            share_usage_data: privacy.share_usage_data,
        }),
    }
}

fn in_effect(layer: &PreferencesLayer) -> DefaultPreferences {
    let all = Preferences::of(&PreferencesLayer::default(), layer);
    DefaultPreferences {
        audio_quality: all.audio_quality.to_string(),
        search_defaults: Some(DefaultSearch {
            limit: Some(all.search_defaults.limit),
            include_explicit: Some(all.search_defaults.include_explicit),
        }),
        cache_preferences: Some(DefaultCache {
            enable_cache: Some(all.cache_preferences.enable_cache),
            cache_duration: all.cache_preferences.cache_duration,
        }),
        privacy: Some(DefaultPrivacy {
            enable_analytics: Some(all.privacy.enable_analytics),
            share_usage_data: Some(all.privacy.share_usage_data),
        }),
    }
}

fn named<K: ToString, V, T>(map: &BTreeMap<K, V>, value: impl Fn(&V) -> T) -> BTreeMap<String, T> {
    map.iter().map(|(name, entry)| (name.to_string(), value(entry))).collect()
}

/// What says something, and nothing for what does not.
fn set<T: Default + PartialEq>(message: T) -> Option<T> {
    (message != T::default()).then_some(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::document;
    use super::*;

    fn everything() -> Value {
        json!({
            "limits": { "api": [{ "capacity": 7, "window_seconds": 60 }], "search": [] },
            "tenant_limits": { "playlist": [{ "capacity": 1, "window_seconds": 1 }] },
            "penalties": [{ "refusals": 1, "within_seconds": 2, "block_seconds": 3 }],
            "concurrent_calls": 5,
            "cache_ttl_seconds": { "track": 60, "search": 0 },
            "devices": { "new_device": "refuse", "concurrent": 2 },
            "policy_gates": { "spotify": { "transfer": true } },
            "audit": { "max_log_size_bytes": 0 },
            "retention": { "audit_days": 400 },
            "preferences": {
                "audio_quality": "LOSSLESS",
                "search_defaults": { "include_explicit": false },
                "cache_preferences": { "cache_duration": 60 },
                "privacy": { "enable_analytics": false },
            },
            "privacy": { "policy_version": "2", "policy_url": "https://example.com/privacy" },
            "queues": { "items": 40, "members": 5 },
        })
    }

    #[test]
    fn what_is_shown_is_what_is_stored() {
        for stored in [
            everything(),
            json!({}),
            json!({ "penalties": [] }),
            json!({ "devices": { "too_many": "warn" } }),
        ] {
            assert_eq!(document::of(&of(&stored)), stored);
        }
    }

    #[test]
    fn the_example_has_every_member_that_there_is() {
        assert_eq!(TenantSettings::read(&everything()).1, []);
        let told = TenantSettings::read(&json!({ "nonsense": 1 })).1[0].problem.clone();
        let known = told.split("known: ").nth(1).unwrap().split(", ").count();
        assert_eq!(everything().as_object().unwrap().len(), known);
    }

    #[test]
    fn what_holds_in_effect_is_filled_in_and_overrides_stay() {
        let installation = Installation {
            retention: RetentionSettings { sessions_days: Some(14), ..RetentionSettings::default() },
            max_log_size_bytes: 9,
        };
        let effective = |stored: &Value| {
            let mut settings = of(stored);
            fill_in(&mut settings, &TenantSettings::read(stored).0, &installation);
            settings
        };
        let nothing = effective(&json!({}));
        assert_eq!(nothing.limits.len(), LimitClass::ALL.len());
        assert_eq!(nothing.limits["api"].quotas.len(), 2);
        assert_eq!(nothing.penalties.unwrap().steps.len(), 2);
        assert!(
            nothing.policy_gates["tidal"].gates["transfer"]
                && !nothing.policy_gates["spotify"].gates["transfer"]
        );
        assert_eq!(nothing.audit.unwrap().max_log_size_bytes, Some(9));
        let retention = nothing.retention.unwrap();
        assert_eq!((retention.sessions_days, retention.audit_days), (Some(14), Some(90)));
        assert_eq!(nothing.privacy.unwrap().policy_version, "1");
        let all = effective(&everything());
        assert_eq!(all.limits["search"].quotas, [], "no limit stays none");
        assert_eq!((all.cache_ttl_seconds["track"], all.cache_ttl_seconds["search"]), (60, 0));
        assert_eq!(all.audit.unwrap().max_log_size_bytes, Some(0));
        assert_eq!(all.devices.unwrap().too_many, "warn");
    }
}
