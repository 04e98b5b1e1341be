//! `stagedoor import history`: a person's data download into their listening history.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use chrono::SecondsFormat;
use clap::Args;
use serde_json::{Value, json};
use stagedoor_bootstrap::config::Config;
use stagedoor_crypto::digest::Sha256;
use stagedoor_domain::LinkedAccountId;
use stagedoor_tools::{HistoryImport, HistoryImportError, HistoryImporter};
use uuid::Uuid;

use super::installation::Installation;
use super::signals::Signals;

/// Which file to import, and whose it is.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// The ZIP that Spotify sent: \"Extended streaming history\", or \"Account data\" of the last year. It is never changed.
    file: PathBuf,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The person: a user id, or the tenant's own name for them (external subject). They must have consented to
    /// `analytics`.
    #[arg(long)]
    user: String,
    /// The linked account that the plays are of, if the person has several at the service.
    #[arg(long, value_name = "ID")]
    account: Option<Uuid>,
    /// Read the file to its end, say what is in it, and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print one line of JSON instead of text.
    #[arg(long)]
    json: bool,
    /// The configuration file.
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
}

/// Runs it. Ends with 0 if all of the file is in, 75 if it was told to stop and goes on when it is run again, 2 if it cannot
/// be imported, 1 if something failed that is not the file's fault.
pub(super) async fn run(config: &Config, arguments: &HistoryArguments) -> anyhow::Result<ExitCode> {
    let (file, digest) = open(&arguments.file)?;
    let installation = Installation::open(config).await?;
    let tenant = installation.tenant(&arguments.tenant).await?;
    let signals = Signals::listen("after this batch")?;
    let Installation { vault, audit, .. } = &installation;
    let importer = HistoryImporter::new(Arc::clone(vault), audit.clone(), signals.stopping());
    let context = importer.context(tenant, None);
    let user = installation.person(&context, &arguments.user).await?;
    let context = importer.context(Arc::new(context.tenant().clone()), Some(user));
    let account = arguments.account.map(LinkedAccountId);
    let imported = importer.import(&context, account, (file, digest), arguments.dry_run).await;
    installation.close().await?;
    let code = match &imported {
        Ok(imported) if imported.done || arguments.dry_run => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(75),
        Err(HistoryImportError::Refused(_) | HistoryImportError::File(_)) => ExitCode::from(2),
        Err(_) => ExitCode::FAILURE,
    };
    let text = if arguments.json {
        format!("{}\n", as_json(&imported, arguments.dry_run))
    } else {
        as_text(&imported, arguments.dry_run)
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(code)
}

/// The file, and the SHA-256 by which it is known again.
fn open(path: &Path) -> anyhow::Result<(File, [u8; 32])> {
    let read = || {
        let mut file = File::open(path)?;
        let mut digest = Sha256::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
        }
        file.rewind()?;
        Ok::<_, std::io::Error>((file, digest.finish()))
    };
    read().with_context(|| format!("{} could not be read", path.display()))
}

fn as_json(imported: &Result<HistoryImport, HistoryImportError>, dry_run: bool) -> Value {
    match imported {
        Ok(imported) => {
            let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
            json!({
                "account": imported.account,
                "done": imported.done,
                "dry_run": dry_run,
                "resumed": imported.resumed,
                "entries": imported.entries,
                "added": imported.counts.added,
                "known": imported.counts.known,
                "other": imported.counts.other,
                "malformed": imported.counts.malformed,
                "first_at": imported.plays.map(|plays| time(plays.0)),
                "last_at": imported.plays.map(|plays| time(plays.1)),
            })
        }
        Err(error) => json!({ "error": code(error), "message": told(error) }),
    }
}

fn as_text(imported: &Result<HistoryImport, HistoryImportError>, dry_run: bool) -> String {
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => return format!("{}\n", told(error)),
    };
    let counts = imported.counts;
    let mut text = match (dry_run, imported.done) {
        (true, _) => {
            let plays = imported.entries - counts.other - counts.malformed;
            format!("{plays} plays are in the file; nothing was stored")
        }
        (false, true) => format!("{} plays added, {} were known", counts.added, counts.known),
        (false, false) => {
            format!("stopped after {} plays; run it again to go on", counts.added + counts.known)
        }
    };
    let _ = write!(text, "; {} entries are no tracks, {} are malformed", counts.other, counts.malformed);
    if let Some((first, last)) = imported.plays {
        let _ = write!(text, "; from {} to {}", first.date_naive(), last.date_naive());
    }
    text.push_str(".\n");
    text
}

fn code(error: &HistoryImportError) -> &'static str {
    match error {
        HistoryImportError::Refused(error) => error.code.as_str(),
        HistoryImportError::File(_) => "invalid_file",
        HistoryImportError::Store(_) | HistoryImportError::Audit(_) => "internal",
    }
}

fn told(error: &HistoryImportError) -> String {
    stagedoor_domain::error::Chain(error).to_string()
}
