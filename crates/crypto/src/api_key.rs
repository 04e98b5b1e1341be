//! API keys of agents and of the admin API (DESIGN §3): their text form, the checksum that spares a look-up, and the
//! digest that is stored. Who a key belongs to and whether it was revoked is for storage and the gateway.
//!
//! `sd_live_`, `sd_test_` or `sd_admin_`, id (12), `_`, secret (43 digits of base 62 for 256 bits), check (6 digits of
//! the CRC-32 of all before): 70 or 71 characters.

use std::fmt;

use stagedoor_domain::{ApiKeyId, Entropy};
use zeroize::Zeroizing;

use crate::base62;
use crate::digest::{SHA256_LENGTH, constant_time_eq, hmac_sha256};
use crate::pepper::Peppers;

// Counted from the end of the prefix.
const ID: std::ops::Range<usize> = 0..12;
const SEPARATOR: usize = 12;
const SECRET: std::ops::Range<usize> = 13..56;
const CHECK: std::ops::Range<usize> = 56..62;
/// The longest key.
const LENGTH: usize = 9 + CHECK.end;

/// What a key is for; all are equally secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMode {
    /// `sd_live_`: an agent's.
    Live,
    /// `sd_test_`: an agent's that is being tried out.
    Test,
    /// `sd_admin_`: the admin API's, which no agent's endpoint takes.
    Admin,
}

impl KeyMode {
    const ALL: [Self; 3] = [Self::Live, Self::Test, Self::Admin];

    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Live => b"sd_live_",
            Self::Test => b"sd_test_",
            Self::Admin => b"sd_admin_",
        }
    }
}

/// Why a text is no API key. Deliberately without the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyParseError {
    /// Wrong length, prefix or characters.
    #[error("not of the form of an API key")]
    Form,
    /// The checksum does not fit: mistyped, cut or made up.
    #[error("the API key's checksum does not fit")]
    Checksum,
}

/// A whole API key in the clear. `Debug` shows its id only; the text is wiped when dropped.
pub struct PlainApiKey {
    text: Zeroizing<[u8; LENGTH]>,
    id: ApiKeyId,
    mode: KeyMode,
}

/// What is stored of an API key: HMAC-SHA-256 of its whole text under a pepper.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyDigest {
    /// Which pepper.
    pub pepper_version: u16,
    /// The code.
    pub hmac: [u8; SHA256_LENGTH],
}

impl PlainApiKey {
    /// A new key with 256 bits of secret.
    pub fn generate(entropy: &dyn Entropy, mode: KeyMode) -> Self {
        // 128 bits on 12 digits: the id is the remainder, even to within 2^-56.
        let mut id = [0_u8; 16];
        entropy.fill(&mut id);
        Self::generate_as(entropy, mode, id)
    }

    /// The same with an id that is told by 16 bytes which are at random, such as a digest's: so that whoever makes it twice
    /// for one request finds the first.
    pub fn generate_as(entropy: &dyn Entropy, mode: KeyMode, mut id: [u8; 16]) -> Self {
        let mut text = Zeroizing::new([b'_'; LENGTH]);
        let (prefix, rest) = text.split_at_mut(mode.prefix().len());
        prefix.copy_from_slice(mode.prefix());
        base62::encode_bytes(&mut id, &mut rest[ID]);
        let mut secret = Zeroizing::new([0_u8; 32]);
        entropy.fill(secret.as_mut_slice());
        base62::encode_bytes(secret.as_mut_slice(), &mut rest[SECRET]);
        let id = id_of(rest);
        let check = mode.prefix().len() + CHECK.start;
        let digits = base62::encode_u32(crc32fast::hash(&text[..check]));
        text[check..check + digits.len()].copy_from_slice(&digits);
        Self { text, id, mode }
    }

    /// The id of a key that [`Self::generate_as`] makes of these bytes.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: the digits are letters and digits")]
    pub fn id_of(mut id: [u8; 16]) -> ApiKeyId {
        let mut digits = [0_u8; 12];
        base62::encode_bytes(&mut id, &mut digits);
        let id = std::str::from_utf8(&digits).expect("digits of base 62 are ASCII");
        id.parse().expect("digits of base 62 are letters and digits")
    }

    /// The key in `text`. A text that is no key costs neither an allocation nor a look-up.
    pub fn parse(text: &str) -> Result<Self, ApiKeyParseError> {
        let text = text.as_bytes();
        let of_mode = |mode: &KeyMode| text.strip_prefix(mode.prefix()).map(|rest| (*mode, rest));
        let (mode, rest) = KeyMode::ALL.iter().find_map(of_mode).ok_or(ApiKeyParseError::Form)?;
        let digits = |range: std::ops::Range<usize>| rest[range].iter().all(u8::is_ascii_alphanumeric);
        if rest.len() != CHECK.end
            || rest[SEPARATOR] != b'_'
            || !digits(ID)
            || !digits(SECRET.start..CHECK.end)
        {
            return Err(ApiKeyParseError::Form);
        }
        let check = text.len() - CHECK.len();
        if base62::encode_u32(crc32fast::hash(&text[..check])) != text[check..] {
            return Err(ApiKeyParseError::Checksum);
        }
        let mut whole = Zeroizing::new([b'_'; LENGTH]);
        whole[..text.len()].copy_from_slice(text);
        Ok(Self { id: id_of(rest), text: whole, mode })
    }

    /// The public part, by which the key is looked up.
    pub fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// Whether it is for real use.
    pub fn mode(&self) -> KeyMode {
        self.mode
    }

