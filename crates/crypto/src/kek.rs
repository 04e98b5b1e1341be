//! Key-encryption keys, the upper half of the key hierarchy (SECURITY §1), where their bytes are at hand. How they come
//! to be at hand, and change while the process runs, is for `key-encryption`.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stagedoor_domain::{Entropy, TenantId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::digest::hmac_sha256;
use crate::envelope::{EnvelopeKey, key_id};
use crate::keys::DataKey;
use crate::provider::{KekError, KekProvider, Wrap};

/// Why keys do not load. Never shows key bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyLoadError {
    /// No key file at all.
    #[error("no key found: expected files named by version (1, v2, 3.key), each 32 bytes in base64")]
    Empty,
    /// A file name without a version.
    #[error("{0:?} does not name a key version (1, v2, 3.key)")]
    Name(String),
    /// Two files of one version.
    #[error("version {0} is given twice")]
    Twice(u32),
    /// Not 32 bytes in base64.
    #[error("key version {0} is not 32 bytes in base64")]
    Content(u32),
}

/// The versioned keys in the files of a directory: `(file name, content)`.
pub(crate) fn parse_key_files<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<BTreeMap<u32, Zeroizing<[u8; 32]>>, KeyLoadError> {
    let mut keys = BTreeMap::new();
    for (name, content) in files {
        let version = key_version(name)?;
        let decoded = Zeroizing::new(
            STANDARD.decode(content.trim_ascii()).map_err(|_| KeyLoadError::Content(version))?,
        );
        let bytes: [u8; 32] = decoded.as_slice().try_into().map_err(|_| KeyLoadError::Content(version))?;
        if keys.insert(version, Zeroizing::new(bytes)).is_some() {
            return Err(KeyLoadError::Twice(version));
        }
    }
    if keys.is_empty() { Err(KeyLoadError::Empty) } else { Ok(keys) }
}

fn key_version(name: &str) -> Result<u32, KeyLoadError> {
    let digits = name.strip_prefix('v').unwrap_or(name);
    let digits = digits.strip_suffix(".key").unwrap_or(digits);
    digits.parse().map_err(|_| KeyLoadError::Name(name.to_owned()))
}

/// One key-encryption key; wiped from memory when dropped.
pub struct KeyEncryptionKey(EnvelopeKey);

impl KeyEncryptionKey {
    /// The key of these bytes. Its id is made from them, so that two different keys of one version are never taken
    /// for each other.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let digest = hmac_sha256(bytes.as_slice(), b"stagedoor/key-encryption-key-id/1");
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(EnvelopeKey::new(uuid::Builder::from_custom_bytes(id).into_uuid(), bytes))
    }

    /// The keys in the files of a directory (a mounted Secret) by version: `(file name, content)`, each 32 bytes in
    /// base64, named by version (`1`, `v2`, `3.key`).
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<BTreeMap<u32, Self>, KeyLoadError> {
        let keys = parse_key_files(files)?;
        Ok(keys.into_iter().map(|(version, bytes)| (version, Self::from_bytes(bytes))).collect())
    }

    /// Its id, which every wrap under it carries.
    pub fn id(&self) -> Uuid {
        self.0.id()
    }

    /// Wraps a tenant's key.
    pub fn wrap(&self, tenant: TenantId, key: &DataKey, revision: i64, entropy: &dyn Entropy) -> Wrap {
        Wrap { bytes: key.wrapped_under(&self.0, tenant, revision, entropy), wrapped_by: self.id() }
    }

    /// Unwraps a tenant's key.
    pub fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, KekError> {
        Ok(DataKey::unwrapped_under(&self.0, tenant, id, crate::KeyOwner::Tenant, revision, wrapped)?)
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({})", self.id())
    }
}

/// A set of key-encryption keys that stays as it is, at least one; the newest wraps, each unwraps.
#[derive(Debug)]
pub struct KeyEncryptionKeys(BTreeMap<u32, KeyEncryptionKey>);

impl KeyEncryptionKeys {
    /// Keys from the files of a directory, as [`KeyEncryptionKey::from_files`]. The highest version is the active one.
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, KeyLoadError> {
        KeyEncryptionKey::from_files(files).map(Self)
    }

    fn active(&self) -> &KeyEncryptionKey {
        self.0.last_key_value().expect("there is at least one by construction").1
    }
}

