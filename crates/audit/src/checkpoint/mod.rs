//! Signed statements "the tenant's chain of that day had this hash at this length". The checkpoints of a tenant form a
//! line of their own, numbered 1, 2, 3, … across days, so that a missing one shows. What is signed is
//! `stagedoor/audit-checkpoint/1 | tenant 16 | day as YYYY-MM-DD | seq 8 | hash 32 | number 8 | digest of the one before
//! 32 | microseconds since 1970 8 | key id 16`, numbers big endian; a checkpoint's digest is the SHA-256 of that and its
//! signature, and the first one follows SHA-256(`stagedoor/audit-checkpoints/1` | tenant 16).

mod archive;
mod archiver;
mod checkpointer;
mod figures;
mod line;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{SigningKey, VerifyingKey};
use stagedoor_domain::TenantId;
use stagedoor_storage::audit::StoredCheckpoint;
use uuid::Uuid;

use crate::hex;

pub use archive::{ArchiveError, Archived, CheckpointArchive};
pub use checkpointer::{Checkpointer, SealError};
pub use figures::CheckpointCounts;
pub(crate) use line::CheckpointLine;

/// One checkpoint, as files hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Whose chain.
    pub tenant: TenantId,
    /// Of which day.
    pub day: NaiveDate,
    /// The last record that it covers.
    pub seq: i64,
    /// That record's hash.
    #[serde(with = "hex")]
    pub hash: [u8; 32],
    /// Its place in the tenant's line of checkpoints, from 1.
    pub number: i64,
    /// The digest of the one before it.
    #[serde(with = "hex")]
    pub previous_digest: [u8; 32],
    /// When it was signed, in microseconds since 1970.
    pub signed_at: i64,
    /// The key that signed it.
    pub key_id: Uuid,
    /// Ed25519 over the message.
    #[serde(with = "hex")]
    pub signature: [u8; 64],
}

impl Checkpoint {
    /// What the first checkpoint of a tenant follows.
    pub fn genesis(tenant: TenantId) -> [u8; 32] {
        sha256(&[b"stagedoor/audit-checkpoints/1", tenant.0.as_bytes()])
    }

    /// The checkpoint with its signature by `key`.
    pub(crate) fn signed(mut self, key: &SigningKey) -> Self {
        self.key_id = key.id();
        self.signature = key.sign(&self.message());
        self
    }

    /// Whether one of `keys` signed it.
    pub fn is_signed(&self, keys: &[VerifyingKey]) -> bool {
        let message = self.message();
        keys.iter().any(|key| key.id() == self.key_id && key.verify(&message, &self.signature))
    }

    /// What the next one names it by.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&[&self.message(), &self.signature])
    }

    fn message(&self) -> Vec<u8> {
        [
            b"stagedoor/audit-checkpoint/1",
            &self.tenant.0.as_bytes()[..],
            self.day.format("%Y-%m-%d").to_string().as_bytes(),
            &self.seq.to_be_bytes(),
            &self.hash,
            &self.number.to_be_bytes(),
            &self.previous_digest,
            &self.signed_at.to_be_bytes(),
            self.key_id.as_bytes(),
        ]
        .concat()
    }

    /// As the store has it. A column of a wrong length reads as zeros, which nobody signed.
    pub(crate) fn of(tenant: TenantId, stored: &StoredCheckpoint) -> Self {
        Self {
            tenant,
            day: stored.day,
            seq: stored.seq,
            hash: fixed(&stored.hash),
            number: stored.number,
            previous_digest: fixed(&stored.previous_digest),
            signed_at: stored.signed_at.timestamp_micros(),
            key_id: stored.key_id,
            signature: fixed(&stored.signature),
        }
    }

    pub(crate) fn stored(&self) -> StoredCheckpoint {
        StoredCheckpoint {
            day: self.day,
            seq: self.seq,
            hash: self.hash.to_vec(),
            number: self.number,
            previous_digest: self.previous_digest.to_vec(),
            signed_at: DateTime::<Utc>::from_timestamp_micros(self.signed_at).unwrap_or_default(),
            key_id: self.key_id,
            signature: self.signature.to_vec(),
        }
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}
