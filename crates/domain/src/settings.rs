//! How a tenant's settings are read: member by member, so that a slip in one, or what another release wrote, takes
//! nothing else with it. What the settings mean is in `policy`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::music::Provider;
use crate::policy::{
    AuditSettings, CacheClass, DevicePolicy, LimitClass, PenaltyStep, PolicyAction, PolicyGate, Quota,
    TenantSettings,
};

/// Something in a tenant's settings that could not be read. The default holds in its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SettingsProblem {
    /// Where, such as `limits.api[0].capacity`; `settings` if it is about all of them.
    pub path: String,
    /// What is there and what would be right.
    pub problem: String,
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl TenantSettings {
    /// What a tenant may override, by the names under which it is stored.
    pub const MEMBERS: [&str; 12] = [
        "limits",
        "tenant_limits",
        "penalties",
        "concurrent_calls",
        "cache_ttl_seconds",
        "devices",
        "policy_gates",
        "audit",
        "retention",
        "preferences",
        "privacy",
        "queues",
    ];

    /// What can be read of `stored`, and what cannot. A member that cannot be read has its default. Where one of
    /// several quotas or penalty steps cannot be read, the others hold together with the defaults, so that a tenant may
    /// never do more than either.
    pub fn read(stored: &Value) -> (Self, Vec<SettingsProblem>) {
        let (mut reader, mut settings) = (Reader::default(), Self::default());
        for (name, value) in reader.object("", stored).into_iter().flatten() {
            match name.as_str() {
                "limits" => settings.limits = reader.limits(name, value, LimitClass::default_quotas),
                "tenant_limits" => {
                    settings.tenant_limits = reader.limits(name, value, LimitClass::default_tenant_quotas);
                }
                "penalties" => settings.penalties = reader.penalties(name, value),
                "concurrent_calls" => settings.concurrent_calls = reader.number(name, value),
                "cache_ttl_seconds" => {
                    settings.cache_ttl_seconds =
                        reader.classes(name, value, CacheClass::ALL, |reader, path, _, value| {
                            reader.whole(path, value, LONGEST_SECONDS)
                        });
                }
                "devices" => settings.devices = reader.devices(name, value),
                "policy_gates" => settings.policy_gates = reader.policy_gates(name, value),
                "audit" => settings.audit = reader.audit(name, value),
                "retention" => settings.retention = reader.retention(name, value),
                "preferences" => settings.preferences = reader.preferences(name, value),
                "privacy" => settings.privacy = reader.privacy_terms(name, value),
                "queues" => settings.queues = reader.queues(name, value),
                _ => reader.unknown("", name, "member", &Self::MEMBERS),
            }
        }
        (settings, reader.problems)
    }
}

/// A year: no life of an answer and no window is longer.
const LONGEST_SECONDS: u64 = 31_536_000;

#[derive(Default)]
struct Reader {
    problems: Vec<SettingsProblem>,
}

impl Reader {
    /// The most problems that are told.
    const MOST: usize = 20;

    fn limits(
        &mut self,
        path: &str,
        value: &Value,
        default: fn(LimitClass) -> Vec<Quota>,
    ) -> BTreeMap<LimitClass, Vec<Quota>> {
        self.classes(path, value, LimitClass::ALL, |reader, path, class, value| {
            let wanted = "a list such as [{\"capacity\": 100, \"window_seconds\": 60}], or [] for no limit";
            let (mut quotas, whole) = reader.list(path, value, wanted, Self::quota)?;
            if !whole {
                quotas.extend(default(class));
            }
            Some(quotas)
        })
    }

    fn quota(&mut self, path: &str, value: &Value) -> Option<Quota> {
        const MEMBERS: [&str; 2] = ["capacity", "window_seconds"];
        let members = self.members(path, value, &MEMBERS)?;
        let capacity = self.required(path, members, MEMBERS[0], u32::MAX.into());
        let window = self.required(path, members, MEMBERS[1], LONGEST_SECONDS);
        Some(Quota { capacity: u32::try_from(capacity?).ok()?, window: Duration::from_secs(window?) })
    }

