//! Settings of a request in the form in which they are stored: only what is set.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stagedoor_proto::admin::v1::{DefaultPreferences, QuotaList, Settings};

/// The document of `settings`.
pub(super) fn of(settings: &Settings) -> Value {
    object([
        ("limits", unless_empty(&settings.limits, quotas)),
        ("tenant_limits", unless_empty(&settings.tenant_limits, quotas)),
        (
            "penalties",
            settings.penalties.as_ref().map(|penalties| {
                let step = |step: &stagedoor_proto::admin::v1::PenaltyStep| {
                    json!({
                        "refusals": step.refusals,
                        "within_seconds": step.within_seconds,
                        "block_seconds": step.block_seconds,
                    })
                };
                penalties.steps.iter().map(step).collect()
            }),
        ),
        ("concurrent_calls", settings.concurrent_calls.map(Value::from)),
        ("cache_ttl_seconds", unless_empty(&settings.cache_ttl_seconds, |seconds| Value::from(*seconds))),
        (
            "devices",
            settings.devices.as_ref().map(|devices| {
                object([
                    ("new_device", text(&devices.new_device)),
                    ("too_many", text(&devices.too_many)),
                    ("concurrent", devices.concurrent.map(Value::from)),
                    ("window_seconds", devices.window_seconds.map(Value::from)),
                ])
            }),
        ),
        (
            "policy_gates",
            unless_empty(&settings.policy_gates, |list| {
                list.gates.iter().map(|(gate, open)| (gate.clone(), Value::from(*open))).collect()
            }),
        ),
        (
            "audit",
            settings
                .audit
                .as_ref()
                .map(|audit| object([("max_log_size_bytes", audit.max_log_size_bytes.map(Value::from))])),
        ),
        (
            "retention",
            settings.retention.as_ref().map(|retention| {
                object([
                    ("sessions_days", retention.sessions_days.map(Value::from)),
                    ("audit_days", retention.audit_days.map(Value::from)),
                    ("metrics_days", retention.metrics_days.map(Value::from)),
                    ("limit_violations_days", retention.limit_violations_days.map(Value::from)),
                ])
            }),
        ),
        (
            "queues",
            settings.queues.as_ref().map(|queues| {
                object([
                    ("per_person", queues.per_person.map(Value::from)),
                    ("items", queues.items.map(Value::from)),
                    ("members", queues.members.map(Value::from)),
                ])
            }),
        ),
        ("preferences", settings.preferences.as_ref().map(preferences)),
        (
            "privacy",
            settings.privacy.as_ref().map(|privacy| {
                object([
                    ("policy_version", text(&privacy.policy_version)),
                    ("policy_url", text(&privacy.policy_url)),
                ])
            }),
        ),
    ])
}

fn preferences(given: &DefaultPreferences) -> Value {
    object([
        ("audio_quality", text(&given.audio_quality)),
        (
            "search_defaults",
            given.search_defaults.as_ref().map(|search| {
                object([
                    ("limit", search.limit.map(Value::from)),
                    ("include_explicit", search.include_explicit.map(Value::from)),
                ])
            }),
        ),
        (
            "cache_preferences",
            given.cache_preferences.as_ref().map(|cache| {
                object([
                    ("enable_cache", cache.enable_cache.map(Value::from)),
                    ("cache_duration", cache.cache_duration.map(Value::from)),
                ])
            }),
        ),
        (
            "privacy",
            given.privacy.as_ref().map(|privacy| {
                object([
                    ("enable_analytics", privacy.enable_analytics.map(Value::from)),
                    ("share_usage_data", privacy.share_usage_data.map(Value::from)),
                ])
            }),
        ),
    ])
}

fn quotas(list: &QuotaList) -> Value {
    let quota = |quota: &stagedoor_proto::admin::v1::Quota| json!({ "capacity": quota.capacity, "window_seconds": quota.window_seconds });
    list.quotas.iter().map(quota).collect()
}

fn unless_empty<T>(map: &BTreeMap<String, T>, value: impl Fn(&T) -> Value) -> Option<Value> {
    let members = map.iter().map(|(name, entry)| (name.clone(), value(entry)));
    (!map.is_empty()).then(|| members.collect())
}

fn text(given: &str) -> Option<Value> {
    (!given.is_empty()).then(|| Value::from(given))
}

fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let set = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(set.collect::<Map<_, _>>())
}
