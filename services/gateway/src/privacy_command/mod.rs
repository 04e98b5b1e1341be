//! `stagedoor privacy`: which requests of people are open, and which are late; what became of one. Nothing that it shows
//! says whose they are.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use stagedoor_bootstrap::config::{Config, LoadOptions};
use stagedoor_bootstrap::telemetry;
use stagedoor_storage::privacy_requests::{self, OpenRequest, PrivacyRequest};
use uuid::Uuid;

use crate::operator::Operator;

/// What the commands are called in audit records.
const JOB: &str = "privacy_command";
/// Requests that are listed at most.
const MOST: u32 = 1_000;

/// What to do with requests.
#[derive(Debug, Subcommand)]
pub enum PrivacyCommand {
    /// List requests that are open, of all tenants or of one. Ends with 1 if one of them is late.
    List(ListArguments),
    /// Show what became of a request, and its receipt.
    Show(ShowArguments),
}

/// Which requests.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only those that should have been answered by now.
    #[arg(long)]
    late: bool,
    /// Only those of this tenant: its name in URLs, or its id.
    #[arg(long)]
    tenant: Option<String>,
    /// How to print them.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Which request.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The request's id.
    request: Uuid,
    /// Its tenant: its name in URLs, or its id.
    #[arg(long)]
    tenant: String,
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
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
pub async fn run(command: PrivacyCommand) -> anyhow::Result<ExitCode> {
    let config = match &command {
        PrivacyCommand::List(arguments) => &arguments.config,
        PrivacyCommand::Show(arguments) => &arguments.config,
    };
    let config = Config::load(&LoadOptions::from_process(config.clone()))?;
    let telemetry = telemetry::init(&config.telemetry, "stagedoor-privacy")?;
    let operator = Operator::open(config).await?;
    let done = match &command {
        PrivacyCommand::List(arguments) => list(&operator, arguments).await,
        PrivacyCommand::Show(arguments) => show(&operator, arguments).await,
    };
    let finished = operator.finish().await;
    telemetry.flush().await;
    let done = done?;
    finished.map(|()| done)
}

async fn list(operator: &Operator, arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let tenant = match &arguments.tenant {
        Some(named) => Some(operator.tenant(named).await?.id),
        None => None,
    };
    let now = operator.clock.now();
    let open = privacy_requests::open_requests(&operator.store, arguments.late, None, MOST).await?;
    let mut late = false;
    for request in open.iter().filter(|request| tenant.is_none_or(|tenant| request.tenant == tenant)) {
        late |= request.due_by <= now;
        print(&match arguments.output {
            Output::Json => format!("{}\n", of_open(request, now)),
            Output::Text => format!(
                "{}  {:<20} {:<14} {:<14} asked {}  due {}{}\n",
                request.request,
                request.slug,
                request.kind.as_str(),
                request.state.as_str(),
                text(request.requested_at),
                text(request.due_by),
                if request.due_by <= now { "  LATE" } else { "" }
            ),
        })?;
    }
    Ok(ExitCode::from(u8::from(late)))
}

async fn show(operator: &Operator, arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let context = operator.context(operator.tenant(&arguments.tenant).await?, JOB);
    let found = privacy_requests::load(&operator.store, &context, arguments.request.into()).await?;
    let request = found.with_context(|| format!("the tenant has no request {}", arguments.request))?;
    print(&match arguments.output {
        Output::Json => format!("{}\n", of_request(&request)),
        Output::Text => {
            format!("{:#}\n{}", of_request(&request), request.receipt.as_deref().unwrap_or_default())
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn of_open(request: &OpenRequest, now: DateTime<Utc>) -> Value {
    json!({
        "request": request.request.to_string(),
        "tenant": request.slug,
        "kind": request.kind.as_str(),
        "state": request.state.as_str(),
        "requested_at": text(request.requested_at),
        "due_by": text(request.due_by),
        "late": request.due_by <= now,
    })
}

/// Whose it is is not the operator's to see.
fn of_request(request: &PrivacyRequest) -> Value {
    json!({
        "request": request.id.to_string(),
        "kind": request.kind.as_str(),
        "state": request.state.as_str(),
        "requested_at": text(request.requested_at),
        "verified_at": request.verified_at.map(text),
        "completed_at": request.completed_at.map(text),
        "due_by": text(request.due_by),
        "rows": request.progress.get("rows"),
        "claims": request.claims,
        "has_receipt": request.receipt.is_some(),
    })
}

pub(crate) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
