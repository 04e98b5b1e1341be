//! The proof that no changed envelope opens (SECURITY §1): every bit, every length, fields exchanged between envelopes,
//! every field of the additional data, then random changes up to a number. In builds for tests and proofs only.

use std::sync::{Mutex, PoisonError};

use stagedoor_domain::{Entropy, TenantId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::envelope::{EnvelopeKey, HEADER, SealContext, TAG};

/// Where the fields of an envelope are, as SECURITY §1 lists them; the ciphertext lies between the last two.
const FIELDS: [std::ops::Range<usize>; 6] = [0..1, 1..2, 2..18, 18..34, 34..46, 46..HEADER];
const TABLES: [&str; 4] = ["provider_sessions", "provider_session", "provider_sessionsa", "data_keys"];
const COLUMNS: [&str; 5] = ["access_token", "ccess_token", "saccess_token", "refresh_token", "wrapped_key"];

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many changes were tried.
    pub tried: u64,
    /// The changes that opened, in words. Must be empty.
    pub accepted: Vec<String>,
}

/// Tries at least `count` changes, the same ones for the same `seed`.
pub fn prove(count: u64, seed: u64) -> Report {
    let mut trial = Trial::new(seed);
    trial.bits();
    trial.lengths();
    trial.exchanged_fields();
    trial.places();
    trial.keys();
    while trial.report.tried < count {
        trial.random();
    }
    trial.report
}

/// A fixed sequence (xorshift64*), so that a run can be repeated.
#[derive(Debug)]
struct Sequence(Mutex<u64>);

impl Sequence {
    fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or_default() % bound
    }

    fn byte(&self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

impl Entropy for Sequence {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.byte();
        }
    }
}

