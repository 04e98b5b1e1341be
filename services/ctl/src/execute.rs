//! Runs a command that calls an RPC: request, call or calls, answer.

use clap::ArgMatches;

use crate::catalogue::RpcCommand;
use crate::client::Client;
use crate::command_line::{GlobalOptions, OutputFormat};
use crate::connection::Connection;
use crate::error::CtlError;
use crate::request::{self, Defaults};
use crate::rpc_arguments::{ALL, LIMIT};
use crate::surroundings::Surroundings;
use crate::{export, output};

pub(crate) async fn run(
    rpc: &RpcCommand,
    matches: &ArgMatches,
    options: &GlobalOptions,
    surroundings: &mut Surroundings,
) -> Result<(), CtlError> {
    if options.dry_run && !rpc.can_validate_only() {
        return Err(CtlError::usage("--dry-run is for commands that change something; this one only reads"));
    }
    let connection = Connection::resolve(options, surroundings)?;
    let defaults = Defaults { tenant: connection.tenant.clone(), dry_run: options.dry_run };
    let request = request::build(rpc, matches, &defaults, surroundings)?;
    let client = Client::new(&connection, options.timeout)?;
    if rpc.streams() {
        return export::run(&client, rpc, request, matches, surroundings).await;
    }
    let answer = match (rpc.listed().filter(|_| rpc.pages()), pages(rpc, matches)) {
        (Some(listed), Pages::All) => client.call_pages(rpc, request, &listed, None).await?,
        (Some(listed), Pages::UpTo(limit)) => client.call_pages(rpc, request, &listed, Some(limit)).await?,
        _ => client.call(rpc, &request).await?,
    };
    output::show(rpc, &answer, options.output, surroundings)?;
    if options.dry_run && options.output == OutputFormat::Table {
        surroundings.say("Nothing was changed: --dry-run.");
    }
    Ok(())
}

/// How much of a list is shown.
enum Pages {
    One,
    UpTo(usize),
    All,
}

fn pages(rpc: &RpcCommand, matches: &ArgMatches) -> Pages {
    if !rpc.pages() {
        return Pages::One;
    }
    if matches.get_flag(ALL) {
        return Pages::All;
    }
    let limit = matches.get_one::<u64>(LIMIT);
    limit.map_or(Pages::One, |limit| Pages::UpTo(usize::try_from(*limit).unwrap_or(usize::MAX)))
}
