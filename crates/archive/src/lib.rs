//! The format of backups (SECURITY §8) and where they are: writing one as a stream, reading one, telling damage from
//! soundness. No SQL and no jobs: what is backed up, when, and what becomes of what was read, is for others.
//!
//! A backup is one class of one tenant at one moment. Its folder holds sealed chunks and, written last, a signed
//! manifest: a folder without one is no backup.
//!
//! ```text
//! backups/v1/TENANT/CLASS/TIME-BACKUP/chunk-00000 …   zstd, then sealed under the backup's own key
//! backups/v1/TENANT/CLASS/TIME-BACKUP/manifest.json   what they hold, the wrapped key, signature and seal
//! tombstones/v1/TENANT/TIME.jsonl                     who was erased, so that nobody comes back
//! ```
#![warn(missing_docs)]

mod chunk;
mod damage;
mod error;
mod hash;
mod manifest;
mod place;
mod reader;
mod records;
mod store;
mod tombstones;
mod verify;
mod writer;

pub use damage::{Damage, DamageKind, LostRows};
pub use error::{ArchiveError, ReadError};
pub use hash::Hash;
pub use manifest::{
    AuditHead, BackupKey, ChunkEntry, Days, KeyIds, Manifest, RowCount, Signed, TableEntry, Trust,
};
pub use place::{BackupId, Found, Unfinished};
pub use reader::{ArchiveReader, Chunk};
pub use records::{Record, RowDigest};
pub use stagedoor_domain::BackupClass as Class;
pub use store::{BackupStore, Listing};
pub use tombstones::{Tombstone, Tombstones};
pub use verify::{Trusted, VerifyReport, verify, verify_while};
pub use writer::{ArchiveWriter, Closing, Opening};

/// The plain bytes of a chunk, unless the configuration says otherwise.
pub const CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// The longest row that can be backed up, as text, in bytes.
pub const LONGEST_ROW: usize = 64 * 1024 * 1024;
