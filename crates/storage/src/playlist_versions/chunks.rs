//! How the entries of a version are stored: cut where their contents say, so that an edit leaves most pieces as they
//! are, each piece stored once for its playlist. `length 2 | name` for each entry of a piece, the length big-endian.

use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{DataKey, SealContext, envelope};
use stagedoor_domain::TenantId;
use uuid::Uuid;

use crate::error::StoreError;
use crate::packed;

/// No piece but the last has fewer entries, so that one name over and over does not make a piece of each.
const LEAST: usize = 16;
/// A piece ends after a name whose digest is a multiple of this: on average after as many more.
const SPACING: u64 = 24;
/// No piece has more entries.
const MOST: usize = 256;

/// One piece of a version's entries.
pub(super) struct Chunk {
    /// A keyed hash of the playlist and of what it holds.
    pub(super) id: Uuid,
    encoded: Vec<u8>,
}

/// The pieces of `entries`, in order. `playlist` is what tells this playlist of this account from all others.
pub(super) fn cut(key: &DataKey, playlist: &[u8], entries: &[Box<str>]) -> Result<Vec<Chunk>, StoreError> {
    let mut chunks = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(length_of_first(rest));
        let encoded = encode(piece)?;
        let hash = key.blind_index("playlist_chunks.chunk_id", &[playlist, &encoded].concat());
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        chunks.push(Chunk { id: uuid::Builder::from_custom_bytes(id).into_uuid(), encoded });
        rest = after;
    }
    Ok(chunks)
}

impl Chunk {
    pub(super) fn seal(
        &self,
        key: &DataKey,
        tenant: TenantId,
        entropy: &dyn stagedoor_domain::Entropy,
    ) -> Result<Vec<u8>, StoreError> {
        let packed = packed::pack(&self.encoded, "playlist_chunks.entries")?;
        Ok(key.seal(&place(tenant, self.id), &packed, entropy))
    }

    /// Whether `sealed` is this piece under that key.
    pub(super) fn is_sealed_in(&self, key: &DataKey, tenant: TenantId, sealed: &[u8]) -> bool {
        let opened = key.open(&place(tenant, self.id), sealed);
        let encoded = opened.map(|opened| packed::unpack(&opened, "playlist_chunks.entries"));
        matches!(encoded, Ok(Ok(encoded)) if encoded == self.encoded)
    }
}

/// Whether `sealed` says that it is under `key`.
pub(super) fn is_under(key: &DataKey, sealed: &[u8]) -> bool {
    envelope::key_id(sealed).is_ok_and(|id| id == key.id())
}

/// What the sealed entries of a chunk are bound to.
pub(super) fn place(tenant: TenantId, chunk: Uuid) -> SealContext {
    SealContext { tenant, table: "playlist_chunks", column: "entries", row: chunk, revision: 1 }
}

/// The entries of an opened chunk.
pub(crate) fn decode(opened: &[u8]) -> Result<Vec<Box<str>>, StoreError> {
    let damaged = || StoreError::not_understood("playlist_chunks.entries", "something else than names");
    let encoded = packed::unpack(opened, "playlist_chunks.entries")?;
    let (mut rest, mut names) = (&encoded[..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (name, after) = after.split_at_checked(length).ok_or_else(damaged)?;
        names.push(std::str::from_utf8(name).map_err(|_| damaged())?.into());
        rest = after;
    }
    if rest.is_empty() { Ok(names) } else { Err(damaged()) }
}

/// A digest of a list of names, whatever they hold.
pub(super) fn digest_of(names: &[Box<str>]) -> Result<[u8; 32], StoreError> {
    Ok(sha256(&[&encode(names)?]))
}

fn length_of_first(entries: &[Box<str>]) -> usize {
    let most = entries.len().min(MOST);
    (LEAST..most).find(|length| ends_after(&entries[length - 1])).unwrap_or(most)
}

/// The same in every release, or equal contents would be stored twice.
fn ends_after(name: &str) -> bool {
    let digest = sha256(&[name.as_bytes()]);
    let first = digest[..8].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    first.is_multiple_of(SPACING)
}

fn encode(names: &[Box<str>]) -> Result<Vec<u8>, StoreError> {
    let mut encoded = Vec::with_capacity(names.iter().map(|name| name.len() + 2).sum());
    for name in names {
        let length = u16::try_from(name.len())
            .map_err(|_| StoreError::not_understood("a playlist's entry", format!("{} bytes", name.len())))?;
        encoded.extend(length.to_be_bytes());
        encoded.extend(name.as_bytes());
    }
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::{KeyOwner, SystemEntropy};

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));

    fn names(numbers: impl IntoIterator<Item = u32>) -> Vec<Box<str>> {
        numbers.into_iter().map(|number| format!("spotify:track:{number}").into()).collect()
    }

    fn key() -> DataKey {
        DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy)
    }

    #[test]
    fn pieces_join_to_what_was_cut() {
        let key = key();
        let mut lists = vec![names(0..0), names(0..1), names(0..5_000), names([7; 1_000])];
        lists.push(vec!["".into(), "ünïcödé".into(), "x".repeat(65_535).into()]);
        for list in lists {
            let chunks = cut(&key, b"playlist", &list).unwrap();
            let mut joined = Vec::new();
            for (index, chunk) in chunks.iter().enumerate() {
                let sealed = chunk.seal(&key, TENANT, &SystemEntropy).unwrap();
                let piece = decode(&key.open(&place(TENANT, chunk.id), &sealed).unwrap()).unwrap();
                assert!(piece.len() <= MOST);
                assert!(piece.len() >= LEAST || index + 1 == chunks.len());
                joined.extend(piece);
            }
            assert_eq!(joined, list);
        }
        assert!(cut(&key, b"playlist", &["x".repeat(65_536).into()]).is_err());
    }

    #[test]
    fn an_edit_leaves_all_pieces_but_a_few() {
        let key = key();
        let ids = |list: &[Box<str>]| -> Vec<Uuid> {
            cut(&key, b"playlist", list).unwrap().iter().map(|chunk| chunk.id).collect()
        };
        let list = names(0..2_000);
        let before = ids(&list);
        assert!((16..=60).contains(&before.len()), "{} pieces of 64 names on average", before.len());
        for at in (0..2_000).step_by(97) {
            let mut edited = list.clone();
            edited.insert(at, "spotify:track:new".into());
            let fresh = ids(&edited).into_iter().filter(|id| !before.contains(id)).count();
            assert!((1..=4).contains(&fresh), "{fresh} new pieces after an insertion at {at}");
        }
    }

    #[test]
    fn equal_contents_of_others_have_other_ids() {
        let (key, list) = (key(), names(0..10));
        let id = |key: &DataKey, playlist: &[u8]| cut(key, playlist, &list).unwrap()[0].id;
        assert_eq!(id(&key, b"a"), id(&key, b"a"));
        assert_ne!(id(&key, b"a"), id(&key, b"b"));
        let other = DataKey::generate(Uuid::from_u128(5), KeyOwner::Tenant, &SystemEntropy);
        assert_ne!(id(&key, b"a"), id(&other, b"a"));
    }
}
