//! `just bench`: what one cached tool call costs in the gateway, step by step, against a bare server that answers
//! the same bytes. Runs everything itself and writes a table and a JSON file. Needs two cores and Linux.

mod floor;
mod load;
mod report;
mod stage;
mod subject;
mod tenant;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use stagedoor_domain::{Clock, SystemClock};
use stagedoor_tests::machine::{self, LOAD_CORE, pin};

use crate::report::{Figures, Report};
use crate::stage::Stage;
use crate::subject::{Step, Subject};

/// Measures what a cached tool call costs.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve as the floor (the benchmark starts this itself).
    Floor {
        /// The loopback port.
        #[arg(long)]
        port: u16,
        /// The length of the text in each answer, in bytes.
        #[arg(long)]
        text: usize,
    },
}

/// How much to measure.
#[derive(Debug, clap::Args)]
struct Plan {
    /// How often every step is measured, one after another in turn; the medians count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds at full load in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Keep-alive connections at full load.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Measure these steps alone (`floor` is always measured).
    #[arg(long, value_enum)]
    only: Vec<Step>,
    /// The gateway's program; the one beside this program if left out.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Where the figures go; `bench.json` in the target folder if left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let command_line = CommandLine::parse();
    if let Some(Command::Floor { port, text }) = command_line.command {
        return floor::run(port, text);
    }
    let cores = std::thread::available_parallelism().context("the number of cores")?.get();
    ensure!(cores >= 2, "the server under test and the load need a core each, but there is only one");
    // Children inherit it: the database, Redis and the load share a core, and the server under test has its own.
    pin(LOAD_CORE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&command_line.plan, cores))
}

async fn run(plan: &Plan, cores: usize) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let folder = tempfile::tempdir().context("a folder for the servers")?;
    let stage = Stage::set(folder.path(), &clock).await?;
    let programs = programs(plan)?;
    let mut subjects = Vec::new();
    for step in Step::ALL.into_iter().filter(|step| plan.measures(*step)) {
        subjects.push(Subject::start(step, &programs, &stage, folder.path(), &subjects, &clock).await?);
    }
    let mut figures = vec![Figures::default(); subjects.len()];
    for _ in 0..plan.rounds {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            measure(plan, subject, figures, &clock).await?;
        }
    }
    let report = Report::new(&subjects, &figures, &stage, cores).await?;
    report.print()?;
    for subject in &subjects {
        subject.check_what_it_did()?;
    }
    let out = plan.out.clone().unwrap_or_else(|| programs.target.join("bench.json"));
    report.write(&out)?;
    stage.strike().await;
    Ok(())
}

/// One round of one step: at full load for throughput and CPU, then at half of it for latency.
async fn measure(
    plan: &Plan,
    subject: &Subject,
    figures: &mut Figures,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<()> {
    let seconds = Duration::from_secs_f64(plan.seconds);
    let before = subject.counters()?;
    let full = load::saturate(subject, plan.connections, seconds, clock).await?;
    let after = subject.counters()?;
    figures.add_full_load(&full, &before, &after);
    let half = full.calls_per_second() / 2.0;
    let latencies = load::paced(subject, half, seconds.mul_f64(0.75), clock).await?;
    figures.add_latencies(&latencies);
    figures.add_memory(machine::resident_bytes(subject.pid())?);
    Ok(())
}

impl Plan {
    fn measures(&self, step: Step) -> bool {
        step == Step::Floor || self.only.is_empty() || self.only.contains(&step)
    }
}

/// The programs that are started.
#[derive(Debug)]
pub(crate) struct Programs {
    gateway: PathBuf,
    bench: PathBuf,
    /// Cargo's target folder.
    target: PathBuf,
}

fn programs(plan: &Plan) -> anyhow::Result<Programs> {
    let bench = std::env::current_exe().context("the path of this program")?;
    let folder = bench.parent().context("the folder of this program")?;
    let gateway = plan.gateway.clone().unwrap_or_else(|| folder.join("stagedoor"));
    ensure!(
        gateway.is_file(),
        "{} is missing; `just bench` builds it, or: cargo build --release -p stagedoor-gateway",
        gateway.display()
    );
    let target = folder.parent().context("the target folder")?.to_owned();
    Ok(Programs { gateway, bench, target })
}
