//! What can be read holds, what cannot has its default and is told with its place.

use serde_json::json;

use super::*;
use crate::policy::PrivacyTerms;
use crate::preferences::{AudioQuality, CacheLayer, PreferencesLayer, PrivacyLayer, SearchLayer};
use crate::queue::QueueLimits;
use crate::retention::RetentionSettings;

fn read(stored: &Value) -> (TenantSettings, Vec<String>) {
    let (settings, problems) = TenantSettings::read(stored);
    (settings, problems.iter().map(ToString::to_string).collect())
}

/// What is told of settings of which nothing can be read.
fn refused(stored: &Value) -> Vec<String> {
    let (settings, problems) = read(stored);
    assert_eq!(settings, TenantSettings::default(), "{stored}");
    problems
}

#[test]
fn what_is_written_is_read_again_without_a_word() {
    let settings = TenantSettings {
        limits: [(LimitClass::Api, vec![Quota::per_minute(3)]), (LimitClass::Playlist, vec![])].into(),
        tenant_limits: [(LimitClass::Search, vec![Quota::per_hour(9)])].into(),
        penalties: Some(vec![PenaltyStep { refusals: 1, within_seconds: 2, block_seconds: 3 }]),
        concurrent_calls: Some(5),
        cache_ttl_seconds: [(CacheClass::Track, 60), (CacheClass::Search, 0)].into(),
        devices: DevicePolicy { new_device: PolicyAction::Refuse, concurrent: 2, ..DevicePolicy::default() },
        policy_gates: [(Provider::Spotify, [(PolicyGate::Transfer, true)].into())].into(),
        audit: AuditSettings { max_log_size_bytes: Some(7) },
        retention: RetentionSettings { audit_days: Some(400), ..RetentionSettings::default() },
        preferences: PreferencesLayer {
            audio_quality: Some(AudioQuality::Lossless),
            search_defaults: SearchLayer { limit: Some(50), include_explicit: Some(false) },
            cache_preferences: CacheLayer { enable_cache: Some(true), cache_duration: Some(1) },
            privacy: PrivacyLayer { enable_analytics: Some(false), share_usage_data: Some(true) },
        },
        privacy: PrivacyTerms {
            policy_version: Some("2026-11".to_owned()),
            policy_url: Some("https://example.com/privacy".to_owned()),
        },
        queues: QueueLimits { per_person: 3, items: 40, members: 5 },
    };
    assert_eq!(TenantSettings::read(&serde_json::to_value(&settings).unwrap()), (settings, vec![]));
    assert_eq!(TenantSettings::read(&json!({})), (TenantSettings::default(), vec![]));
}

#[test]
fn a_slip_takes_nothing_else_with_it() {
    let (settings, problems) = read(&json!({
        "limits": { "serch": [], "api": [{ "capacity": 7, "window_seconds": 60 }], "playlist": null },
        "limit": {},
        "concurrent_calls": -5,
        "penalties": [],
        "cache_ttl_seconds": { "search": "many", "track": 60, "books": 1 },
        "devices": { "new_device": "refuse", "too_many": "forbid", "concurrent": 1.5, "max": 1 },
    }));
    assert_eq!(settings.limits, [(LimitClass::Api, vec![Quota::per_minute(7)])].into());
    assert_eq!(settings.quotas(LimitClass::Playlist), LimitClass::Playlist.default_quotas());
    assert_eq!((settings.concurrent_calls, settings.penalties), (None, Some(vec![])));
    assert_eq!(settings.cache_ttl_seconds, [(CacheClass::Track, 60)].into());
    assert_eq!(
        settings.devices,
        DevicePolicy { new_device: PolicyAction::Refuse, ..DevicePolicy::default() }
    );
    let told = [
        "cache_ttl_seconds.books: this version knows no such class; known: search, playlist, metadata, track, never",
        "cache_ttl_seconds.search: it is \"many\"; wanted: a whole number from 0 to 31536000",
        "concurrent_calls: it is -5; wanted: a whole number from 0 to 4294967295",
        "devices.concurrent: it is 1.5; wanted: a whole number from 0 to 4294967295",
        "devices.max: this version knows no such member; known: new_device, too_many, concurrent, window_seconds",
        "devices.too_many: it is \"forbid\"; wanted: one of allow, warn, refuse",
        "limit: this version knows no such member; known: limits, tenant_limits, penalties, concurrent_calls, \
         cache_ttl_seconds, devices, policy_gates, audit, retention, preferences, privacy, queues",
        "limits.playlist: it is null; wanted: a list such as [{\"capacity\": 100, \"window_seconds\": 60}], or [] for \
         no limit",
        "limits.serch: this version knows no such class; known: api, search, playlist, auth",
    ];
    let mut problems = problems;
    problems.sort();
    assert_eq!(problems, told);
}

