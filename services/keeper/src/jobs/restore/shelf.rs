//! The store of backups, as a restore sees it: whose backups there are, their rows, and who was erased.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::iter;
use std::sync::Arc;

use anyhow::Context;
use stagedoor_archive::{ArchiveReader, BackupStore, Damage, DamageKind, Found, ReadError, RowDigest};
use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::{BackupClass, Tenant, TenantContext, TenantId, TenantSettings, TenantStatus};
use stagedoor_storage::restore::{RestoreError, Tombstone, erased_subjects};
use stagedoor_storage::{StoreError, signing_keys};
use uuid::Uuid;

use super::choice::{Until, newest_first};
use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

/// Rows that are put back at a time, at most; and bytes of them.
const ROWS: usize = 200;
const BYTES: usize = 1024 * 1024;
/// Rows that a refusal names.
const NAMED: usize = 50;

/// The store of backups, with what it takes to open them.
pub(super) struct Shelf<'a> {
    pub(super) store: BackupStore,
    pub(super) keeper: &'a Keeper,
}

/// A tenant that backups are of.
pub(super) struct Owner {
    pub(super) id: TenantId,
    /// As the database has it, if it does.
    pub(super) present: Option<Arc<Tenant>>,
    /// Its backups.
    pub(super) found: Vec<Found>,
    verifying: Vec<VerifyingKey>,
}

/// The rows of one table that follow each other in a backup.
pub(super) struct Batch {
    pub(super) table: String,
    pub(super) rows: Vec<String>,
}

impl<'a> Shelf<'a> {
    pub(super) fn open(keeper: &'a Keeper) -> Result<Self, JobError> {
        let store = stagedoor_assembly::backup_store(&keeper.config);
        Ok(Self { store: store.map_err(|error| JobError::misconfigured(&error))?, keeper })
    }

    /// The tenant of that name or id: one of the database, or one that only the store knows.
    pub(super) async fn owner(&self, named: &str) -> Result<Owner, JobError> {
        let present = match self.keeper.tenant(named).await {
            Ok(tenant) => Some(tenant),
            Err(JobError::Refused(_)) => None,
            Err(error) => return Err(error),
        };
        let id = match (&present, named.parse::<Uuid>()) {
            (Some(tenant), _) => tenant.id,
            (None, Ok(id)) => TenantId(id),
            (None, Err(_)) => self.named_in_manifests(named).await?,
        };
        let owner = self.owner_of(id, present).await?;
        if owner.found.is_empty() {
            return Err(JobError::Refused(format!("there is no backup of tenant {id}")));
        }
        Ok(owner)
    }

    pub(super) async fn owner_of(
        &self,
        id: TenantId,
        present: Option<Arc<Tenant>>,
    ) -> Result<Owner, JobError> {
        let found = self.store.list(Some(id)).await.map_err(|error| of_read(error.into()))?.found;
        let mut verifying = Vec::new();
        if let Some(tenant) = &present {
            let context = self.keeper.context(Arc::clone(tenant), "restore");
            let keys =
                self.keeper.store.with_tenant::<_, StoreError>(&context, signing_keys::public_keys).await?;
            verifying.extend(keys.into_iter().map(|key| key.key));
        }
        Ok(Owner { id, present, found, verifying })
    }

    async fn named_in_manifests(&self, slug: &str) -> Result<TenantId, JobError> {
        let listing = self.store.list(None).await.map_err(|error| of_read(error.into()))?;
        let mut of_tenants: BTreeMap<_, Vec<Found>> = BTreeMap::new();
        for found in listing.found {
            of_tenants.entry(found.tenant).or_default().push(found);
        }
        let mut named = Vec::new();
        for (tenant, mut backups) in of_tenants {
            backups.sort_by_key(|found| Reverse(found.taken_at));
            for found in &backups {
                match self.store.manifest(found).await {
                    Ok(manifest) => {
                        if manifest.tenant_slug == slug {
                            named.push(tenant);
                        }
                        break;
                    }
                    // An older one says it too.
                    Err(ReadError::Damage(_)) => {}
                    Err(error) => return Err(of_read(error)),
                }
            }
        }
        match named[..] {
            [id] => Ok(id),
            [] => Err(JobError::Refused(format!("neither the database nor a backup knows a tenant {slug}"))),
            _ => Err(JobError::Refused(format!("more than one tenant was called {slug}: name it by its id"))),
        }
    }

    /// Opens a backup.
    pub(super) async fn reader(&self, owner: &Owner, found: &Found) -> Result<ArchiveReader, JobError> {
        self.try_reader(owner, found).await.map_err(of_read)
    }

    /// The same for a caller that can do without it.
    pub(super) async fn try_reader(&self, owner: &Owner, found: &Found) -> Result<ArchiveReader, ReadError> {
        ArchiveReader::open(&self.store, found, &*self.keeper.keys, &owner.verifying).await
    }