    fn penalties(&mut self, path: &str, value: &Value) -> Option<Vec<PenaltyStep>> {
        let wanted = "a list such as [{\"refusals\": 10, \"within_seconds\": 600, \"block_seconds\": 60}], or [] for none";
        let (steps, whole) = self.list(path, value, wanted, Self::penalty_step)?;
        if whole {
            return Some(steps);
        }
        // The defaults first: of many steps only the first count.
        Some(PenaltyStep::DEFAULT.into_iter().chain(steps).collect())
    }

    fn penalty_step(&mut self, path: &str, value: &Value) -> Option<PenaltyStep> {
        const MEMBERS: [&str; 3] = ["refusals", "within_seconds", "block_seconds"];
        let members = self.members(path, value, &MEMBERS)?;
        let [refusals, within, block] =
            MEMBERS.map(|name| self.required(path, members, name, u32::MAX.into()));
        Some(PenaltyStep {
            refusals: u32::try_from(refusals?).ok()?,
            within_seconds: u32::try_from(within?).ok()?,
            block_seconds: u32::try_from(block?).ok()?,
        })
    }

    fn devices(&mut self, path: &str, value: &Value) -> DevicePolicy {
        const MEMBERS: [&str; 4] = ["new_device", "too_many", "concurrent", "window_seconds"];
        let mut policy = DevicePolicy::default();
        for (name, value) in self.members(path, value, &MEMBERS).into_iter().flatten() {
            let path = &member(path, name);
            match name.as_str() {
                "new_device" => self.action(path, value, &mut policy.new_device),
                "too_many" => self.action(path, value, &mut policy.too_many),
                "concurrent" => policy.concurrent = self.number(path, value).unwrap_or(policy.concurrent),
                "window_seconds" => {
                    policy.window_seconds = self.number(path, value).unwrap_or(policy.window_seconds);
                }
                _ => {}
            }
        }
        policy
    }

    fn audit(&mut self, path: &str, value: &Value) -> AuditSettings {
        const MEMBERS: [&str; 1] = ["max_log_size_bytes"];
        let size = self.members(path, value, &MEMBERS).and_then(|members| members.get(MEMBERS[0]));
        let most = i64::MAX.unsigned_abs();
        AuditSettings {
            max_log_size_bytes: size.and_then(|size| self.whole(&member(path, MEMBERS[0]), size, most)),
        }
    }

    /// A gate that cannot be read has its default, so that a slip never opens one.
    fn policy_gates(&mut self, path: &str, value: &Value) -> BTreeMap<Provider, BTreeMap<PolicyGate, bool>> {
        self.named(path, value, ("provider", Provider::ALL), |reader, path, _, value| {
            Some(reader.named(path, value, ("policy gate", PolicyGate::ALL), |reader, path, _, value| {
                let open = value.as_bool();
                if open.is_none() {
                    reader.wrong(path, value, "true for open or false for closed");
                }
                open
            }))
        })
    }

    fn action(&mut self, path: &str, value: &Value, action: &mut PolicyAction) {
        match value.as_str().map(str::parse) {
            Some(Ok(read)) => *action = read,
            Some(Err(_)) | None => self.wrong(path, value, &format!("one of {}", names(PolicyAction::ALL))),
        }
    }

    /// The members of an object by class; a class that this version does not know is told and passed over.
    fn classes<C: FromStr + Ord + Copy + fmt::Display, T>(
        &mut self,
        path: &str,
        value: &Value,
        known: &[C],
        read: impl FnMut(&mut Self, &str, C, &Value) -> Option<T>,
    ) -> BTreeMap<C, T> {
        self.named(path, value, ("class", known), read)
    }

