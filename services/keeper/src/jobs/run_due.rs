//! `run-due`: every job whose time has come, one after the other, each with its own lock and record. For a single
//! machine, where one timer a few minutes apart does for all of them. In a cluster each job is a `CronJob` of its own.

use async_trait::async_trait;
use chrono::TimeDelta;
use clap::Args;
use serde_json::json;
use stagedoor_storage::StoreError;
use stagedoor_storage::keeper_runs::RunOutcome;

use super::backup::{Backup, VerifyBackups};
use super::listening::Listening;
use super::partitions::Partitions;
use super::restore::{Drill, Restore};
use super::retention::{Part, Retention};
use super::rollup::Rollup;
use super::rotate_keys::RotateKeys;
use super::rotate_sessions::RotateSessions;
use super::seal::Seal;
use super::verify::Verify;
use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::{Ended, Ending, Run};

const QUARTER: u64 = 900;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
/// A timer is never exact: what is due within this is due now.
const EARLY: u64 = 120;
/// What failed is tried again after this part of its time: a daily job after an hour.
const AGAIN: u64 = 24;
/// Runs that are looked at for the last one that was not dry.
const LOOKED_AT: i64 = 20;

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct RunDue {
    /// Only say what is due.
    #[arg(long)]
    list: bool,
}

/// A job and how often it is due.
pub struct Scheduled {
    /// The name that its runs are on record under.
    pub name: &'static str,
    /// Seconds between the starts of two runs that succeeded.
    pub every: u64,
    /// A run of this name does it too.
    pub or: Option<&'static str>,
    /// Whether it needs `backup.url`.
    pub backups: bool,
    make: fn() -> Box<dyn Job>,
}

/// When what is due: SEED-T §7.2 and §9.1, SECURITY §1 and §8. In this order, so that a day's partitions are there before
/// anything is recorded, and nothing is removed before it was counted and saved.
pub static SCHEDULE: &[Scheduled] = &[
    every("partitions", HOUR, None, || Box::<Partitions>::default()),
    every("listening", QUARTER, None, || Box::<Listening>::default()),
    every("seal", HOUR, None, || Box::<Seal>::default()),
    every("retention-cache", HOUR, Some("retention"), || Box::new(Retention::of(Part::Cache))),
    every("rollup", HOUR, None, || Box::<Rollup>::default()),
    every("verify", DAY, None, || Box::<Verify>::default()),
    of_backups("backup", HOUR, || Box::<Backup>::default()),
    of_backups("verify-backups", WEEK, || Box::<VerifyBackups>::default()),
    of_backups("drill", WEEK, || Box::new(Restore::drill(Drill::default()))),
    every("rotate-sessions", DAY, None, || Box::<RotateSessions>::default()),
    every("rotate-keys", DAY, None, || Box::<RotateKeys>::default()),
    every("retention-daily", DAY, Some("retention"), || Box::new(Retention::of(Part::Daily))),
    every("retention-audit", WEEK, Some("retention"), || Box::new(Retention::of(Part::Audit))),
];

const fn every(
    name: &'static str,
    every: u64,
    or: Option<&'static str>,
    make: fn() -> Box<dyn Job>,
) -> Scheduled {
    Scheduled { name, every, or, backups: false, make }
}

const fn of_backups(name: &'static str, every: u64, make: fn() -> Box<dyn Job>) -> Scheduled {
    Scheduled { name, every, or: None, backups: true, make }
}

impl Scheduled {
    /// Whether its time has come: its last run that did all of it is too long ago.
    pub async fn is_due(&self, keeper: &Keeper) -> Result<bool, JobError> {
        let mut last = keeper.store.last_success(self.name).await?;
        if let Some(other) = self.or {
            last = last.max(keeper.store.last_success(other).await?);
        }
        let wait = TimeDelta::seconds(self.every.saturating_sub(EARLY.min(self.every / 10)).cast_signed());
        let due = last.is_none_or(|last| keeper.clock.now() - last >= wait);
        Ok(due && !self.failed_lately(keeper).await?)
    }

    /// Whether a run ended so short a while ago without doing all of it that another would meet the same. One that was
    /// interrupted or killed goes on at once.
    async fn failed_lately(&self, keeper: &Keeper) -> Result<bool, StoreError> {
        let runs = keeper.store.keeper_runs(Some(self.name), LOOKED_AT).await?;
        let Some(last) = runs.iter().find(|run| !run.dry_run) else { return Ok(false) };
        let pause = TimeDelta::seconds((self.every / AGAIN).cast_signed());
        Ok(matches!(last.outcome, RunOutcome::Partly | RunOutcome::Failed)
            && keeper.clock.now() - last.started_at < pause)
    }
}

#[async_trait(?Send)]
impl Job for RunDue {
    fn name(&self) -> &'static str {
        "run-due"
    }

    fn recorded_as(&self) -> &'static str {
        if self.list { "run-due-list" } else { self.name() }
    }

    fn lock(&self) -> &'static str {
        self.recorded_as()
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let mut lines = Vec::new();
        let mut ran = Vec::new();
        for scheduled in SCHEDULE {
            run.go_on()?;
            if scheduled.backups && keeper.config.backup.url.is_none() {
                run.remark(format_args!("{}: backup.url is not set", scheduled.name));
                continue;
            }
            if !scheduled.is_due(keeper).await? {
                continue;
            }
            if self.list {
                run.count("jobs_due", 1);
                lines.push(format!("{} is due", scheduled.name));
                ran.push(json!({ "job": scheduled.name, "outcome": "due" }));
                continue;
            }
            let job = (scheduled.make)();
            let ended = Box::pin(keeper.execute(&*job, run.options_within())).await?;
            lines.push(ended.to_string().trim_end().to_owned());
            ran.push(ended.to_json());
            tell(run, &ended);
        }
        run.answer(lines.join("\n"), json!(ran));
        Ok(())
    }
}

fn tell(run: &Run, ended: &Ended) {
    match ended.ending {
        Ending::Succeeded | Ending::Elsewhere => run.count("jobs_done", 1),
        Ending::Interrupted => run.count("jobs_interrupted", 1),
        Ending::Partly | Ending::Failed | Ending::Refused => {
            run.count("jobs_not_done", 1);
            run.failed(ended.job, ended.remarks.last().map_or("it failed", String::as_str));
        }
    }
}
