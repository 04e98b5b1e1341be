//! `stagedoorctl quickstart`: from an empty installation to an agent's configuration, in the order in which one would do
//! it by hand. What is there already is left as it is.

mod clients;
mod questions;
mod steps;

use std::fmt::Write;

use clap::{Args, ValueHint};
use serde_json::json;
use stagedoor_proto::admin::v1::Provider;

use crate::catalogue::Catalogue;
use crate::client::Client;
use crate::command_line::{GlobalOptions, OutputFormat};
use crate::connection::Connection;
use crate::error::CtlError;
use crate::output;
use crate::surroundings::Surroundings;

pub(crate) use clients::McpClient;
use questions::Answers;
use steps::{Made, Outcome};

/// What to make. What is not given is asked for, if there is somebody to ask.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArguments {
    /// The tenant's name in URLs: lower-case letters, digits and hyphens. The context's, if it has one.
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// What the tenant is called; its name in URLs if it is not given.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The music service.
    #[arg(long, value_name = "WORD", value_parser = provider)]
    provider: Option<Provider>,
    /// The client id that the music service gave you.
    #[arg(long, value_name = "TEXT")]
    client_id: Option<String>,
    /// The file that holds the client's secret; - for standard input. Without it the client is a public one.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    client_secret_file: Option<String>,
    /// What the tenant calls the person whom the agent acts for.
    #[arg(long, value_name = "TEXT")]
    user_label: Option<String>,
    /// What the agent may do, with commas between; `all` for everything.
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_values_t = DEFAULT_SCOPES.map(str::to_owned))]
    scopes: Vec<String>,
    /// The tenant's name for the agent's key.
    #[arg(long, value_name = "TEXT", default_value = "quickstart")]
    key_name: String,
    /// Prints configuration for these clients only, with commas between.
    #[arg(long = "client", value_name = "NAME", value_enum, value_delimiter = ',')]
    clients: Vec<McpClient>,
}

/// Enough to search, look into the person's music, and make playlists.
const DEFAULT_SCOPES: [&str; 5] =
    ["catalog:read", "library:read", "playlists:read", "playlists:write", "recommendations:read"];

fn provider(text: &str) -> Result<Provider, String> {
    match text {
        "spotify" => Ok(Provider::Spotify),
        "tidal" => Ok(Provider::Tidal),
        _ => Err("one of spotify, tidal".to_owned()),
    }
}

/// Runs the command.
pub(crate) async fn run(
    catalogue: &Catalogue,
    arguments: QuickstartArguments,
    options: &GlobalOptions,
    surroundings: &mut Surroundings,
) -> Result<(), CtlError> {
    let connection = Connection::resolve(options, surroundings)?;
    let client = Client::new(&connection, options.timeout)?;
    let clients = arguments.clients.clone();
    let answers = Answers::collect(arguments, connection.tenant.clone(), surroundings)?;
    let made = Box::pin(steps::run(&client, catalogue, &answers, options.dry_run, surroundings)).await?;
    let endpoint = made.endpoint.as_str();
    let clients = clients::configurations(endpoint, made.secret.as_deref(), &clients);
    if options.output == OutputFormat::Table {
        return show(&made, &clients, options.dry_run, surroundings);
    }
    let clients: Vec<_> = clients
        .iter()
        .map(|client| json!({ "client": client.name, "where": client.place, "configuration": client.text }))
        .collect();
    let json = json!({
        "dryRun": options.dry_run,
        "steps": made.steps.iter().map(steps::Step::to_json).collect::<Vec<_>>(),
        "endpoint": made.endpoint,
        "keyId": made.key_id,
        "secret": made.secret,
        "redirectUri": made.redirect,
        "linkUrl": made.link,
        "clients": clients,
    });
    let text = output::structured(&json, options.output)?;
    surroundings.print(&text).map_err(CtlError::Stream)
}

fn show(
    made: &Made,
    clients: &[clients::Configuration],
    dry_run: bool,
    surroundings: &mut Surroundings,
) -> Result<(), CtlError> {
    let mut text = String::new();
    for step in &made.steps {
        let mark = match step.outcome {
            Outcome::Made => "made",
            Outcome::Exists => "exists",
            Outcome::WouldBeMade => "would be made",
        };
        let _ = writeln!(text, "{mark:<13}  {}", step.what);
    }
    if dry_run {
        text.push_str("\nNothing was changed: --dry-run.");
        return surroundings.print(&text).map_err(CtlError::Stream);
    }
    if let Some(redirect) = &made.redirect {
        let _ = writeln!(text, "\nRegister this redirect address at {}:\n\n  {redirect}", made.provider);
    }
    if let Some(link) = &made.link {
        let _ = writeln!(text, "\nThe person links their account here (works once):\n\n  {link}");
    }
    let _ = writeln!(text, "\nEndpoint  {}", made.endpoint);
    let _ = match &made.secret {
        Some(secret) => writeln!(text, "Key       {secret}\n          This is its only copy: keep it now."),
        None => writeln!(
            text,
            "Key       {id}: its secret was told when it was made; put it in place of {placeholder} below.\n          \
             Lost? stagedoorctl agent-keys rotate --tenant {tenant} --key-id {id}",
            id = made.key_id,
            tenant = made.tenant,
            placeholder = clients::PLACEHOLDER,
        ),
    };
    for client in clients {
        let _ = writeln!(text, "\n# {}: {}\n\n{}", client.name, client.place, client.text);
    }
    surroundings.print(text.trim_end()).map_err(CtlError::Stream)
}