    /// The members of an object by a name of a closed set, `what` being what such names are called.
    fn named<C: FromStr + Ord + Copy + fmt::Display, T>(
        &mut self,
        path: &str,
        value: &Value,
        (what, known): (&str, &[C]),
        mut read: impl FnMut(&mut Self, &str, C, &Value) -> Option<T>,
    ) -> BTreeMap<C, T> {
        let mut found = BTreeMap::new();
        for (name, value) in self.object(path, value).into_iter().flatten() {
            let Ok(class) = name.parse::<C>() else {
                self.tell(
                    &member(path, name),
                    format!("this version knows no such {what}; known: {}", names(known)),
                );
                continue;
            };
            if let Some(value) = read(self, &member(path, name), class, value) {
                found.insert(class, value);
            }
        }
        found
    }

    /// What can be read of a list, and whether that is all of it.
    fn list<T>(
        &mut self,
        path: &str,
        value: &Value,
        wanted: &str,
        read: fn(&mut Self, &str, &Value) -> Option<T>,
    ) -> Option<(Vec<T>, bool)> {
        let Value::Array(values) = value else {
            self.wrong(path, value, wanted);
            return None;
        };
        let found: Vec<T> = (0..)
            .zip(values)
            .filter_map(|(index, value): (usize, _)| read(self, &format!("{path}[{index}]"), value))
            .collect();
        let whole = found.len() == values.len();
        Some((found, whole))
    }

    /// An object, of which members that are not `known` are told and passed over.
    fn members<'v>(
        &mut self,
        path: &str,
        value: &'v Value,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let members = self.object(path, value)?;
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            self.unknown(path, name, "member", known);
        }
        Some(members)
    }

    fn object<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v Map<String, Value>> {
        let members = value.as_object();
        if members.is_none() {
            self.wrong(path, value, "an object");
        }
        members
    }

    fn required(&mut self, path: &str, members: &Map<String, Value>, name: &str, most: u64) -> Option<u64> {
        let path = member(path, name);
        let Some(value) = members.get(name) else {
            self.tell(&path, format!("it is missing; wanted: a whole number from 0 to {most}"));
            return None;
        };
        self.whole(&path, value, most)
    }

    fn number(&mut self, path: &str, value: &Value) -> Option<u32> {
        self.whole(path, value, u32::MAX.into()).and_then(|number| u32::try_from(number).ok())
    }

    fn whole(&mut self, path: &str, value: &Value, most: u64) -> Option<u64> {
        let number = value.as_u64().filter(|number| *number <= most);
        if number.is_none() {
            self.wrong(path, value, &format!("a whole number from 0 to {most}"));
        }
        number
    }

    fn wrong(&mut self, path: &str, value: &Value, wanted: &str) {
        let found = match value {
            Value::String(text) => short(text),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        };
        self.tell(path, format!("it is {found}; wanted: {wanted}"));
    }

    fn unknown(&mut self, path: &str, name: &str, what: &str, known: &[&str]) {
        let problem = format!("this version knows no such {what}; known: {}", known.join(", "));
        self.tell(&member(path, name), problem);
    }

    fn tell(&mut self, path: &str, problem: String) {
        let path = if path.is_empty() { "settings" } else { path };
        match self.problems.len() {
            ..Self::MOST => self.problems.push(SettingsProblem { path: path.to_owned(), problem }),
            Self::MOST => self.problems.push(SettingsProblem {
                path: "settings".to_owned(),
                problem: "there are more problems than are listed here".to_owned(),
            }),
            _ => {}
        }
    }
}

fn names<C: fmt::Display>(known: &[C]) -> String {
    known.iter().map(C::to_string).collect::<Vec<_>>().join(", ")
}

fn member(path: &str, name: &str) -> String {
    let plain =
        name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let name = if plain { name.to_owned() } else { short(name) };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// A text in quotes, cut and escaped so that it makes one short line.
fn short(text: &str) -> String {
    const MOST: usize = 40;
    let cut: String = text.chars().take(MOST).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

mod preferences;
mod queues;
mod retention;
#[cfg(test)]
mod tests;
