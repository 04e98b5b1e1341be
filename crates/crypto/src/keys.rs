//! Data keys, the lower half of the key hierarchy (SECURITY §1): a tenant's key, which wraps one key per person. What
//! wraps the tenant's key is in `kek`; where wrapped keys are kept is for storage.

use std::fmt;

use stagedoor_domain::{Entropy, TenantId, UserId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::digest::{SHA256_LENGTH, hmac_sha256};
use crate::envelope::{EnvelopeKey, OpenError, SealContext, additional_data};
use crate::indexes::Indexes;

const WRAP_FORMAT: u8 = 1;
const WRAP_LENGTH: usize = 2 + 16 + 16 + 32;

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

/// A tenant's or a person's key, opened; wiped from memory when dropped.
pub struct DataKey {
    owner: KeyOwner,
    key: EnvelopeKey,
    /// Of the key that it took the place of.
    indexes: Indexes,
}

impl DataKey {
    /// A new key.
    pub fn generate(id: Uuid, owner: KeyOwner, entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut_slice());
        Self { owner, key: EnvelopeKey::new(id, bytes), indexes: Indexes::default() }
    }

    /// A new key of the same owner, which makes the blind indexes of `columns` as this one does, so that what was stored
    /// under them is still found. Nothing that this key sealed opens with what is handed on.
    #[must_use]
    pub fn successor(&self, id: Uuid, columns: &[&str], entropy: &dyn Entropy) -> Self {
        let indexes = columns.iter().map(|column| ((*column).to_owned(), self.index_key(column))).collect();
        Self { indexes, ..Self::generate(id, self.owner, entropy) }
    }

    /// What it has of the key before it, sealed under itself; `None` if it has nothing.
    pub fn sealed_indexes(&self, tenant: TenantId, entropy: &dyn Entropy) -> Option<Vec<u8>> {
        let plaintext = self.indexes.to_bytes()?;
        Some(self.key.seal(&indexes_context(tenant, self.id()), &plaintext, entropy))
    }

    /// The key with what [`Self::sealed_indexes`] gave.
    pub fn with_indexes(self, tenant: TenantId, sealed: &[u8]) -> Result<Self, OpenError> {
        let opened = self.key.open(&indexes_context(tenant, self.id()), sealed)?;
        let indexes = Indexes::from_bytes(&opened).ok_or(OpenError::Altered)?;
        Ok(Self { indexes, ..self })
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
    pub fn blind_index(&self, column: &str, value: &[u8]) -> [u8; SHA256_LENGTH] {
        hmac_sha256(self.index_key(column).as_slice(), value)
    }

    fn index_key(&self, column: &str) -> Zeroizing<[u8; 32]> {
        self.indexes.of(column).unwrap_or_else(|| Indexes::derive(self.key.bytes(), column))
    }

    /// What a wrap of this key holds, for a key service that encrypts it: `format 1 | purpose 1 | key id 16 | person 16
    /// or zeros | key 32`. A wrap says itself whose key it is, so that a row whose columns were swapped with another's
    /// does not open.
    pub fn to_wrap(&self) -> Zeroizing<Vec<u8>> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(WRAP_LENGTH));
        plaintext.extend(Self::wrap_header(self.id(), self.owner));
        plaintext.extend(self.key.bytes());
        plaintext
    }

    /// The key in what a wrap held, if it is the one that is wanted.
    pub fn from_wrap(id: Uuid, owner: KeyOwner, plaintext: &[u8]) -> Result<Self, OpenError> {
        let key = plaintext.strip_prefix(&Self::wrap_header(id, owner)[..]).ok_or(OpenError::Altered)?;
        let bytes = Zeroizing::new(key.try_into().map_err(|_| OpenError::Altered)?);
        Ok(Self { owner, key: EnvelopeKey::new(id, bytes), indexes: Indexes::default() })
    }

    pub(crate) fn wrapped_under(
        &self,
        outer: &EnvelopeKey,
        tenant: TenantId,
        revision: i64,
        entropy: &dyn Entropy,
    ) -> Vec<u8> {
        outer.seal(&wrap_context(tenant, self.id(), revision), &self.to_wrap(), entropy)
    }

    pub(crate) fn unwrapped_under(
        outer: &EnvelopeKey,
        tenant: TenantId,
        id: Uuid,
        owner: KeyOwner,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<Self, OpenError> {
        Self::from_wrap(id, owner, &outer.open(&wrap_context(tenant, id, revision), wrapped)?)
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

/// What a key service must bind a wrap of key `id` to: the place in the encoding that envelopes bind theirs with.
pub fn wrap_binding(tenant: TenantId, id: Uuid, revision: i64) -> Vec<u8> {
    additional_data(&wrap_context(tenant, id, revision), Uuid::nil())
}

/// Written once, with the key.
fn indexes_context(tenant: TenantId, row: Uuid) -> SealContext {
    SealContext { tenant, table: "data_keys", column: "indexes", row, revision: 0 }
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

    #[test]
    fn a_wrap_opens_only_as_what_it_is() {
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
    }

    #[test]
    fn what_a_wrap_holds_is_taken_for_no_other_key() {
        let key = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        let held = key.to_wrap();
        assert_eq!(held.len(), WRAP_LENGTH);
        assert_eq!(DataKey::from_wrap(key.id(), KeyOwner::Tenant, &held).unwrap().to_wrap(), held);
        let subject = KeyOwner::Subject(UserId(Uuid::nil()));
        for (id, owner, plaintext) in [
            (Uuid::from_u128(6), KeyOwner::Tenant, &held[..]),
            (key.id(), subject, &held[..]),
            (key.id(), KeyOwner::Tenant, &held[..WRAP_LENGTH - 1]),
            (key.id(), KeyOwner::Tenant, &[&held[..], b"x"].concat()),
            (key.id(), KeyOwner::Tenant, b""),
        ] {
            assert_eq!(DataKey::from_wrap(id, owner, plaintext).unwrap_err(), OpenError::Altered);
        }
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
    fn a_successor_makes_the_blind_indexes_that_were_handed_on_and_no_others() {
        let key = |id| DataKey::generate(Uuid::from_u128(id), KeyOwner::Tenant, &SystemEntropy);
        let first = key(5);
        let second = first.successor(Uuid::from_u128(6), &["a", "b"], &SystemEntropy);
        let third = second.successor(Uuid::from_u128(7), &["a"], &SystemEntropy);
        assert_eq!(second.blind_index("b", b"x"), first.blind_index("b", b"x"));
        assert_ne!(second.blind_index("c", b"x"), first.blind_index("c", b"x"));
        assert_eq!(third.blind_index("a", b"x"), first.blind_index("a", b"x"));
        assert_ne!(third.blind_index("b", b"x"), first.blind_index("b", b"x"));

        let sealed = second.sealed_indexes(TENANT, &SystemEntropy).unwrap();
        let bare = || DataKey::from_wrap(second.id(), second.owner(), &second.to_wrap()).unwrap();
        assert_ne!(bare().blind_index("b", b"x"), first.blind_index("b", b"x"));
        let whole = bare().with_indexes(TENANT, &sealed).unwrap();
        assert_eq!(whole.blind_index("b", b"x"), first.blind_index("b", b"x"));
        assert_eq!(bare().with_indexes(OTHER, &sealed).unwrap_err(), OpenError::Altered);
        assert!(third.with_indexes(TENANT, &sealed).is_err(), "it is another key's");
        assert!(first.sealed_indexes(TENANT, &SystemEntropy).is_none());
    }

    #[test]
    fn nothing_secret_shows_in_debug() {
        let key = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        let shown = format!("DataKey({}, Tenant) EnvelopeKey({})", key.id(), key.id());
        assert_eq!(format!("{key:?} {:?}", key.key), shown);
    }
}
