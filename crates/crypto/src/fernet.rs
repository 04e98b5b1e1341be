//! Fernet tokens (Fernet specification, version 0x80), opened only: programs whose sessions are imported sealed
//! them so. Nothing of ours is sealed this way: it is AES-128 in CBC mode.

use std::fmt;

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::digest::{constant_time_eq, hmac_sha256};

/// Padded as the specification wants it, or not, as some copies end up.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const VERSION: u8 = 0x80;
const BLOCK: usize = 16;
/// `version 1 | time 8 | initialisation vector 16`, before the ciphertext.
const HEADER: usize = 1 + 8 + BLOCK;
/// The HMAC-SHA-256 at the end.
const CODE: usize = 32;

/// Why a Fernet token does not open. Shows neither key nor content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FernetError {
    /// The key is not 32 bytes in base64.
    #[error("the key is not 32 bytes in URL-safe base64")]
    Key,
    /// The token has another form.
    #[error("it is not a Fernet token")]
    Form,
    /// The token was sealed under another key, or altered.
    #[error("it was sealed under another key, or altered since")]
    Altered,
}

/// A Fernet key; wiped from memory when dropped.
pub struct FernetKey {
    signing: Zeroizing<[u8; BLOCK]>,
    encryption: Zeroizing<[u8; BLOCK]>,
}

impl FernetKey {
    /// A key from its text, 32 bytes in URL-safe base64: the first half signs, the second encrypts.
    pub fn parse(text: &[u8]) -> Result<Self, FernetError> {
        let bytes = Zeroizing::new(BASE64.decode(text.trim_ascii()).map_err(|_| FernetError::Key)?);
        let (signing, encryption) = bytes.split_at_checked(BLOCK).ok_or(FernetError::Key)?;
        Ok(Self {
            signing: Zeroizing::new(signing.try_into().map_err(|_| FernetError::Key)?),
            encryption: Zeroizing::new(encryption.try_into().map_err(|_| FernetError::Key)?),
        })
    }

    /// What the token holds. Its time is authentic but not judged: a session on disk may be of any age.
    pub fn open(&self, token: &[u8]) -> Result<Zeroizing<Vec<u8>>, FernetError> {
        let mut bytes = Zeroizing::new(decode(token).ok_or(FernetError::Form)?);
        let signed = bytes.len() - CODE;
        let expected = hmac_sha256(self.signing.as_slice(), &bytes[..signed]);
        if !constant_time_eq(&expected, &bytes[signed..]) {
            return Err(FernetError::Altered);
        }
        let vector =
            <[u8; BLOCK]>::try_from(&bytes[HEADER - BLOCK..HEADER]).map_err(|_| FernetError::Form)?;
        let key = UnboundCipherKey::new(&AES_128, self.encryption.as_slice())
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .map_err(|_| FernetError::Key)?;
        let context = DecryptionContext::Iv128(vector.into());
        let plaintext = key.decrypt(&mut bytes[HEADER..signed], context).map_err(|_| FernetError::Altered)?;
        Ok(Zeroizing::new(plaintext.to_vec()))
    }
}

/// Whether the text has the form of a Fernet token; says nothing about its key.
pub fn looks_sealed(text: &[u8]) -> bool {
    // The version and the high bytes of the time come out as these letters until the year 2106.
    text.trim_ascii_start().starts_with(b"gAAAAA") && decode(text).is_some()
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.trim_ascii()).ok()?;
    let blocks = bytes.len().checked_sub(HEADER + CODE)?;
    (bytes[0] == VERSION && blocks > 0 && blocks % BLOCK == 0).then_some(bytes)
}

impl fmt::Debug for FernetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FernetKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `verify.json` and `generate.json` of the Fernet specification.
    const KEY: &[u8] = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    #[test]
    fn the_specifications_token_opens_with_and_without_padding() {
        let key = FernetKey::parse(KEY).unwrap();
        for token in [TOKEN, TOKEN.trim_end_matches('='), &format!(" {TOKEN}\n")] {
            assert_eq!(key.open(token.as_bytes()).unwrap().as_slice(), b"hello");
            assert!(looks_sealed(token.as_bytes()));
        }
    }

    #[test]
    fn no_altered_token_opens() {
        let key = FernetKey::parse(KEY).unwrap();
        let bytes = BASE64.decode(TOKEN).unwrap();
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[position] ^= 1 << bit;
                let error = key.open(BASE64.encode(&altered).as_bytes()).unwrap_err();
                let expected = if position == 0 { FernetError::Form } else { FernetError::Altered };
                assert_eq!(error, expected, "byte {position}, bit {bit}");
            }
        }
        for length in 0..bytes.len() {
            assert!(key.open(BASE64.encode(&bytes[..length]).as_bytes()).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn another_key_and_no_key_are_told_apart() {
        let other = FernetKey::parse(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        assert_eq!(other.open(TOKEN.as_bytes()).unwrap_err(), FernetError::Altered);
        for text in [&b""[..], b"AAAA", b"not base64!", &[b'A'; 64]] {
            assert_eq!(FernetKey::parse(text).unwrap_err(), FernetError::Key);
        }
        for text in ["", "gAAAAA", "hello", "{}"] {
            assert_eq!(other.open(text.as_bytes()).unwrap_err(), FernetError::Form);
            assert!(!looks_sealed(text.as_bytes()));
        }
        assert!(!format!("{other:?}").contains('0'));
    }
}