    /// The tenant's row in a backup of sessions; none if the chunk with it is damaged.
    pub(super) async fn tenant_row(&self, reader: &ArchiveReader) -> Result<Option<String>, JobError> {
        match reader.chunk(0).await {
            Ok(records) => {
                let row = records.into_iter().find(|record| record.table == "tenants");
                Ok(row.map(|record| record.row))
            }
            Err(ReadError::Damage(_)) => Ok(None),
            Err(error) => Err(of_read(error)),
        }
    }

    /// The rows of some tables of the newest backup of sessions that opens, in batches of one table.
    pub(super) async fn newest_rows(&self, owner: &Owner, tables: &[&str]) -> Result<Vec<Batch>, JobError> {
        for found in newest_first(&owner.found, BackupClass::Sessions, Until::Now) {
            match self.try_reader(owner, &found).await {
                Ok(mut reader) => return rows_of(&mut reader, tables).await,
                Err(ReadError::Damage(_) | ReadError::Key(_)) => {}
                Err(error) => return Err(of_read(error)),
            }
        }
        Ok(Vec::new())
    }

    /// The tenant's public keys: those of the database, and of the newest backup that opens, which may know later ones.
    pub(super) async fn verifying(&self, owner: &Owner) -> Result<Vec<VerifyingKey>, JobError> {
        let mut verifying = owner.verifying.clone();
        for batch in self.newest_rows(owner, &["signing_keys"]).await? {
            verifying.extend(batch.rows.iter().filter_map(|row| public_key(row)));
        }
        Ok(verifying)
    }

    /// Who was erased, as far as the store knows; refused if it knows fewer than the newest backup says there were and the
    /// database does not make up for it.
    pub(super) async fn tombstones(&self, run: &Run, owner: &Owner) -> Result<Vec<Tombstone>, JobError> {
        if let Some(at) = self.store.deleted(owner.id).await.map_err(of_read)? {
            return Err(JobError::Refused(format!(
                "the tenant was deleted by {at}; what was deleted does not come back"
            )));
        }
        let verifying = self.verifying(owner).await?;
        let stored = self.store.tombstones(owner.id, &verifying).await.map_err(of_read)?;
        let taken_at = stored.as_ref().map(|stored| stored.taken_at);
        let stored = stored.map(|tombstones| tombstones.entries).unwrap_or_default();
        let mut known: HashSet<[u8; 32]> = stored.iter().map(|entry| entry.subject_digest.0).collect();
        if let Some(tenant) = &owner.present {
            let context = self.keeper.context(Arc::clone(tenant), "restore");
            let here = self.keeper.store.with_tenant::<_, StoreError>(&context, erased_subjects).await?;
            known.extend(here);
        }
        let mut expected = 0;
        for found in &owner.found {
            match self.store.manifest(found).await {
                Ok(manifest) => expected = expected.max(manifest.tombstones),
                // A list that is as new as the backup knows all that it counts.
                Err(ReadError::Damage(damage)) => {
                    if owner.present.is_none() && taken_at.is_none_or(|taken| taken < found.taken_at) {
                        return Err(JobError::Refused(format!(
                            "{damage}; how many people had been erased by then is not known, and the list of them is older"
                        )));
                    }
                }
                Err(error) => return Err(of_read(error)),
            }
        }
        if (known.len() as u64) < expected {
            return Err(JobError::Refused(format!(
                "a backup says that {expected} people were erased, and only {} of them are known: the newest list of them \
                 is missing from the store, and without it they could come back",
                known.len()
            )));
        }
        if owner.present.is_none() {
            match taken_at {
                Some(at) => run.remark(format_args!(
                    "who was erased after {at} is not known here: look at the receipts of that time"
                )),
                None => run.remark("nobody is known to have been erased: the store has no list"),
            }
        }
        Ok(stored
            .into_iter()
            .map(|entry| Tombstone {
                subject: entry.subject_digest.0,
                request: entry.request_id,
                erased_at: entry.erased_at,
                requested_at: entry.requested_at,
                due_by: entry.due_by,
                receipt: entry.receipt,
            })
            .collect())
    }

    /// The context of a tenant: of the one in the database, or as its row in a backup says.
    pub(super) fn context(&self, owner: &Owner, row: Option<&str>) -> Result<TenantContext, JobError> {
        if let Some(tenant) = &owner.present {
            return Ok(self.keeper.context(Arc::clone(tenant), "restore"));
        }
        let row = row.ok_or_else(|| refused(RestoreError::NoTenant))?;
        Ok(self.keeper.context(Arc::new(tenant_of(owner.id, row)?), "restore"))
    }
}

/// The tenant that a row of a backup is about.
pub(super) fn tenant_of(id: TenantId, row: &str) -> Result<Tenant, JobError> {
    let row: serde_json::Value = serde_json::from_str(row).context("the tenant's row in the backup")?;
    let slug = row["slug"].as_str().unwrap_or_default().parse();
    let (settings, _) = TenantSettings::read(&row["settings"]);
    Ok(Tenant {
        id,
        slug: slug.context("the tenant's name in the backup")?,
        status: TenantStatus::Active,
        settings,
    })
}

