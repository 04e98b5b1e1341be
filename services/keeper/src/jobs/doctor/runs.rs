//! The keeper's own work: how the last run of each job ended, and which job did not do its work for too long.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use stagedoor_domain::error::Chain;
use stagedoor_domain::health::Verdict;
use stagedoor_storage::keeper_runs::{RunOutcome, StoredRun};
use stagedoor_storage::{Store, StoreError};

use super::finding::spell;
use super::{Check, Finding, Rooms};
use crate::jobs::run_due::SCHEDULE;

/// Runs that are looked at: more than two weeks of all jobs.
const RUNS: i64 = 2_000;
/// Jobs besides those of the schedule whose last run says how things stand. Who runs another one by hand, or a part, is
/// told how it ended, and need not run it again.
const BESIDES: [&str; 2] = ["retention", "run-due"];
/// Remarks of a run that are told.
const TOLD: usize = 3;
/// A run that was not heard of for so long was killed.
const SILENT: Duration = Duration::from_mins(2);

impl Rooms<'_> {
    pub(super) async fn runs(&self) -> Vec<Finding> {
        let Some(store) = self.store() else { return Vec::new() };
        match self.look_at_runs(store).await {
            Ok(found) => found,
            Err(error) => vec![Check::Runs.failed(Chain(&error))],
        }
    }

    async fn look_at_runs(&self, store: &Store) -> Result<Vec<Finding>, StoreError> {
        let runs = store.keeper_runs(None, RUNS).await?;
        let mut last: BTreeMap<&str, &StoredRun> = BTreeMap::new();
        for run in runs.iter().filter(|run| !run.dry_run && is_watched(&run.job)) {
            last.entry(&run.job).or_insert(run);
        }
        let mut found: Vec<_> = last.values().filter_map(|run| self.ended_badly(run)).collect();
        // The oldest of the runs, which says for how long there is a keeper.
        let begun = runs.iter().filter(|run| run.job != "doctor").map(|run| run.started_at).min();
        found.extend(self.overdue(store, begun).await?);
        if found.is_empty() {
            let told = format!("the last runs of {} jobs ended well", last.len());
            found.push(Check::Runs.found(Verdict::Ok, told).with(json!({"jobs": last.len()})));
        }
        Ok(found)
    }

    fn ended_badly(&self, run: &StoredRun) -> Option<Finding> {
        let how = match run.outcome {
            RunOutcome::Running if self.since(run.heartbeat_at) > SILENT => "was killed",
            RunOutcome::Failed | RunOutcome::Partly | RunOutcome::Abandoned => run.outcome.as_str(),
            _ => return None,
        };
        let told = format!("the last run of {} {how}: {}", run.job, said(&run.detail));
        let figures = json!({"job": run.job, "outcome": run.outcome.as_str(), "started_at": run.started_at});
        Some(Check::Runs.found(Verdict::Warning, told.trim_end_matches(": ")).with(figures))
    }

    /// The jobs of the schedule that did not succeed within twice their time, or since there is a keeper.
    async fn overdue(&self, store: &Store, begun: Option<DateTime<Utc>>) -> Result<Vec<Finding>, StoreError> {
        let Some(begun) = begun else {
            return Ok(vec![Check::Runs.found(Verdict::Warning, "the keeper has never done anything")]);
        };
        let mut found = Vec::new();
        let needed = |backups: bool| !backups || self.config.backup.url.is_some();
        for scheduled in SCHEDULE.iter().filter(|scheduled| needed(scheduled.backups)) {
            let mut last = store.last_success(scheduled.name).await?;
            if let Some(other) = scheduled.or {
                last = last.max(store.last_success(other).await?);
            }
            let since = self.since(last.unwrap_or(begun));
            if since > Duration::from_secs(2 * scheduled.every) {
                let (job, every) = (scheduled.name, spell(Duration::from_secs(scheduled.every)));
                let told = format!("{job} is due every {every} and did not succeed for {}", spell(since));
                let figures = json!({"job": job, "seconds_since_success": since.as_secs()});
                found.push(Check::Runs.found(Verdict::Warning, told).with(figures));
            }
        }
        Ok(found)
    }

    fn since(&self, then: DateTime<Utc>) -> Duration {
        (self.clock.now() - then).to_std().unwrap_or_default()
    }
}

/// The last things that a run said, which are what failed, and how many more there are on its record.
fn said(detail: &str) -> String {
    let lines: Vec<_> = detail.lines().collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(TOLD));
    let more = if before.is_empty() { String::new() } else { format!(" (and {} more)", before.len()) };
    last.join("; ") + &more
}

fn is_watched(job: &str) -> bool {
    BESIDES.contains(&job) || SCHEDULE.iter().any(|scheduled| scheduled.name == job)
}
