//! Why a file is not a session that can be read. Shows field names and positions, never content.

use stagedoor_crypto::fernet::FernetError;

use crate::session::Format;
use crate::versions::UnknownVersion;

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Longer than `MAX_BYTES`.
    #[error("it is longer than {} bytes, which no session file is", crate::MAX_BYTES)]
    TooLarge,
    /// Not UTF-8.
    #[error("it is not text")]
    NotText,
    /// It begins as JSON and then is not.
    #[error("it is damaged: not JSON at line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Text, but no format that is known.
    #[error("it is none of the formats that can be imported")]
    NotRecognised,
    /// Tokens, and nothing that tells whose.
    #[error("it holds tokens, but nothing tells which program or service they are from")]
    Unclear,
    /// A field of another form than its format has.
    #[error("{}, but damaged: {field} {problem}", format.title())]
    Damaged {
        /// The format.
        format: Format,
        /// The field.
        field: &'static str,
        /// What is wrong with it, as the rest of a sentence.
        problem: &'static str,
    },
    /// Neither tokens nor an account.
    #[error("{}, but it holds neither a token nor an account", format.title())]
    Nothing {
        /// The format.
        format: Format,
    },
    /// Another schema version than those that have a file form.
    #[error(transparent)]
    UnknownVersion(#[from] UnknownVersion),
    /// Sealed, and there is no key.
    #[error("it is sealed with Fernet; its key file (session.key) is needed")]
    KeyNeeded,
    /// Sealed, and the key does not open it.
    #[error("it is sealed with Fernet and does not open")]
    Sealed(#[source] FernetError),
}
