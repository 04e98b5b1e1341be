//! The section of backups.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::BackupClass;
use url::Url;

/// Backups, which the keeper makes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackupConfig {
    /// The object store that keeps backups, such as `s3://bucket/backups`, `gs://…`, `az://…` or
    /// `file:///var/lib/stagedoor/backups`; without it there are none.
    #[schemars(with = "Option<String>", url)]
    pub url: Option<Url>,
    /// Days after which a backup of people, keys, accounts and sessions is removed. Keys of erased people are in it that
    /// long.
    #[schemars(range(min = 1, max = 3_650))]
    pub sessions_days: u32,
    /// Days after which a backup of preferences, consents and playlists is removed.
    #[schemars(range(min = 1, max = 3_650))]
    pub preferences_days: u32,
    /// Days after which a backup of the audit trail is removed; not before what it holds would be gone from the database.
    #[schemars(range(min = 1, max = 3_650))]
    pub audit_days: u32,
    /// Bytes of a chunk before it is compressed: so much is lost with one, and so much is in memory.
    #[schemars(range(min = 65_536, max = 67_108_864))]
    pub chunk_bytes: usize,
}

impl BackupConfig {
    /// How long a backup of the class is kept.
    pub fn kept(&self, class: BackupClass) -> Duration {
        let days = match class {
            BackupClass::Sessions => self.sessions_days,
            BackupClass::Preferences => self.preferences_days,
            BackupClass::Audit => self.audit_days,
        };
        Duration::from_hours(24) * days
    }
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            url: None,
            sessions_days: 7,
            preferences_days: 30,
            audit_days: 90,
            chunk_bytes: 8 * 1024 * 1024,
        }
    }
}
