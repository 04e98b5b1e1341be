//! How preferences are read, a tenant's defaults and a person's own alike; and what a tenant says of its policy.

use serde_json::Value;
use url::Url;

use super::{Reader, SettingsProblem, member, names};
use crate::policy::PrivacyTerms;
use crate::preferences::{AudioQuality, CacheLayer, PreferencesLayer, PrivacyLayer, SearchLayer};

impl PreferencesLayer {
    /// What can be read of a document, and what cannot: that is as if it were not set.
    pub fn read(document: &Value) -> (Self, Vec<SettingsProblem>) {
        let mut reader = Reader::default();
        let read = reader.preferences("", document);
        (read, reader.problems)
    }
}

impl Reader {
    pub(super) fn preferences(&mut self, path: &str, value: &Value) -> PreferencesLayer {
        const MEMBERS: [&str; 4] = ["audio_quality", "search_defaults", "cache_preferences", "privacy"];
        let mut layer = PreferencesLayer::default();
        for (name, value) in self.members(path, value, &MEMBERS).into_iter().flatten() {
            let path = &member(path, name);
            match name.as_str() {
                "audio_quality" => layer.audio_quality = self.audio_quality(path, value),
                "search_defaults" => layer.search_defaults = self.search_defaults(path, value),
                "cache_preferences" => layer.cache_preferences = self.cache_preferences(path, value),
                "privacy" => layer.privacy = self.privacy_preferences(path, value),
                _ => {}
            }
        }
        layer
    }

    fn audio_quality(&mut self, path: &str, value: &Value) -> Option<AudioQuality> {
        let quality = value.as_str().and_then(|text| text.parse().ok());
        if quality.is_none() {
            self.wrong(path, value, &format!("one of {}", names(AudioQuality::ALL)));
        }
        quality
    }

    fn search_defaults(&mut self, path: &str, value: &Value) -> SearchLayer {
        const MEMBERS: [&str; 2] = ["limit", "include_explicit"];
        let mut layer = SearchLayer::default();
        for (name, value) in self.members(path, value, &MEMBERS).into_iter().flatten() {
            let path = &member(path, name);
            match name.as_str() {
                "limit" => layer.limit = self.at_least_one(path, value, SearchLayer::MOST),
                "include_explicit" => layer.include_explicit = self.switch(path, value),
                _ => {}
            }
        }
        layer
    }

    fn cache_preferences(&mut self, path: &str, value: &Value) -> CacheLayer {
        const MEMBERS: [&str; 2] = ["enable_cache", "cache_duration"];
        let mut layer = CacheLayer::default();
        for (name, value) in self.members(path, value, &MEMBERS).into_iter().flatten() {
            let path = &member(path, name);
            match name.as_str() {
                "enable_cache" => layer.enable_cache = self.switch(path, value),
                "cache_duration" => {
                    layer.cache_duration = self.at_least_one(path, value, CacheLayer::LONGEST);
                }
                _ => {}
            }
        }
        layer
    }

    fn privacy_preferences(&mut self, path: &str, value: &Value) -> PrivacyLayer {
        const MEMBERS: [&str; 2] = ["enable_analytics", "share_usage_data"];
        let mut layer = PrivacyLayer::default();
        for (name, value) in self.members(path, value, &MEMBERS).into_iter().flatten() {
            let path = &member(path, name);
            match name.as_str() {
                "enable_analytics" => layer.enable_analytics = Some(self.allowance(path, value)),
                "share_usage_data" => layer.share_usage_data = Some(self.allowance(path, value)),
                _ => {}
            }
        }
        layer
    }

    /// What a tenant says of its policy. A version that cannot be read is none that anybody has agreed to.
    pub(super) fn privacy_terms(&mut self, path: &str, value: &Value) -> PrivacyTerms {
        const MEMBERS: [&str; 2] = ["policy_version", "policy_url"];
        let mut terms = PrivacyTerms::default();
        for (name, value) in self.members(path, value, &MEMBERS).into_iter().flatten() {
            let path = &member(path, name);
            match name.as_str() {
                "policy_version" => terms.policy_version = self.policy_version(path, value),
                "policy_url" => terms.policy_url = self.policy_url(path, value),
                _ => {}
            }
        }
        terms
    }

    fn policy_version(&mut self, path: &str, value: &Value) -> Option<String> {
        let version = value.as_str().filter(|text| PrivacyTerms::is_version(text)).map(str::to_owned);
        if version.is_none() {
            self.wrong(path, value, "a text of 1 to 32 letters, digits, dots, hyphens and underscores");
        }
        version
    }

    fn policy_url(&mut self, path: &str, value: &Value) -> Option<String> {
        let parsed = value.as_str().filter(|text| text.len() <= 500).and_then(|text| Url::parse(text).ok());
        let url = parsed.filter(|url| url.scheme() == "https" && url.username().is_empty());
        if url.is_none() && !value.is_null() {
            self.wrong(path, value, "an https address, or null for none");
        }
        url.map(String::from)
    }

    fn switch(&mut self, path: &str, value: &Value) -> Option<bool> {
        let on = value.as_bool();
        if on.is_none() {
            self.wrong(path, value, "true or false");
        }
        on
    }

    /// A switch that allows something: a slip allows nothing.
    fn allowance(&mut self, path: &str, value: &Value) -> bool {
        self.switch(path, value).unwrap_or(false)
    }

    fn at_least_one(&mut self, path: &str, value: &Value, most: u32) -> Option<u32> {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.wrong(path, value, &format!("a whole number from 1 to {most}"));
        }
        number
    }
}
