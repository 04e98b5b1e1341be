//! Whether a stored backup is what was written: every object of it is read back.

use std::collections::{BTreeMap, BTreeSet};

use stagedoor_crypto::{KekProvider, VerifyingKey};

use crate::damage::{Damage, DamageKind};
use crate::error::ReadError;
use crate::manifest::{Manifest, Trust};
use crate::place::{Found, MANIFEST, chunk_number};
use crate::reader::ArchiveReader;
use crate::records::RowDigest;
use crate::store::BackupStore;

/// With what a backup is checked.
#[derive(Debug, Clone, Copy)]
pub struct Trusted<'a> {
    /// The key-encryption keys.
    pub keys: &'a dyn KekProvider,
    /// The public halves of the tenant's signing keys, if they are at hand.
    pub verifying: &'a [VerifyingKey],
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct VerifyReport {
    /// The backup.
    pub found: Found,
    /// What it says of itself, if that is true.
    pub manifest: Option<Manifest>,
    /// On whose word it is.
    pub trust: Option<Trust>,
    /// All that is wrong; empty for a sound backup.
    pub damages: Vec<Damage>,
    /// Chunks that were read back and are sound.
    pub chunks: u32,
    /// Rows in these.
    pub rows: u64,
    /// Bytes of these as they are stored.
    pub bytes: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty() && self.manifest.is_some()
    }
}

/// Reads all of a backup. One chunk at a time is in memory. An error says nothing about the backup: the store or the
/// keys could not be asked.
pub async fn verify(
    store: &BackupStore,
    found: &Found,
    trusted: Trusted<'_>,
) -> Result<VerifyReport, ReadError> {
    verify_while(store, found, trusted, || true).await
}

/// The same, as long as `go_on` says so before each chunk; then it is [`ReadError::Stopped`].
pub async fn verify_while(
    store: &BackupStore,
    found: &Found,
    trusted: Trusted<'_>,
    go_on: impl Fn() -> bool,
) -> Result<VerifyReport, ReadError> {
    let mut report = VerifyReport {
        found: found.clone(),
        manifest: None,
        trust: None,
        damages: Vec::new(),
        chunks: 0,
        rows: 0,
        bytes: 0,
    };
    let mut reader = match ArchiveReader::open(store, found, trusted.keys, trusted.verifying).await {
        Ok(reader) => reader,
        Err(ReadError::Damage(damage)) => {
            report.damages.push(damage);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.trust = Some(reader.trust());
    let manifest = reader.manifest().clone();
    let mut tables = BTreeMap::<&str, RowDigest>::new();
    let names: BTreeSet<&str> = manifest.tables.iter().map(|table| table.table.as_str()).collect();
    while let Some(chunk) = reader.next().await {
        if !go_on() {
            return Err(ReadError::Stopped);
        }
        match chunk {
            Ok(chunk) => {
                report.chunks += 1;
                report.rows += chunk.records.len() as u64;
                report.bytes += manifest.chunks[chunk.number as usize].bytes;
                for record in &chunk.records {
                    match names.get(record.table.as_str()) {
                        Some(name) => tables.entry(name).or_default().push(&record.row),
                        None => report.damages.push(Damage::of(
                            found.chunk(chunk.number),
                            DamageKind::Rows(record.table.clone()),
                        )),
                    }
                }
            }
            Err(ReadError::Damage(damage)) => report.damages.push(damage),
            Err(error) => return Err(error),
        }
    }
    // With a chunk missing the digests cannot agree, and the chunk says already what is lost.
    if report.damages.is_empty() {
        for table in &manifest.tables {
            let digest = tables.remove(table.table.as_str()).unwrap_or_default();
            if (digest.rows(), digest.finish()) != (table.rows, table.sha256) {
                let kind = DamageKind::Rows(table.table.clone());
                report.damages.push(Damage::of(found.manifest(), kind));
            }
        }
    }
    report.damages.extend(strays(store, found, &manifest).await?);
    report.manifest = Some(manifest);
    Ok(report)
}

/// Objects in the folder that the manifest does not know.
async fn strays(store: &BackupStore, found: &Found, manifest: &Manifest) -> Result<Vec<Damage>, ReadError> {
    let known = |name: &str| {
        name == MANIFEST || chunk_number(name).is_some_and(|number| (number as usize) < manifest.chunks.len())
    };
    let objects = store.objects(found).await?;
    let strays = objects
        .into_iter()
        .filter(|(path, _)| path.parent() != Some(found.path()) || !path.filename().is_some_and(known));
    Ok(strays.map(|(path, _)| Damage::of(path, DamageKind::Stray)).collect())
}
