//! The jobs, one file or folder for each, and what they have in common: each may be killed at any moment and run again.

pub mod backup;
pub mod doctor;
pub mod listening;
pub mod migrate;
pub mod partitions;
pub mod restore;
pub mod retention;
pub mod rollup;
pub mod rotate_keys;
pub mod rotate_sessions;
pub mod run_due;
pub mod seal;
pub mod verify;

use async_trait::async_trait;
use clap::Subcommand;
use stagedoor_audit::AuditError;
use stagedoor_bootstrap::config::Config;
use stagedoor_storage::StoreError;

use crate::keeper::Keeper;
use crate::run::{Answer, Run};

/// Something that the keeper does, with its arguments.
#[async_trait(?Send)]
pub trait Job: Sync {
    /// What it is called on the command line and in audit records.
    fn name(&self) -> &'static str;

    /// What its runs are called in `keeper_runs` and in figures: something else than the job where the arguments make it
    /// do a part only, or only look, so that this is not taken for the job's own success.
    fn recorded_as(&self) -> &'static str {
        self.name()
    }

    /// Whose lock it takes: one of its own where it only looks, because it is in nobody's way then.
    fn lock(&self) -> &'static str {
        self.name()
    }

    /// Does it, or with [`Run::dry_run`] counts what it would do. Stops after its present batch once
    /// [`Run::must_stop`].
    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError>;
}

/// Why a job ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The time is over, or a signal came: what is done is done, and the next run goes on.
    #[error("it was told to stop")]
    Interrupted,
    /// What was asked for cannot be, whoever asks and however often.
    #[error("{0}")]
    Refused(String),
    /// The database.
    #[error("the database did not do its part")]
    Store(#[from] StoreError),
    /// No record, no change.
    #[error("it cannot be recorded in the audit trail")]
    Audit(#[from] AuditError),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl JobError {
    /// What a job needs is not configured, or not as it must be.
    pub fn misconfigured(error: &anyhow::Error) -> Self {
        Self::Refused(format!("{error:#}"))
    }
}

/// The jobs of the command line.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Make the backups that are due, read each back, and remove those whose time is over.
    Backup(backup::Backup),
    /// Read every backup back.
    VerifyBackups(backup::VerifyBackups),
    /// Look at everything that an installation needs, and say what is wrong: 0 all is well, 3 warnings, 1 something fails.
    Doctor(doctor::Doctor),
    /// Ask music services what people played who consented to that, and roll it up.
    Listening(listening::Listening),
    /// Make the partitions of the coming days, of the audit trail and of usage.
    Partitions(partitions::Partitions),
    /// List what the backups hold, restore it, or try out whether it can be.
    Restore(restore::Restore),
    /// Remove what is older than it is kept.
    Retention(retention::Retention),
    /// Count each tenant's figures of the days that are over, and roll usage up into hours and days.
    Rollup(rollup::Rollup),
    /// Sign a checkpoint of each audit trail that grew.
    Seal(seal::Seal),
    /// Check tenants' audit trails.
    Verify(verify::Verify),
    /// Run, one after the other, every job whose time has come: for single machines, from one timer.
    RunDue(run_due::RunDue),
    /// Replace keys that are old, or all of a layer, and prove that everything that is sealed opens.
    RotateKeys(rotate_keys::RotateKeys),
    /// Give every session that nobody used today its new id and seal.
    RotateSessions(rotate_sessions::RotateSessions),
}

impl JobCommand {
    /// Does what needs no database; none if this needs one.
    pub async fn without_keeper(&self, config: &Config) -> Option<anyhow::Result<Answer>> {
        match self {
            Self::Restore(job) => job.without_keeper(config).await,
            _ => None,
        }
    }

    /// The job that it names.
    pub fn into_job(self) -> Box<dyn Job> {
        match self {
            Self::Backup(job) => Box::new(job),
            Self::VerifyBackups(job) => Box::new(job),
            Self::Doctor(job) => Box::new(job),
            Self::Listening(job) => Box::new(job),
            Self::Partitions(job) => Box::new(job),
            Self::Restore(job) => Box::new(job),
            Self::Retention(job) => Box::new(job),
            Self::Rollup(job) => Box::new(job),
            Self::Seal(job) => Box::new(job),
            Self::Verify(job) => Box::new(job),
            Self::RunDue(job) => Box::new(job),
            Self::RotateKeys(job) => Box::new(job),
            Self::RotateSessions(job) => Box::new(job),
        }
    }
}
