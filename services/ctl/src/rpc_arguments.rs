//! The arguments of a command that calls an RPC: a flag for each field, and those that page, read files and write them.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, Command, ValueHint};
use prost_reflect::Kind;
use stagedoor_proto::dynamic;

use crate::catalogue::RpcCommand;
use crate::flags::{self, Flag};
use crate::{names, values};

/// The flags of commands that list, and the one that reads a request from a file.
pub(crate) const ALL: &str = "all";
pub(crate) const LIMIT: &str = "limit";
pub(crate) const FROM_FILE: &str = "from-file";
pub(crate) const TO_FILE: &str = "to-file";
/// Before the ids of flags that fields have, which are then nobody else's.
const FIELD: &str = "field:";
/// Before the ids of flags that name a file in which a field's secret is.
const FILE: &str = "file:";

/// The command of an RPC.
pub(crate) fn command(rpc: &RpcCommand) -> Command {
    let comment = dynamic::comments(&rpc.method);
    let mut command =
        Command::new(rpc.verb.clone()).about(first_sentence(comment)).long_about(long_about(rpc, comment));
    for flag in &rpc.flags {
        command = command.arg(field_argument(rpc, flag));
        if flag.secret {
            command = command.arg(secret_file_argument(flag));
        }
    }
    if rpc.updates() {
        let help = "Changes these fields, with commas between, and those of flags that are given: one that neither a flag \
                    nor the file sets is emptied. Goes before what the file would change by itself.";
        command = command.arg(
            Arg::new(flags::UPDATE_MASK)
                .long("update-mask")
                .value_name("FIELDS")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help(help),
        );
    }
    if rpc.pages() {
        command = command.args(paging_arguments());
    }
    if rpc.streams() {
        command = command.arg(
            Arg::new(TO_FILE)
                .long(TO_FILE)
                .value_name("PATH")
                .default_value("-")
                .value_hint(ValueHint::FilePath)
                .help("Where the file goes; - for standard output. It appears when it is whole"),
        );
    }
    if rpc.writes() {
        command = command.arg(from_file_argument(rpc));
    }
    command
}

/// The id of the argument that sets a field.
pub(crate) fn field_id(flag: &Flag) -> String {
    format!("{FIELD}{}", flag.name)
}

/// The id of the argument that names the file in which a secret is.
pub(crate) fn file_id(flag: &Flag) -> String {
    format!("{FILE}{}", flag.name)
}

fn field_argument(rpc: &RpcCommand, flag: &Flag) -> Arg {
    let kind = flag.value_kind();
    let field = flag.field();
    let mut argument =
        Arg::new(field_id(flag)).long(flag.name.clone()).allow_hyphen_values(takes_hyphens(&kind));
    let from_context = flag.name == flags::TENANT && rpc.is_about_a_tenant();
    let mut help = flag.comment().trim_end_matches('.').to_owned();
    if from_context {
        help.push_str(". Without it, `STAGEDOOR_TENANT` or the context's");
    } else if flag.name == "request-id" {
        "A UUID that makes the same command do nothing twice; one is made if it is not given"
            .clone_into(&mut help);
    } else if flag.secret {
        help.push_str(". Others on this machine may see it here: prefer the file");
    }
    if flag.required && !from_context {
        argument =
            if rpc.writes() { argument.required_unless_present(FROM_FILE) } else { argument.required(true) };
        help.push_str(" [required]");
    }
    argument = match &kind {
        _ if field.is_map() => {
            let name = if matches!(kind, Kind::Message(_)) { "NAME=JSON" } else { "NAME=VALUE" };
            argument.value_name(name).action(ArgAction::Append)
        }
        Kind::Enum(of) => {
            let values = names::enum_values(of);
            let values = values.iter().map(|value| {
                PossibleValue::new(names::enum_value(value))
                    .alias(value.name().to_owned())
                    .help(dynamic::comments(value))
            });
            let argument = argument.value_name("WORD").value_parser(PossibleValuesParser::new(values));
            if field.is_list() { argument.action(ArgAction::Append).value_delimiter(',') } else { argument }
        }
        Kind::Bool if !field.is_list() => argument
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(["true", "false"]),
        kind if field.is_list() => {
            help.push_str(" [several: with commas, or the flag again]");
            argument.value_name(values::placeholder(kind)).action(ArgAction::Append).value_delimiter(',')
        }
        kind => argument.value_name(values::placeholder(kind)),
    };
    argument.help(help)
}

fn secret_file_argument(flag: &Flag) -> Arg {
    Arg::new(file_id(flag))
        .long(format!("{}-file", flag.name))
        .value_name("PATH")
        .value_hint(ValueHint::FilePath)
        .conflicts_with(field_id(flag))
        .help(format!("The file that holds what --{} would say; - for standard input", flag.name))
}

fn from_file_argument(rpc: &RpcCommand) -> Arg {
    let what = match flags::resource(&rpc.method.input()) {
        Some(resource) => format!("the {}, as `get -o yaml` prints it", resource.name().replace('_', " ")),
        None if rpc.updates() => "the object, as `get -o yaml` prints it".to_owned(),
        None => "the request".to_owned(),
    };
    let whole = if rpc.updates() {
        ". With an etag in it, it stands for the whole object: what is missing is reset"
    } else {
        ""
    };
    Arg::new(FROM_FILE)
        .long(FROM_FILE)
        .value_name("PATH")
        .value_hint(ValueHint::FilePath)
        .help(format!("JSON or YAML of {what}; - for standard input. Flags go before what it says{whole}"))
}

fn paging_arguments() -> [Arg; 2] {
    [
        Arg::new(ALL).long(ALL).action(ArgAction::SetTrue).help("Shows every page"),
        Arg::new(LIMIT)
            .long(LIMIT)
            .value_name("NUMBER")
            .value_parser(clap::value_parser!(u64).range(1..))
            .conflicts_with(ALL)
            .help("Shows at most so many, over as many pages as that takes"),
    ]
}

fn takes_hyphens(kind: &Kind) -> bool {
    matches!(kind, Kind::Message(message) if message.full_name() == values::TIMESTAMP)
}

fn long_about(rpc: &RpcCommand, comment: &str) -> String {
    let route = dynamic::http_route(&rpc.method);
    let route = route.map(|route| format!(", {} {}", route.method, route.path)).unwrap_or_default();
    format!("{comment}\n\nCalls {}.{}{route}.", rpc.method.parent_service().name(), rpc.method.name())
}

fn first_sentence(comment: &str) -> String {
    let end = comment.find(". ").unwrap_or(comment.len());
    comment[..end].trim_end_matches('.').to_owned()
}
