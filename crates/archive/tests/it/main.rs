//! Backups written to and read from stores: in memory, in a folder, over S3's protocol, and one that is full.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damage;
mod round_trip;
mod s3;
mod support;
mod tombstones;