/// Calls `push` with the rows of a backup, a batch of one table at a time, and checks that they are what the manifest says.
/// A damaged chunk is refused, or with `partial` told to `damaged` and passed over.
pub(super) async fn each_batch(
    reader: &mut ArchiveReader,
    partial: bool,
    damaged: &mut Vec<Damage>,
    mut push: impl AsyncFnMut(&str, &[String]) -> Result<(), JobError>,
) -> Result<(), JobError> {
    let mut digests = BTreeMap::<String, RowDigest>::new();
    let before = damaged.len();
    while let Some(chunk) = reader.next().await {
        let records = match chunk {
            Ok(chunk) => chunk.records,
            Err(ReadError::Damage(damage)) if partial => {
                damaged.push(damage);
                continue;
            }
            Err(ReadError::Damage(damage)) => {
                return Err(JobError::Refused(format!("{damage}; add --partial to restore the rest")));
            }
            Err(error) => return Err(of_read(error)),
        };
        for batch in batches(records.into_iter().map(|record| (record.table, record.row))) {
            let digest = digests.entry(batch.table.clone()).or_default();
            batch.rows.iter().for_each(|row| digest.push(row));
            push(&batch.table, &batch.rows).await?;
        }
    }
    if damaged.len() > before {
        return Ok(());
    }
    for entry in &reader.manifest().tables {
        let digest = digests.remove(&entry.table).unwrap_or_default();
        if digest.rows() != entry.rows || digest.finish() != entry.sha256 {
            let kind = DamageKind::Rows(entry.table.clone());
            return Err(JobError::Refused(format!("{}: {kind}", reader.found())));
        }
    }
    Ok(())
}

/// The rows of some tables of a backup, but for those in damaged chunks.
pub(super) async fn rows_of(reader: &mut ArchiveReader, tables: &[&str]) -> Result<Vec<Batch>, JobError> {
    let wanted: Vec<u32> = (0..reader.chunks())
        .filter(|chunk| {
            let held = reader.manifest().rows_in(*chunk);
            held.iter().any(|rows| tables.contains(&&*rows.table))
        })
        .collect();
    let mut found = Vec::new();
    for chunk in wanted {
        let records = match reader.chunk(chunk).await {
            Ok(records) => records,
            Err(ReadError::Damage(_)) => continue,
            Err(error) => return Err(of_read(error)),
        };
        let records = records.into_iter().filter(|record| tables.contains(&&*record.table));
        found.extend(batches(records.map(|record| (record.table, record.row))));
    }
    Ok(found)
}

fn batches(rows: impl Iterator<Item = (String, String)>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    for (table, row) in rows {
        match batches.last_mut() {
            Some(batch) if batch.table == table && batch.rows.len() < ROWS && bytes + row.len() <= BYTES => {
                bytes += row.len();
                batch.rows.push(row);
            }
            _ => {
                bytes = row.len();
                batches.push(Batch { table, rows: vec![row] });
            }
        }
    }
    batches
}

fn public_key(row: &str) -> Option<VerifyingKey> {
    let row: serde_json::Value = serde_json::from_str(row).ok()?;
    let id = row["key_id"].as_str()?.parse().ok()?;
    let key = stagedoor_storage::restore::bytes(&row["public_key"])?;
    VerifyingKey::new(id, &key)
}

/// What a backup that does not open means for the run.
pub(super) fn of_read(error: ReadError) -> JobError {
    match error {
        ReadError::Damage(damage) => JobError::Refused(damage.to_string()),
        error => JobError::Other(anyhow::Error::new(error)),
    }
}

/// What a restore that was refused means for the run.
pub(super) fn refused(error: RestoreError) -> JobError {
    match error {
        RestoreError::Store(error) => JobError::Store(error),
        RestoreError::Losses(losses) => {
            let named =
                losses.iter().take(NAMED).map(|loss| format!("{} {}: {}", loss.table, loss.row, loss.why));
            let lines: Vec<String> =
                iter::once(RestoreError::Losses(losses.clone()).to_string()).chain(named).collect();
            JobError::Refused(lines.join("\n"))
        }
        error => JobError::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_of_one_table_and_bounded() {
        let row = |table: &str, length: usize| (table.to_owned(), "x".repeat(length));
        let rows = [row("a", 1), row("a", 1), row("b", BYTES), row("b", 1), row("a", 1)];
        let told: Vec<_> =
            batches(rows.into_iter()).iter().map(|batch| (batch.table.clone(), batch.rows.len())).collect();
        let told: Vec<_> = told.iter().map(|(table, rows)| (table.as_str(), *rows)).collect();
        assert_eq!(told, [("a", 2), ("b", 1), ("b", 1), ("a", 1)]);
        let many = batches((0..=ROWS).map(|_| row("a", 1)));
        assert_eq!(many.iter().map(|batch| batch.rows.len()).collect::<Vec<_>>(), [ROWS, 1]);
    }
}
