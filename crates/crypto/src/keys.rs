//! The key hierarchy (SECURITY §1): key-encryption keys wrap a tenant's key, which wraps one key per person.
//! Wraps use the envelope of every other secret. Where wrapped keys are kept is for storage.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stagedoor_domain::{Entropy, TenantId, UserId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::digest::{SHA256_LENGTH, hkdf_sha512, hmac_sha256};
use crate::envelope::{EnvelopeKey, OpenError, SealContext, key_id};

const WRAP_FORMAT: u8 = 1;
const WRAP_LENGTH: usize = 2 + 16 + 16 + 32;
const BLIND_INDEX: &[u8] = b"stagedoor/blind-index/1";

/// Whose data a key seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyOwner {
    /// The tenant's own secrets, and the keys of its people.
    Tenant,
    /// One person's data; destroying the key erases the person.
    Subject(UserId),
}

impl KeyOwner {
    /// The number that tables and wraps hold.
    pub const fn purpose(self) -> u8 {
        match self {
            Self::Tenant => 1,
            Self::Subject(_) => 2,
        }
    }

    /// The person, if it is a person's key.
    pub const fn subject(self) -> Option<UserId> {
        match self {
            Self::Tenant => None,
            Self::Subject(user) => Some(user),
        }
    }
}

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

/// The versioned keys in the files of a directory.
pub(crate) fn parse_key_files<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<BTreeMap<u32, Zeroizing<[u8; 32]>>, KeyLoadError> {
    let mut keys = BTreeMap::new();
    for (name, content) in files {
        let digits = name.strip_prefix('v').unwrap_or(name);
        let digits = digits.strip_suffix(".key").unwrap_or(digits);
        let version: u32 = digits.parse().map_err(|_| KeyLoadError::Name(name.to_owned()))?;
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

/// The key-encryption keys at hand, at least one; the newest wraps, each unwraps.
pub struct KeyEncryptionKeys {
    keys: BTreeMap<u32, EnvelopeKey>,
}

impl KeyEncryptionKeys {
    /// Keys from the files of a directory (a mounted secret): `(file name, content)`, each 32 bytes in
    /// base64, named by version (`1`, `v2`, `3.key`). The highest version is the active one.
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, KeyLoadError> {
        let keys = parse_key_files(files)?;
        Ok(Self { keys: keys.into_iter().map(|(version, bytes)| (version, named(bytes))).collect() })
    }

    /// The id of the key that wraps new keys; made from the key's bytes, so that two different keys of one
    /// version are never taken for each other.
    pub fn active_id(&self) -> Uuid {
        self.active().id()
    }

    /// The ids of all keys at hand, oldest version first.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.keys.values().map(EnvelopeKey::id)
    }

    /// Wraps a tenant's key.
    pub fn wrap(&self, tenant: TenantId, key: &DataKey, revision: i64, entropy: &dyn Entropy) -> Vec<u8> {
        key.wrapped_under(self.active(), tenant, revision, entropy)
    }

    /// Unwraps a tenant's key.
    pub fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, OpenError> {
        let wanted = key_id(wrapped)?;
        let key = self.keys.values().find(|key| key.id() == wanted).ok_or(OpenError::OtherKey(wanted))?;
        DataKey::unwrapped_under(key, tenant, id, KeyOwner::Tenant, revision, wrapped)
    }

    fn active(&self) -> &EnvelopeKey {
        self.keys.last_key_value().expect("there is at least one by construction").1
    }
}

fn named(bytes: Zeroizing<[u8; 32]>) -> EnvelopeKey {
    let digest = hmac_sha256(bytes.as_slice(), b"stagedoor/key-encryption-key-id/1");
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    EnvelopeKey::new(uuid::Builder::from_custom_bytes(id).into_uuid(), bytes)
}

impl fmt::Debug for KeyEncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys.iter().map(|(version, key)| (version, key.id()))).finish()
    }
}

/// A tenant's or a person's key, opened; wiped from memory when dropped.
pub struct DataKey {
    owner: KeyOwner,
    key: EnvelopeKey,
}

