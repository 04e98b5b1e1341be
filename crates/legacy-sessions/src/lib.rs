//! Sessions that other programs, and earlier designs of this one, left in files: bytes in, one record out, or the
//! reason why not. Which format it is shows in the content, never in a file's name. No I/O, and no token in any
//! error, note or `Debug`. What becomes of a record is for `tools::import`.
#![warn(missing_docs)]

mod detect;
mod error;
mod fields;
mod formats;
mod note;
mod session;
pub mod versions;
mod zone;

pub use detect::{Found, Reading, read};
pub use error::ReadError;
pub use note::Note;
pub use session::{Format, Missing, Session};
pub use versions::{SchemaVersion, StorageVersionManager};
pub use zone::{Instant, Zone, ZoneError};

/// The longest file that is read, in bytes. Every format is a few hundred.
pub const MAX_BYTES: usize = 1 << 20;
