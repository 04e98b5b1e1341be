//! Brings checkpoints from the database to the archive, tenant by tenant, each its share at a time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use stagedoor_domain::{TenantContext, TenantId};
use stagedoor_storage::{StoreError, audit};
use uuid::Uuid;

use super::checkpointer::{Checkpointer, PAGE, SealError};
use super::{ArchiveError, Archived, Checkpoint, CheckpointArchive};

/// Checkpoints of one tenant in one look, and how many are written at the same time.
const SHARE: i64 = 200;
const AT_ONCE: usize = 8;
/// The longest that one look may take; the next one goes on where it ended.
const PATIENCE: Duration = Duration::from_mins(1);

impl Checkpointer {
    /// Brings what the archive lacks to it. An error is the store's.
    pub(super) async fn look_at_archive(&self) -> Result<(), StoreError> {
        let Some(archive) = &self.shared.archive else { return Ok(()) };
        let figures = &self.shared.figures;
        figures.archive_lag.store(self.lag().await?, Ordering::Relaxed);
        let outcome = match tokio::time::timeout(PATIENCE, self.bring_to(archive)).await {
            Ok(Err(SealError::Store(error))) => return Err(error),
            Ok(Err(SealError::Archive(error))) => Some(error),
            Ok(Ok(())) => None,
            Err(_) => Some(ArchiveError::TimedOut),
        };
        figures.archive_lag.store(self.lag().await?, Ordering::Relaxed);
        figures.note_archive(outcome.as_ref());
        Ok(())
    }

    /// One share of what the archive lacks of the tenant. Answers whether there may be more.
    pub(super) async fn archive_some(
        &self,
        archive: &CheckpointArchive,
        context: &TenantContext,
    ) -> Result<bool, SealError> {
        let (store, figures) = (self.shared.vault.store(), &self.shared.figures);
        let read = async |tx: &mut _| {
            let archived = audit::checkpoint_head(tx).await?.map_or(0, |line| line.archived);
            audit::checkpoints_after(tx, archived, SHARE).await
        };
        let lacking = store.with_tenant::<_, StoreError>(context, read).await?;
        let mut puts = Vec::with_capacity(lacking.len());
        for stored in &lacking {
            puts.push(put(archive.clone(), Checkpoint::of(context.tenant_id(), stored)));
        }
        let mut puts = stream::iter(puts).buffered(AT_ONCE);
        let (mut up_to, mut trouble) = (None, None);
        while let Some((number, outcome)) = puts.next().await {
            match outcome {
                Ok(Archived::Same) => {}
                Ok(Archived::Forked) => {
                    figures.archive_failures.fetch_add(1, Ordering::Relaxed);
                    let tenant = context.tenant_id();
                    tracing::error!(%tenant, number, "the archive has another checkpoint of this number: the database was rewound");
                }
                Err(error) => {
                    figures.archive_failures.fetch_add(1, Ordering::Relaxed);
                    trouble = Some(error);
                    break;
                }
            }
            figures.archived.fetch_add(1, Ordering::Relaxed);
            up_to = Some(number);
        }
        if let Some(number) = up_to {
            let note = async |tx: &mut _| audit::checkpoints_archived(tx, number).await;
            store.with_tenant::<_, StoreError>(context, note).await?;
        }
        match trouble {
            Some(error) => Err(error.into()),
            None => Ok(up_to.is_some()),
        }
    }

    /// Goes round the tenants, from the one after the last one that had its turn.
    async fn bring_to(&self, archive: &CheckpointArchive) -> Result<(), SealError> {
        let (start, first) = (self.shared.figures.archive_place(), TenantId(Uuid::nil()));
        self.bring_from(archive, start, None).await?;
        if start != first {
            self.bring_from(archive, first, Some(start)).await?;
        }
        Ok(())
    }

    async fn bring_from(
        &self,
        archive: &CheckpointArchive,
        mut after: TenantId,
        up_to: Option<TenantId>,
    ) -> Result<(), SealError> {
        loop {
            let tenants = self.shared.vault.store().unarchived_checkpoints(after, PAGE).await?;
            if tenants.is_empty() {
                return Ok(());
            }
            for (tenant, _) in tenants {
                if up_to.is_some_and(|up_to| tenant > up_to) {
                    return Ok(());
                }
                self.shared.figures.set_archive_place(tenant);
                if let Some(context) = self.context(tenant).await? {
                    // An object store that does not answer does not for the next tenant either.
                    self.archive_some(archive, &context).await?;
                }
                after = tenant;
            }
        }
    }

    /// Checkpoints that the archive lacks.
    async fn lag(&self) -> Result<u64, StoreError> {
        let (mut after, mut lag) = (TenantId(Uuid::nil()), 0);
        loop {
            let tenants = self.shared.vault.store().unarchived_checkpoints(after, PAGE).await?;
            let Some((last, _)) = tenants.last().copied() else { return Ok(lag) };
            lag += tenants.iter().map(|(_, lacking)| lacking.unsigned_abs()).sum::<u64>();
            after = last;
        }
    }
}

async fn put(archive: CheckpointArchive, checkpoint: Checkpoint) -> (i64, Result<Archived, ArchiveError>) {
    let outcome = archive.put(&checkpoint).await;
    (checkpoint.number, outcome)
}
