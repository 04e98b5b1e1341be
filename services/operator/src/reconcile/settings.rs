//! A tenant's settings: which of them differ from what an object names, and the update that brings exactly those about. Both
//! sides are compared in the JSON form that the admin API's own descriptors give them.

use std::collections::BTreeSet;

use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::Value;
use stagedoor_proto::admin::v1::{Settings, UpdateSettingsRequest};
use stagedoor_proto::dynamic;

use crate::kind::ReconcileError;
use crate::resources::TenantSettings;

const MESSAGE: &str = "stagedoor.admin.v1.Settings";

/// What an object names of the settings.
pub(super) struct Wanted {
    settings: Settings,
    json: Value,
    /// The innermost members that are named, as masks name them: `limits.api`, `policy_gates.spotify.transfer`.
    pub(super) paths: BTreeSet<String>,
}

impl Wanted {
    /// Reads what an object names.
    pub(super) fn read(named: &TenantSettings) -> Result<Self, ReconcileError> {
        let wrong = |error: &dyn std::fmt::Display| {
            ReconcileError::waiting("Invalid", format!("spec.settings: {error}"))
        };
        let descriptor = dynamic::pool()
            .get_message_by_name(MESSAGE)
            .ok_or_else(|| wrong(&"not known to this version"))?;
        let given = serde_json::to_value(named).map_err(|error| wrong(&error))?;
        let message = DynamicMessage::deserialize(descriptor, given).map_err(|error| wrong(&error))?;
        let settings: Settings = message.transcode_to().map_err(|error| wrong(&error))?;
        let json = json(&settings)?;
        let mut paths = BTreeSet::new();
        collect(&json, &mut Vec::new(), &mut paths);
        Ok(Self { settings, json, paths })
    }

    /// The update that makes `present` as wanted, if it is not: what is named and differs, and what was named before
    /// (`managed`), is not any more, and has a value still, which goes back to its default.
    pub(super) fn update(
        &self,
        tenant: &str,
        present: &Settings,
        managed: &[String],
    ) -> Result<Option<UpdateSettingsRequest>, ReconcileError> {
        let there = json(present)?;
        let differs = self.paths.iter().filter(|path| at(&self.json, path) != at(&there, path));
        let dropped = managed.iter().filter(|path| !self.paths.contains(*path) && at(&there, path).is_some());
        let paths: Vec<String> = differs.chain(dropped).cloned().collect();
        Ok((!paths.is_empty()).then(|| UpdateSettingsRequest {
            tenant: tenant.to_owned(),
            settings: Some(self.settings.clone()),
            update_mask: Some(prost_types::FieldMask { paths }),
            etag: present.etag.clone(),
            validate_only: false,
        }))
    }
}

fn json(settings: &Settings) -> Result<Value, ReconcileError> {
    let wrong =
        |error: &dyn std::fmt::Display| ReconcileError::waiting("Invalid", format!("settings: {error}"));
    let descriptor =
        dynamic::pool().get_message_by_name(MESSAGE).ok_or_else(|| wrong(&"not known to this version"))?;
    let bytes = settings.encode_to_vec();
    let message = DynamicMessage::decode(descriptor, &*bytes).map_err(|error| wrong(&error))?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| wrong(&error))
}

/// How many names lead to an innermost member, counted in JSON, where gates are one level deeper than in masks.
fn depth(path: &[&str]) -> usize {
    match path.first().copied() {
        Some(
            "limits" | "tenant_limits" | "cache_ttl_seconds" | "devices" | "audit" | "retention" | "privacy"
            | "queues",
        ) => 2,
        Some("policy_gates") => 4,
        Some("preferences") if path.get(1) == Some(&"audio_quality") => 2,
        Some("preferences") => 3,
        _ => 1,
    }
}

fn collect<'v>(value: &'v Value, path: &mut Vec<&'v str>, paths: &mut BTreeSet<String>) {
    if !path.is_empty() && (path.len() >= depth(path) || !value.is_object()) {
        let names = path.iter().enumerate().filter(|(index, _)| !(path[0] == "policy_gates" && *index == 2));
        paths.insert(names.map(|(_, name)| *name).collect::<Vec<_>>().join("."));
        return;
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        path.push(name);
        collect(inner, path, paths);
        path.pop();
    }
}

/// The value that a mask's path names.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let names: Vec<_> = path.split('.').collect();
    let gates = names.first() == Some(&"policy_gates");
    names.iter().enumerate().try_fold(value, |value, (index, name)| {
        let value = if gates && index == 2 { value.get("gates")? } else { value };
        value.get(name)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stagedoor_proto::admin::v1::{GateList, Quota, QuotaList};

    use super::*;

    fn wanted(named: Value) -> Wanted {
        Wanted::read(&serde_json::from_value(named).unwrap()).unwrap()
    }

    fn paths(update: Option<UpdateSettingsRequest>) -> Vec<String> {
        update.map(|update| update.update_mask.unwrap().paths).unwrap_or_default()
    }

    fn present() -> Settings {
        let list = |capacity| QuotaList { quotas: vec![Quota { capacity, window_seconds: 60 }] };
        let gates = GateList { gates: [("transfer".to_owned(), true), ("history".to_owned(), true)].into() };
        Settings {
            limits: [("api".to_owned(), list(100)), ("search".to_owned(), list(10))].into(),
            policy_gates: [("spotify".to_owned(), gates)].into(),
            concurrent_calls: Some(4),
            etag: "e1".to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn only_what_is_named_and_differs_is_changed() {
        let named = json!({
            "limits": {"api": {"quotas": [{"capacity": 100, "windowSeconds": 60}]}, "playlist": {"quotas": []}},
            "policyGates": {"spotify": {"gates": {"transfer": false, "history": true}}},
            "cacheTtlSeconds": {"search": 0},
            "devices": {"newDevice": "warn"},
            "preferences": {"audioQuality": "HIGH", "searchDefaults": {"limit": 20}},
        });
        let update = wanted(named).update("acme", &present(), &[]).unwrap().unwrap();
        assert_eq!((update.tenant.as_str(), update.etag.as_str()), ("acme", "e1"));
        let changed = [
            "cache_ttl_seconds.search",
            "devices.new_device",
            "limits.playlist",
            "policy_gates.spotify.transfer",
            "preferences.audio_quality",
            "preferences.search_defaults.limit",
        ];
        assert_eq!(paths(Some(update)), changed);
    }

    #[test]
    fn what_is_as_wanted_needs_nothing() {
        let named = json!({"limits": {"api": {"quotas": [{"capacity": 100, "windowSeconds": 60}]}}, "concurrentCalls": 4});
        assert_eq!(paths(wanted(named).update("acme", &present(), &[]).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_named_any_more_goes_back_and_what_never_was_stays() {
        let managed = [
            "limits.search".to_owned(),
            "limits.playlist".to_owned(),
            "policy_gates.spotify.history".to_owned(),
        ];
        let update = wanted(json!({})).update("acme", &present(), &managed).unwrap();
        assert_eq!(paths(update), ["limits.search", "policy_gates.spotify.history"]);
    }
}
