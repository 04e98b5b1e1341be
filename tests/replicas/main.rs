//! `just replicas`: several replicas for real. Three gateways behind a proxy of somebody else's, PgBouncer, PostgreSQL,
//! two Redis and the sandbox music services on this machine; agents of both eras call, while every gateway is restarted
//! in turn and the keeper does what is due. Counts afterwards whether all that was promised was kept, and measures what
//! a call costs.

mod agents;
mod balancer;
mod calls;
mod checks;
mod ledger;
mod load;
mod meters;
mod promises;
mod report;
mod rolling;
mod town;
mod transfers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use stagedoor_domain::{Clock, SystemClock};
use stagedoor_testkit::Stage;

use crate::agents::Population;
use crate::balancer::Balancer;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meters::Meters;
use crate::promises::Promises;
use crate::report::Report;
use crate::town::Town;

/// How long nothing is asked while it is measured what replicas do by themselves.
const IDLE: Duration = Duration::from_secs(10);
/// How long the load runs before anything is measured.
const WARM_UP: Duration = Duration::from_secs(5);

/// Runs several replicas under load, restarts them, and counts what became of every call.
#[derive(Debug, Parser)]
struct Plan {
    /// Seconds of load before the keeper and the restarts, and again after them.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Calls a second, at random times, besides those of transfers and of the agent at its limit.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Gateways.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=16))]
    replicas: u8,
    /// How often every gateway is restarted in turn.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Tenants, each of which calls every gateway; the first few make the load.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(6..=1_000_000))]
    tenants: u32,
    /// The `HAProxy` program; found by PATH and in the usual folders for servers if left out.
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// Where the figures go; `replicas.json` in the target folder if left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let plan = Plan::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let kept = runtime.block_on(run(&plan))?;
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(plan: &Plan) -> anyhow::Result<bool> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // Looked for first, so that its absence is said before anything is started.
    let haproxy = Balancer::installed(plan.haproxy.as_deref())?;
    let stage = Stage::start().await;
    let mut town = Town::build(&stage, plan.replicas.into(), haproxy).await?;
    let population = Population::settle(&stage, town.doors(), plan.tenants).await?;
    let (promises, ledger) = (Promises::default(), Arc::new(Ledger::new(Arc::clone(&clock))));
    let mut report = Report::new(plan.rate, plan.tenants);

    town.open().await?;
    report.memory("started", &town.resident()?);
    checks::answers_are_shared(&town, &population, &ledger, &promises).await;
    report.memory("before_tenants", &town.resident()?);
    population.call_everywhere(&town, &ledger).await;
    report.memory("all_tenants_active", &town.resident()?);

    let before = Meters::read(&town).await?;
    tokio::time::sleep(IDLE).await;
    report.idle(&before, &Meters::read(&town).await?, IDLE);

    let load = Load::begin(&population, &town, &ledger, plan.rate, &clock);
    tokio::time::sleep(WARM_UP).await;
    let steady = Duration::from_secs_f64(plan.seconds);
    let before = Meters::read(&town).await?;
    ledger.begin("steady")?;
    tokio::time::sleep(steady).await;
    let calls = ledger.end();
    report.steady(&before, &Meters::read(&town).await?, calls);
    report.memory("steady", &town.resident()?);
    ledger.begin("keeper")?;
    report.keeper(&town.keep(&promises, &clock).await);
    for round in 1..=plan.rounds {
        ledger.begin(&format!("restarts {round}"))?;
        report.restarts(round, &rolling::restart_each(&mut town, &promises, &clock).await?);
    }
    ledger.begin("afterwards")?;
    tokio::time::sleep(steady).await;
    ledger.end();
    report.memory("afterwards", &town.resident()?);
    load.end(&promises).await?;

    report.balancer(&town.balancer().seen().await?, &promises);
    report.ended(town.close(&promises, &clock).await?);
    checks::every_call_was_answered(&ledger, &promises);
    checks::every_write_is_there_once(&stage, &ledger, &promises);
    checks::every_call_is_on_record(&population, &ledger, &promises).await;
    checks::the_quota_held(&ledger, &promises);
    report.ledger(&ledger);
    report.promises(&promises);

    report.print().context("the report")?;
    let out = match &plan.out {
        Some(out) => out.clone(),
        None => report::default_path()?,
    };
    report.write(&out)?;
    town.strike().await;
    Ok(promises.kept())
}
