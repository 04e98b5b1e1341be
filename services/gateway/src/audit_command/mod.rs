//! `stagedoor audit`: searching a tenant's trail, taking a part of it away, and checking either where it is stored or
//! what was taken away. Reading is on record before anything is shown. Ends with 0 when all is well, 1 when a check found
//! a fault, 2 when a command could not be done.

mod export;
mod keys;
mod query;
mod rows;
mod seal;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use stagedoor_assembly::checkpoint_archive;
use stagedoor_audit::{Checkpointer, DayRange};
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_bootstrap::telemetry;
use stagedoor_domain::{Clock, TenantContext};

use crate::operator::Operator;

/// What the commands are called in audit records.
const JOB: &str = "audit_command";
/// How far back commands look that are given no first day.
const USUAL_DAYS: u64 = 30;
const FAULTS: u8 = 1;
const NOT_DONE: u8 = 2;

/// What to do with the trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Search a tenant's trail. The search itself is recorded there first.
    Query(query::QueryArguments),
    /// Write days of a tenant's trail into a file that anyone can check with the tenant's public key alone.
    Export(export::ExportArguments),
    /// Check an exported file, without a gateway or a database, or a tenant's trail where it is stored.
    Verify(verify::VerifyArguments),
    /// Sign a checkpoint now of each of a tenant's chains that grew since its last one.
    Checkpoint(seal::SealArguments),
    /// Print the public keys of a tenant as a JWK Set: what checking its exports takes.
    Keys(keys::KeysArguments),
}

/// Whose trail, and how to get at it.
#[derive(Debug, Args)]
pub struct TenantArguments {
    /// The tenant: its name in URLs, or its id.
    #[arg(long)]
    tenant: String,
    /// The configuration file.
    #[arg(long)]
    config: Option<std::path::PathBuf>,
}

/// Which days (UTC).
#[derive(Debug, Args)]
pub struct DayArguments {
    /// The first day, such as 2026-11-01; 30 days before the last if left out.
    #[arg(long)]
    from: Option<NaiveDate>,
    /// The last day; today if left out.
    #[arg(long)]
    to: Option<NaiveDate>,
}

/// For whom it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs a command.
pub async fn run(command: AuditCommand) -> ExitCode {
    let done = match command {
        AuditCommand::Query(arguments) => query::run(arguments).await,
        AuditCommand::Export(arguments) => export::run(arguments).await,
        AuditCommand::Verify(arguments) => verify::run(arguments).await,
        AuditCommand::Checkpoint(arguments) => seal::run(arguments).await,
        AuditCommand::Keys(arguments) => keys::run(arguments).await,
    };
    done.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::from(NOT_DONE)
    })
}

impl TenantArguments {
    /// Opens the rooms, works in the tenant, and waits until all of it is on record.
    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&Config, &Operator, &TenantContext) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let config = Config::load(&LoadOptions::from_process(self.config.clone()))?;
        let telemetry = telemetry::init(&config.telemetry, "stagedoor-audit")?;
        let operator = Operator::open(config.clone()).await?;
        let done = self.within(&config, &operator, work).await;
        let finished = operator.finish().await;
        telemetry.flush().await;
        let done = done?;
        finished.map(|()| done)
    }

    async fn within<T>(
        &self,
        config: &Config,
        operator: &Operator,
        work: impl AsyncFnOnce(&Config, &Operator, &TenantContext) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let context = operator.context(operator.tenant(&self.tenant).await?, JOB);
        work(config, operator, &context).await
    }
}

impl DayArguments {
    fn range(&self, clock: &dyn Clock) -> anyhow::Result<DayRange> {
        let last = self.to.unwrap_or_else(|| clock.now().date_naive());
        let first = self.from.or_else(|| last.checked_sub_days(Days::new(USUAL_DAYS))).unwrap_or(last);
        DayRange::new(first, last).with_context(|| {
            format!("--from {first} --to {last}: not from an earlier to a later day, or more than ten years")
        })
    }
}

fn checkpointer(config: &Config, operator: &Operator) -> anyhow::Result<Checkpointer> {
    let vault = std::sync::Arc::clone(&operator.vault);
    Ok(Checkpointer::new(vault, checkpoint_archive(config)?, config.audit.checkpoint_interval()))
}

/// A moment, or the beginning of a day (UTC).
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let wanted = "wanted: a day such as 2026-11-22, or a time such as 2026-11-22T08:00:00Z";
    DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).map_err(|_| wanted.to_owned())
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough: `stagedoor audit query … | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

#[expect(clippy::print_stderr, reason = "what a command has to say beside its output")]
fn complain(text: &str) {
    eprintln!("stagedoor audit: {text}");
}
