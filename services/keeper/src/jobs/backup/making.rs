//! One backup: a snapshot's rows on their way into the store, then read back.

use std::sync::Arc;

use chrono::{DateTime, Days as Shift, NaiveDate, Utc};
use stagedoor_archive::{
    ArchiveWriter, AuditHead, BackupId, Closing, Days, Found, Hash, KeyIds, Manifest, Opening, ReadError,
    Tombstone, Tombstones,
};
use stagedoor_audit::{AuditAction, AuditClient, AuditOpening, AuditResource};
use stagedoor_crypto::SigningKey;
use stagedoor_domain::{BackupClass, TenantContext};
use stagedoor_storage::backup_rows::{self, DaySpan, ErasedPerson, Surroundings};
use stagedoor_storage::backups::{self, BackupState, CatalogueEntry, Written};
use stagedoor_storage::{TenantTransaction, latest_migration, signing_keys};

use super::Work;
use crate::jobs::JobError;
use crate::jobs::restore::verifying;

/// Days before the last one of the backup before that the next one holds again: that day was not over, and a checkpoint
/// of the day before it may have come late.
const OVERLAP: Shift = Shift::new(1);

impl Work<'_> {
    /// Makes a backup and reads it back, on record in the tenant's trail. What is half written when it fails is cleared
    /// away.
    pub(super) async fn make(
        &self,
        context: &TenantContext,
        class: BackupClass,
        kept: &[CatalogueEntry],
    ) -> Result<(), JobError> {
        let keeper = self.keeper;
        let id = BackupId::generate(&*keeper.clock, &*keeper.entropy);
        let found = Found::new(context.tenant_id(), class, keeper.clock.now(), id);
        let opening = AuditOpening {
            resource: Some(AuditResource { kind: "backup", id: format!("{class}/{id}").into() }),
            ..AuditOpening::new(AuditAction::Backup, AuditClient::default())
        };
        let make = async {
            let manifest = match Box::pin(self.write(context, &found, kept)).await {
                Ok(manifest) => manifest,
                Err(error) => {
                    // If this fails as well, as it may where the store is out of reach, the next run does it.
                    let _ = self.clear(context, &found).await;
                    return Err(error);
                }
            };
            self.run.count("backups_made", 1);
            self.run.count("rows", manifest.rows());
            self.run.count("bytes", manifest.bytes());
            self.check(context, &found).await
        };
        keeper.audited(context, opening, make).await
    }

    async fn write(
        &self,
        context: &TenantContext,
        found: &Found,
        kept: &[CatalogueEntry],
    ) -> Result<Manifest, JobError> {
        let keeper = self.keeper;
        // Made now if there is none, so that the snapshot has it.
        let signing = signing_keys::active(&keeper.vault, context).await?;
        let mut snapshot = self.reading.snapshot(context).await?;
        let surroundings = backup_rows::surroundings(&mut snapshot).await?;
        let days = match found.class {
            BackupClass::Audit => days(&surroundings, kept, self.first_kept(context)),
            BackupClass::Sessions | BackupClass::Preferences => None,
        };
        let opening = Opening {
            tenant: found.tenant,
            slug: context.tenant().slug.clone(),
            class: found.class,
            id: found.id,
            taken_at: found.taken_at,
            schema_version: latest_migration(),
            days: days.map(|(first, last)| Days { first, last }),
            chunk_bytes: keeper.config.backup.chunk_bytes,
        };
        let entropy = Arc::clone(&keeper.entropy);
        let begun = ArchiveWriter::begin(self.store.clone(), opening, &*keeper.keys, entropy).await;
        let mut writer = begun.map_err(anyhow::Error::from)?;
        let (begun, wrapped_by) = ((found.id.0, found.class, found.taken_at), writer.wrapped_by());
        self.note(context, async |tx| backups::begin(tx, begun, wrapped_by).await).await?;
        for table in found.class.tables() {
            self.run.go_on()?;
            self.copy_table(&mut snapshot, &mut writer, table, days).await?;
        }
        let erased = backup_rows::erased_people(&mut snapshot).await?;
        snapshot.rollback().await?;
        let closing = closing(&surroundings, erased.len() as u64);
        // Before the manifest: whoever sees that backup finds all tombstones that it counts.
        match self.put_tombstones(context, found.taken_at, erased, &signing).await {
            // Said already. As long as the list does not open nothing is restored, and what is backed up is not lost.
            Err(JobError::Refused(_)) => {}
            put => drop(put?),
        }
        let manifest = writer.finish(closing, &signing).await.map_err(anyhow::Error::from)?;
        self.note(context, async |tx| backups::written(tx, found.id.0, written(&manifest)).await).await?;
        Ok(manifest)
    }

    async fn copy_table(
        &self,
        snapshot: &mut TenantTransaction,
        writer: &mut ArchiveWriter,
        table: &str,
        days: Option<DaySpan>,
    ) -> Result<(), JobError> {
        writer.table(table, backup_rows::columns(snapshot, table).await?);
        let push = async |row: String| {
            self.run.go_on()?;
            let pushed = writer.push(row).await;
            pushed.map_err(|error| JobError::Other(error.into()))
        };
        backup_rows::each_row(snapshot, table, days, push).await?;
        Ok(())
    }

    /// Stores who was erased, whether or not a backup is due: whatever backup is restored, they stay away.
    pub(super) async fn keep_tombstones(&self, context: &TenantContext) -> Result<(), JobError> {
        if self.run.dry_run() {
            return Ok(());
        }
        let signing = signing_keys::active(&self.keeper.vault, context).await?;
        let mut snapshot = self.reading.snapshot(context).await?;
        let erased = backup_rows::erased_people(&mut snapshot).await?;
        snapshot.rollback().await?;
        let forgotten = self.put_tombstones(context, self.keeper.clock.now(), erased, &signing).await?;
        if forgotten > 0 {
            return Err(JobError::Refused(format!(
                "{forgotten} people were erased of whom the database does not know it: if it was put back to an earlier \
                 time, run `restore tombstones`, which erases them again"
            )));
        }
        Ok(())
    }

    /// Adds to the list of the erased in the store; how many of those on it the database does not know. Refused, and the
    /// list left as it is, if it does not open.
    async fn put_tombstones(
        &self,
        context: &TenantContext,
        taken_at: DateTime<Utc>,
        erased: Vec<ErasedPerson>,
        signing: &SigningKey,
    ) -> Result<u64, JobError> {
        let entries = erased.into_iter().map(|person| Tombstone {
            subject_digest: Hash(person.subject_digest),
            request_id: person.request_id,
            erased_at: person.erased_at,
            requested_at: person.requested_at,
            due_by: person.due_by,
            completed_at: person.completed_at,
            receipt: person.receipt,
        });
        let known = Tombstones { taken_at, entries: entries.collect() };
        let (tenant, store) = (context.tenant_id(), &self.store);
        let keys = self.keeper.store.with_tenant(context, signing_keys::public_keys).await?;
        let keys: Vec<_> = keys.into_iter().map(|key| key.key).collect();
        let mut put = store.put_tombstones(tenant, known.clone(), signing, &keys).await;
        if matches!(put, Err(ReadError::Damage(_))) {
            let keys = Box::pin(verifying(self.keeper, context)).await?;
            put = store.put_tombstones(tenant, known, signing, &keys).await;
        }
        match put {
            Ok(forgotten) => Ok(forgotten),
            Err(ReadError::Damage(damage)) => Err(JobError::Refused(format!(
                "{damage}; the list of the erased is left as it is: remove the file if the ones before it are whole"
            ))),
            Err(error) => Err(JobError::Other(error.into())),
        }
    }
}

