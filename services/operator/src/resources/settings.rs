//! What a `Tenant` overrides, in the proto3 JSON form of the admin API's `Settings`: whoever knows `stagedoorctl settings update
//! --from-file` knows this.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a tenant overrides, in the form of the admin API's `Settings` (docs/admin-api.md). A member that is not named is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantSettings {
    /// For each principal, by class of calls: `api`, `search`, `playlist`, `auth`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, QuotaList>,
    /// For all principals together, by class of calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenant_limits: BTreeMap<String, QuotaList>,
    /// What becomes of callers who are refused again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalties: Option<PenaltyList>,
    /// Calls under way at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_calls: Option<u32>,
    /// How long answers are reused, by class: `search`, `playlist`, `metadata`, `track`. 0 for not at all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cache_ttl_seconds: BTreeMap<String, u64>,
    /// What becomes of sessions on new or many devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<DevicePolicy>,
    /// What a provider's terms close unless an operator opens it, by provider: `spotify`, `tidal`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policy_gates: BTreeMap<String, GateList>,
    /// The audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditSettings>,
    /// How long what is kept, within the bounds of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Which privacy policy people consent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PrivacyTerms>,
    /// What holds for people who have set nothing of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferences: Option<DefaultPreferences>,
    /// How much there may be of shared queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<QueueBounds>,
}

/// How much there may be of shared queues.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueBounds {
    /// Queues that one person owns: 1 to 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub per_person: Option<u32>,
    /// Items in one queue: 1 to 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub items: Option<u32>,
    /// People in one queue: 1 to 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub members: Option<u32>,
}

/// What becomes of sessions on new or many devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePolicy {
    /// `allow`, `warn` or `refuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(allow|warn|refuse)$"))]
    pub new_device: Option<String>,
    /// `allow`, `warn` or `refuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(allow|warn|refuse)$"))]
    pub too_many: Option<String>,
    /// Devices at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// What counts as at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u32>,
}

/// The audit trail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditSettings {
    /// Bytes of a day's records; at that size reads are refused until the next day. 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_log_size_bytes: Option<u64>,
}

/// The privacy policy that people consent to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrivacyTerms {
    /// Its version; a new one asks everyone again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub policy_version: Option<String>,
    /// Where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub policy_url: Option<String>,
}

/// How long what is kept, in days.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Grants of accounts that nobody uses: 7 to 365.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 7, max = 365))]
    pub sessions_days: Option<u32>,
    /// Records of the audit trail: 30 to 3650.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 30, max = 3650))]
    pub audit_days: Option<u32>,
    /// Figures of usage: 7 to 365.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 7, max = 365))]
    pub metrics_days: Option<u32>,
    /// Which calls a limit refused: 1 to 365.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 365))]
    pub limit_violations_days: Option<u32>,
}

/// What holds for people who have set nothing of their own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefaultPreferences {
    /// `LOW`, `HIGH`, `LOSSLESS` or `HI_RES_LOSSLESS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(LOW|HIGH|LOSSLESS|HI_RES_LOSSLESS)$"))]
    pub audio_quality: Option<String>,
    /// Searches that do not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_defaults: Option<DefaultSearch>,
    /// Answers that were fetched before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_preferences: Option<DefaultCache>,
    /// What is done with data about the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<DefaultPrivacy>,
}

/// Searches that do not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefaultSearch {
    /// How many of each kind: 1 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub limit: Option<u32>,
    /// Whether items are shown that the service marks explicit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_explicit: Option<bool>,
}

/// Answers that were fetched before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefaultCache {
    /// Whether calls may be answered with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_cache: Option<bool>,
    /// How old they may be at most, in seconds. It only shortens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_duration: Option<u32>,
}

/// What is done with data about a person beyond what they ask for. A consent is needed besides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefaultPrivacy {
    /// Whether it may be counted how the person uses Stagedoor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_analytics: Option<bool>,
    /// Whether what was counted may be given to anyone else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_usage_data: Option<bool>,
}

/// A quota: so many calls in a window, refilled evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Calls.
    pub capacity: u32,
    /// The window.
    #[schemars(range(min = 1))]
    pub window_seconds: u32,
}

/// Quotas that hold together; none means no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaList {
    /// The quotas.
    #[serde(default)]
    pub quotas: Vec<Quota>,
}

/// A penalty for being refused too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PenaltyStep {
    /// After so many refusals
    #[schemars(range(min = 1))]
    pub refusals: u32,
    /// within this time
    pub within_seconds: u32,
    /// everything is refused for this long.
    pub block_seconds: u32,
}

/// Penalties; none means none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PenaltyList {
    /// The steps, the mildest first.
    #[serde(default)]
    #[schemars(length(max = 4))]
    pub steps: Vec<PenaltyStep>,
}

/// Gates of one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateList {
    /// By name: whether it is open.
    #[serde(default)]
    pub gates: BTreeMap<String, bool>,
}

#[cfg(test)]
mod tests {
    use prost_reflect::{Kind, MessageDescriptor};
    use serde_json::Value;
    use stagedoor_proto::dynamic;

    use super::*;

    /// What the admin API tells of settings and nobody sets.
    const TOLD: [&str; 2] = ["tenant", "etag"];

    /// The object's schema behind references and alternatives with null.
    fn object<'s>(all: &'s Value, mut schema: &'s Value) -> &'s Value {
        loop {
            let alternative = schema["anyOf"].as_array().and_then(|any| any.first());
            schema = match (schema["$ref"].as_str(), alternative) {
                (Some(reference), _) => {
                    all.pointer(reference.trim_start_matches('#')).expect("what is referred to")
                }
                (_, Some(first)) => first,
                _ => return schema,
            };
        }
    }

    fn missing(
        message: &MessageDescriptor,
        all: &Value,
        schema: &Value,
        path: &str,
        found: &mut Vec<String>,
    ) {
        for field in message.fields().filter(|field| !TOLD.contains(&field.name())) {
            let name = format!("{path}{}", field.json_name());
            let property = &schema["properties"][field.json_name()];
            if property.is_null() {
                found.push(name);
                continue;
            }
            let (kind, inner) = if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
                (entry.map_entry_value_field().kind(), &property["additionalProperties"])
            } else if field.is_list() {
                (field.kind(), &property["items"])
            } else {
                (field.kind(), property)
            };
            if let Kind::Message(inside) = kind {
                missing(&inside, all, object(all, inner), &format!("{name}."), found);
            }
        }
    }

    #[test]
    fn every_setting_of_the_admin_api_can_be_named() {
        let all = serde_json::to_value(schemars::schema_for!(TenantSettings)).unwrap();
        let settings = dynamic::pool().get_message_by_name("stagedoor.admin.v1.Settings").unwrap();
        let mut found = Vec::new();
        missing(&settings, &all, &all, "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
