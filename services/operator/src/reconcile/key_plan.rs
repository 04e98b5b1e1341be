//! What is to be done about a key: decided from what the Secret holds, what the installation knows and what the spec says, and
//! from nothing that was done before.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_proto::admin::v1::{self, KeyState};

use super::convert;
use crate::resources::{AgentKeySpec, Rotation};

/// How long a key that has to be replaced out of turn goes on, where the spec says nothing of rotation.
pub(super) const USUAL_OVERLAP: Duration = Duration::from_hours(24);

/// Why a key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// It is as old as `rotation.every`.
    Due,
    /// The Secret that held it is gone, or damaged.
    SecretLost,
    /// It was replaced by a key that the Secret does not hold.
    ReplacedElsewhere,
}

impl Because {
    /// The same for people.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Due => "it is as old as spec.rotation.every",
            Self::SecretLost => "the Secret that held it is gone or damaged",
            Self::ReplacedElsewhere => "it was replaced by a key that the Secret does not hold",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'k, H> {
    /// Its time, by the spec, is over: nothing more.
    Over,
    /// There is no key that works: make one.
    Create,
    /// Replace it by a new one.
    Rotate(&'k v1::AgentKey, Because),
    /// Keep it, as the Secret holds it.
    Keep(&'k v1::AgentKey, H),
}

/// Decides. `current` is the key as the installation knows it, `intact` what the Secret holds if that is whole.
pub(super) fn decide<'k, H>(
    spec: &AgentKeySpec,
    current: Option<&'k v1::AgentKey>,
    intact: Option<H>,
    now: DateTime<Utc>,
) -> Step<'k, H> {
    if end(spec).is_some_and(|end| end <= now) {
        return Step::Over;
    }
    let Some(key) = current.filter(|key| key.state() == KeyState::Active) else { return Step::Create };
    if !key.replaced_by.is_empty() {
        return Step::Rotate(key, Because::ReplacedElsewhere);
    }
    let Some(held) = intact else { return Step::Rotate(key, Because::SecretLost) };
    if due(key, spec.rotation).is_some_and(|due| due <= now) {
        return Step::Rotate(key, Because::Due);
    }
    Step::Keep(key, held)
}

/// The end of all keys that the spec names.
pub(super) fn end(spec: &AgentKeySpec) -> Option<DateTime<Utc>> {
    let end = spec.expire_time.as_deref()?;
    DateTime::parse_from_rfc3339(end).ok().map(|end| end.to_utc())
}

/// When the key has to be replaced.
pub(super) fn due(key: &v1::AgentKey, rotation: Option<Rotation>) -> Option<DateTime<Utc>> {
    let made = convert::time(key.create_time.as_ref())?;
    made.checked_add_signed(TimeDelta::from_std(rotation?.every.0).ok()?)
}

/// When the key should end by the spec; nothing if the spec does not say.
pub(super) fn wanted_end(spec: &AgentKeySpec, key: &v1::AgentKey) -> Option<DateTime<Utc>> {
    let lifetime = spec.lifetime.and_then(|lifetime| TimeDelta::from_std(lifetime.0).ok());
    let by_lifetime = convert::time(key.create_time.as_ref())
        .zip(lifetime)
        .and_then(|(made, life)| made.checked_add_signed(life));
    end(spec).or(by_lifetime)
}

/// How long the key before goes on beside a new one.
pub(super) fn overlap(spec: &AgentKeySpec) -> Duration {
    spec.rotation.map_or(USUAL_OVERLAP, |rotation| rotation.overlap.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn spec(more: &serde_json::Value) -> AgentKeySpec {
        let mut spec = json!({"tenantRef": {"name": "acme"}, "scopes": ["catalog:read"]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn key() -> v1::AgentKey {
        v1::AgentKey {
            key_id: "k1".to_owned(),
            state: KeyState::Active.into(),
            create_time: Some(convert::stamp(at(0))),
            ..v1::AgentKey::default()
        }
    }

    const HELD: Option<()> = Some(());

    #[test]
    fn a_key_that_works_and_is_held_stays_until_it_is_due() {
        let (key, rotated) = (key(), spec(&json!({"rotation": {"every": "1h", "overlap": "10m"}})));
        assert_eq!(decide(&rotated, Some(&key), HELD, at(3_599)), Step::Keep(&key, ()));
        assert_eq!(decide(&rotated, Some(&key), HELD, at(3_600)), Step::Rotate(&key, Because::Due));
        assert_eq!(due(&key, rotated.rotation), Some(at(3_600)));
        assert_eq!(decide(&spec(&json!({})), Some(&key), HELD, at(9_999_999)), Step::Keep(&key, ()));
    }

    #[test]
    fn what_does_not_work_is_made_anew_and_what_is_lost_is_replaced() {
        let (key, plain) = (key(), spec(&json!({})));
        assert_eq!(decide(&plain, None, None::<()>, at(1)), Step::Create);
        for state in [KeyState::Expired, KeyState::Revoked] {
            let ended = v1::AgentKey { state: state.into(), ..key.clone() };
            assert_eq!(decide(&plain, Some(&ended), HELD, at(1)), Step::Create);
        }
        assert_eq!(decide(&plain, Some(&key), None::<()>, at(1)), Step::Rotate(&key, Because::SecretLost));
        let replaced = v1::AgentKey { replaced_by: "k2".to_owned(), ..key };
        let step = decide(&plain, Some(&replaced), HELD, at(1));
        assert_eq!(step, Step::Rotate(&replaced, Because::ReplacedElsewhere));
    }

    #[test]
    fn after_its_end_no_new_key_is_made() {
        let (key, ends) = (key(), spec(&json!({"expireTime": "2026-09-21T15:00:00Z"})));
        let end = end(&ends).unwrap();
        assert_eq!(decide(&ends, None, None::<()>, end), Step::Over);
        assert_eq!(decide(&ends, Some(&key), HELD, at(1)), Step::Keep(&key, ()));
        assert_eq!(wanted_end(&ends, &key), Some(end));
        assert_eq!(wanted_end(&spec(&json!({"lifetime": "2h"})), &key), Some(at(7_200)));
        assert_eq!(wanted_end(&spec(&json!({})), &key), None);
    }
}