#[test]
fn bounds_of_queues_stay_within_those_of_the_house() {
    let (settings, problems) =
        read(&json!({ "queues": { "items": 500, "members": 501, "per_person": 0, "votes": 1 } }));
    assert_eq!(settings.queues, QueueLimits { items: 500, ..QueueLimits::default() });
    let mut problems = problems;
    problems.sort();
    let told = [
        "queues.members: it is 501; wanted: a whole number from 1 to 500",
        "queues.per_person: it is 0; wanted: a whole number from 1 to 200",
        "queues.votes: this version knows no such member; known: per_person, items, members",
    ];
    assert_eq!(problems, told);
}

#[test]
fn a_slip_opens_no_gate() {
    let (settings, problems) = read(&json!({ "policy_gates": {
        "spotify": { "transfer": true, "recommendations": "yes", "transfers": true },
        "tidal": { "transfer": false },
        "deezer": {},
    } }));
    assert!(settings.is_open(Provider::Spotify, PolicyGate::Transfer));
    assert!(
        !settings.is_open(Provider::Tidal, PolicyGate::Transfer),
        "what is open by default can be closed"
    );
    for gate in [PolicyGate::Recommendations, PolicyGate::CrossProviderView, PolicyGate::HistoryInsights] {
        assert!(!settings.is_open(Provider::Spotify, gate) && settings.is_open(Provider::Tidal, gate));
    }
    let told = [
        "policy_gates.deezer: this version knows no such provider; known: spotify, tidal",
        "policy_gates.spotify.recommendations: it is \"yes\"; wanted: true for open or false for closed",
        "policy_gates.spotify.transfers: this version knows no such policy gate; known: history_insights, \
         recommendations, cross_provider_view, transfer",
    ];
    assert_eq!(problems, told);
    assert_eq!(refused(&json!({ "policy_gates": true })), ["policy_gates: it is true; wanted: an object"]);
}

#[test]
fn a_slip_in_the_defaults_of_people_allows_nothing_and_is_agreed_to_by_nobody() {
    let (settings, problems) = read(&json!({
        "preferences": {
            "audio_quality": "HIGHEST",
            "search_defaults": { "limit": 51, "include_explicit": false },
            "cache_preferences": { "cache_duration": 0, "enable_cach": true },
            "privacy": { "enable_analytics": "yes" },
            "theme": "dark",
        },
        "privacy": { "policy_version": "of today", "policy_url": "http://example.com" },
    }));
    assert_eq!(
        settings.preferences,
        PreferencesLayer {
            search_defaults: SearchLayer { limit: None, include_explicit: Some(false) },
            privacy: PrivacyLayer { enable_analytics: Some(false), share_usage_data: None },
            ..PreferencesLayer::default()
        }
    );
    assert_eq!(settings.privacy, PrivacyTerms { policy_version: None, policy_url: None });
    let mut problems = problems;
    problems.sort();
    let told = [
        "preferences.audio_quality: it is \"HIGHEST\"; wanted: one of LOW, HIGH, LOSSLESS, HI_RES_LOSSLESS",
        "preferences.cache_preferences.cache_duration: it is 0; wanted: a whole number from 1 to 2592000",
        "preferences.cache_preferences.enable_cach: this version knows no such member; known: enable_cache, \
         cache_duration",
        "preferences.privacy.enable_analytics: it is \"yes\"; wanted: true or false",
        "preferences.search_defaults.limit: it is 51; wanted: a whole number from 1 to 50",
        "preferences.theme: this version knows no such member; known: audio_quality, search_defaults, \
         cache_preferences, privacy",
        "privacy.policy_url: it is \"http://example.com\"; wanted: an https address, or null for none",
        "privacy.policy_version: it is \"of today\"; wanted: a text of 1 to 32 letters, digits, dots, hyphens and \
         underscores",
    ];
    assert_eq!(problems, told);
    let (absent, _) = read(&json!({ "privacy": {} }));
    assert_eq!(absent.privacy, PrivacyTerms::default());
}

