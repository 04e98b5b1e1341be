//! The command line: `serve`, `demo`, `config`, `migrate`, `import`, `audit`, `keys`. Wires only.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_crypto::passphrase::MIN_ROUNDS;
use stagedoor_crypto::{PassphraseSalt, SystemEntropy};
use stagedoor_domain::SystemClock;
use stagedoor_gateway::assembly;
use stagedoor_gateway::audit_command;
use stagedoor_gateway::demo;
use stagedoor_gateway::import;
use stagedoor_gateway::{admin_key_command, privacy_command, tenant_command};

/// Answers are built from many short-lived pieces; the system's allocator took a tenth of a call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The stage door between AI agents and music services.
#[derive(Debug, Parser)]
#[command(name = "stagedoor", version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve MCP to agents; needs PostgreSQL, and Redis if there is more than one replica.
    Serve {
        /// The configuration file; without it, the one that `STAGEDOOR_CONFIG` names, or defaults and environment.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Run everything on this machine, with its own PostgreSQL and sandbox music services.
    Demo(demo::DemoArguments),
    /// Look at the configuration.
    Config {
        /// The configuration file.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Bring the database's roles and schema up to date, as its owner (`storage.owner_database_url`).
    Migrate {
        /// The configuration file.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Make what keys need.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Bring what other programs kept into a tenant.
    Import {
        #[command(subcommand)]
        command: import::ImportCommand,
    },
    /// Search, take away and check the audit trail.
    Audit {
        #[command(subcommand)]
        command: audit_command::AuditCommand,
    },
    /// See which requests of people for their data are open, and which are late.
    Privacy {
        #[command(subcommand)]
        command: privacy_command::PrivacyCommand,
    },
    /// Make a key of the admin API past that API: the first one.
    AdminKey {
        #[command(subcommand)]
        command: admin_key_command::AdminKeyCommand,
    },
    /// Delete a tenant.
    Tenant {
        #[command(subcommand)]
        command: tenant_command::TenantCommand,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Print a random salt for a passphrase (`encryption.passphrase_directory`); it is no secret.
    Salt {
        /// Rounds of PBKDF2-HMAC-SHA-256; more make guessing, and each start, slower.
        #[arg(long, default_value_t = MIN_ROUNDS)]
        rounds: u32,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is valid, and everything that is not.
    Check,
    /// Print the configuration in force, and where each value comes from; secrets are left out.
    Show,
    /// Print the JSON Schema of the configuration file.
    Schema,
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    match run(command_line.command) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let ended = match command {
        Command::Serve { config } => {
            let config = load(config)?;
            runtime()?.block_on(serve(&config))
        }
        Command::Demo(arguments) => runtime()?.block_on(demo::run(arguments)),
        Command::Config { config, command } => inspect(config, &command),
        Command::Migrate { config } => {
            let config = load(config)?;
            let url = config.storage.owner_database_url.context("storage.owner_database_url is not set")?;
            let url = secrecy::SecretString::from(url.expose());
            Ok(runtime()?.block_on(stagedoor_storage::migrate(&url))?)
        }
        Command::Keys { command: KeysCommand::Salt { rounds } } => {
            print(&format!("{}\n", PassphraseSalt::generate(rounds, &SystemEntropy)?))
        }
        Command::Import { command } => return runtime()?.block_on(import::run(command)),
        Command::Audit { command } => return Ok(runtime()?.block_on(audit_command::run(command))),
        Command::Privacy { command } => return runtime()?.block_on(privacy_command::run(command)),
        Command::AdminKey { command } => return runtime()?.block_on(admin_key_command::run(command)),
        Command::Tenant { command } => return runtime()?.block_on(tenant_command::run(command)),
    };
    ended.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let telemetry = stagedoor_bootstrap::telemetry::init(&config.telemetry, "stagedoor")?;
    let clock = Arc::new(SystemClock::new());
    let gateway = Box::pin(assembly::assemble(config, clock, Arc::new(SystemEntropy))).await?;
    let listeners = assembly::bind(config).await?;
    let shutdown = gateway.shutdown(assembly::shutdown_options(config));
    shutdown.listen_for_signals()?;
    gateway.run(listeners, shutdown).await;
    telemetry.flush().await;
    Ok(())
}

fn load(file: Option<PathBuf>) -> anyhow::Result<Config> {
    Ok(Config::load(&LoadOptions::from_process(file))?)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    stagedoor_bootstrap::tls::install_provider();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime could be started")
}

fn inspect(file: Option<PathBuf>, command: &ConfigCommand) -> anyhow::Result<()> {
    let text = match command {
        ConfigCommand::Check => {
            load(file)?;
            "The configuration is valid.\n".to_owned()
        }
        // Shown even where keys do not fit together: that is when one wants to see them.
        ConfigCommand::Show => Config::read(&LoadOptions::from_process(file))?.show(),
        ConfigCommand::Schema => format!("{:#}\n", Config::schema()),
    };
    print(&text)
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough: `stagedoor config schema | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn complain(error: &anyhow::Error) {
    eprintln!("stagedoor: {error:#}");
}
