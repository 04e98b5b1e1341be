//! Where things are in the store: the names of folders and objects, and what a name says.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{Clock, Entropy, TenantId};
use uuid::Uuid;

use crate::Class;

pub(crate) const BACKUPS: [&str; 2] = ["backups", "v1"];
pub(crate) const TOMBSTONES: [&str; 2] = ["tombstones", "v1"];
pub(crate) const MANIFEST: &str = "manifest.json";
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A backup's id; its key has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupId(pub Uuid);

impl BackupId {
    /// A new id, ordered by time.
    pub fn generate(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        Self(stagedoor_domain::ids::uuid_v7(clock, entropy))
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A backup's place in the store. That something is there says nothing about whether it is sound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    /// Whose.
    pub tenant: TenantId,
    /// Of what.
    pub class: Class,
    /// When it was begun, to the second.
    pub taken_at: DateTime<Utc>,
    /// Its id.
    pub id: BackupId,
}

/// A folder without a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished(pub Found);

impl Found {
    /// The place of a backup; its time is cut to the second, as folders name it.
    pub fn new(tenant: TenantId, class: Class, taken_at: DateTime<Utc>, id: BackupId) -> Self {
        let whole = DateTime::from_timestamp(taken_at.timestamp(), 0).unwrap_or(taken_at);
        Self { tenant, class, taken_at: whole, id }
    }

    /// The folder, relative to the store's address.
    pub fn folder(&self) -> String {
        self.path().to_string()
    }

    pub(crate) fn path(&self) -> Path {
        class_folder(self.tenant, self.class).join(format!("{}-{}", self.taken_at.format(TIME), self.id))
    }

    pub(crate) fn chunk(&self, number: u32) -> Path {
        self.path().join(format!("chunk-{number:05}"))
    }

    pub(crate) fn manifest(&self) -> Path {
        self.path().join(MANIFEST)
    }

    /// The backup that an object belongs to by its name, and the name within the folder.
    pub(crate) fn of_object(path: &Path) -> Option<(Self, String)> {
        let parts: Vec<_> = path.parts().map(|part| part.as_ref().to_owned()).collect();
        let [backups, version, tenant, class, folder, object] = <[String; 6]>::try_from(parts).ok()?;
        if [backups, version] != BACKUPS {
            return None;
        }
        let (time, id) = folder.split_once('-')?;
        let found = Self {
            tenant: TenantId(tenant.parse().ok()?),
            class: class.parse().ok()?,
            taken_at: NaiveDateTime::parse_from_str(time, TIME).ok()?.and_utc(),
            id: BackupId(id.parse().ok()?),
        };
        Some((found, object))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path().as_ref())
    }
}

/// A chunk's number by its object's name.
pub(crate) fn chunk_number(object: &str) -> Option<u32> {
    let number = object.strip_prefix("chunk-")?.parse().ok()?;
    (object == format!("chunk-{number:05}")).then_some(number)
}

pub(crate) fn class_folder(tenant: TenantId, class: Class) -> Path {
    tenant_folder(tenant).join(class.as_str())
}

pub(crate) fn tenant_folder(tenant: TenantId) -> Path {
    Path::from_iter(BACKUPS).join(tenant.to_string())
}

pub(crate) fn tombstone_folder(tenant: TenantId) -> Path {
    Path::from_iter(TOMBSTONES).join(tenant.to_string())
}

pub(crate) fn tombstones(tenant: TenantId, taken_at: DateTime<Utc>) -> Path {
    tombstone_folder(tenant).join(format!("{}.jsonl", taken_at.format(TIME)))
}

pub(crate) fn deleted(tenant: TenantId) -> Path {
    tombstone_folder(tenant).join("deleted.json")
}

pub(crate) fn tombstones_time(path: &Path) -> Option<DateTime<Utc>> {
    let time = path.filename()?.strip_suffix(".jsonl")?;
    Some(NaiveDateTime::parse_from_str(time, TIME).ok()?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_backup_it_is() {
        let time = DateTime::parse_from_rfc3339("2026-11-22T10:44:54.125Z").unwrap().to_utc();
        let (tenant, id) = (TenantId(Uuid::from_u128(1)), BackupId(Uuid::from_u128(2)));
        let found = Found::new(tenant, Class::Audit, time, id);
        assert_eq!(
            found.chunk(7).as_ref(),
            "backups/v1/00000000-0000-0000-0000-000000000001/audit/\
             20261122T104454Z-00000000-0000-0000-0000-000000000002/chunk-00007"
        );
        assert_eq!(Found::of_object(&found.chunk(7)), Some((found.clone(), "chunk-00007".to_owned())));
        assert_eq!((chunk_number("chunk-00007"), chunk_number("chunk-7")), (Some(7), None));
        assert_eq!(Found::of_object(&found.path()), None);
        assert_eq!(tombstones_time(&tombstones(tenant, time)), Some(found.taken_at));
    }
}
