//! How a key service's ciphertext is stored: `2 | 1 | key id 16 | vault:vN:…`. The id stands where envelopes have theirs,
//! and is made from mount, key name and version, so that a wrap of another key is told from an altered one.

use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{KekError, Wrap};
use uuid::Uuid;

/// The first byte; envelopes of our own have 1.
pub(crate) const FORMAT: u8 = 2;
/// Vault's text form of ciphertexts.
const SCHEME: u8 = 1;
const HEADER: usize = 18;

/// The id of one version of a key.
pub(super) fn version_id(mount: &str, key: &str, version: u64) -> Uuid {
    let length = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes();
    let digest = sha256(&[
        b"stagedoor/transit-key-id/1",
        &length(mount),
        mount.as_bytes(),
        &length(key),
        key.as_bytes(),
        &version.to_be_bytes(),
    ]);
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

pub(super) fn store(id: Uuid, ciphertext: &str) -> Wrap {
    let mut bytes = Vec::with_capacity(HEADER + ciphertext.len());
    bytes.extend([FORMAT, SCHEME]);
    bytes.extend(id.as_bytes());
    bytes.extend(ciphertext.as_bytes());
    Wrap { bytes, wrapped_by: id }
}

/// The id of the key that a wrap names.
pub(crate) fn key_id(wrapped: &[u8]) -> Result<Uuid, KekError> {
    match wrapped {
        [FORMAT, SCHEME, rest @ ..] if rest.len() > 16 => {
            Uuid::from_slice(&rest[..16]).map_err(|_| KekError::Altered)
        }
        _ => Err(KekError::Altered),
    }
}

/// The key's id, its version, and the ciphertext to send.
pub(super) fn read(wrapped: &[u8]) -> Result<(Uuid, u64, &str), KekError> {
    let id = key_id(wrapped)?;
    let text = std::str::from_utf8(&wrapped[HEADER..]).map_err(|_| KekError::Altered)?;
    Ok((id, version(text).ok_or(KekError::Altered)?, text))
}

/// The version that a ciphertext names.
pub(super) fn version(ciphertext: &str) -> Option<u64> {
    let (version, rest) = ciphertext.strip_prefix("vault:v")?.split_once(':')?;
    version.parse().ok().filter(|version| *version > 0 && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back_and_nothing_else_is() {
        let id = version_id("transit", "stagedoor", 3);
        let stored = store(id, "vault:v3:AAAA");
        assert_eq!(stored.bytes[..2], [2, 1]);
        assert_eq!(read(&stored.bytes).unwrap(), (id, 3, "vault:v3:AAAA"));
        for text in ["", "vault:v3", "vault:v3:", "vault:vx:AAAA", "vault:v0:AAAA", "AAAA"] {
            assert!(matches!(read(&store(id, text).bytes), Err(KekError::Altered)), "{text}");
        }
        for bytes in [&b""[..], &[2, 1], &[1; 40], &[2; 40]] {
            assert!(matches!(read(bytes), Err(KekError::Altered)));
        }
    }

    /// Ids are stored with every wrap: they must not drift.
    #[test]
    fn ids_tell_mounts_keys_and_versions_apart() {
        let first = version_id("transit", "stagedoor", 1);
        for (mount, key, version) in
            [("transit", "stagedoor", 2), ("transit", "stagedoo", 1), ("transits", "tagedoor", 1)]
        {
            assert_ne!(version_id(mount, key, version), first);
        }
        assert_eq!(first.to_string(), "bfa16536-fef3-8d63-9bec-c5e36cd71afe");
    }
}
