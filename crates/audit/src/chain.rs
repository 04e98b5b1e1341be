//! The chain's arithmetic, made a second time and apart from the database's: what links of one day must look like, fed
//! in their order. Hash of a record: SHA-256(previous 32 | seq 8 | microseconds since 1970 8 | type 2 | commitment 32),
//! numbers big endian. No I/O here; who reads stored chains is `stored`, who reads files is `export`.

use chrono::{DateTime, NaiveDate};
use stagedoor_crypto::digest::{commitment, sha256};
use stagedoor_domain::TenantId;
use uuid::Uuid;

use crate::bundle::SALT;
use crate::report::FaultKind;

/// A record's columns that the chain is made of.
#[derive(Debug, Clone)]
pub(crate) struct Link<'a> {
    pub(crate) seq: i64,
    pub(crate) kind: i16,
    /// In microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) previous_hash: &'a [u8],
    pub(crate) hash: &'a [u8],
    pub(crate) commitment: &'a [u8],
    pub(crate) payload: LinkPayload<'a>,
}

/// What a link's payload says, as far as it is there.
#[derive(Debug, Clone)]
pub(crate) enum LinkPayload<'a> {
    Open { salt: [u8; SALT], text: &'a [u8], call: Uuid },
    Erased,
    Unreadable,
}

/// How far the check of one chain has come.
#[derive(Debug, Clone)]
pub(crate) struct ChainCheck {
    day: NaiveDate,
    seq: i64,
    hash: Vec<u8>,
}

impl ChainCheck {
    /// At the beginning of the tenant's chain of `day`.
    pub(crate) fn new(tenant: TenantId, day: NaiveDate) -> Self {
        Self { day, seq: 0, hash: genesis(tenant, day).to_vec() }
    }

    /// What is wrong with the next link. The one after it is held against it, whatever was wrong.
    pub(crate) fn link(&mut self, link: &Link<'_>) -> Vec<FaultKind> {
        let checks = [
            (link.seq == self.seq + 1, FaultKind::Gap),
            (link.previous_hash == self.hash, FaultKind::PreviousHash),
            (link.hash == link_hash(link), FaultKind::Hash),
            (day_of(link.at) == Some(self.day), FaultKind::Foreign),
            (payload_fits(link), FaultKind::Payload),
        ];
        self.seq = link.seq;
        self.hash = link.hash.to_vec();
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, kind)| kind).collect()
    }

    /// Whether the chain, as far as it was read, ends with this link.
    pub(crate) fn ends_with(&self, seq: i64, hash: &[u8]) -> bool {
        self.seq == seq && self.hash == hash
    }

    pub(crate) fn day(&self) -> NaiveDate {
        self.day
    }

    pub(crate) fn seq(&self) -> i64 {
        self.seq
    }
}

/// What the first link of a chain follows: SHA-256(`stagedoor/audit-chain/1` | tenant 16 | day as YYYY-MM-DD).
pub(crate) fn genesis(tenant: TenantId, day: NaiveDate) -> [u8; 32] {
    sha256(&[b"stagedoor/audit-chain/1", tenant.0.as_bytes(), day.format("%Y-%m-%d").to_string().as_bytes()])
}

fn link_hash(link: &Link<'_>) -> [u8; 32] {
    sha256(&[
        link.previous_hash,
        &link.seq.to_be_bytes(),
        &link.at.to_be_bytes(),
        &link.kind.to_be_bytes(),
        link.commitment,
    ])
}

fn day_of(micros: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_micros(micros).map(|at| at.date_naive())
}

/// The payload is the one committed to, and the column beside the chain says what it says.
fn payload_fits(link: &Link<'_>) -> bool {
    match &link.payload {
        LinkPayload::Erased => true,
        LinkPayload::Unreadable => false,
        LinkPayload::Open { salt, text, call } => {
            let json: Option<serde_json::Value> = serde_json::from_slice(text).ok();
            let told = json.as_ref().and_then(|json| json["event_id"].as_str());
            commitment(salt, text)[..] == *link.commitment && told == Some(call.to_string().as_str())
        }
    }
}
