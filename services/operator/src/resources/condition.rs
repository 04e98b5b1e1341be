//! Conditions, in the form that Kubernetes has for them (`metav1.Condition`).

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionType {
    /// Whether it can be used.
    Ready,
    /// Whether the admin API has what the spec names, as of the last look.
    Synced,
}

impl ConditionType {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Synced => "Synced",
        }
    }
}

/// One aspect of how an object stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about: `Ready` or `Synced`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The generation of the object that it is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// When `status` changed last (RFC 3339).
    pub last_transition_time: String,
    /// Why, in one word of those that docs/kubernetes-operator.md lists.
    pub reason: String,
    /// The same for people, and what to do. Never holds a secret.
    pub message: String,
}

/// The longest message that Kubernetes takes is longer by far; nobody reads more.
const LONGEST_MESSAGE: usize = 1_000;

/// The condition of that type.
pub fn condition(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// Puts a condition in; its time of transition is `now` only where its status is another than before.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    (type_, holds): (ConditionType, bool),
    (reason, message): (&str, &str),
    generation: Option<i64>,
    now: DateTime<Utc>,
) {
    let status = if holds { "True" } else { "False" };
    let before = condition(conditions, type_).filter(|before| before.status == status);
    let since = before.map(|before| before.last_transition_time.clone());
    let new = Condition {
        type_: type_.as_str().to_owned(),
        status: status.to_owned(),
        observed_generation: generation,
        last_transition_time: since.unwrap_or_else(|| now.to_rfc3339_opts(SecondsFormat::Secs, true)),
        reason: reason.to_owned(),
        message: message.chars().take(LONGEST_MESSAGE).collect(),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == type_.as_str()) {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

/// The schema of a list of conditions: a list with one entry for each type, so that each can be applied by itself.
pub(super) fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "How the object stands: `Ready` and `Synced`.",
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": { "description": "`Ready`: it can be used. `Synced`: the admin API has what the spec names, as of the last look.", "type": "string", "maxLength": 316 },
                "status": { "description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"] },
                "observedGeneration": { "description": "The generation of the object that it is about.", "type": "integer", "format": "int64", "minimum": 0 },
                "lastTransitionTime": { "description": "When `status` changed last.", "type": "string", "format": "date-time" },
                "reason": { "description": "Why, in one word of those that docs/kubernetes-operator.md lists.", "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" },
                "message": { "description": "The same for people, and what to do.", "type": "string", "maxLength": 32768 },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_transition_changes_with_the_status_only() {
        let mut conditions = Vec::new();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let ready = ConditionType::Ready;
        set_condition(&mut conditions, (ready, false), ("SecretMissing", "…"), Some(1), at(10));
        set_condition(&mut conditions, (ready, false), ("TenantMissing", "…"), Some(2), at(20));
        let before = condition(&conditions, ready).unwrap();
        assert_eq!(
            (before.last_transition_time.as_str(), before.reason.as_str()),
            ("1970-01-01T00:00:10Z", "TenantMissing")
        );
        set_condition(&mut conditions, (ready, true), ("Available", "…"), Some(2), at(30));
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time, "1970-01-01T00:00:30Z");
    }
}
