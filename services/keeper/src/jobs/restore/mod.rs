//! `restore`: what the store of backups holds comes back: a whole tenant, one class of it, one person, or grants that were
//! set aside. `list` says what there is, from the store alone; `plan` does everything but keep it; `drill` does it in a
//! database of its own. Which rows can come back, and under which conditions, is `storage::restore`'s.

mod apply;
mod choice;
mod drill;
mod list;
mod report;
mod sessions;
mod shelf;
mod tombstones;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use stagedoor_archive::BackupId;
use stagedoor_bootstrap::config::Config;
use stagedoor_domain::BackupClass;
use uuid::Uuid;

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::{Answer, Run};

pub use drill::Drill;
pub use list::List;
pub use tombstones::Tombstones;
pub(super) use tombstones::verifying;

/// Its arguments.
#[derive(Debug, Clone, Args)]
pub struct Restore {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// List what can be restored. Needs the store of backups and nothing else.
    List(List),
    /// Do everything that `apply` does, say what it came to, and keep nothing of it.
    Plan(What),
    /// Restore.
    Apply(What),
    /// Restore the newest backups into a database of their own, compare it with them, and drop it.
    Drill(Drill),
    /// Tell the database who was erased, as the store of backups knows it, and erase them again where they are back: to be
    /// run after a database was put back as a whole.
    Tombstones(Tombstones),
}

/// What to restore, and how.
#[derive(Debug, Clone, Args)]
pub struct What {
    /// The tenant, by its name in addresses or its id.
    #[arg(long)]
    pub tenant: String,
    /// Only this class: sessions, preferences or audit. All of them otherwise.
    #[arg(long, conflicts_with_all = ["person", "session", "set_aside"])]
    pub class: Option<BackupClass>,
    /// Only what is this person's, by the person's id or the tenant's own name for them. Puts back what is missing.
    #[arg(long, conflicts_with_all = ["session", "set_aside"])]
    pub person: Option<String>,
    /// Only the grant of this linked account, by the account's id or the session's. May be given more than once.
    #[arg(long, value_name = "ID")]
    pub session: Vec<Uuid>,
    /// Only the grants that were set aside because they did not open: all of them.
    #[arg(long)]
    pub set_aside: bool,
    /// As of the newest backups that were begun by then, such as 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub at: Option<DateTime<Utc>>,
    /// As of this backup, and only what is in it.
    #[arg(long, value_name = "ID", conflicts_with = "at")]
    pub backup: Option<Uuid>,
    /// Restore what can be even if something cannot, and say exactly what.
    #[arg(long)]
    pub partial: bool,
    /// Put rows of the backup in the place of present ones. What is not in the backup stays.
    #[arg(long)]
    pub replace: bool,
}

impl Restore {
    /// Does what needs no database; none if this needs one.
    pub async fn without_keeper(&self, config: &Config) -> Option<anyhow::Result<Answer>> {
        match &self.command {
            Command::List(list) => Some(list.answer(config).await),
            _ => None,
        }
    }

    /// Listing everything that there is.
    pub fn list() -> Self {
        Self { command: Command::List(List::default()) }
    }

    /// Restoring, as `apply` does.
    pub fn apply(what: What) -> Self {
        Self { command: Command::Apply(what) }
    }

    /// Telling the database who was erased.
    pub fn tombstones(tombstones: Tombstones) -> Self {
        Self { command: Command::Tombstones(tombstones) }
    }

    /// Trying out whether the newest backups can be restored.
    pub fn drill(drill: Drill) -> Self {
        Self { command: Command::Drill(drill) }
    }
}

#[async_trait(?Send)]
impl Job for Restore {
    fn name(&self) -> &'static str {
        match self.command {
            Command::Drill(_) => "drill",
            _ => "restore",
        }
    }

    fn recorded_as(&self) -> &'static str {
        match &self.command {
            Command::Drill(drill) if drill.tenant.is_some() => "drill-part",
            _ => self.name(),
        }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        match &self.command {
            Command::List(list) => {
                let answer = list.answer(&keeper.config).await?;
                run.answer(answer.text, answer.json);
                Ok(())
            }
            Command::Plan(what) => what.run(keeper, run, false).await,
            Command::Apply(what) => what.run(keeper, run, !run.dry_run()).await,
            Command::Drill(drill) => drill.run(keeper, run).await,
            Command::Tombstones(tombstones) => tombstones.run(keeper, run).await,
        }
    }
}

impl What {
    async fn run(&self, keeper: &Keeper, run: &Run, keep: bool) -> Result<(), JobError> {
        if self.set_aside || !self.session.is_empty() {
            sessions::recover(self, keeper, run, keep).await
        } else {
            apply::apply(self, keeper, run, keep).await
        }
    }

    fn until(&self) -> choice::Until {
        match (self.backup, self.at) {
            (Some(id), _) => choice::Until::Backup(BackupId(id)),
            (None, Some(time)) => choice::Until::Time(time),
            (None, None) => choice::Until::Now,
        }
    }
}
