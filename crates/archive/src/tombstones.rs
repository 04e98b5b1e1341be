//! Who was erased, kept beside the backups: whoever restores one replays this first, so that nobody comes back even where
//! the database is lost. A digest of two random numbers and a time for each person; nothing about anyone.
//!
//! A file is one of `stagedoor_crypto::signed_lines`: a first line that names format, tenant and time, then one line for
//! each person, then the signed manifest. Each backup writes a new one; the last three are kept. Whoever is in one is in
//! all later ones: a database that was put back to an earlier time must not make the store forget.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use stagedoor_crypto::{SignedLinesReader, SignedLinesWriter, SigningKey, VerifyingKey};
use stagedoor_domain::TenantId;
use uuid::Uuid;

use crate::damage::{Damage, DamageKind};
use crate::error::{ArchiveError, ReadError};
use crate::hash::Hash;
use crate::place;
use crate::store::{BackupStore, Object};

const FORMAT: &str = "stagedoor/tombstones/1";
const DELETED_FORMAT: &str = "stagedoor/tenant-deleted/1";
const KEPT: usize = 3;
const LONGEST: u64 = 1024 * 1024 * 1024;

/// That someone was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// SHA-256('stagedoor/subject/1' | tenant 16 | user 16).
    pub subject_digest: Hash,
    /// The request by which it was done.
    pub request_id: Uuid,
    /// When.
    pub erased_at: DateTime<Utc>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// By when it had to be done.
    pub due_by: DateTime<Utc>,
    /// When it was done; none while the receipt was missing.
    pub completed_at: Option<DateTime<Utc>>,
    /// The signed receipt, which names nobody.
    pub receipt: Option<String>,
}

/// All tombstones of a tenant at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstones {
    /// When they were read from the database.
    pub taken_at: DateTime<Utc>,
    /// The tombstones.
    pub entries: Vec<Tombstone>,
}

/// That a whole tenant was deleted. Neither signed nor sealed: by then it has no key, and all that this can do is refuse.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deleted {
    format: String,
    tenant_id: TenantId,
    noticed_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    tenant_id: TenantId,
    taken_at: DateTime<Utc>,
}

impl BackupStore {
    /// Stores a tenant's tombstones, those that `known` has and those of the newest file, which one of `verifying` must
    /// have signed; answers how many of them `known` lacked. The file gets the newest time of all, whatever the clock says;
    /// all but the newest files go.
    ///
    /// # Errors
    /// If the newest file does not open: nothing is written then.
    pub async fn put_tombstones(
        &self,
        tenant: TenantId,
        known: Tombstones,
        signing: &SigningKey,
        verifying: &[VerifyingKey],
    ) -> Result<u64, ReadError> {
        let stored =
            self.tombstones(tenant, verifying).await?.map(|stored| stored.entries).unwrap_or_default();
        let (all, unknown) = union(known, stored);
        self.write_tombstones(tenant, &all, signing).await?;
        Ok(unknown)
    }

    async fn write_tombstones(
        &self,
        tenant: TenantId,
        tombstones: &Tombstones,
        signing: &SigningKey,
    ) -> Result<(), ArchiveError> {
        let newest = self.tombstone_files(tenant).await?.pop().map(|(time, _)| time + TimeDelta::seconds(1));
        let taken_at = newest.map_or(tombstones.taken_at, |newest| newest.max(tombstones.taken_at));
        let mut writer = SignedLinesWriter::default();
        let head = Head { format: FORMAT.to_owned(), tenant_id: tenant, taken_at };
        let mut file = writer.push(&head).map_err(ArchiveError::Rendering)?;
        for entry in &tombstones.entries {
            file.extend(writer.push(entry).map_err(ArchiveError::Rendering)?);
        }
        file.extend(writer.finish(signing));
        self.put(&place::tombstones(tenant, taken_at), file).await?;
        let files = self.tombstone_files(tenant).await?;
        for (_, path) in files.iter().rev().skip(KEPT) {
            self.delete(path).await?;
        }
        Ok(())
    }

