//! The command line of the operator. Wires only.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_bootstrap::{Health, Shutdown, ShutdownOptions, host, telemetry, tls};
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::SystemClock;
use stagedoor_operator::metrics::OperatorMetrics;
use stagedoor_operator::operator::Operator;
use stagedoor_operator::{ops, resources};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Brings the objects `Tenant`, `ProviderApp` and `AgentKey` of a Kubernetes cluster about in a Stagedoor installation.
#[derive(Debug, Parser)]
#[command(name = "stagedoor-operator", version, about)]
struct CommandLine {
    /// The configuration file; without it, the one that `STAGEDOOR_CONFIG` names, or defaults and environment.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM; of several replicas one acts.
    Run,
    /// Print the definitions of the custom resources.
    Crds {
        /// Write one file for each into this folder instead.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let done = match line.command {
        Command::Crds { out } => crds(out.as_deref()),
        Command::Run => run(line.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

fn run(file: Option<PathBuf>) -> anyhow::Result<()> {
    let config = Config::read(&LoadOptions::from_process(file))?;
    config.validate_operator()?;
    tls::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("no runtime could be started")?.block_on(operate(config))
}

async fn operate(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&config.telemetry, "stagedoor-operator")?;
    let (health, metrics) = (Health::new(), Arc::new(OperatorMetrics::new()));
    // Nothing is sent here by a load balancer: there is nobody to wait for.
    let shutdown = Shutdown::new(
        ShutdownOptions { grace: std::time::Duration::ZERO, ..ShutdownOptions::default() },
        health.clone(),
    );
    shutdown.listen_for_signals()?;
    let tokens = shutdown.tokens();
    let listen = config.ops.listen;
    ops::serve(listen, health.clone(), Arc::clone(&metrics), tokens.finished.clone())
        .await
        .with_context(|| format!("ops.listen: {listen} is not to be had"))?;
    let client = kube::Client::try_default()
        .await
        .context("there is no way to Kubernetes: neither a service account nor a kubeconfig")?;
    let operator = Operator {
        client,
        config: config.operator,
        metrics,
        health,
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
        host: host::host_name(),
    };
    let (stop, abort) = (tokens.begun.clone(), tokens.abort.clone());
    let mut ran = Ok(());
    let work = async {
        ran = tokio::select! {
            ran = operator.run(stop) => ran,
            () = abort.cancelled() => Ok(()),
        };
    };
    Box::pin(shutdown.run(work)).await;
    telemetry.flush().await;
    ran.context("operator.admin_url is not usable")
}

fn crds(out: Option<&Path>) -> anyhow::Result<()> {
    for definition in resources::definitions() {
        let (name, text) = resources::manifest(&definition)?;
        match out {
            Some(folder) => {
                let path = folder.join(name);
                std::fs::write(&path, text)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
            None => std::io::stdout().write_all(format!("---\n{text}").as_bytes())?,
        }
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("stagedoor-operator: {error:#}");
    ExitCode::FAILURE
}