#[test]
fn a_quota_that_cannot_be_read_lifts_no_limit() {
    let quota = json!({ "capacity": 500, "window_seconds": 60 });
    for broken in [
        json!({ "capacity": -5, "window_seconds": 60 }),
        json!({ "capacity": 5_000_000_000_u64, "window_seconds": 60 }),
        json!({ "capacity": 5, "window_second": 60 }),
        json!({ "capacity": 5, "window_seconds": "60" }),
        json!([5, 60]),
        json!(null),
    ] {
        let (settings, problems) = read(&json!({ "limits": { "search": [quota, broken] } }));
        let mut wanted = vec![Quota::per_minute(500)];
        wanted.extend(LimitClass::Search.default_quotas());
        assert_eq!(settings.quotas(LimitClass::Search), wanted, "{broken}: both hold");
        assert!(problems[0].starts_with("limits.search[1]"), "{problems:?}");
        let (settings, _) = read(&json!({ "tenant_limits": { "api": [broken] } }));
        assert_eq!(settings.tenant_quotas(LimitClass::Api), LimitClass::Api.default_tenant_quotas());
    }
    assert_eq!(
        read(&json!({ "limits": { "api": [{ "capacity": -5, "window_seconds": 60 }] } })).1,
        ["limits.api[0].capacity: it is -5; wanted: a whole number from 0 to 4294967295"]
    );
    assert_eq!(
        read(&json!({ "limits": { "api": [{ "capacity": 5 }] } })).1,
        ["limits.api[0].window_seconds: it is missing; wanted: a whole number from 0 to 31536000"]
    );
}

#[test]
fn a_step_that_cannot_be_read_lifts_no_penalty() {
    let steps = |first: u32| -> Vec<Value> {
        let step = |refusals| json!({ "refusals": refusals, "within_seconds": 9, "block_seconds": 1 });
        (first..first + 4).map(step).chain([json!({ "refusals": "few" })]).collect()
    };
    let (settings, problems) = read(&json!({ "penalties": steps(60) }));
    assert_eq!(
        settings.penalty_steps()[..2],
        PenaltyStep::DEFAULT,
        "only four count, and these are among them"
    );
    assert_eq!(settings.penalty_steps()[2].refusals, 60);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(
        refused(&json!({ "penalties": {} })),
        ["penalties: it is an object; wanted: a list such as [{\"refusals\": 10, \"within_seconds\": 600, \
          \"block_seconds\": 60}], or [] for none"]
    );
}

#[test]
fn whatever_is_there_is_told_in_short_lines() {
    for (stored, told) in [
        (json!(null), "settings: it is null; wanted: an object"),
        (json!([]), "settings: it is a list; wanted: an object"),
        (json!({ "limits": 7 }), "limits: it is 7; wanted: an object"),
        (json!({ "devices": true }), "devices: it is true; wanted: an object"),
    ] {
        assert_eq!(refused(&stored), [told]);
    }
    let long = "x\n".repeat(1_000);
    let many: Map<String, Value> = (0..1_000).map(|n| (format!("{long}{n}"), json!(long))).collect();
    let told = refused(&json!({ "limits": many, "concurrent_calls": long }));
    assert_eq!(told.len(), Reader::MOST + 1);
    assert!(told.iter().all(|line| line.len() < 300 && !line.contains('\n')), "{told:?}");
}

#[test]
fn days_out_of_bounds_are_as_if_they_were_not_set() {
    let (settings, problems) = read(&json!({
        "retention": { "audit_days": 29, "sessions_days": 7, "metrics_days": "long", "years": 1 },
    }));
    assert_eq!(
        settings.retention,
        RetentionSettings { sessions_days: Some(7), ..RetentionSettings::default() }
    );
    let mut problems = problems;
    problems.sort();
    let told = [
        "retention.audit_days: it is 29; wanted: a whole number of days from 30 to 3650",
        "retention.metrics_days: it is \"long\"; wanted: a whole number of days from 7 to 365",
        "retention.years: this version knows no such member; known: sessions_days, audit_days, metrics_days, \
         limit_violations_days",
    ];
    assert_eq!(problems, told);
}