#[async_trait]
impl KekProvider for KeyEncryptionKeys {
    async fn wrap(
        &self,
        tenant: TenantId,
        key: &DataKey,
        revision: i64,
        entropy: &dyn Entropy,
    ) -> Result<Wrap, KekError> {
        Ok(self.active().wrap(tenant, key, revision, entropy))
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, KekError> {
        let wanted = key_id(wrapped)?;
        let key = self.0.values().find(|key| key.id() == wanted).ok_or(KekError::UnknownKey(wanted))?;
        key.unwrap(tenant, id, revision, wrapped)
    }

    fn active_id(&self) -> Option<Uuid> {
        Some(self.active().id())
    }

    fn ids(&self) -> Vec<Uuid> {
        self.0.values().map(KeyEncryptionKey::id).collect()
    }

    fn problem(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::SealContext;
    use crate::keys::KeyOwner;
    use crate::{SystemEntropy, block_on_ready};

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const OTHER: TenantId = TenantId(Uuid::from_u128(2));

    fn encoded(fill: u8) -> String {
        STANDARD.encode([fill; 32])
    }

    fn keys(versions: &[(&str, u8)]) -> KeyEncryptionKeys {
        let files: Vec<_> = versions.iter().map(|(name, fill)| (*name, encoded(*fill))).collect();
        KeyEncryptionKeys::from_files(files.iter().map(|(name, content)| (*name, content.as_bytes())))
            .unwrap()
    }

    fn wrap(keys: &KeyEncryptionKeys, key: &DataKey, revision: i64) -> Wrap {
        block_on_ready(keys.wrap(TENANT, key, revision, &SystemEntropy)).unwrap()
    }

    fn unwrap(
        keys: &KeyEncryptionKeys,
        tenant: TenantId,
        key: &DataKey,
        revision: i64,
        wrap: &Wrap,
    ) -> Result<DataKey, KekError> {
        block_on_ready(keys.unwrap(tenant, key.id(), revision, &wrap.bytes))
    }

    #[test]
    fn the_newest_key_wraps_and_every_key_unwraps() {
        let (old, both) = (keys(&[("1", 1)]), keys(&[("1", 1), ("v10", 2), ("2.key", 3)]));
        let tenant_key = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        let wrapped = wrap(&old, &tenant_key, 1);
        let place = SealContext { tenant: TENANT, table: "t", column: "c", row: Uuid::nil(), revision: 0 };
        let sealed = tenant_key.seal(&place, b"secret", &SystemEntropy);
        let opened = unwrap(&both, TENANT, &tenant_key, 1, &wrapped).unwrap();
        assert_eq!(opened.open(&place, &sealed).unwrap().as_slice(), b"secret");
        let rewrapped = wrap(&both, &opened, 2);
        assert_eq!(key_id(&rewrapped.bytes).unwrap(), rewrapped.wrapped_by);
        assert_eq!(Some(rewrapped.wrapped_by), keys(&[("7", 2)]).active_id(), "version 10 is newer than 2");
        let outcome = unwrap(&old, TENANT, &tenant_key, 2, &rewrapped);
        assert!(matches!(outcome, Err(KekError::UnknownKey(_))), "{outcome:?}");
    }

    #[test]
    fn a_wrap_of_another_tenant_or_revision_does_not_open() {
        let keys = keys(&[("1", 1)]);
        let key = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        let wrapped = wrap(&keys, &key, 1);
        for (tenant, revision) in [(OTHER, 1), (TENANT, 2)] {
            let outcome = unwrap(&keys, tenant, &key, revision, &wrapped);
            assert!(matches!(outcome, Err(KekError::Altered)), "{outcome:?}");
        }
        unwrap(&keys, TENANT, &key, 1, &wrapped).unwrap();
    }

    #[test]
    fn key_files_that_are_wrong_are_named() {
        let load = |files: &[(&str, &str)]| {
            KeyEncryptionKeys::from_files(files.iter().map(|(name, text)| (*name, text.as_bytes())))
                .unwrap_err()
        };
        let good = encoded(1);
        assert_eq!(load(&[]), KeyLoadError::Empty);
        assert_eq!(load(&[("readme", &good)]), KeyLoadError::Name("readme".to_owned()));
        assert_eq!(load(&[("1", &good), ("v1", &good)]), KeyLoadError::Twice(1));
        assert_eq!(load(&[("3", "AAAA")]), KeyLoadError::Content(3));
        assert_eq!(load(&[("3", "not base64")]), KeyLoadError::Content(3));
    }

    #[test]
    fn nothing_secret_shows_in_debug() {
        let text = format!("{:?}", keys(&[("1", 0xab)]));
        assert!(!text.contains("171") && !text.contains("abab"), "{text}");
    }
}
