//! `stagedoor import sessions`: the files, one after the other, through `legacy_sessions` and `tools::import`, and a
//! line for each. `stagedoor import history` is in `history`. Source files are only ever read.

mod clients;
mod files;
mod history;
mod installation;
mod report;
mod signals;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_bootstrap::telemetry;
use stagedoor_domain::{Clock, Entropy, Provider};
use stagedoor_legacy_sessions::{Found, Reading, Zone};
use stagedoor_providers::{HttpOptions, ProviderHttp, Providers};
use stagedoor_tools::import::{ImportRequest, Importer, LONGEST_PATIENCE};

use clients::{ClientArgument, Clients};
use files::SourceFile;
use history::HistoryArguments;
use installation::Installation;
use report::{Line, Report};
use signals::Signals;

const ACQUIRE_TIMEOUT_MS: u64 = 5_000;

/// What to import.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Import sessions that other programs left in files, so that their people need not sign in again.
    Sessions(SessionsArguments),
    /// Import what a person listened to, from the data download that they asked the service for.
    History(HistoryArguments),
}

/// Which sessions to import, and for whom.
#[derive(Debug, Args)]
pub struct SessionsArguments {
    /// Session files: of tidal-mcp, Spotify-MCP-Server, spotipy or tidalapi, spotify-config.json, or session schema
    /// 1.0 or 1.1. What each is shows in its content. Files are never changed.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The person: a user id, or the tenant's own name for them (external subject).
    #[arg(long)]
    user: String,
    /// Only files of this service; also the service of a schema 1.0 or 1.1 file that names none.
    #[arg(long)]
    provider: Option<Provider>,
    /// The client that the tokens were made for, where a file does not tell: an id, or `tenant` for the tenant's own
    /// client. `spotify=…` and `tidal=…` for files of both services. Only the tenant's own client can use them.
    #[arg(long = "client-id", value_name = "[SERVICE=]ID|tenant")]
    client_ids: Vec<ClientArgument>,
    /// The zone of times that name none, such as Europe/Berlin or +02:00; without it, this machine's.
    #[arg(long)]
    timezone: Option<Zone>,
    /// The Fernet key of sealed files; without it, session.key or a key file of the same name beside each.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// Say what would be done; store nothing and refresh no token.
    #[arg(long)]
    dry_run: bool,
    /// Print one line of JSON for each file instead of a table.
    #[arg(long)]
    json: bool,
    /// How many seconds new tokens wait for a database or a provider that is away, before they are given up.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(..=LONGEST_PATIENCE.as_secs()))]
    patience: u64,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Runs it. Ends with 0 if every file can be used, 2 if some cannot, 1 if something failed that is no file's fault.
pub async fn run(command: ImportCommand) -> anyhow::Result<ExitCode> {
    let file = match &command {
        ImportCommand::Sessions(arguments) => arguments.config.clone(),
        ImportCommand::History(arguments) => arguments.config.clone(),
    };
    let mut config = Config::load(&LoadOptions::from_process(file))?;
    // A gateway refuses a call rather than letting it wait; tokens in hand are worth waiting for.
    config.storage.acquire_timeout_ms = config.storage.acquire_timeout_ms.max(ACQUIRE_TIMEOUT_MS);
    let telemetry = telemetry::init(&config.telemetry, "stagedoor-import")?;
    let ended = match &command {
        ImportCommand::Sessions(arguments) => Box::pin(sessions(&config, arguments)).await,
        ImportCommand::History(arguments) => Box::pin(history::run(&config, arguments)).await,
    };
    telemetry.flush().await;
    ended
}

async fn sessions(config: &Config, arguments: &SessionsArguments) -> anyhow::Result<ExitCode> {
    let files = read_all(arguments);
    let clients = clients_of(arguments, &files)?;
    let installation = Installation::open(config).await?;
    let tenant = installation.tenant(&arguments.tenant).await?;
    let Installation { clock, entropy, vault, audit, .. } = &installation;
    let signals = Signals::listen("after this file; once more gives up tokens that are not stored")?;
    let importer = Importer::new(
        Arc::clone(vault),
        providers(config, clock, entropy)?,
        audit.clone(),
        Arc::clone(clock),
        Duration::from_secs(arguments.patience),
        signals.give_up(),
    );
    let context = importer.context(tenant);
    let user = installation.person(&context, &arguments.user).await?;
    let mut report = Report::new(arguments.json, arguments.dry_run);
    for (line, found) in files {
        let line = match found {
            _ if signals.stop() => line.not_tried(),
            None => line,
            Some(Found { session, .. }) => {
                let client = clients.of(session.provider);
                let request = ImportRequest { user, session: &session, client, dry_run: arguments.dry_run };
                line.with_outcome(importer.import(&context, &request).await)
            }
        };
        report.add(&line);
    }
    installation.close().await?;
    Ok(report.exit_code())
}

/// The files, each with its line and what it holds. All are read before the first is imported, because it depends on
/// all whether `--client-id` can be meant.
fn read_all(arguments: &SessionsArguments) -> Vec<(Line, Option<Found>)> {
    arguments.files.iter().map(|path| read_one(arguments, path)).collect()
}

fn read_one(arguments: &SessionsArguments, path: &Path) -> (Line, Option<Found>) {
    let file = match SourceFile::open(path) {
        Ok(file) => file,
        Err(error) => return (Line::not_read(path, &error), None),
    };
    let reading =
        Reading { zone: arguments.timezone.unwrap_or_default(), key: None, provider: arguments.provider };
    let mut warnings = file.warnings();
    let found = match file.read(&reading, arguments.key_file.as_deref(), &mut warnings) {
        Ok(found) => found,
        Err(error) => return (Line::not_read(path, &error).with_warnings(warnings), None),
    };
    let line = Line::found(path, &found).with_warnings(warnings);
    if arguments.provider.is_some_and(|wanted| wanted != found.session.provider) {
        return (line.of_another_service(), None);
    }
    (line, Some(found))
}

fn clients_of(arguments: &SessionsArguments, files: &[(Line, Option<Found>)]) -> anyhow::Result<Clients> {
    let clients = Clients::new(&arguments.client_ids)?;
    let of_files: Vec<_> =
        files.iter().filter_map(|(_, found)| Some(found.as_ref()?.session.provider)).collect();
    clients.check(&of_files)?;
    Ok(clients)
}

fn providers(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> anyhow::Result<Providers> {
    let options = HttpOptions {
        connect_timeout: config.providers.connect_timeout(),
        request_timeout: config.providers.request_timeout(),
        body_limit: config.providers.body_limit_bytes,
        allow_plain_http_loopback: config.providers.allow_plain_http_loopback,
        ..HttpOptions::new(Arc::clone(clock), Arc::clone(entropy))
    };
    Ok(Providers::new(ProviderHttp::new(options)?))
}
