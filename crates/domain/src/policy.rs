//! Policy classes and what a tenant may set: how long an answer may be reused, which limit a call counts on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::music::Provider;
use crate::preferences::{PreferencesLayer, is_default};
use crate::queue::QueueLimits;
use crate::retention::RetentionSettings;
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

    /// How long an answer may live at most that was found unchanged again and again, where nobody set the class's
    /// life. What a person may change elsewhere never lives longer than its default.
    const fn longest_ttl(self) -> Duration {
        match self {
            Self::Search => Duration::from_mins(20),
            Self::Playlist => Duration::from_mins(15),
            Self::Metadata => Duration::from_hours(6),
            Self::Track => Duration::from_hours(24),
            Self::Never => Duration::ZERO,
        }
    }
}

/// Between which lives an answer's own may move: what is found changed is asked for sooner, what is found
/// unchanged later (SEED-T §10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlBounds {
    /// The shortest life.
    pub shortest: Duration,
    /// The life of an answer of which nothing is known yet.
    pub first: Duration,
    /// The longest life.
    pub longest: Duration,
}

impl TtlBounds {
    /// The part of the first life below which none falls.
    const SHORTEST_PART: u32 = 4;

    /// A life that was set: it is not exceeded, whatever is observed.
    pub fn set(life: Duration) -> Self {
        Self { shortest: life / Self::SHORTEST_PART, first: life, longest: life }
    }

    /// The same, but no answer older than `age` is wanted.
    #[must_use]
    pub fn capped(self, age: Duration) -> Self {
        Self { shortest: self.shortest.min(age), first: self.first.min(age), longest: self.longest.min(age) }
    }
}

closed_set!(
    /// What a provider's terms may forbid and a tenant may hold another agreement for (PROVIDERS §0).
    PolicyGate, PolicyGateSet, "A set of policy gates." {
        HistoryInsights = "history_insights",
        Recommendations = "recommendations",
        CrossProviderView = "cross_provider_view",
        Transfer = "transfer",
    }
);

impl PolicyGate {
    /// Whether it is open where nobody has set it: Spotify's developer policy forbids each of them, Tidal's none.
    pub const fn is_open_by_default(self, provider: Provider) -> bool {
        matches!(provider, Provider::Tidal)
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

    /// What all principals of a tenant may do together: as much as a hundred that use up their own quotas, so that
    /// one tenant cannot take a whole installation.
    pub fn default_tenant_quotas(self) -> Vec<Quota> {
        let hundredfold = |quota: Quota| Quota { capacity: quota.capacity.saturating_mul(100), ..quota };
        self.default_quotas().into_iter().map(hundredfold).collect()
    }
}

/// One step of a penalty: whoever is refused so often within so long is shut out for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PenaltyStep {
    /// Refused calls; those during an earlier step's penalty count too. At most [`PenaltyStep::MOST`].
    pub refusals: u32,
    /// Within how many seconds.
    pub within_seconds: u32,
    /// How many seconds every call is refused then.
    pub block_seconds: u32,
}

impl PenaltyStep {
    /// The most refusals that are remembered of one principal.
    pub const MOST: u32 = 100;

    /// SECURITY §5: 10 refusals in 10 minutes cost a minute, 50 a quarter of an hour.
    pub const DEFAULT: [Self; 2] = [
        Self { refusals: 10, within_seconds: 600, block_seconds: 60 },
        Self { refusals: 50, within_seconds: 600, block_seconds: 900 },
    ];
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// What a tenant says of its policy on people's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrivacyTerms {
    /// The version that consents are given for; another one needs new consents. `None` if what is set cannot be read:
    /// nobody has agreed to that.
    pub policy_version: Option<String>,
    /// Where people can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_url: Option<String>,
}

impl PrivacyTerms {
    /// Whether a text can name a version: 1 to 32 letters, digits, dots, hyphens and underscores.
    pub fn is_version(text: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=32).contains(&text.len()) && text.bytes().all(allowed)
    }
}

impl Default for PrivacyTerms {
    fn default() -> Self {
        Self { policy_version: Some("1".to_owned()), policy_url: None }
    }
}

/// What a tenant sets of its audit trail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AuditSettings {
    /// How many bytes of records a day may hold before reads are refused; 0 for no limit, the configuration's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_log_size_bytes: Option<u64>,
}

