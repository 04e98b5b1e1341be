//! What is wrong with a stored backup, and which rows that costs.

use std::fmt;

use stagedoor_crypto::KekError;
use stagedoor_domain::TenantId;
use uuid::Uuid;

use crate::Class;
use crate::place::BackupId;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The object, as the store knows it.
    pub object: String,
    /// The chunk's number; none if the whole backup is concerned.
    pub chunk: Option<u32>,
    /// What is wrong.
    pub kind: DamageKind,
    /// The rows that it held, in the order of tables; empty where that is not known, and where none are lost.
    pub lost: Vec<LostRows>,
}

/// Rows of a table that are lost, by their places in the order of its primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRows {
    /// The table.
    pub table: String,
    /// The place of the first, from 1.
    pub first: u64,
    /// How many.
    pub rows: u64,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// No manifest: the backup was never finished, or its manifest was taken away.
    #[error("there is no manifest")]
    NoManifest,
    /// The manifest has another form than it is written in.
    #[error("the manifest is not what this program writes: {0}")]
    Unreadable(String),
    /// A later release wrote it.
    #[error("the manifest is of format {0:?}, which this release does not know")]
    UnknownFormat(String),
    /// The manifest is of another backup.
    #[error("the manifest is that of {class} of tenant {tenant}, backup {backup}")]
    Elsewhere {
        /// Its tenant.
        tenant: TenantId,
        /// Its class.
        class: Class,
        /// Its id.
        backup: BackupId,
    },
    /// The manifest's time is not that of its folder.
    #[error("the manifest says another time than its folder")]
    OtherTime,
    /// The signature is not the named key's over this manifest.
    #[error("the manifest's signature is wrong")]
    Signature,
    /// The seal does not open, or is over another manifest.
    #[error("the manifest's seal is wrong")]
    Seal,
    /// The wrapped key was altered, or is another backup's.
    #[error("the backup's key was altered, or is not this backup's")]
    Key,
    /// A chunk is not there.
    #[error("the chunk is missing")]
    Missing,
    /// A chunk has another length.
    #[error("the chunk has {found} bytes instead of {expected}")]
    Length {
        /// What the manifest says.
        expected: u64,
        /// What is stored.
        found: u64,
    },
    /// A chunk has the manifest's length and other bytes.
    #[error("the chunk was altered")]
    Altered,
    /// Another chunk of this backup is in its place.
    #[error("chunk {0} is in its place")]
    Swapped(u32),
    /// A chunk of another backup is in its place.
    #[error("a chunk of backup {0} is in its place")]
    Foreign(Uuid),
    /// The bytes are those of the manifest but do not hold what it says.
    #[error("the chunk does not hold what the manifest says: {0}")]
    Contents(&'static str),
    /// The table's rows are not those that were counted and digested.
    #[error("the rows of {0} are not those that were backed up")]
    Rows(String),
    /// The folder holds something that is not of this backup.
    #[error("the object is not part of the backup")]
    Stray,
}

impl Damage {
    pub(crate) fn of(object: impl fmt::Display, kind: DamageKind) -> Self {
        Self { object: object.to_string(), chunk: None, kind, lost: Vec::new() }
    }

    /// How many rows are lost.
    pub fn rows(&self) -> u64 {
        self.lost.iter().map(|lost| lost.rows).sum()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.kind)?;
        for (place, lost) in self.lost.iter().enumerate() {
            f.write_str(if place == 0 { "; it held " } else { ", " })?;
            write!(f, "{lost}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Damage {}

impl fmt::Display for LostRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, first, rows } = self;
        match rows {
            1 => write!(f, "row {first} of {table}"),
            _ => write!(f, "rows {first} to {} of {table}", first + rows - 1),
        }
    }
}

/// Whether the wrap itself is at fault, or the key service.
pub(crate) fn of_key(object: impl fmt::Display, error: KekError) -> crate::ReadError {
    match error {
        KekError::Altered => Damage::of(object, DamageKind::Key).into(),
        error @ (KekError::UnknownKey(_) | KekError::Unreachable { .. }) => crate::ReadError::Key(error),
    }
}