/// What the catalogue says of a finished backup.
pub(super) fn written(manifest: &Manifest) -> Written<'_> {
    Written {
        key_encryption_keys: &manifest.key_ids.key_encryption,
        days: manifest.days.map(|days| (days.first, days.last)),
        rows: manifest.rows(),
        chunks: u32::try_from(manifest.chunks.len()).unwrap_or(u32::MAX),
        bytes: manifest.bytes(),
    }
}

/// The days of the trail that no sound backup holds yet, and a little more; none while there is no trail. Earlier days
/// than `first_kept` are over, and may still be there.
fn days(surroundings: &Surroundings, kept: &[CatalogueEntry], first_kept: NaiveDate) -> Option<DaySpan> {
    let (first, last) = surroundings.audit_days?;
    let first = first.max(first_kept).min(last);
    let sound =
        |entry: &&CatalogueEntry| entry.class == BackupClass::Audit && entry.state == BackupState::Verified;
    let mut spans: Vec<_> = kept.iter().filter(sound).filter_map(|entry| entry.days).collect();
    spans.sort_unstable();
    // The last day of each was not over: it has to be held by another one as well.
    let next =
        spans.into_iter().fold(first, |next, span| if span.0 <= next { next.max(span.1) } else { next });
    let next = next.checked_sub_days(OVERLAP).unwrap_or(next);
    Some((next.clamp(first, last), last))
}

fn closing(surroundings: &Surroundings, tombstones: u64) -> Closing {
    Closing {
        audit_head: surroundings.audit_head.map(|(day, seq, hash)| AuditHead { day, seq, hash: Hash(hash) }),
        key_ids: KeyIds {
            key_encryption: surroundings.key_encryption_keys.clone(),
            tenant: surroundings.tenant_keys.clone(),
            subjects: surroundings.subject_keys,
        },
        tombstones,
    }
}
