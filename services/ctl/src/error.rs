//! What goes wrong for whoever runs a command, and the exit code of each.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::status_report::StatusReport;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CtlError {
    /// The command line is wrong as a whole; `clap` says how. Help and versions come this way too.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// A flag, a file or a context does not fit.
    #[error("{0}")]
    Usage(String),
    /// The server refused or failed.
    #[error("{0}")]
    Status(Box<StatusReport>),
    /// A file could not be read or written.
    #[error("{}{}: {source}", named_by.as_ref().map(|flag| format!("{flag}: ")).unwrap_or_default(), path.display())]
    File {
        /// The flag or variable that names it, if one does.
        named_by: Option<String>,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard input or output ended early.
    #[error("standard streams: {0}")]
    Stream(#[source] io::Error),
    /// An answer is not what this version expects.
    #[error("the server's answer could not be read: {0}")]
    Answer(String),
}

/// The program's exit codes; part of its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command, or what it says, is wrong.
    Usage = 2,
    /// Not signed in, or not permitted.
    NotPermitted = 3,
    /// Not found.
    NotFound = 4,
    /// It exists already, was changed since, or is not in a state for it.
    Conflict = 5,
    /// The server is away, too slow, or asks to wait.
    Unavailable = 6,
}

impl CtlError {
    /// A mistake in what was asked.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// A file that could not be read or written.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { named_by: None, path, source }
    }

    /// A file that could not be read, with the flag or variable that names it, such as `--ca-file`.
    pub(crate) fn file_of(named_by: &str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let (named_by, path) = (Some(named_by.to_owned()), path.into());
        |source| Self::File { named_by, path, source }
    }

    /// For programs: of what did not come from the server, only the message says something.
    pub(crate) fn to_json(&self) -> Value {
        let message = match self {
            Self::Status(report) => return report.to_json(),
            Self::CommandLine(error) => {
                let text = error.to_string();
                text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
            }
            error => error.to_string(),
        };
        json!({
            "code": null,
            "reason": null,
            "message": message,
            "violations": [],
            "retryAfterSeconds": null,
            "hints": [],
        })
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::CommandLine(error) if error.use_stderr() => Exit::Usage,
            Self::CommandLine(_) => Exit::Done,
            Self::Usage(_) => Exit::Usage,
            Self::Status(report) => report.exit(),
            Self::File { .. } | Self::Stream(_) | Self::Answer(_) => Exit::Failed,
        }
    }
}
