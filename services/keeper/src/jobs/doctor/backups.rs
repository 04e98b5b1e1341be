//! How old backups are, and when they were last restored for practice.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::BackupClass;
use stagedoor_domain::error::Chain;
use stagedoor_domain::health::{DAILY_BACKUP_AGE, DRILL_AGE, Verdict, WEEKLY_BACKUP_AGE};
use stagedoor_storage::backups::{self, BackupAge};

use super::finding::spell;
use super::{Check, Finding, Rooms};

/// The job that restores backups for practice.
const DRILL: &str = "drill";
const DAY: Duration = Duration::from_hours(24);

impl Rooms<'_> {
    pub(super) async fn backups(&self) -> Vec<Finding> {
        let Some(store) = self.store() else { return Vec::new() };
        if self.config.backup.url.is_none() {
            let told = "backup.url is not set: what is lost with the database is lost";
            return vec![Check::Backups.found(Verdict::Warning, told)];
        }
        match backups::ages(store).await {
            Err(error) => vec![Check::Backups.failed(Chain(&error))],
            Ok(ages) => ages.iter().map(|age| self.age(age)).collect(),
        }
    }

    fn age(&self, age: &BackupAge) -> Finding {
        let class = age.class;
        let limit = if class.interval() > DAY { WEEKLY_BACKUP_AGE } else { DAILY_BACKUP_AGE };
        let oldest = age.oldest.map(|taken| (self.clock.now() - taken).to_std().unwrap_or_default());
        let verdict = match oldest {
            Some(oldest) => limit.judge(oldest),
            None => Verdict::Ok,
        };
        // A tenant that was made today has none yet, and one that never gets one shows for longer than that.
        let verdict = if age.missing > 0 { verdict.max(Verdict::Warning) } else { verdict };
        let told = match (oldest, age.missing) {
            (None, 0) => format!("{class}: there is no tenant to back up"),
            (None, missing) => format!("{class}: none of {missing} tenants has a verified backup"),
            (Some(oldest), missing) => {
                let lacking =
                    if missing > 0 { format!("; {missing} tenants have none") } else { String::new() };
                format!(
                    "{class}: of every tenant's newest verified backup the oldest is {} old{lacking}",
                    spell(oldest)
                )
            }
        };
        Check::Backups.found(verdict, told).with(json!({
            "class": class.as_str(),
            "oldest_seconds": oldest.map(|oldest| oldest.as_secs()),
            "tenants": age.tenants,
            "tenants_without": age.missing,
        }))
    }

    pub(super) async fn drill(&self) -> Vec<Finding> {
        let Some(store) = self.store() else { return Vec::new() };
        if self.config.backup.url.is_none() {
            return Vec::new();
        }
        let finding = match store.last_success(DRILL).await {
            Err(error) => Check::Drill.failed(Chain(&error)),
            Ok(None) => Check::Drill.found(Verdict::Warning, "backups were never restored for practice"),
            Ok(Some(last)) => {
                let age = (self.clock.now() - last).to_std().unwrap_or_default();
                let told = format!("backups were restored for practice {} ago", spell(age));
                Check::Drill.found(DRILL_AGE.judge(age), told).with(json!({"age_seconds": age.as_secs()}))
            }
        };
        vec![finding]
    }
}

/// Every class has a limit: what is taken less often than weekly would need one of its own.
const _: () = {
    let classes = BackupClass::ALL;
    let mut index = 0;
    while index < classes.len() {
        assert!(classes[index].interval().as_secs() <= 7 * 24 * 3_600);
        index += 1;
    }
};
