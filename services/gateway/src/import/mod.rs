//! `stagedoor import sessions`: the files, one after the other, through `legacy_sessions` and `tools::import`, and a
//! line for each. Source files are only ever read.

mod files;
mod report;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use stagedoor_audit::{AuditLog, AuditOptions};
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_bootstrap::{tasks, telemetry};
use stagedoor_crypto::{KekProvider, SystemEntropy};
use stagedoor_domain::{
    Clock, Entropy, Provider, SystemClock, Tenant, TenantContext, TenantSlug, TenantStatus, UserId,
};
use stagedoor_legacy_sessions::{Reading, Zone};
use stagedoor_providers::{HttpOptions, ProviderHttp, Providers};
use stagedoor_storage::{KeyVault, Store, users};
use stagedoor_tools::import::{ImportRequest, Importer};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{assembly, keys};
use files::SourceFile;
use report::{Line, Report};
use signals::Signals;

/// What to import.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Import sessions that other programs left in files, so that their people need not sign in again.
    Sessions(SessionsArguments),
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
    /// The client that the tokens were made for, where a file does not tell. Only the tenant's own client can use them.
    #[arg(long)]
    client_id: Option<String>,
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
    #[arg(long, default_value_t = 600)]
    patience: u64,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Runs it. Ends with 0 if every file can be used, 2 if some cannot, 1 if something failed that is no file's fault.
pub async fn run(command: ImportCommand) -> anyhow::Result<ExitCode> {
    let ImportCommand::Sessions(arguments) = command;
    let config = Config::load(&LoadOptions::from_process(arguments.config.clone()))?;
    let telemetry = telemetry::init(&config.telemetry, "stagedoor-import")?;
    let ended = sessions(&config, &arguments).await;
    telemetry.flush().await;
    ended
}

async fn sessions(config: &Config, arguments: &SessionsArguments) -> anyhow::Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let store = assembly::open_store(config).await?;
    let (keys, _) = keys::open(&config.encryption, &clock, &*entropy).await?;
    let keys: Arc<dyn KekProvider> = keys;
    let vault = Arc::new(KeyVault::new(store.clone(), keys, Arc::clone(&clock), Arc::clone(&entropy)));
    let tenant = find_tenant(&store, &arguments.tenant).await?;

    let audit_options = AuditOptions { enabled: config.audit.enabled, ..AuditOptions::default() };
    let (audit, audit_writer) = AuditLog::new(Arc::clone(&vault), audit_options);
    let finished = CancellationToken::new();
    let writer = tasks::spawn("audit", audit_writer.run(finished.clone()));
    let signals = Signals::listen()?;
    let importer = Importer::new(
        vault,
        providers(config, &clock, &entropy)?,
        audit.clone(),
        clock,
        Duration::from_secs(arguments.patience),
        signals.give_up(),
    );
    let context = importer.context(tenant);
    let user = find_user(&store, &context, &arguments.user).await?;
    let report = import_all(arguments, &importer, &context, user, &signals).await;
    audit.flush().await.context("the last audit records were not written")?;
    finished.cancel();
    writer.await?;
    store.close().await;
    Ok(report.exit_code())
}

async fn import_all(
    arguments: &SessionsArguments,
    importer: &Importer,
    context: &TenantContext,
    user: UserId,
    signals: &Signals,
) -> Report {
    let mut report = Report::new(arguments.json, arguments.dry_run);
    for path in &arguments.files {
        if signals.stop() {
            report.add(&Line::not_tried(path));
            continue;
        }
        report.add(&import_one(arguments, importer, context, user, path).await);
    }
    report
}

async fn import_one(
    arguments: &SessionsArguments,
    importer: &Importer,
    context: &TenantContext,
    user: UserId,
    path: &std::path::Path,
) -> Line {
    let file = match SourceFile::open(path) {
        Ok(file) => file,
        Err(error) => return Line::not_read(path, &error),
    };
    let reading =
        Reading { zone: arguments.timezone.unwrap_or_default(), key: None, provider: arguments.provider };
    let mut warnings = file.warnings();
    let found = match file.read(&reading, arguments.key_file.as_deref(), &mut warnings) {
        Ok(found) => found,
        Err(error) => return Line::not_read(path, &error).with_warnings(warnings),
    };
    let line = Line::found(path, &found).with_warnings(warnings);
    if arguments.provider.is_some_and(|wanted| wanted != found.session.provider) {
        return line.of_another_service();
    }
    let request = ImportRequest {
        user,
        session: &found.session,
        client_id: arguments.client_id.as_deref(),
        dry_run: arguments.dry_run,
    };
    line.with_outcome(importer.import(context, &request).await)
}

async fn find_tenant(store: &Store, slug: &str) -> anyhow::Result<Arc<Tenant>> {
    let slug: TenantSlug = slug.parse().context("--tenant")?;
    let tenant = store.find_tenant(&slug).await?;
    let tenant = tenant.with_context(|| format!("--tenant: there is no tenant {slug}"))?;
    anyhow::ensure!(tenant.status == TenantStatus::Active, "--tenant: {slug} is suspended");
    Ok(Arc::new(tenant))
}

/// The person of that id, or of that subject; never one of two.
async fn find_user(store: &Store, context: &TenantContext, text: &str) -> anyhow::Result<UserId> {
    let id: Option<Uuid> = text.parse().ok();
    let (by_id, by_subject) = store
        .with_tenant(context, async |tx| {
            let by_id = match id {
                Some(id) => users::find(tx, id.into()).await?,
                None => None,
            };
            Ok::<_, stagedoor_storage::StoreError>((by_id, users::find_by_subject(tx, text).await?))
        })
        .await?;
    match (by_id, by_subject) {
        (Some(one), Some(other)) if one.id != other.id => {
            anyhow::bail!("--user: {text} is the id of one person and the subject of another")
        }
        (Some(user), _) | (None, Some(user)) => Ok(user.id),
        (None, None) => {
            anyhow::bail!("--user: the tenant has no person of the id or external subject {text:?}")
        }
    }
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
