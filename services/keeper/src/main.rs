//! The command line of the keeper: one subcommand for each job, and what all of them share. Wires only.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use stagedoor_assembly::database_url;
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_bootstrap::{tasks, telemetry};
use stagedoor_keeper::jobs::migrate::Migrate;
use stagedoor_keeper::jobs::{JobCommand, doctor};
use stagedoor_keeper::progress::Show;
use stagedoor_keeper::{Answer, Ended, Keeper, RunOptions, exit};
use stagedoor_storage::Purpose;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is done beside the gateway: retention, backups, key rotation, checks.
///
/// Ends with 0 when it is done or another keeper does it, 1 when it failed, 2 when what was asked for cannot be, 3 when
/// some tenants' part failed, and 75 when it was told to stop and the next run goes on.
#[derive(Debug, Parser)]
#[command(name = "stagedoor-keeper", version, about)]
struct CommandLine {
    /// The configuration file; without it, the one that `STAGEDOOR_CONFIG` names, or defaults and environment.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Count what would be done, and change nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    /// Print one line of JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// Seconds after which to stop, once the present batch is done.
    #[arg(long, global = true, value_name = "SECONDS")]
    within: Option<u64>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the database's roles and schema up to date, as its owner (`storage.owner_database_url`).
    Migrate(Migrate),
    #[command(flatten)]
    Job(JobCommand),
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    stagedoor_bootstrap::tls::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ran = runtime.context("no runtime could be started").map(|runtime| runtime.block_on(run(line)));
    match ran {
        Ok(Ok(code)) => code,
        Ok(Err(error)) | Err(error) => complain(&error, exit::of(&error)),
    }
}

async fn run(line: CommandLine) -> anyhow::Result<ExitCode> {
    let needs = match &line.command {
        Command::Migrate(_) => Needs::Owner,
        Command::Job(_) => Needs::Keeper,
    };
    let config = match load(line.config.clone(), needs) {
        Ok(config) => config,
        Err(error) => return Ok(complain(&error, exit::USAGE)),
    };
    let telemetry = telemetry::init(&config.telemetry, "stagedoor-keeper")?;
    let done = Box::pin(keep(line, config)).await;
    telemetry.flush().await;
    done
}

async fn keep(line: CommandLine, config: Config) -> anyhow::Result<ExitCode> {
    let options = RunOptions {
        dry_run: line.dry_run,
        within: line.within.map(Duration::from_secs),
        show: if std::io::stderr().is_terminal() { Show::Bar } else { Show::Lines },
    };
    let job = match line.command {
        Command::Migrate(migrate) => return answer(migrate.run(&config, line.dry_run).await?, line.json),
        Command::Job(job) => job,
    };
    if let Some(done) = job.without_keeper(&config).await {
        return answer(done?, line.json);
    }
    let keeper = match Keeper::open(config.clone()).await {
        Err(error) if matches!(job, JobCommand::Doctor(_)) => {
            let report = doctor::without_keeper(&config).await;
            write_out(&if line.json { format!("{}\n", report.alone()) } else { report.to_string() })?;
            return Ok(complain(&error, 1));
        }
        Err(error) if database_url(&config.storage, Purpose::Keep).is_err() => {
            return Ok(complain(&error, exit::USAGE));
        }
        opened => opened?,
    };
    stop_at_signals(keeper.stop.clone())?;
    let ended = keeper.execute(&*job.into_job(), options).await;
    let finished = keeper.finish().await;
    let ended = ended?;
    print(&ended, line.json)?;
    finished?;
    Ok(ended.ending.into())
}

fn answer(answer: Answer, json: bool) -> anyhow::Result<ExitCode> {
    write_out(&if json { format!("{}\n", answer.json) } else { answer.text })?;
    Ok(ExitCode::SUCCESS)
}

/// What of the configuration must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// The owner's connection only: the schema is brought up to date before there are keys.
    Owner,
    /// All of it but the gateway's own connection, which the keeper has no use for.
    Keeper,
}

fn load(file: Option<PathBuf>, needs: Needs) -> anyhow::Result<Config> {
    let mut config = Config::read(&LoadOptions::from_process(file))?;
    if needs == Needs::Owner {
        return Ok(config);
    }
    if config.storage.database_url.is_empty()
        && let Some(own) = &config.storage.keeper_database_url
    {
        config.storage.database_url = own.clone();
    }
    config.validate()?;
    Ok(config)
}

fn stop_at_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tasks::spawn("signals", async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

fn print(ended: &Ended, json: bool) -> anyhow::Result<()> {
    write_out(&if json { format!("{}\n", ended.to_json()) } else { ended.to_string() })
}

fn write_out(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("stagedoor-keeper: {error:#}");
    ExitCode::from(code)
}
