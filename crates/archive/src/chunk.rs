//! One chunk: compressed, then sealed under the backup's key, bound to tenant, backup, number and whether it is the last.
//! A chunk that was moved, and an end that was cut off, do not open.

use stagedoor_crypto::{DataKey, SealContext};
use stagedoor_domain::{Entropy, TenantId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::damage::DamageKind;
use crate::error::ArchiveError;
use crate::place::BackupId;

const LEVEL: i32 = 3;

/// Where a chunk belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) tenant: TenantId,
    pub(crate) backup: BackupId,
    pub(crate) number: u32,
    pub(crate) last: bool,
}

impl Place {
    fn context(self) -> SealContext {
        SealContext {
            tenant: self.tenant,
            table: "backups",
            column: if self.last { "last_chunk" } else { "chunk" },
            row: self.backup.0,
            revision: i64::from(self.number),
        }
    }
}

pub(crate) fn seal(
    key: &DataKey,
    place: Place,
    plain: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, ArchiveError> {
    let packed = zstd::bulk::compress(plain, LEVEL).map_err(ArchiveError::Compression)?;
    Ok(key.seal(&place.context(), &packed, entropy))
}

pub(crate) fn open(
    key: &DataKey,
    place: Place,
    sealed: &[u8],
    plain_bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, DamageKind> {
    let packed = key.open(&place.context(), sealed);
    let packed = packed.map_err(|_| DamageKind::Contents("it does not open as this chunk"))?;
    let plain = zstd::bulk::decompress(&packed, plain_bytes);
    let plain = plain.map_err(|_| DamageKind::Contents("it does not decompress to its length"))?;
    if plain.len() == plain_bytes {
        Ok(Zeroizing::new(plain))
    } else {
        Err(DamageKind::Contents("it decompresses to another length"))
    }
}

/// The backup that a sealed chunk names, unless it is `backup` but for a few damaged bytes.
pub(crate) fn foreign(sealed: &[u8], backup: BackupId) -> Option<Uuid> {
    const DIFFERENT: usize = 4;
    let named = stagedoor_crypto::envelope::key_id(sealed).ok()?;
    let differing = named.as_bytes().iter().zip(backup.0.as_bytes()).filter(|(one, other)| one != other);
    (differing.count() >= DIFFERENT).then_some(named)
}
