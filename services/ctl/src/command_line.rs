//! The command line: options that every command has, commands of the program's own, and those that the catalogue adds.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches, Subcommand, ValueEnum, ValueHint};
use stagedoor_proto::dynamic;

use crate::catalogue::{Catalogue, Group};
use crate::context_command::ContextCommand;
use crate::quickstart::QuickstartArguments;
use crate::{rpc_arguments, values};

const AFTER_HELP: &str = "\
Begin with `stagedoorctl context add NAME --server https://HOST:PORT --key-file PATH`, then `stagedoorctl caller get`.
`stagedoorctl quickstart` makes all that an agent needs.

Exit codes: 0 done, 1 failed, 2 the command is wrong, 3 not signed in or not permitted, 4 not found,
5 it exists already or was changed since, 6 the server is away or asks to wait.";

const COMPLETION_HELP: &str = "\
bash: stagedoorctl completion bash > /etc/bash_completion.d/stagedoorctl
zsh:  stagedoorctl completion zsh > \"${fpath[1]}/_stagedoorctl\"
fish: stagedoorctl completion fish > ~/.config/fish/completions/stagedoorctl.fish";

/// Where to, as whom, and how answers look.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct GlobalOptions {
    /// The context to use; without it, `STAGEDOOR_CONTEXT` or the current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The address of the admin API, such as `https://admin.example.org:7443`; or `STAGEDOOR_SERVER`.
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) server: Option<String>,
    /// The file that holds the admin key; or `STAGEDOOR_ADMIN_KEY_FILE`, or the key itself in `STAGEDOOR_ADMIN_KEY`.
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) key_file: Option<PathBuf>,
    /// Certificates (PEM) to trust the server by, instead of the system's.
    #[arg(long, global = true, hide_short_help = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,
    /// A certificate (PEM) to be known by, where the server asks for one.
    #[arg(long, global = true, hide_short_help = true, value_name = "PATH", requires = "client_key", value_hint = ValueHint::FilePath)]
    pub(crate) client_certificate: Option<PathBuf>,
    /// The private key (PEM) of `--client-certificate`.
    #[arg(long, global = true, hide_short_help = true, value_name = "PATH", requires = "client_certificate", value_hint = ValueHint::FilePath)]
    pub(crate) client_key: Option<PathBuf>,
    /// Allows http:// to other hosts than this one: the key then travels in the open.
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) insecure: bool,
    /// How long a call may take: 30s if it is not set, and no end for exports.
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION", value_parser = positive_duration)]
    pub(crate) timeout: Option<Duration>,
    /// How answers are shown. json and yaml have the API's standard JSON names (camelCase).
    #[arg(long, short, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: OutputFormat,
    /// Checks everything and does nothing; shows what would be done.
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Commands that are no RPC.
#[derive(Debug, Subcommand)]
pub(crate) enum OwnCommand {
    /// Makes a tenant, its client at a music service, a person and an agent's key; begins the link; prints configuration
    /// for MCP clients. Run again, it makes only what is missing.
    Quickstart(QuickstartArguments),
    /// Keeps several installations apart: address, key and tenant of each, under a name.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Context {
        /// What to do.
        #[command(subcommand)]
        command: ContextCommand,
    },
    /// Prints a script that completes commands and flags in a shell.
    #[command(after_help = COMPLETION_HELP)]
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Prints the version of this program; `caller get` tells the server's.
    Version,
    /// Prints the reference of the admin API (docs/admin-api.md).
    #[command(hide = true)]
    Reference,
}

/// The whole command line.
pub(crate) fn command(catalogue: &Catalogue) -> Command {
    let command = Command::new("stagedoorctl")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true);
    // What is augmented brings the comment of its type along.
    let command = OwnCommand::augment_subcommands(GlobalOptions::augment_args(command))
        .about("Runs a Stagedoor installation: the command line over its admin API.")
        .long_about(None);
    command.subcommands(catalogue.groups.iter().map(group_command))
}

/// The options that every command has.
pub(crate) fn global_options(matches: &clap::ArgMatches) -> Result<GlobalOptions, clap::Error> {
    GlobalOptions::from_arg_matches(matches)
}

/// The form that a command line asks for, be the rest of it right or wrong; a table if it cannot be told.
pub(crate) fn output_of(arguments: &[OsString]) -> OutputFormat {
    let mut words = arguments.iter().map_while(|word| word.to_str().filter(|word| *word != "--"));
    let mut found = OutputFormat::default();
    while let Some(word) = words.next() {
        let value = match word {
            "-o" | "--output" => words.next(),
            _ => word
                .strip_prefix("--output=")
                .or_else(|| word.strip_prefix("-o").map(|value| value.trim_start_matches('='))),
        };
        found = value.and_then(|value| OutputFormat::from_str(value, false).ok()).unwrap_or(found);
    }
    found
}

fn group_command(group: &Group) -> Command {
    Command::new(group.name.clone())
        .about(dynamic::comments(&group.service).trim_end_matches('.'))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(group.commands.iter().map(rpc_arguments::command))
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = values::duration(text)?;
    duration
        .to_std()
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "more than nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        command(&Catalogue::load()).debug_assert();
    }

    #[test]
    fn every_command_has_help() {
        let mut command = command(&Catalogue::load());
        command.build();
        for group in command.get_subcommands() {
            for subcommand in std::iter::once(group).chain(group.get_subcommands()) {
                let name = subcommand.get_name();
                assert!(subcommand.get_about().is_some_and(|about| !about.to_string().is_empty()), "{name}");
                for argument in subcommand.get_arguments() {
                    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                    assert!(!help.is_empty(), "{name} {}", argument.get_id());
                }
            }
        }
    }

    #[test]
    fn the_form_is_known_of_a_line_that_is_wrong() {
        let of = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            output_of(&words)
        };
        for line in
            ["x -o json --wrong", "x --wrong --output json", "x --output=json", "x -ojson", "x -o=json"]
        {
            assert_eq!(of(line), OutputFormat::Json, "{line}");
        }
        for line in ["x", "x -o", "x --output xml", "x -- -o json"] {
            assert_eq!(of(line), OutputFormat::Table, "{line}");
        }
    }

    #[test]
    fn a_mistyped_command_is_answered_with_the_right_one() {
        let wrong =
            command(&Catalogue::load()).try_get_matches_from(["stagedoorctl", "tenant", "list"]).unwrap_err();
        assert!(wrong.to_string().contains("tenants"), "{wrong}");
        let wrong = command(&Catalogue::load())
            .try_get_matches_from(["stagedoorctl", "agent-keys", "list", "--tenants", "acme"])
            .unwrap_err();
        assert!(wrong.to_string().contains("--tenant"), "{wrong}");
    }
}
