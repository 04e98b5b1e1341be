//! A part of the trail as a file that proves itself (`signed_lines` of the crate `crypto`): JSON Lines that can be
//! checked without the database, with a public key alone. Its lines, in this order:
//!
//! - the header: `format` (`stagedoor/audit-export/1`), `tenant`, `from` and `to` (days), `exported_at`, `checkpoints`
//!   (the first and the last number, or null), `keys` (JSON Web Keys, for convenience: trust those that you have);
//! - for each day its records (`record`), after each the checkpoint that ends with it (`checkpoint`), then the day's end
//!   (`head`: length and last hash, also of days without records);
//! - checkpoints of other days whose numbers lie between those of these days, and the one before the first and the one
//!   after the last of these, so that none at the edges can be left out;
//! - after at most [`MARK_EVERY`] of the lines above, and at the end, a `mark`: the first 16 bytes of the SHA-256 of
//!   each line since the mark before it (without line feed), signed, so that a line which was altered can be named;
//! - the manifest.

mod check;
mod lines;
mod marks;
mod write;

pub use check::verify_export;
pub use write::{ExportError, ExportSummary, export};

/// Lines of one mark at most.
pub(crate) const MARK_EVERY: usize = 256;
