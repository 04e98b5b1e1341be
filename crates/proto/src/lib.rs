//! Types generated from the protobuf files in `proto/`; nothing is written by hand here, and house lints do not hold for
//! what a generator writes.

/// The format of backups.
pub mod archive {
    /// Its first version.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/stagedoor.archive.v1.rs"));
    }
}