    /// The digest to store, under the newest pepper.
    pub fn digest(&self, peppers: &Peppers) -> ApiKeyDigest {
        let (pepper_version, pepper) = peppers.newest();
        ApiKeyDigest { pepper_version, hmac: hmac_sha256(pepper, self.bytes()) }
    }

    /// Whether this is the key that `stored` was made from, in constant time. `false` also if the pepper that
    /// it was made under is not at hand.
    pub fn verify(&self, stored: &ApiKeyDigest, peppers: &Peppers) -> bool {
        peppers
            .get(stored.pepper_version)
            .is_some_and(|pepper| constant_time_eq(&hmac_sha256(pepper, self.bytes()), &stored.hmac))
    }

    /// The digest to store in place of `stored`, if that is under an older pepper than the newest.
    pub fn newer_digest(&self, stored: &ApiKeyDigest, peppers: &Peppers) -> Option<ApiKeyDigest> {
        (stored.pepper_version < peppers.newest_version()).then(|| self.digest(peppers))
    }

    /// The whole text, to be shown once to the one who made the key.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: a key is ASCII by construction")]
    pub fn expose_secret(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("a key is ASCII by construction")
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..self.mode.prefix().len() + CHECK.end]
    }
}

/// The id of a key without its prefix.
fn id_of(rest: &[u8]) -> ApiKeyId {
    let id = std::str::from_utf8(&rest[ID]).expect("the id was checked to be ASCII");
    id.parse().expect("the id was checked to be letters and digits")
}

impl fmt::Debug for PlainApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainApiKey({})", self.id)
    }
}

impl fmt::Debug for ApiKeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyDigest(pepper {})", self.pepper_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    fn peppers(files: &[(&str, &[u8])]) -> Peppers {
        Peppers::from_files(files.iter().copied()).unwrap()
    }

    const ONE: &[u8] = b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
    const TWO: &[u8] = b"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    #[test]
    fn a_generated_key_parses_back() {
        for mode in KeyMode::ALL {
            let key = PlainApiKey::generate(&SystemEntropy, mode);
            let again = PlainApiKey::parse(key.expose_secret()).unwrap();
            assert_eq!((again.id(), again.mode()), (key.id(), mode));
            assert_eq!(again.expose_secret(), key.expose_secret());
            let secret = &key.expose_secret()[mode.prefix().len()..][SECRET];
            assert!(!format!("{key:?}").contains(secret));
        }
    }

    #[test]
    fn an_id_may_be_told_and_the_secret_is_another_each_time() {
        let one = PlainApiKey::generate_as(&SystemEntropy, KeyMode::Admin, [7; 16]);
        let other = PlainApiKey::generate_as(&SystemEntropy, KeyMode::Admin, [7; 16]);
        assert_eq!((one.id(), other.id()), (&PlainApiKey::id_of([7; 16]), &PlainApiKey::id_of([7; 16])));
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_ne!(PlainApiKey::id_of([8; 16]), PlainApiKey::id_of([7; 16]));
        assert!(PlainApiKey::parse(one.expose_secret()).is_ok());
    }

    #[test]
    fn every_single_mistyped_character_is_found() {
        for mode in KeyMode::ALL {
            let key = PlainApiKey::generate(&SystemEntropy, mode);
            let whole = key.expose_secret();
            for position in 0..whole.len() {
                let mut text = whole.to_owned().into_bytes();
                text[position] = if text[position] == b'a' { b'b' } else { b'a' };
                assert!(
                    PlainApiKey::parse(std::str::from_utf8(&text).unwrap()).is_err(),
                    "position {position}"
                );
            }
            let longer = format!("{whole}0");
            for text in ["", "sd_live_", "sd_admin_", &whole[..whole.len() - 1], &longer, "é"] {
                assert_eq!(PlainApiKey::parse(text).unwrap_err(), ApiKeyParseError::Form);
            }
        }
    }

    /// A fixed sequence (xorshift), so that the outcome is the same on each run.
    #[test]
    fn a_million_made_up_keys_stop_at_the_checksum() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut text = *b"sd_live_000000000000_0000000000000000000000000000000000000000000000000";
        let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for _ in 0..1_000_000 {
            for position in (8..text.len()).filter(|position| *position != 8 + SEPARATOR) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text[position] = digits[(state >> 33) as usize % 62];
            }
            let parsed = PlainApiKey::parse(std::str::from_utf8(&text).unwrap());
            assert_eq!(parsed.unwrap_err(), ApiKeyParseError::Checksum);
        }
    }

    #[test]
    fn a_digest_verifies_its_own_key_only() {
        let peppers = peppers(&[("1", ONE)]);
        let (key, other) = (
            PlainApiKey::generate(&SystemEntropy, KeyMode::Test),
            PlainApiKey::generate(&SystemEntropy, KeyMode::Test),
        );
        let stored = key.digest(&peppers);
        assert!(key.verify(&stored, &peppers));
        assert!(!other.verify(&stored, &peppers));
    }

    #[test]
    fn peppers_rotate_without_losing_old_digests() {
        let key = PlainApiKey::generate(&SystemEntropy, KeyMode::Test);
        let old = key.digest(&peppers(&[("v1", ONE)]));
        let both = peppers(&[("v1", ONE), ("v2.key", TWO)]);
        assert!(key.verify(&old, &both));
        assert_eq!(key.digest(&both).pepper_version, 2);
        assert!(!key.verify(&old, &peppers(&[("v2", TWO)])), "a pepper that is gone verifies nothing");
        assert!(!key.verify(&ApiKeyDigest { pepper_version: 2, ..old }, &both));
    }
}
