//! What backups are of: the classes, and which table is in which. How backups are written and read is for `archive`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A part of a tenant that is backed up by itself, with its own schedule and life (SECURITY §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupClass {
    /// The tenant itself: its people, keys, clients at the services, linked accounts and sessions.
    Sessions,
    /// What people prefer, consented to, asked for and had in playlists.
    Preferences,
    /// The audit trail.
    Audit,
}

const HOUR: u64 = 3_600;

impl BackupClass {
    /// Every class, in the order in which an empty database is filled from them.
    pub const ALL: [Self; 3] = [Self::Sessions, Self::Preferences, Self::Audit];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Preferences => "preferences",
            Self::Audit => "audit",
        }
    }

    /// The tables, in the order in which foreign keys let rows be inserted.
    pub const fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Sessions => &[
                "tenants",
                "users",
                "data_keys",
                "signing_keys",
                "provider_apps",
                "issuers",
                "api_keys",
                "linked_accounts",
                "provider_sessions",
                "session_quarantine",
                "session_devices",
                "session_imports",
            ],
            Self::Preferences => &[
                "privacy_requests",
                "erasure_tombstones",
                "preferences",
                "consents",
                "playlist_chunks",
                "playlist_versions",
                "shared_queues",
                "shared_queue_members",
                "shared_queue_items",
                "shared_queue_votes",
                "shared_queue_changes",
                "listening_history",
                "listening_gaps",
            ],
            Self::Audit => &[
                "audit_records",
                "audit_payloads",
                "audit_chain_heads",
                "audit_checkpoints",
                "audit_checkpoint_heads",
            ],
        }
    }

    /// How often it is backed up.
    pub const fn interval(self) -> Duration {
        match self {
            Self::Sessions | Self::Preferences => Duration::from_secs(24 * HOUR),
            Self::Audit => Duration::from_secs(7 * 24 * HOUR),
        }
    }
}

/// The tenant tables that no backup contains, each with the reason.
pub const NOT_BACKED_UP: &[(&str, &str)] = &[
    ("backups", "the catalogue of backups: where they are stored says the same"),
    ("idempotency_keys", "calls of the last day: what they did is not undone by a restore"),
    ("shared_queue_commits", "of the last day, and the services have seen their steps"),
    ("listening_cursors", "an account without one is polled at once, and what is known is not added again"),
    ("listening_imports", "a file that is imported again adds nothing that is there"),
    ("listening_rollups", "sums of plays, which are made again from those that come back"),
    ("job_parts", "belong to jobs"),
    ("jobs", "work under way, whose steps the services have seen: begun again, it would be done twice"),
    ("admin_creates", "digests of a day, against making something twice"),
    ("key_rotations", "a rotation under way begins again"),
    ("limit_violations", "counts of refused calls, of a month at most"),
    ("link_attempts", "minutes old, and a browser's half of each is lost anyway"),
    ("usage_minutes", "counts of two days, of which hours and days have the sums"),
    ("usage_rollups", "counts of calls, of a month by default: nothing that is done depends on them"),
    ("metric_rollups", "how much there was of what: sums that nobody's data is in"),
];

impl fmt::Display for BackupClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// There is no such class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no class of backups: there are sessions, preferences and audit")]
pub struct UnknownBackupClass(String);

impl FromStr for BackupClass {
    type Err = UnknownBackupClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| UnknownBackupClass(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_class_has_one_name_and_a_table_one_class() {
        let mut seen = BTreeSet::new();
        for class in BackupClass::ALL {
            assert_eq!(class.as_str().parse(), Ok(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert!(class.tables().iter().all(|table| seen.insert(*table)), "{class}");
        }
        assert!(NOT_BACKED_UP.iter().all(|(table, _)| seen.insert(table)));
        assert!("everything".parse::<BackupClass>().is_err());
    }
}
