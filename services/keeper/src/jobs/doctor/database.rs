//! The database: whether it answers under every role, its schema, its size, the audit trail's tail and partitions, and
//! requests of people that wait.

use std::time::Duration;

use chrono::NaiveDate;
use serde_json::json;
use stagedoor_assembly::open_store;
use stagedoor_domain::error::Chain;
use stagedoor_domain::health::{
    CONNECTIONS_PERCENT, DISK_USED_PERCENT, LATE_REQUESTS, PARTITION_DAYS, UNSEALED_AUDIT, Verdict,
};
use stagedoor_storage::Purpose;
use stagedoor_storage::audit::partition_days;
use stagedoor_storage::privacy_requests;

use super::finding::spell;
use super::{Check, Finding, Rooms};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

impl Rooms<'_> {
    pub(super) async fn storage(&self) -> Vec<Finding> {
        let store = match &self.store {
            Ok(store) => store,
            Err(reason) => return vec![Check::Storage.failed(reason)],
        };
        if let Err(error) = store.ping().await {
            return vec![Check::Storage.failed(Chain(&error))];
        }
        let mut roles = vec!["stagedoor_keeper"];
        let storage = &self.config.storage;
        if storage.backup_database_url.is_some() {
            match open_store(self.config, Purpose::Backup).await {
                Ok(store) => {
                    store.close().await;
                    roles.push("stagedoor_backup");
                }
                Err(error) => return vec![Check::Storage.failed(format_args!("{error:#}"))],
            }
        }
        vec![Check::Storage.found(Verdict::Ok, format!("the database answers as {}", roles.join(", ")))]
    }

    pub(super) async fn schema(&self) -> Vec<Finding> {
        let Some(store) = self.store() else { return Vec::new() };
        let finding = match store.schema_state().await {
            Err(error) => Check::Schema.failed(Chain(&error)),
            Ok(state) => {
                let list =
                    |versions: &[i64]| versions.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
                let figures = json!({
                    "missing": state.missing, "changed": state.changed, "newer": state.newer,
                });
                let (verdict, told) = if !state.changed.is_empty() {
                    let told = format!("other than when they were applied: {}", list(&state.changed));
                    (Verdict::Failing, told)
                } else if !state.missing.is_empty() {
                    (Verdict::Failing, format!("migrations are missing: {}", list(&state.missing)))
                } else if !state.newer.is_empty() {
                    let told = format!("a newer release has migrated: {}", list(&state.newer));
                    (Verdict::Warning, told)
                } else {
                    (Verdict::Ok, "every migration of this build is applied".to_owned())
                };
                Check::Schema.found(verdict, told).with(figures)
            }
        };
        vec![finding]
    }

    pub(super) async fn space_and_tail(&self) -> Vec<Finding> {
        let Some(store) = self.store() else { return Vec::new() };
        let facts = match store.database_facts().await {
            Ok(facts) => facts,
            Err(error) => {
                return vec![Check::Space.failed(Chain(&error)), Check::AuditTail.failed(Chain(&error))];
            }
        };
        let (open, most) = facts.connections;
        let tail = facts
            .unsealed
            .1
            .map_or(Duration::ZERO, |oldest| (facts.now - oldest).to_std().unwrap_or_default());
        vec![
            size(facts.bytes, self.config.doctor.database_gib),
            Check::Space
                .found(
                    CONNECTIONS_PERCENT.judge(percent(open, most)),
                    format!("{open} of {most} connections are open"),
                )
                .with(json!({"connections": open, "connections_most": most})),
            Check::AuditTail
                .found(
                    UNSEALED_AUDIT.judge(tail),
                    match facts.unsealed {
                        (0, _) => "every audit record is under a checkpoint".to_owned(),
                        (chains, _) => format!(
                            "the oldest audit record without a checkpoint is {} old, of {chains} such chains",
                            spell(tail)
                        ),
                    },
                )
                .with(
                    json!({"unsealed_chains": facts.unsealed.0, "oldest_unsealed_seconds": tail.as_secs()}),
                ),
        ]
    }

    pub(super) async fn partitions(&self) -> Vec<Finding> {
        let Some(store) = self.store() else { return Vec::new() };
        let finding = match partition_days(store).await {
            Err(error) => Check::Partitions.failed(Chain(&error)),
            Ok(days) => {
                let ahead = ahead(self.clock.now().date_naive(), &days);
                let told = format!("the audit trail has partitions for {ahead} days from today on");
                let verdict = PARTITION_DAYS.judge_least(ahead);
                Check::Partitions.found(verdict, told).with(json!({"days": ahead}))
            }
        };
        vec![finding]
    }

    pub(super) async fn privacy(&self) -> Vec<Finding> {
        let Some(store) = self.store() else { return Vec::new() };
        let finding = match privacy_requests::count_open(store).await {
            Err(error) => Check::Privacy.failed(Chain(&error)),
            Ok(counts) => {
                let told = format!(
                    "{} requests of people for their data are open, {} of them late",
                    counts.open, counts.late
                );
                let figures = json!({"open": counts.open, "late": counts.late});
                Check::Privacy.found(LATE_REQUESTS.judge(counts.late), told).with(figures)
            }
        };
        vec![finding]
    }
}

/// What is to be thought of a database of so many bytes that may take so many gibibytes, or what it likes for 0.
fn size(bytes: u64, most_gib: u64) -> Finding {
    let figures = json!({"database_bytes": bytes, "database_gib_most": most_gib});
    let taken = format!("the database takes {} MiB", bytes / MIB);
    if most_gib == 0 {
        let told = format!("{taken}; doctor.database_gib would say how much it may take");
        return Check::Space.found(Verdict::Ok, told).with(figures);
    }
    let used = percent(bytes, most_gib.saturating_mul(GIB));
    let told = format!("{taken}, {used} % of what it may take");
    Check::Space.found(DISK_USED_PERCENT.judge(used), told).with(figures)
}

/// How many percent of `most` are `part`, rounded down.
pub(super) fn percent(part: u64, most: u64) -> u64 {
    if most == 0 { 0 } else { u64::try_from(u128::from(part) * 100 / u128::from(most)).unwrap_or(u64::MAX) }
}

/// How many days from `today` on, without a gap, are among these ascending ones.
fn ahead(today: NaiveDate, days: &[NaiveDate]) -> u64 {
    today.iter_days().take_while(|day| days.binary_search(day).is_ok()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_count_until_the_first_gap() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        assert_eq!(ahead(day(5), &[]), 0);
        assert_eq!(ahead(day(5), &[day(4), day(6)]), 0);
        assert_eq!(ahead(day(5), &[day(4), day(5), day(6), day(8)]), 2);
    }

    #[test]
    fn a_database_is_judged_by_what_it_may_take() {
        let verdict = |percent: u64, most| size(GIB / 100 * percent + MIB, most).verdict;
        assert_eq!(verdict(50, 1), Verdict::Ok);
        assert_eq!(verdict(85, 1), Verdict::Warning);
        assert_eq!(verdict(97, 1), Verdict::Failing);
        assert_eq!((verdict(97, 0), verdict(97, 2)), (Verdict::Ok, Verdict::Ok));
    }

    #[test]
    fn percents_of_large_numbers_are_right() {
        assert_eq!((percent(19, 20), percent(u64::MAX, u64::MAX), percent(1, 0)), (95, 100, 0));
    }
}