impl DataKey {
    /// A new key.
    pub fn generate(id: Uuid, owner: KeyOwner, entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut_slice());
        Self { owner, key: EnvelopeKey::new(id, bytes) }
    }

    /// Its id, which every envelope under it carries.
    pub fn id(&self) -> Uuid {
        self.key.id()
    }

    /// Whose data it seals.
    pub fn owner(&self) -> KeyOwner {
        self.owner
    }

    /// Seals `plaintext` for one place.
    pub fn seal(&self, context: &SealContext, plaintext: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        self.key.seal(context, plaintext, entropy)
    }

    /// Opens what was sealed for that place.
    pub fn open(&self, context: &SealContext, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.key.open(context, envelope)
    }

    /// Wraps a person's key under this tenant key.
    pub fn wrap(&self, tenant: TenantId, key: &Self, revision: i64, entropy: &dyn Entropy) -> Vec<u8> {
        key.wrapped_under(&self.key, tenant, revision, entropy)
    }

    /// Unwraps a person's key with this tenant key.
    pub fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        user: UserId,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<Self, OpenError> {
        Self::unwrapped_under(&self.key, tenant, id, KeyOwner::Subject(user), revision, wrapped)
    }

    /// A code of `value` that can be compared and looked up but tells nothing without the key; `column` keeps
    /// the codes of different columns apart. HMAC-SHA-256 under a key derived for the column.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: the length asked for is fixed")]
    pub fn blind_index(&self, column: &str, value: &[u8]) -> [u8; SHA256_LENGTH] {
        let mut key = Zeroizing::new([0; 32]);
        let derived = hkdf_sha512(self.key.bytes(), BLIND_INDEX, column.as_bytes(), key.as_mut_slice());
        assert!(derived, "32 bytes are within what HKDF-SHA-512 can give");
        hmac_sha256(key.as_slice(), value)
    }

    /// `format 1 | purpose 1 | key id 16 | person 16 or zeros | key 32`: a wrap says itself whose key it is,
    /// so that a row whose columns were swapped with another's does not open.
    fn wrapped_under(
        &self,
        outer: &EnvelopeKey,
        tenant: TenantId,
        revision: i64,
        entropy: &dyn Entropy,
    ) -> Vec<u8> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(WRAP_LENGTH));
        plaintext.extend(Self::wrap_header(self.id(), self.owner));
        plaintext.extend(self.key.bytes());
        outer.seal(&wrap_context(tenant, self.id(), revision), &plaintext, entropy)
    }

    fn unwrapped_under(
        outer: &EnvelopeKey,
        tenant: TenantId,
        id: Uuid,
        owner: KeyOwner,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<Self, OpenError> {
        let plaintext = outer.open(&wrap_context(tenant, id, revision), wrapped)?;
        let key = plaintext.strip_prefix(&Self::wrap_header(id, owner)[..]).ok_or(OpenError::Altered)?;
        let bytes = key.try_into().map_err(|_| OpenError::Altered)?;
        Ok(Self { owner, key: EnvelopeKey::new(id, Zeroizing::new(bytes)) })
    }

    fn wrap_header(id: Uuid, owner: KeyOwner) -> [u8; WRAP_LENGTH - 32] {
        let mut header = [0; WRAP_LENGTH - 32];
        header[0] = WRAP_FORMAT;
        header[1] = owner.purpose();
        header[2..18].copy_from_slice(id.as_bytes());
        header[18..].copy_from_slice(owner.subject().map(|user| user.0).unwrap_or_default().as_bytes());
        header
    }
}

fn wrap_context(tenant: TenantId, row: Uuid, revision: i64) -> SealContext {
    SealContext { tenant, table: "data_keys", column: "wrapped_key", row, revision }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, {:?})", self.id(), self.owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

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

    #[test]
    fn the_newest_key_wraps_and_every_key_unwraps() {
        let (old, both) = (keys(&[("1", 1)]), keys(&[("1", 1), ("v10", 2), ("2.key", 3)]));
        let tenant_key = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        let wrapped = old.wrap(TENANT, &tenant_key, 1, &SystemEntropy);
        let context = wrap_context(TENANT, Uuid::nil(), 0);
        let sealed = tenant_key.seal(&context, b"secret", &SystemEntropy);
        let opened = both.unwrap(TENANT, tenant_key.id(), 1, &wrapped).unwrap();
        assert_eq!(opened.open(&context, &sealed).unwrap().as_slice(), b"secret");
        let rewrapped = both.wrap(TENANT, &opened, 2, &SystemEntropy);
        assert_eq!(key_id(&rewrapped).unwrap(), keys(&[("7", 2)]).active_id(), "version 10 is newer than 2");
        assert!(matches!(old.unwrap(TENANT, tenant_key.id(), 2, &rewrapped), Err(OpenError::OtherKey(_))));
    }

    #[test]
    fn a_wrap_opens_only_as_what_it_is() {
        let keks = keys(&[("1", 1)]);
        let (ada, bob) = (UserId(Uuid::from_u128(10)), UserId(Uuid::from_u128(11)));
        let tenant_key = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        let subject = DataKey::generate(Uuid::from_u128(6), KeyOwner::Subject(ada), &SystemEntropy);
        let wrapped = tenant_key.wrap(TENANT, &subject, 1, &SystemEntropy);
        assert_eq!(
            tenant_key.unwrap(TENANT, subject.id(), ada, 1, &wrapped).unwrap().owner(),
            KeyOwner::Subject(ada)
        );
        for (tenant, id, user, revision) in [
            (OTHER, subject.id(), ada, 1),
            (TENANT, Uuid::from_u128(7), ada, 1),
            (TENANT, subject.id(), bob, 1),
            (TENANT, subject.id(), ada, 2),
        ] {
            assert_eq!(
                tenant_key.unwrap(tenant, id, user, revision, &wrapped).unwrap_err(),
                OpenError::Altered
            );
        }
        let tenant_wrap = keks.wrap(TENANT, &tenant_key, 1, &SystemEntropy);
        assert_eq!(keks.unwrap(OTHER, tenant_key.id(), 1, &tenant_wrap).unwrap_err(), OpenError::Altered);
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
    fn blind_indexes_of_columns_and_keys_differ() {
        let key = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        let other = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        assert_eq!(key.blind_index("a", b"x"), key.blind_index("a", b"x"));
        assert_ne!(key.blind_index("a", b"x"), key.blind_index("b", b"x"));
        assert_ne!(key.blind_index("a", b"x"), other.blind_index("a", b"x"));
    }

    #[test]
    fn nothing_secret_shows_in_debug() {
        let keks = keys(&[("1", 0xab)]);
        let key = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        for text in [format!("{keks:?}"), format!("{key:?}"), format!("{:?}", key.key)] {
            assert!(!text.contains("171") && !text.contains("abab"), "{text}");
        }
    }
}