    /// The newest tombstones of a tenant, signed by one of `verifying`; none if none were ever stored.
    pub async fn tombstones(
        &self,
        tenant: TenantId,
        verifying: &[VerifyingKey],
    ) -> Result<Option<Tombstones>, ReadError> {
        let files = self.tombstone_files(tenant).await?;
        let Some((_, path)) = files.last() else { return Ok(None) };
        let damage = |kind| Damage::of(path, kind);
        let file = match self.get(path, LONGEST).await? {
            Object::Bytes(bytes) => bytes,
            Object::Absent => return Err(damage(DamageKind::Missing).into()),
            Object::OtherLength(_) => {
                return Err(damage(DamageKind::Unreadable("it is too long".to_owned())).into());
            }
        };
        let tombstones = read(&file, tenant, verifying).map_err(damage)?;
        if place::tombstones(tenant, tombstones.taken_at) != *path {
            return Err(damage(DamageKind::OtherTime).into());
        }
        Ok(Some(tombstones))
    }

    /// Notes that a whole tenant was deleted, so that it does not come back into another database.
    pub async fn put_deleted(&self, tenant: TenantId, noticed_at: DateTime<Utc>) -> Result<(), ArchiveError> {
        let deleted = Deleted { format: DELETED_FORMAT.to_owned(), tenant_id: tenant, noticed_at };
        let file = serde_json::to_vec(&deleted).map_err(ArchiveError::Rendering)?;
        self.put(&place::deleted(tenant), file).await
    }

    /// When it was noticed that the tenant was deleted, if that was ever noted.
    pub async fn deleted(&self, tenant: TenantId) -> Result<Option<DateTime<Utc>>, ReadError> {
        const LONGEST: u64 = 4096;
        let path = place::deleted(tenant);
        let unreadable = |why: String| Damage::of(&path, DamageKind::Unreadable(why));
        match self.get(&path, LONGEST).await? {
            Object::Absent => Ok(None),
            Object::OtherLength(_) => Err(unreadable("it is too long".to_owned()).into()),
            Object::Bytes(bytes) => {
                let read = serde_json::from_slice::<Deleted>(&bytes);
                Ok(Some(read.map_err(|error| unreadable(error.to_string()))?.noticed_at))
            }
        }
    }

    /// Oldest first.
    async fn tombstone_files(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(DateTime<Utc>, object_store::path::Path)>, ArchiveError> {
        let objects = self.list_folder(&place::tombstone_folder(tenant)).await?;
        let dated = objects.into_iter().filter_map(|(path, _)| Some((place::tombstones_time(&path)?, path)));
        let mut files: Vec<_> = dated.collect();
        files.sort();
        Ok(files)
    }
}

/// Of one whom both know, the receipt that only the store has is kept.
fn union(known: Tombstones, stored: Vec<Tombstone>) -> (Tombstones, u64) {
    let mut all: BTreeMap<_, _> =
        known.entries.into_iter().map(|entry| (entry.subject_digest, entry)).collect();
    let mut unknown = 0;
    for entry in stored {
        match all.get(&entry.subject_digest) {
            Some(known) if known.receipt.is_some() || entry.receipt.is_none() => continue,
            Some(_) => {}
            None => unknown += 1,
        }
        all.insert(entry.subject_digest, entry);
    }
    (Tombstones { taken_at: known.taken_at, entries: all.into_values().collect() }, unknown)
}

fn read(file: &[u8], tenant: TenantId, verifying: &[VerifyingKey]) -> Result<Tombstones, DamageKind> {
    let unreadable = |error: &dyn std::error::Error| DamageKind::Unreadable(error.to_string());
    let mut reader = SignedLinesReader::new(file);
    let first = reader.next_line().map_err(|error| unreadable(&error))?;
    let first = first.ok_or_else(|| DamageKind::Unreadable("it is empty".to_owned()))?;
    let head: Head = serde_json::from_slice(&first).map_err(|error| unreadable(&error))?;
    if head.format != FORMAT {
        return Err(DamageKind::UnknownFormat(head.format));
    }
    if head.tenant_id != tenant {
        return Err(DamageKind::Unreadable(format!("it is of tenant {}", head.tenant_id)));
    }
    let mut entries = Vec::new();
    while let Some(line) = reader.next_line().map_err(|error| unreadable(&error))? {
        entries.push(serde_json::from_slice(&line).map_err(|error| unreadable(&error))?);
    }
    reader.verify(verifying).map_err(|error| match error {
        stagedoor_crypto::signed_lines::SignedLinesError::Signature => DamageKind::Signature,
        error => unreadable(&error),
    })?;
    Ok(Tombstones { taken_at: head.taken_at, entries })
}