/// What a tenant may override; kept in `tenants.settings` as JSON and read again without a restart.
///
/// Defaults are not written, and what this version cannot read has its default ([`TenantSettings::read`]), so that
/// replicas of two releases can read the same row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TenantSettings {
    /// Quotas by class; a class that is absent keeps its default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LimitClass, Vec<Quota>>,
    /// Quotas by class of all principals together; a class that is absent keeps its default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tenant_limits: BTreeMap<LimitClass, Vec<Quota>>,
    /// What repeated refusals cost; the defaults if absent, nothing if empty. At most 4 steps count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalties: Option<Vec<PenaltyStep>>,
    /// Calls under way at a time on one replica; the installation's share for one tenant if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_calls: Option<u32>,
    /// Seconds that answers of a class live; a class that is absent keeps its default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cache_ttl_seconds: BTreeMap<CacheClass, u64>,
    /// What happens when an account is used from a device that is new, or from many at once.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: DevicePolicy,
    /// Which policy gates are open for which provider; one that is absent has its default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub policy_gates: BTreeMap<Provider, BTreeMap<PolicyGate, bool>>,
    /// How much of its audit trail is kept in a day.
    #[serde(skip_serializing_if = "is_default")]
    pub audit: AuditSettings,
    /// How long what is kept; what is absent has the installation's value.
    #[serde(skip_serializing_if = "is_default")]
    pub retention: RetentionSettings,
    /// What holds for people who have set nothing of their own.
    #[serde(skip_serializing_if = "is_default")]
    pub preferences: PreferencesLayer,
    /// The policy that people's consents are about.
    #[serde(skip_serializing_if = "is_default")]
    pub privacy: PrivacyTerms,
    /// How much there may be of shared queues.
    #[serde(skip_serializing_if = "is_default")]
    pub queues: QueueLimits,
}

impl TenantSettings {
    /// Whether the tenant may do with a provider's data what `gate` stands for.
    pub fn is_open(&self, provider: Provider, gate: PolicyGate) -> bool {
        let set = self.policy_gates.get(&provider).and_then(|gates| gates.get(&gate));
        set.copied().unwrap_or_else(|| gate.is_open_by_default(provider))
    }

    /// The quotas that hold for `class`.
    pub fn quotas(&self, class: LimitClass) -> Vec<Quota> {
        self.limits.get(&class).cloned().unwrap_or_else(|| class.default_quotas())
    }

    /// The quotas that hold for `class` for all principals together.
    pub fn tenant_quotas(&self, class: LimitClass) -> Vec<Quota> {
        self.tenant_limits.get(&class).cloned().unwrap_or_else(|| class.default_tenant_quotas())
    }

    /// What repeated refusals cost.
    pub fn penalty_steps(&self) -> &[PenaltyStep] {
        const MOST_STEPS: usize = 4;
        let steps = self.penalties.as_deref().unwrap_or(&PenaltyStep::DEFAULT);
        &steps[..steps.len().min(MOST_STEPS)]
    }

    /// Between which lives an answer of `class` moves; `None` means it is not reused.
    pub fn cache_ttl(&self, class: CacheClass) -> Option<TtlBounds> {
        match self.cache_ttl_seconds.get(&class) {
            Some(0) => None,
            Some(seconds) if class != CacheClass::Never => {
                Some(TtlBounds::set(Duration::from_secs(*seconds)))
            }
            Some(_) | None => class
                .default_ttl()
                .map(|first| TtlBounds { longest: class.longest_ttl(), ..TtlBounds::set(first) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_that_was_set_is_never_exceeded() {
        let mut settings = TenantSettings::default();
        let free = settings.cache_ttl(CacheClass::Search).unwrap();
        assert!(free.shortest < free.first && free.first < free.longest);
        settings.cache_ttl_seconds.insert(CacheClass::Search, 60);
        let set = settings.cache_ttl(CacheClass::Search).unwrap();
        assert_eq!((set.first, set.longest), (Duration::from_mins(1), Duration::from_mins(1)));
        settings.cache_ttl_seconds.insert(CacheClass::Never, 60);
        assert_eq!(settings.cache_ttl(CacheClass::Never), None, "a write is not reused whatever is set");
        let capped = free.capped(Duration::from_secs(10));
        assert_eq!((capped.shortest, capped.longest), (Duration::from_secs(10), Duration::from_secs(10)));
    }
}
