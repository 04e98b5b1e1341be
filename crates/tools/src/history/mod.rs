//! What a person listened to, play by play: `history_status` and `history_query`, and the import of data downloads. What it
//! comes to is `insights`; where it comes from besides is `polling`.

mod import;
mod query;
mod status;

pub use import::{HistoryImport, HistoryImportError, HistoryImporter};
pub(crate) use query::{QueryArguments, QueryOutput, query};
pub(crate) use status::{StatusOutput, status};
