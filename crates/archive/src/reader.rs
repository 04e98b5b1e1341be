//! Reading a backup, chunk by chunk. What is given out was opened, and is what the manifest says.

use std::fmt;

use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{DataKey, KekProvider, VerifyingKey};

use crate::chunk::{self, Place};
use crate::damage::{self, Damage, DamageKind};
use crate::error::ReadError;
use crate::hash::Hash;
use crate::manifest::{ChunkEntry, Manifest, RowCount, Trust};
use crate::place::Found;
use crate::records::{self, Record};
use crate::store::{BackupStore, Object};

/// A chunk's rows.
#[derive(Debug)]
pub struct Chunk {
    /// Its number, from 0.
    pub number: u32,
    /// Its rows, in order.
    pub records: Vec<Record>,
}

/// A backup whose manifest is true.
pub struct ArchiveReader {
    store: BackupStore,
    found: Found,
    manifest: Manifest,
    trust: Trust,
    key: DataKey,
    next: u32,
}

impl ArchiveReader {
    /// Opens a backup: its manifest is that of its place, its signature fits if the key is among `verifying`, its key
    /// unwraps, and its seal is over this manifest.
    pub async fn open(
        store: &BackupStore,
        found: &Found,
        keys: &dyn KekProvider,
        verifying: &[VerifyingKey],
    ) -> Result<Self, ReadError> {
        let (signed, trust) = store.signed(found, verifying).await?;
        let path = found.manifest();
        let damage = |kind| Damage::of(&path, kind);
        let wrapped = signed.wrapped_key().map_err(damage)?;
        let key = keys.unwrap(found.tenant, found.id.0, 1, &wrapped).await;
        let key = key.map_err(|error| damage::of_key(&path, error))?;
        signed.open(&key).map_err(damage)?;
        let (store, found, manifest) = (store.clone(), found.clone(), signed.manifest);
        Ok(Self { store, found, manifest, trust, key, next: 0 })
    }

    /// What the backup says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// On whose word that is believed.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// Its place.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// How many chunks there are.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: the writer counts in 32 bits")]
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.manifest.chunks.len()).expect("counted in 32 bits")
    }

    /// The next chunk, from the first on; `None` after the last. A damaged one is an error once, and then it goes on
    /// with the one after it. If the store or a key is out of reach, the same chunk is tried again.
    pub async fn next(&mut self) -> Option<Result<Chunk, ReadError>> {
        let number = self.next;
        if number >= self.chunks() {
            return None;
        }
        let read = self.chunk(number).await;
        if matches!(read, Ok(_) | Err(ReadError::Damage(_))) {
            self.next += 1;
        }
        Some(read.map(|records| Chunk { number, records }))
    }

    /// The rows of a chunk; numbers are below [`Self::chunks`].
    pub async fn chunk(&self, number: u32) -> Result<Vec<Record>, ReadError> {
        let path = self.found.chunk(number);
        let damage = |kind| Damage {
            object: path.to_string(),
            chunk: Some(number),
            kind,
            lost: self.manifest.rows_in(number),
        };
        let entry = self.manifest.chunks.get(number as usize);
        let entry = entry.ok_or_else(|| damage(DamageKind::Missing))?;
        // Another chunk in its place may be longer: it is read all the same, to say which one it is.
        let longest = self.manifest.chunks.iter().map(|chunk| chunk.bytes).max().unwrap_or_default();
        let sealed = match self.store.get(&path, longest).await? {
            Object::Bytes(bytes) => bytes,
            Object::Absent => return Err(damage(DamageKind::Missing).into()),
            Object::OtherLength(found) => {
                return Err(damage(DamageKind::Length { expected: entry.bytes, found }).into());
            }
        };
        if Hash(sha256(&[&sealed])) != entry.sha256 {
            return Err(damage(self.told_from(number, entry, &sealed)).into());
        }
        let last = number + 1 == self.chunks();
        let place = Place { tenant: self.found.tenant, backup: self.found.id, number, last };
        let plain_bytes = usize::try_from(entry.plain_bytes).unwrap_or(usize::MAX);
        let plain = chunk::open(&self.key, place, &sealed, plain_bytes).map_err(damage)?;
        let records = records::decode(&plain).map_err(damage)?;
        if count(&records) != entry.rows {
            return Err(damage(DamageKind::Contents("its rows are not those that were counted")).into());
        }
        Ok(records)
    }

    /// What stands in a chunk's place.
    fn told_from(&self, number: u32, entry: &ChunkEntry, sealed: &[u8]) -> DamageKind {
        let hash = Hash(sha256(&[sealed]));
        let place = self.manifest.chunks.iter().position(|chunk| chunk.sha256 == hash);
        if let Some(other) =
            place.and_then(|place| u32::try_from(place).ok()).filter(|&other| other != number)
        {
            return DamageKind::Swapped(other);
        }
        if let Some(other) = chunk::foreign(sealed, self.found.id) {
            return DamageKind::Foreign(other);
        }
        let found = sealed.len() as u64;
        if found == entry.bytes {
            DamageKind::Altered
        } else {
            DamageKind::Length { expected: entry.bytes, found }
        }
    }
}

fn count(records: &[Record]) -> Vec<RowCount> {
    let mut counts: Vec<RowCount> = Vec::new();
    for record in records {
        match counts.last_mut() {
            Some(count) if count.table == record.table => count.rows += 1,
            _ => counts.push(RowCount { table: record.table.clone(), rows: 1 }),
        }
    }
    counts
}

impl fmt::Debug for ArchiveReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveReader({})", self.found)
    }
}
