//! The lines of an export, as they are written and read.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{SigningKey, VerifyingKey};
use stagedoor_domain::TenantId;
use uuid::Uuid;

use crate::checkpoint::Checkpoint;
use crate::hex;

pub(crate) const FORMAT: &str = "stagedoor/audit-export/1";
/// Bytes of a line's digest in a mark.
const DIGEST: usize = 16;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) tenant: TenantId,
    pub(crate) from: NaiveDate,
    pub(crate) to: NaiveDate,
    /// RFC 3339.
    pub(crate) exported_at: String,
    pub(crate) checkpoints: Option<(i64, i64)>,
    pub(crate) keys: Vec<serde_json::Value>,
}

/// Any line after that.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Line<'a> {
    #[serde(borrow)]
    Record(RecordLine<'a>),
    Checkpoint(Checkpoint),
    Head(HeadLine),
    Mark(Mark),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordLine<'a> {
    pub(crate) day: NaiveDate,
    pub(crate) seq: i64,
    pub(crate) r#type: i16,
    /// In microseconds since 1970.
    pub(crate) at: i64,
    #[serde(with = "hex")]
    pub(crate) previous_hash: [u8; 32],
    #[serde(with = "hex")]
    pub(crate) hash: [u8; 32],
    #[serde(with = "hex")]
    pub(crate) commitment: [u8; 32],
    /// The call, the salt and the text that was committed to, which is JSON itself; all three, or none and why. Nothing
    /// that the hashes do not cover stands beside a payload that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub(crate) salt: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub(crate) payload: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<PayloadState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PayloadState {
    /// Erased with its person.
    Erased,
    /// There, but not what was written.
    Unreadable,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadLine {
    pub(crate) day: NaiveDate,
    pub(crate) seq: i64,
    #[serde(with = "hex")]
    pub(crate) hash: [u8; 32],
}

/// What is signed: `stagedoor/audit-export-mark/1 | SHA-256 of the header line 32 | number of the first line 8 | digests`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    /// The number of the first line that it is about, from 1.
    pub(crate) first_line: u64,
    /// In hexadecimal, one after the other.
    pub(crate) digests: String,
    pub(crate) key_id: Uuid,
    #[serde(with = "hex")]
    pub(crate) signature: [u8; 64],
}

/// What a mark says of one line.
pub(crate) type LineDigest = [u8; DIGEST];

pub(crate) fn line_digest(line: &[u8]) -> LineDigest {
    let digest = sha256(&[line]);
    std::array::from_fn(|position| digest[position])
}

impl Mark {
    pub(crate) fn signed(
        header: &[u8; 32],
        first_line: u64,
        digests: &[LineDigest],
        key: &SigningKey,
    ) -> Self {
        let digests = digests.concat();
        let signature = key.sign(&message(header, first_line, &digests));
        Self { first_line, digests: hex::encode(&digests), key_id: key.id(), signature }
    }

    /// The digests, if one of `keys` signed them for a file with that header.
    pub(crate) fn open(&self, header: &[u8; 32], keys: &[VerifyingKey]) -> Option<Vec<LineDigest>> {
        let digests: Option<Vec<LineDigest>> = self
            .digests
            .as_bytes()
            .chunks(DIGEST * 2)
            .map(|digest| hex::decode(std::str::from_utf8(digest).ok()?))
            .collect();
        let digests = digests?;
        let message = message(header, self.first_line, &digests.concat());
        let key = keys.iter().find(|key| key.id() == self.key_id)?;
        key.verify(&message, &self.signature).then_some(digests)
    }
}

fn message(header: &[u8; 32], first_line: u64, digests: &[u8]) -> Vec<u8> {
    [b"stagedoor/audit-export-mark/1", &header[..], &first_line.to_be_bytes(), digests].concat()
}
