//! Why a private server could not be found, started or talked to.

use std::io;
use std::path::PathBuf;

/// What went wrong with a private server; the text says what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum PrivateServerError {
    /// The program is not installed, or not where it was looked for.
    #[error("{program} was not found (looked in {looked_in}); install it: {install}")]
    NotInstalled {
        /// The program's name.
        program: &'static str,
        /// The folders that were searched.
        looked_in: String,
        /// The packages that bring it.
        install: &'static str,
    },
    /// Another process of ours holds the folder.
    #[error("{} is in use by another stagedoor process{}; stop it, or choose another data directory",
        folder.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
        /// The process, if it left its number.
        pid: Option<i32>,
    },
    /// The cluster's files are of another major version than every installed server.
    #[error("the cluster in {} was made by PostgreSQL {wanted}, but only PostgreSQL {found} is installed; \
        install PostgreSQL {wanted}, or start afresh with --reset", folder.display())]
    VersionMismatch {
        /// The folder.
        folder: PathBuf,
        /// The cluster's major version.
        wanted: String,
        /// What is installed.
        found: String,
    },
    /// A server that refuses root cannot reach its folder under the other account.
    #[error("{} cannot be entered by the account that {program} runs under (uid {uid}); choose another data directory",
        folder.display())]
    FolderOutOfReach {
        /// The program.
        program: &'static str,
        /// The first folder on the way that is closed to it.
        folder: PathBuf,
        /// The account.
        uid: u32,
    },
    /// The server ended, or did not become ready in time.
    #[error("{program} did not start: {reason}{}", log_tail(log))]
    NotStarted {
        /// The program.
        program: &'static str,
        /// What was seen.
        reason: String,
        /// The end of its log.
        log: String,
    },
    /// A command-line tool of the server failed.
    #[error("{program} failed: {output}")]
    CommandFailed {
        /// The program.
        program: &'static str,
        /// What it printed.
        output: String,
    },
    /// A name that is not safe inside SQL or a configuration file.
    #[error("`{0}` is not a plain name of [a-z0-9_]")]
    InvalidName(String),
    /// A file or process operation failed.
    #[error("could not {action}")]
    Io {
        /// What was being done.
        action: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

fn log_tail(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; the end of its log:\n{log}") }
}

impl PrivateServerError {
    /// Wraps an I/O failure with what was being done.
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
