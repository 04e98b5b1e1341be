//! Policy classes and what a tenant may set: how long an answer may be reused, which limit a call counts on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::scope::closed_set;
use std::fmt;
use std::str::FromStr;

use serde::{Deserializer, Serializer};

closed_set!(
    /// How long an answer may be reused (SEED-T §2.3).
    CacheClass, CacheClassSet, "A set of cache classes." {
        Search = "search",
        Playlist = "playlist",
        Metadata = "metadata",
        Track = "track",
        Never = "never",
    }
);

impl CacheClass {
    /// The default life of an answer; `None` for what is never reused.
    pub const fn default_ttl(self) -> Option<Duration> {
        match self {
            Self::Search => Some(Duration::from_mins(5)),
            Self::Playlist => Some(Duration::from_mins(15)),
            Self::Metadata => Some(Duration::from_hours(1)),
            Self::Track => Some(Duration::from_hours(6)),
            Self::Never => None,
        }
    }
}

closed_set!(
    /// Which quota a call counts on besides `api`, which every call counts on (SEED-T §3.1).
    LimitClass, LimitClassSet, "A set of limit classes." {
        Api = "api",
        Search = "search",
        Playlist = "playlist",
        Auth = "auth",
    }
);

/// A quota over one window: `capacity` calls, refilled evenly over `window`.
///
/// In any interval of length `t` at most `capacity + capacity·t/window` calls are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quota {
    /// Calls per window, and the burst.
    pub capacity: u32,
    /// The window.
    #[serde(with = "seconds", rename = "window_seconds")]
    pub window: Duration,
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

impl Quota {
    /// `capacity` calls a minute.
    pub const fn per_minute(capacity: u32) -> Self {
        Self { capacity, window: Duration::from_mins(1) }
    }

    /// `capacity` calls an hour.
    pub const fn per_hour(capacity: u32) -> Self {
        Self { capacity, window: Duration::from_hours(1) }
    }
}

impl LimitClass {
    /// SEED-T's defaults, per principal.
    pub fn default_quotas(self) -> Vec<Quota> {
        match self {
            Self::Api => vec![Quota::per_minute(100), Quota::per_hour(1_000)],
            Self::Search => vec![Quota::per_minute(20), Quota::per_hour(200)],
            Self::Playlist => vec![Quota::per_minute(10), Quota::per_hour(100)],
            Self::Auth => vec![Quota { capacity: 5, window: Duration::from_mins(15) }],
        }
    }
}

closed_set!(
    /// What a tenant wants done about something unusual. It is audited whatever is done.
    PolicyAction, PolicyActionSet, "A set of policy actions." {
        Allow = "allow",
        Warn = "warn",
        Refuse = "refuse",
    }
);

/// From which devices a person's accounts may be used. A device is a client program, its network and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DevicePolicy {
    /// When a device is new to an account. Linking the account, or linking it again, admits the device that asks.
    pub new_device: PolicyAction,
    /// When more than `concurrent` devices use an account within `window_seconds`.
    pub too_many: PolicyAction,
    /// Devices of one account at a time.
    pub concurrent: u32,
    /// How long a device counts as using an account, in seconds.
    pub window_seconds: u32,
}

impl DevicePolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for DevicePolicy {
    fn default() -> Self {
        Self {
            new_device: PolicyAction::Allow,
            too_many: PolicyAction::Warn,
            concurrent: 10,
            window_seconds: 900,
        }
    }
}

/// What a tenant may override; kept in `tenants.settings` as JSON and read again without a restart.
///
/// Defaults are not written and members that are not known are passed over, so that replicas of two releases can read
/// the same row. Checking what an operator hands in is for whoever takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// Quotas by class; a class that is absent keeps its default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LimitClass, Vec<Quota>>,
    /// Seconds that answers of a class live; a class that is absent keeps its default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cache_ttl_seconds: BTreeMap<CacheClass, u64>,
    /// What happens when an account is used from a device that is new, or from many at once.
    #[serde(skip_serializing_if = "DevicePolicy::is_default")]
    pub devices: DevicePolicy,
}

impl TenantSettings {
    /// The quotas that hold for `class`.
    pub fn quotas(&self, class: LimitClass) -> Vec<Quota> {
        self.limits.get(&class).cloned().unwrap_or_else(|| class.default_quotas())
    }

    /// The life of an answer of `class`; `None` means it is not reused.
    pub fn cache_ttl(&self, class: CacheClass) -> Option<Duration> {
        match self.cache_ttl_seconds.get(&class) {
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(*seconds)),
            None => class.default_ttl(),
        }
    }
}
