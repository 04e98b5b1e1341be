//! How long what is kept (SEED-T §7.1): the policy as data. What a tenant sets of its own holds within bounds; what
//! removes rows is the keeper's.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Something whose age ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Retained {
    /// Grants of accounts that nobody uses: the session goes, the account needs to be linked again.
    Sessions,
    /// Records of the audit trail, by whole days (UTC).
    Audit,
    /// Daily figures; older ones live on in sums of months.
    Metrics,
    /// Which calls a limit refused.
    LimitViolations,
    /// Tries to link an account that are over.
    LinkAttempts,
    /// Copies of sessions that did not open, for a restore to try.
    Quarantine,
    /// Long-running work, and answers to repeated calls: each row says itself until when it is kept.
    Expired,
    /// Shared queues that nobody changes.
    SharedQueues,
    /// Plays of people's listening history, by whole years (UTC).
    Listening,
    /// Requests of people for their data that are answered; those that erased someone stay, as the proof of it.
    PrivacyRequests,
    /// What the keeper has noted of its runs.
    KeeperRuns,
}

/// What holds for one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What.
    pub what: Retained,
    /// Its name in settings, counts and the documentation.
    pub name: &'static str,
    /// Days that it is kept where nobody has set anything; 0 if each row says so itself.
    pub days: u32,
    /// What a tenant may set; `None` if it may not.
    pub bounds: Option<RangeInclusive<u32>>,
}

/// The policy. What is not in it stays until its person or its account goes: preferences, consents, playlists' versions.
pub static POLICY: [Rule; 11] = [
    rule(Retained::Sessions, "sessions", 30, Some(7..=365)),
    rule(Retained::Audit, "audit", 90, Some(SHORTEST_AUDIT..=3_650)),
    rule(Retained::Metrics, "metrics", 30, Some(7..=365)),
    rule(Retained::LimitViolations, "limit_violations", 30, Some(1..=365)),
    rule(Retained::LinkAttempts, "link_attempts", 7, None),
    rule(Retained::Quarantine, "quarantine", 90, None),
    rule(Retained::Expired, "expired", 0, None),
    rule(Retained::SharedQueues, "shared_queues", 180, None),
    rule(Retained::Listening, "listening", 20 * 366, None),
    rule(Retained::PrivacyRequests, "privacy_requests", 3 * 366, None),
    rule(Retained::KeeperRuns, "keeper_runs", 90, None),
];

/// The fewest days that any audit trail is kept; the database refuses to drop younger ones, whoever asks.
pub const SHORTEST_AUDIT: u32 = 30;

const fn rule(what: Retained, name: &'static str, days: u32, bounds: Option<RangeInclusive<u32>>) -> Rule {
    Rule { what, name, days, bounds }
}

/// What a tenant sets of it, in days; what is absent has the installation's value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionSettings {
    /// Of [`Retained::Sessions`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions_days: Option<u32>,
    /// Of [`Retained::Audit`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_days: Option<u32>,
    /// Of [`Retained::Metrics`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_days: Option<u32>,
    /// Of [`Retained::LimitViolations`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_violations_days: Option<u32>,
}

impl Retained {
    /// What holds for it where nobody has set anything.
    #[expect(clippy::missing_panics_doc, reason = "a test finds a rule for each")]
    pub fn rule(self) -> &'static Rule {
        POLICY.iter().find(|rule| rule.what == self).expect("the policy names each")
    }
}

impl RetentionSettings {
    /// What is set of `what`.
    pub const fn get(&self, what: Retained) -> Option<u32> {
        match what {
            Retained::Sessions => self.sessions_days,
            Retained::Audit => self.audit_days,
            Retained::Metrics => self.metrics_days,
            Retained::LimitViolations => self.limit_violations_days,
            _ => None,
        }
    }

    /// Days that `what` is kept: what is set here, else in `installation`, else the policy's; never out of bounds.
    pub fn days(&self, what: Retained, installation: &Self) -> u32 {
        let rule = what.rule();
        let days = self.get(what).or_else(|| installation.get(what)).unwrap_or(rule.days);
        rule.bounds.as_ref().map_or(rule.days, |bounds| days.clamp(*bounds.start(), *bounds.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_the_seeds_and_names_each_once() {
        let days = |what: Retained| what.rule().days;
        assert_eq!((days(Retained::Sessions), days(Retained::Audit), days(Retained::Metrics)), (30, 90, 30));
        for rule in &POLICY {
            assert_eq!(rule.what.rule(), rule, "{} stands twice", rule.name);
            assert!(rule.bounds.as_ref().is_none_or(|bounds| bounds.contains(&rule.days)), "{}", rule.name);
        }
    }

    #[test]
    fn a_tenant_goes_before_the_installation_and_neither_beyond_the_bounds() {
        let set = |days| RetentionSettings { audit_days: days, ..RetentionSettings::default() };
        let days = |tenant, installation| set(tenant).days(Retained::Audit, &set(installation));
        assert_eq!(days(None, None), 90);
        assert_eq!(days(None, Some(120)), 120);
        assert_eq!(days(Some(45), Some(120)), 45);
        assert_eq!(days(Some(1), None), SHORTEST_AUDIT);
        assert_eq!(days(Some(99_999), None), 3_650);
    }
}