struct Trial {
    sequence: Sequence,
    key: EnvelopeKey,
    context: SealContext,
    envelope: Vec<u8>,
    /// Another value at the same place, under the same key.
    sibling: Vec<u8>,
    /// The same value at the same place, under another key.
    foreign: Vec<u8>,
    report: Report,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let sequence = Sequence(Mutex::new(seed | 1));
        let random = |sequence: &Sequence| {
            let mut bytes = Zeroizing::new([0; 32]);
            sequence.fill(bytes.as_mut_slice());
            bytes
        };
        let key = EnvelopeKey::new(Uuid::from_u128(7), random(&sequence));
        let other = EnvelopeKey::new(Uuid::from_u128(8), random(&sequence));
        let context = SealContext {
            tenant: TenantId(Uuid::from_u128(1)),
            table: TABLES[0],
            column: COLUMNS[0],
            row: Uuid::from_u128(2),
            revision: 3,
        };
        let envelope = key.seal(&context, b"a refresh token of some length", &sequence);
        let sibling = key.seal(&context, b"the refresh token that follows", &sequence);
        let foreign = other.seal(&context, b"a refresh token of some length", &sequence);
        assert!(key.open(&context, &envelope).is_ok(), "what is not changed opens");
        let report = Report { tried: 0, accepted: Vec::new() };
        Self { sequence, key, context, envelope, sibling, foreign, report }
    }

    fn bits(&mut self) {
        for position in 0..self.envelope.len() {
            for bit in 0..8 {
                let mut changed = self.envelope.clone();
                changed[position] ^= 1 << bit;
                self.open(&changed, || format!("bit {bit} of byte {position}"));
            }
        }
    }

    fn lengths(&mut self) {
        let whole = self.envelope.clone();
        for length in 0..whole.len() {
            self.open(&whole[..length], || format!("cut to {length}"));
            self.open(&whole[length + 1..], || format!("begun at {}", length + 1));
        }
        for more in 1..=256 {
            let mut changed = self.envelope.clone();
            changed.resize(self.envelope.len() + more, self.sequence.byte());
            self.open(&changed, || format!("{more} bytes longer"));
        }
    }

    /// Every choice of fields from two envelopes, but for the two that are one of them whole.
    fn exchanged_fields(&mut self) {
        for (name, other) in [("sibling", self.sibling.clone()), ("foreign", self.foreign.clone())] {
            let text = HEADER..other.len() - TAG;
            let ranges = FIELDS.into_iter().chain([text, other.len() - TAG..other.len()]).collect::<Vec<_>>();
            for choice in 1..(1_u32 << ranges.len()) - 1 {
                let mut changed = self.envelope.clone();
                for (_, range) in ranges.iter().enumerate().filter(|(index, _)| choice >> index & 1 == 1) {
                    changed[range.clone()].copy_from_slice(&other[range.clone()]);
                }
                // Versions and key ids of siblings are equal: such a choice may be one of them whole.
                if changed != self.envelope && changed != other {
                    self.open(&changed, || format!("fields {choice:08b} of the {name}"));
                }
            }
        }
        self.open(&self.foreign.clone(), || "the foreign one whole".to_owned());
    }

    /// Every field of the additional data, bit by bit where it has bits.
    fn places(&mut self) {
        let here = self.context;
        for bit in 0..128 {
            let flip = 1_u128 << bit;
            let tenant = TenantId(Uuid::from_u128(here.tenant.0.as_u128() ^ flip));
            self.open_at(&SealContext { tenant, ..here }, || format!("bit {bit} of the tenant"));
            let row = Uuid::from_u128(here.row.as_u128() ^ flip);
            self.open_at(&SealContext { row, ..here }, || format!("bit {bit} of the row"));
        }
        for bit in 0..64 {
            let revision = here.revision ^ 1 << bit;
            self.open_at(&SealContext { revision, ..here }, || format!("bit {bit} of the revision"));
        }
        for table in TABLES {
            for column in COLUMNS {
                let place = SealContext { table, column, ..here };
                if place != here {
                    self.open_at(&place, || format!("{table}.{column}"));
                }
            }
        }
        let swapped = SealContext { table: here.column, column: here.table, ..here };
        self.open_at(&swapped, || "table and column exchanged".to_owned());
        let crossed = SealContext { tenant: TenantId(here.row), row: here.tenant.0, ..here };
        self.open_at(&crossed, || "tenant and row exchanged".to_owned());
    }

    /// The same key bytes under another id, with the id in the envelope changed to fit; and other key bytes.
    fn keys(&mut self) {
        for bit in 0..128 {
            let id = Uuid::from_u128(self.key.id().as_u128() ^ 1 << bit);
            let renamed = EnvelopeKey::new(id, Zeroizing::new(*self.key.bytes()));
            let mut changed = self.envelope.clone();
            changed[FIELDS[2].clone()].copy_from_slice(id.as_bytes());
            let opened = renamed.open(&self.context, &changed).is_ok();
            self.count(opened, || format!("bit {bit} of the key's id"));
        }
        for bit in 0..256 {
            let mut bytes = Zeroizing::new(*self.key.bytes());
            bytes[bit / 8] ^= 1 << (bit % 8);
            let opened = EnvelopeKey::new(self.key.id(), bytes).open(&self.context, &self.envelope).is_ok();
            self.count(opened, || format!("bit {bit} of the key"));
        }
    }

    /// One to eight changes at once: bytes set, ranges copied within it or from its sibling, pieces cut out or put in.
    fn random(&mut self) {
        let mut changed = self.envelope.clone();
        for _ in 0..=self.sequence.below(8) {
            if changed.is_empty() {
                break;
            }
            let at = self.sequence.below(changed.len());
            let length = 1 + self.sequence.below(changed.len() - at);
            match self.sequence.below(5) {
                0 => changed[at] = self.sequence.byte(),
                1 => {
                    let from = self.sequence.below(changed.len() - length + 1);
                    changed.copy_within(from..from + length, at);
                }
                2 => {
                    let source = if self.sequence.below(2) == 0 { &self.sibling } else { &self.foreign };
                    if let Some(piece) = source.get(at..at + length) {
                        changed[at..at + length].copy_from_slice(piece);
                    }
                }
                3 => drop(changed.drain(at..at + length.min(16))),
                _ => changed.insert(at, self.sequence.byte()),
            }
        }
        if changed != self.envelope && changed != self.sibling {
            self.open(&changed, || "a random change".to_owned());
        }
    }

    fn open(&mut self, changed: &[u8], what: impl FnOnce() -> String) {
        let opened = self.key.open(&self.context, changed).is_ok();
        self.count(opened, what);
    }

    fn open_at(&mut self, place: &SealContext, what: impl FnOnce() -> String) {
        let opened = self.key.open(place, &self.envelope).is_ok();
        self.count(opened, what);
    }

    fn count(&mut self, opened: bool, what: impl FnOnce() -> String) {
        self.report.tried += 1;
        if opened {
            self.report.accepted.push(what());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_changed_envelopes_stay_shut() {
        let report = prove(10_000, 0x5eed);
        assert_eq!((report.tried >= 10_000, report.accepted), (true, Vec::<String>::new()));
    }

    /// The counting itself must be able to fail.
    #[test]
    fn an_envelope_that_opens_would_be_reported() {
        let mut trial = Trial::new(1);
        trial.open(&trial.sibling.clone(), || "the sibling whole".to_owned());
        assert_eq!(trial.report, Report { tried: 1, accepted: vec!["the sibling whole".to_owned()] });
    }
}
