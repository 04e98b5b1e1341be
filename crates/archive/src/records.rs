//! Rows as they are in chunks, and the digest of a table's rows.

use prost::Message;
use stagedoor_crypto::digest::Sha256;
pub use stagedoor_proto::archive::v1::Record;

use crate::damage::DamageKind;
use crate::hash::Hash;

/// The digest of a table: SHA-256 over its rows in the order of the primary key, each as its text's length in bytes
/// (eight bytes, big endian) and the text that `to_jsonb` renders.
#[derive(Clone, Default)]
pub struct RowDigest {
    rows: u64,
    hash: Sha256,
}

impl RowDigest {
    /// Adds the next row.
    pub fn push(&mut self, row: &str) {
        self.rows += 1;
        self.hash.update(&(row.len() as u64).to_be_bytes());
        self.hash.update(row.as_bytes());
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The digest of them all.
    pub fn finish(self) -> Hash {
        Hash(self.hash.finish())
    }
}

/// The records of an opened chunk.
pub(crate) fn decode(mut plain: &[u8]) -> Result<Vec<Record>, DamageKind> {
    let mut records = Vec::new();
    while !plain.is_empty() {
        let record = Record::decode_length_delimited(&mut plain);
        records.push(record.map_err(|_| DamageKind::Contents("not a list of records"))?);
    }
    Ok(records)
}
