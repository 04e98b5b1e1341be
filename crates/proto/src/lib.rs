//! Types generated from the protobuf files in `proto/`, for which house lints do not hold, and in `dynamic` the admin API
//! by its descriptors, which is written by hand.

/// The format of backups.
pub mod archive {
    /// Its first version.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/stagedoor.archive.v1.rs"));
    }
}

/// The admin API.
#[cfg(feature = "admin")]
pub mod admin {
    /// All of its files, those that they import, and their comments: an encoded `google.protobuf.FileDescriptorSet`.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin.binpb"));

    /// Its first version.
    #[expect(clippy::all, clippy::pedantic, missing_docs, reason = "a generator wrote it")]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/stagedoor.admin.v1.rs"));
    }
}

#[cfg(feature = "admin")]
pub mod dynamic;
