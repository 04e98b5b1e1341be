//! Which members of the settings an update changes, and the change itself, one innermost member at a time: what a later
//! release wrote beside them stays.

use prost_types::FieldMask;
use serde_json::{Map, Value};
use stagedoor_domain::{CacheClass, LimitClass, PolicyGate, Provider, TenantSettings};

use crate::error::AdminError;
use crate::fields::Problems;

const MEMBERS: [&str; 12] = TenantSettings::MEMBERS;

/// What protects the installation, other tenants, or the platform's promises from a tenant: its own admins do not change it.
pub(super) const OF_OPERATORS: [&str; 6] =
    ["tenant_limits", "penalties", "concurrent_calls", "policy_gates", "audit", "retention"];

/// The members that are changed, such as `limits.api`.
#[derive(Debug)]
pub(super) struct Changed(Vec<Vec<String>>);

/// What is inside a member.
struct Inside {
    /// The names that this version knows.
    names: Vec<&'static str>,
    /// Whether there may be others, of which a slip is told with its value.
    open: bool,
}

impl Changed {
    /// What `mask` names, `*` being all of it; without a mask, what `new` holds.
    pub(super) fn read(mask: Option<&FieldMask>, new: &Value) -> Result<Self, AdminError> {
        let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) else {
            let members = new.as_object().into_iter().flat_map(Map::keys);
            return Ok(Self(members.map(|member| vec![member.clone()]).collect()));
        };
        if mask.paths.iter().any(|path| path == "*") {
            return Ok(Self(MEMBERS.iter().map(|member| vec![(*member).to_owned()]).collect()));
        }
        let mut problems = Problems::default();
        let mut changed = Vec::with_capacity(mask.paths.len());
        for text in &mask.paths {
            let path: Vec<_> = text.split('.').map(str::to_owned).collect();
            if is_known(&path) {
                changed.push(path);
            } else {
                problems.note(
                    "update_mask",
                    format!("{text:?} cannot be changed; wanted: {}.", MEMBERS.join(", ")),
                );
            }
        }
        problems.check().map(|()| Self(changed))
    }

    /// Whether `place`, such as `limits.api[0].capacity`, is in what is changed.
    pub(super) fn covers(&self, place: &str) -> bool {
        self.0.iter().any(|path| {
            let rest = place.strip_prefix(&*path.join("."));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// `stored` with what is changed as it is in `new`; what is not there goes back to its default.
    pub(super) fn apply(&self, stored: &Value, new: &Value) -> Value {
        let mut members = stored.as_object().cloned().unwrap_or_default();
        for path in &self.0 {
            let given = path.iter().try_fold(new, |value, name| value.get(name));
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            replace(&mut members, &path, 0, given);
        }
        Value::Object(members)
    }
}

/// Puts `given` in the place of `path`, of which the first `done` names lead to `members`.
fn replace(members: &mut Map<String, Value>, path: &[&str], done: usize, given: Option<&Value>) {
    let Some(name) = path.get(done) else {
        let known = inside(path).map(|inside| inside.names).unwrap_or_default();
        let named = given.and_then(Value::as_object).into_iter().flat_map(Map::keys).map(String::as_str);
        for name in known.into_iter().chain(named) {
            let longer: Vec<_> = path.iter().copied().chain([name]).collect();
            replace(members, &longer, done, given.and_then(|given| given.get(name)));
        }
        return;
    };
    let is_innermost = done + 1 == path.len() && inside(path).is_none();
    if is_innermost {
        match given {
            Some(given) => drop(members.insert((*name).to_owned(), given.clone())),
            None => drop(members.remove(*name)),
        }
        return;
    }
    let mut within = match members.remove(*name) {
        Some(Value::Object(within)) => within,
        _ => Map::new(),
    };
    replace(&mut within, path, done + 1, given);
    if !within.is_empty() {
        members.insert((*name).to_owned(), Value::Object(within));
    }
}

fn is_known(path: &[String]) -> bool {
    let names: Vec<_> = path.iter().map(String::as_str).collect();
    (0..names.len()).all(|place| {
        let inside = inside(&names[..place]);
        let fits = |inside: Inside| inside.names.contains(&names[place]) || inside.open;
        !names[place].is_empty() && inside.is_some_and(fits)
    })
}

/// What is inside the member at `path`; `None` for a value.
fn inside(path: &[&str]) -> Option<Inside> {
    let closed = |names: &[&'static str]| Some(Inside { names: names.to_vec(), open: false });
    let open = |names: Vec<&'static str>| Some(Inside { names, open: true });
    match path {
        [] => closed(&MEMBERS),
        ["limits" | "tenant_limits"] => open(LimitClass::ALL.iter().map(|class| class.as_str()).collect()),
        ["cache_ttl_seconds"] => open(CacheClass::ALL.iter().map(|class| class.as_str()).collect()),
        ["policy_gates"] => open(Provider::ALL.iter().map(|provider| provider.as_str()).collect()),
        ["policy_gates", _] => open(PolicyGate::ALL.iter().map(|gate| gate.as_str()).collect()),
        ["devices"] => closed(&["new_device", "too_many", "concurrent", "window_seconds"]),
        ["audit"] => closed(&["max_log_size_bytes"]),
        ["retention"] => closed(&["sessions_days", "audit_days", "metrics_days", "limit_violations_days"]),
        ["queues"] => closed(&["per_person", "items", "members"]),
        ["privacy"] => closed(&["policy_version", "policy_url"]),
        ["preferences"] => closed(&["audio_quality", "search_defaults", "cache_preferences", "privacy"]),
        ["preferences", "search_defaults"] => closed(&["limit", "include_explicit"]),
        ["preferences", "cache_preferences"] => closed(&["enable_cache", "cache_duration"]),
        ["preferences", "privacy"] => closed(&["enable_analytics", "share_usage_data"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stagedoor_domain::TenantSettings;

    use super::*;

    fn changed(paths: &[&str]) -> Result<Changed, AdminError> {
        let mask = FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() };
        Changed::read(Some(&mask), &json!({}))
    }

    #[test]
    fn a_mask_names_members_entries_and_what_is_inside() {
        let known = [
            "limits",
            "limits.api",
            "devices.new_device",
            "policy_gates.spotify.transfer",
            "preferences.privacy",
            "*",
        ];
        for path in known {
            assert!(changed(&[path]).is_ok(), "{path}");
        }
        let unknown = [
            "limit",
            "tenant",
            "etag",
            "limits.api.capacity",
            "devices.newest",
            "penalties.steps",
            "limits.",
            "",
            "a.b",
        ];
        for path in unknown {
            let error = changed(&["limits", path]).unwrap_err();
            assert_eq!(error.violations.len(), 1, "{path}");
            assert_eq!(error.violations[0].field, "update_mask");
        }
    }

    #[test]
    fn only_what_is_named_changes_and_what_is_left_out_goes_back() {
        let stored = json!({
            "limits": { "api": [{ "capacity": 1, "window_seconds": 1 }], "later": [] },
            "devices": { "new_device": "warn", "too_many": "refuse", "later": 1 },
            "concurrent_calls": 3,
            "later": { "x": 1 },
        });
        let new = json!({ "devices": { "new_device": "refuse" }, "concurrent_calls": 9 });
        let apply = |paths: &[&str]| changed(paths).unwrap().apply(&stored, &new);
        let mut wanted = stored.clone();
        wanted["devices"] = json!({ "new_device": "refuse", "too_many": "refuse", "later": 1 });
        assert_eq!(apply(&["devices.new_device"]), wanted);
        wanted["devices"] = json!({ "new_device": "refuse", "later": 1 });
        assert_eq!(
            apply(&["devices"]),
            wanted,
            "a member is replaced as a whole, but for what nobody here knows"
        );
        wanted = stored.clone();
        wanted["limits"] = json!({ "later": [] });
        assert_eq!(apply(&["limits"]), wanted);
        assert_eq!(apply(&["limits.api"]), wanted);
        assert_eq!(apply(&["*"])["later"], json!({ "x": 1 }));
        let without = Changed::read(None, &new).unwrap().apply(&stored, &new);
        assert_eq!((&without["limits"], &without["concurrent_calls"]), (&stored["limits"], &json!(9)));
    }

    #[test]
    fn nothing_is_left_of_a_member_that_is_all_at_its_default() {
        let stored = json!({ "policy_gates": { "spotify": { "transfer": true } }, "penalties": [] });
        let empty =
            changed(&["policy_gates.spotify.transfer", "penalties"]).unwrap().apply(&stored, &json!({}));
        assert_eq!(empty, json!({}));
        let none = json!({ "penalties": [], "limits": { "api": [] } });
        assert_eq!(
            changed(&["penalties", "limits"]).unwrap().apply(&json!({}), &none),
            none,
            "no limit is a value"
        );
    }

    #[test]
    fn a_slip_in_a_name_is_kept_to_be_told() {
        let new = json!({ "limits": { "serch": [] } });
        let changed = Changed::read(None, &new).unwrap();
        let problems = TenantSettings::read(&changed.apply(&json!({ "limit": 1 }), &new)).1;
        let told: Vec<_> = problems.iter().filter(|problem| changed.covers(&problem.path)).collect();
        assert_eq!(told.len(), 1, "what was wrong before is not this change's affair: {problems:?}");
        assert_eq!(told[0].path, "limits.serch");
        assert!(!changed.covers("limits_of_old") && changed.covers("limits[0]"));
    }

    #[test]
    fn every_member_that_the_domain_knows_can_be_changed() {
        let unknown = TenantSettings::read(&json!({ "nonsense": 1 })).1;
        for member in MEMBERS {
            assert!(unknown[0].problem.contains(member), "{member}");
        }
        let known = unknown[0].problem.split("known: ").nth(1).unwrap();
        assert_eq!(known.split(", ").count(), MEMBERS.len());
    }
}
