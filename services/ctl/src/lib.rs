//! `stagedoorctl`: the command line over the admin API. Its commands are made of the contract at start; nothing here knows
//! an RPC by name but `quickstart`. No server, no database.

mod catalogue;
mod client;
mod command_line;
mod connection;
mod context_command;
mod contexts;
mod error;
mod execute;
mod export;
mod file_contents;
mod flags;
mod input_files;
mod names;
mod output;
mod quickstart;
mod reference;
mod request;
mod rpc_arguments;
mod status_report;
mod surroundings;
mod values;

use std::ffi::OsString;

use clap::FromArgMatches;
use serde_json::json;

use crate::catalogue::Catalogue;
use crate::command_line::{GlobalOptions, OutputFormat, OwnCommand};
use crate::error::CtlError;
pub use crate::error::Exit;
pub use crate::surroundings::{Environment, Surroundings, Terminal};

/// Runs one command line, the program's name first, and says how it ended.
pub async fn run(arguments: Vec<OsString>, surroundings: &mut Surroundings) -> Exit {
    let catalogue = Catalogue::load();
    // A command line that cannot be read is complained of in the form that it asks for.
    let output = command_line::output_of(&arguments);
    let mut options = GlobalOptions { output, ..GlobalOptions::default() };
    match Box::pin(dispatch(&catalogue, arguments, &mut options, surroundings)).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error, options.output, surroundings);
            error.exit()
        }
    }
}

async fn dispatch(
    catalogue: &Catalogue,
    arguments: Vec<OsString>,
    options: &mut GlobalOptions,
    surroundings: &mut Surroundings,
) -> Result<(), CtlError> {
    let matches = command_line::command(catalogue).try_get_matches_from(arguments)?;
    *options = command_line::global_options(&matches)?;
    if let Some((group, matches)) = matches.subcommand()
        && let Some((verb, matches)) = matches.subcommand()
        && let Some(rpc) = catalogue.find(group, verb)
    {
        return execute::run(rpc, matches, options, surroundings).await;
    }
    match OwnCommand::from_arg_matches(&matches)? {
        OwnCommand::Quickstart(arguments) => {
            quickstart::run(catalogue, arguments, options, surroundings).await
        }
        OwnCommand::Context { command } => context_command::run(command, options, surroundings),
        OwnCommand::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                shell,
                &mut command_line::command(catalogue),
                "stagedoorctl",
                &mut script,
            );
            surroundings.print(String::from_utf8_lossy(&script).trim_end()).map_err(CtlError::Stream)
        }
        OwnCommand::Version => {
            surroundings.print(concat!("stagedoorctl ", env!("CARGO_PKG_VERSION"))).map_err(CtlError::Stream)
        }
        OwnCommand::Reference => {
            surroundings.print(reference::markdown().trim_end()).map_err(CtlError::Stream)
        }
    }
}

/// The last word of a command that did not do it: text for people, an object for programs.
fn complain(error: &CtlError, format: OutputFormat, surroundings: &mut Surroundings) {
    match error {
        CtlError::CommandLine(shown) if !shown.use_stderr() => {
            let _ = surroundings.print(shown.to_string().trim_end());
        }
        CtlError::CommandLine(shown) if format == OutputFormat::Table => {
            surroundings.say(shown.to_string().trim_end());
        }
        error if format == OutputFormat::Table => surroundings.say(&format!("stagedoorctl: {error}")),
        error => surroundings.say(&json!({ "error": error.to_json() }).to_string()),
    }
}
