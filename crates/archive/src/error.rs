//! What can go wrong with the store or the writing. What is wrong with a stored backup is in `damage`.

use stagedoor_crypto::KekError;

use crate::damage::Damage;

/// Why something was not stored, found or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The address is none of an object store.
    #[error("{0:?} is not the address of an object store: wanted file:///…, s3://…, gs://… or az://…")]
    InvalidUrl(String),
    /// The folder cannot be made, or a folder in it not removed.
    #[error("the folder for backups cannot be made, or one in it not removed")]
    Folder(#[source] std::io::Error),
    /// The object store did not do it.
    #[error("the object store did not do as it was asked")]
    Store(#[source] object_store::Error),
    /// The object store did not answer.
    #[error("the object store did not answer in time")]
    TimedOut,
    /// A row is longer than what is read again.
    #[error("a row of {table} has {bytes} bytes as text, more than can be backed up")]
    RowTooLong {
        /// Its table.
        table: String,
        /// Its length.
        bytes: usize,
    },
    /// A chunk could not be compressed.
    #[error("a chunk could not be compressed")]
    Compression(#[source] std::io::Error),
    /// The backup's key could not be wrapped.
    #[error("the backup's key could not be wrapped")]
    Key(#[source] KekError),
    /// A manifest or a list could not be rendered.
    #[error("what is to be signed could not be rendered")]
    Rendering(#[source] serde_json::Error),
}

/// Why something was not read. Only [`Self::Damage`] says something about what is stored.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is stored, and not what was written.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] ArchiveError),
    /// The backup's key cannot be unwrapped here and now.
    #[error("the backup's key cannot be unwrapped")]
    Key(#[source] KekError),
    /// Whoever reads was told to stop.
    #[error("it was told to stop before all of it was read")]
    Stopped,
}
