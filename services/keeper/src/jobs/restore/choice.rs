//! Which backups a restore takes.

use chrono::{DateTime, Utc};
use stagedoor_archive::{BackupId, Found};
use stagedoor_domain::BackupClass;

/// As of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Now,
    Time(DateTime<Utc>),
    Backup(BackupId),
}

/// The backups of one tenant to take, in the order in which they are put back: of each class the newest, sessions before
/// what refers to them; of the audit trail all, newest first, since each holds only the days since the one before.
pub(super) fn choose(found: &[Found], class: Option<BackupClass>, until: Until) -> Vec<Found> {
    let mut chosen = Vec::new();
    for wanted in BackupClass::ALL {
        if class.is_some_and(|class| class != wanted) {
            continue;
        }
        let mut of_class = newest_first(found, wanted, until);
        if wanted != BackupClass::Audit {
            of_class.truncate(1);
        }
        chosen.extend(of_class);
    }
    chosen
}

/// Those of one class, newest first.
pub(super) fn newest_first(found: &[Found], class: BackupClass, until: Until) -> Vec<Found> {
    let in_time = |backup: &&Found| match until {
        Until::Now => true,
        Until::Time(time) => backup.taken_at <= time,
        Until::Backup(id) => backup.id == id,
    };
    let mut of_class: Vec<Found> =
        found.iter().filter(|backup| backup.class == class).filter(in_time).cloned().collect();
    of_class.sort_by_key(|backup| std::cmp::Reverse((backup.taken_at, backup.id)));
    of_class
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use stagedoor_domain::TenantId;

    use super::*;

    fn backup(class: BackupClass, hour: i64) -> Found {
        let time = DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
        let number = u128::from(hour.unsigned_abs()) * 10 + class as u128;
        Found::new(TenantId(uuid::Uuid::from_u128(1)), class, time, BackupId(uuid::Uuid::from_u128(number)))
    }

    fn told(chosen: &[Found]) -> Vec<(BackupClass, i64)> {
        chosen
            .iter()
            .map(|found| (found.class, (found.taken_at - DateTime::UNIX_EPOCH).num_hours()))
            .collect()
    }

    #[test]
    fn the_newest_of_each_class_is_taken_and_all_of_the_trail() {
        use BackupClass::{Audit, Preferences, Sessions};
        let found = [
            backup(Audit, 1),
            backup(Sessions, 2),
            backup(Preferences, 3),
            backup(Audit, 9),
            backup(Sessions, 8),
            backup(Preferences, 7),
        ];
        let now = choose(&found, None, Until::Now);
        assert_eq!(told(&now), [(Sessions, 8), (Preferences, 7), (Audit, 9), (Audit, 1)]);
        let time = Until::Time(DateTime::UNIX_EPOCH + TimeDelta::hours(7));
        assert_eq!(told(&choose(&found, None, time)), [(Sessions, 2), (Preferences, 7), (Audit, 1)]);
        assert_eq!(told(&choose(&found, Some(Preferences), time)), [(Preferences, 7)]);
        let before = Until::Time(DateTime::UNIX_EPOCH);
        assert_eq!(told(&choose(&found, None, before)), []);
    }

    #[test]
    fn a_backup_is_taken_by_its_id_alone() {
        let found =
            [backup(BackupClass::Audit, 1), backup(BackupClass::Audit, 2), backup(BackupClass::Sessions, 1)];
        let chosen = choose(&found, None, Until::Backup(found[0].id));
        assert_eq!(chosen, [found[0].clone()]);
        assert_eq!(choose(&found, Some(BackupClass::Sessions), Until::Backup(found[0].id)), []);
    }
}
