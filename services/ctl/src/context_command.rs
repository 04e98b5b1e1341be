//! `stagedoorctl context`: adds, shows, chooses and removes contexts.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use secrecy::SecretString;
use serde_json::json;

use crate::command_line::{GlobalOptions, OutputFormat};
use crate::connection::parse_server;
use crate::contexts::{self, ContextEntry, Contexts};
use crate::error::CtlError;
use crate::input_files::read_secret;
use crate::output;
use crate::surroundings::Surroundings;

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Adds a context, or puts a new one in its place; the first one is the current one. Its address, key file,
    /// certificates and --insecure are the options that every command has.
    Add {
        /// What to call it.
        name: String,
        /// The tenant of commands that name none.
        #[arg(long, value_name = "SLUG")]
        tenant: Option<String>,
        /// Reads the admin key from this file (- for standard input) and keeps it among the contexts, instead of
        /// --key-file, which is read each time.
        #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
        store_key: Option<PathBuf>,
        /// Makes it the current one.
        #[arg(long = "use")]
        make_current: bool,
    },
    /// Makes a context the current one.
    Use {
        /// Its name.
        name: String,
    },
    /// Lists contexts; never keys.
    List,
    /// Removes a context, and the key that was kept in it.
    Remove {
        /// Its name.
        name: String,
    },
    /// Prints the current context.
    Current,
}

/// Runs a command.
pub(crate) fn run(
    command: ContextCommand,
    options: &GlobalOptions,
    surroundings: &mut Surroundings,
) -> Result<(), CtlError> {
    let path = contexts::path(surroundings)?;
    let mut contexts = Contexts::load(&path)?;
    match command {
        ContextCommand::Add { name, tenant, store_key, make_current } => {
            let entry = entry(options, tenant, store_key, surroundings)?;
            let replaced = contexts.contexts.insert(name.clone(), entry).is_some();
            if make_current || contexts.current.is_none() {
                contexts.current = Some(name.clone());
            }
            let what = if replaced { "changed" } else { "added" };
            change(options, &contexts, &path, surroundings, &format!("{name} is {what}"))
        }
        ContextCommand::Use { name } => {
            contexts.get(&name)?;
            contexts.current = Some(name.clone());
            change(options, &contexts, &path, surroundings, &format!("{name} is the current context"))
        }
        ContextCommand::Remove { name } => {
            contexts.get(&name)?;
            contexts.contexts.remove(&name);
            contexts.current.take_if(|current| *current == name);
            change(options, &contexts, &path, surroundings, &format!("{name} is removed"))
        }
        ContextCommand::List => list(&contexts, None, options.output, surroundings),
        ContextCommand::Current => {
            let named = options.context.clone().or_else(|| surroundings.variable("STAGEDOOR_CONTEXT"));
            let current = named.or_else(|| contexts.current.clone());
            let none = || CtlError::usage("no context is the current one: `stagedoorctl context use NAME`");
            let current = current.ok_or_else(none)?;
            contexts.get(&current)?;
            list(&contexts, Some(&current), options.output, surroundings)
        }
    }
}

fn entry(
    options: &GlobalOptions,
    tenant: Option<String>,
    store_key: Option<PathBuf>,
    surroundings: &mut Surroundings,
) -> Result<ContextEntry, CtlError> {
    let server = options.server.clone().or_else(|| surroundings.variable("STAGEDOOR_SERVER"));
    let server = server.ok_or_else(|| CtlError::usage("--server is needed: the address of the admin API"))?;
    parse_server(&server, options.insecure)?;
    if store_key.is_some() && options.key_file.is_some() {
        return Err(CtlError::usage(
            "--store-key and --key-file exclude each other: is the key kept, or read each time?",
        ));
    }
    let key = store_key
        .map(|path| read_secret("--store-key", &path.to_string_lossy(), surroundings))
        .transpose()?;
    Ok(ContextEntry {
        server,
        tenant,
        key_file: absolute(options.key_file.as_ref())?,
        key: key.map(|key| SecretString::from(key.trim().to_owned())),
        ca_file: absolute(options.ca_file.as_ref())?,
        client_certificate: absolute(options.client_certificate.as_ref())?,
        client_key: absolute(options.client_key.as_ref())?,
        insecure: options.insecure,
    })
}

/// A context is used from any folder.
fn absolute(path: Option<&PathBuf>) -> Result<Option<PathBuf>, CtlError> {
    path.map(|path| std::path::absolute(path).map_err(CtlError::file(path))).transpose()
}

fn change(
    options: &GlobalOptions,
    contexts: &Contexts,
    path: &std::path::Path,
    surroundings: &mut Surroundings,
    done: &str,
) -> Result<(), CtlError> {
    if options.dry_run {
        surroundings.say(&format!("{done} (not really: --dry-run)."));
        return Ok(());
    }
    contexts.save(path)?;
    surroundings.say(&format!("{done}."));
    Ok(())
}

fn list(
    contexts: &Contexts,
    only: Option<&str>,
    format: OutputFormat,
    surroundings: &mut Surroundings,
) -> Result<(), CtlError> {
    let shown = contexts.contexts.iter().filter(|(name, _)| only.is_none_or(|only| only == name.as_str()));
    let is_current = |name: &str| contexts.current.as_deref() == Some(name);
    let text = if format == OutputFormat::Table {
        let rows = shown.map(|(name, context)| {
            let mark = if is_current(name) { "*" } else { "" };
            let tenant = context.tenant.clone().unwrap_or_else(|| "-".to_owned());
            vec![mark.to_owned(), name.clone(), context.server.clone(), tenant, key_place(context)]
        });
        let header = ["", "NAME", "SERVER", "TENANT", "KEY"].map(str::to_owned).to_vec();
        output::plain_table(header, rows.collect(), surroundings.terminal.output_width)
    } else {
        let shown = shown.map(|(name, context)| {
            json!({
                "name": name,
                "current": is_current(name),
                "server": context.server,
                "tenant": context.tenant,
                "key": key_place(context),
            })
        });
        let shown: Vec<_> = shown.collect();
        let shown = if only.is_some() { shown.into_iter().next().unwrap_or_default() } else { shown.into() };
        output::structured(&shown, format)?
    };
    surroundings.print(&text).map_err(CtlError::Stream)
}

/// Where the key comes from; never the key.
fn key_place(context: &ContextEntry) -> String {
    match (&context.key_file, &context.key) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(_)) => "stored".to_owned(),
        (None, None) => "none".to_owned(),
    }
}
