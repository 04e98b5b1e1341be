//! Signs a checkpoint of each chain that grew, and carries checkpoints to the archive. Every replica may do so: who
//! comes second adds nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, SubsecRound, TimeDelta, Utc};
use stagedoor_domain::error::Chain as Causes;
use stagedoor_domain::{CallId, TenantContext, TenantId, TenantStatus};
use stagedoor_storage::audit::{self, ChainHead, CheckpointHead};
use stagedoor_storage::{KeyVault, StoreError, signing_keys};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::figures::Figures;
use super::{ArchiveError, Checkpoint, CheckpointArchive, CheckpointCounts};

/// Looks at the chains in one interval: a replica that comes late must not make a record wait for much longer.
const LOOKS: u32 = 4;
/// Days that each look goes back; chains that are older and yet grew are looked for at the start and now and then.
const RECENT_DAYS: u64 = 2;
const ALL_DAYS: u64 = 3_660;
const LOOKS_BETWEEN_ALL: u64 = 240;
/// Rows of one query.
const PAGE: i32 = 500;
const ARCHIVED_AT_ONCE: i64 = 100;

/// Makes checkpoints. Clones share it.
#[derive(Clone)]
pub struct Checkpointer {
    shared: Arc<Shared>,
}

struct Shared {
    vault: Arc<KeyVault>,
    archive: Option<CheckpointArchive>,
    interval: Duration,
    figures: Figures,
}

/// What is known of a chain before it is sealed.
struct Standing {
    head: ChainHead,
    line: Option<CheckpointHead>,
    last_signed: Option<DateTime<Utc>>,
    oldest: Option<DateTime<Utc>>,
}

impl Checkpointer {
    /// One that seals each chain that grew once in an `interval`, whichever replica does it.
    pub fn new(vault: Arc<KeyVault>, archive: Option<CheckpointArchive>, interval: Duration) -> Self {
        Self { shared: Arc::new(Shared { vault, archive, interval, figures: Figures::default() }) }
    }

    /// Makes checkpoints until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut looks = interval((self.shared.interval / LOOKS).max(Duration::from_millis(10)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            loop {
                looks.tick().await;
                let outcome = self.look().await;
                self.shared.figures.note_store(outcome.as_ref().err());
            }
        };
        shutdown.run_until_cancelled(work).await;
    }

    /// Looks at every tenant's recent chains, seals those whose time has come, and brings the archive up to date. An
    /// error is the store's; what goes wrong with one tenant or with the archive is counted and logged.
    pub async fn look(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        let looks = shared.figures.looks.fetch_add(1, Ordering::Relaxed);
        let back = if looks.is_multiple_of(LOOKS_BETWEEN_ALL) { ALL_DAYS } else { RECENT_DAYS };
        let today = shared.vault.clock().now().date_naive();
        let first = today.checked_sub_days(Days::new(back)).unwrap_or(today);
        let (mut after, mut oldest) = ((first, TenantId(Uuid::nil())), None);
        loop {
            let chains = shared.vault.store().unsealed_audit_chains(after, PAGE).await?;
            let Some(last) = chains.last().copied() else { break };
            for (day, tenant) in chains {
                let left = self.seal_if_due(tenant, day).await;
                oldest = [oldest, left].into_iter().flatten().min();
            }
            after = last;
        }
        shared.figures.set_oldest_unsealed(oldest);
        match &shared.archive {
            Some(archive) => self.bring_to(archive).await,
            None => Ok(()),
        }
    }

    /// Seals the tenant's chains of these days now, if they grew since their last checkpoint, and brings the archive up
    /// to date with the tenant. Answers how many checkpoints it made.
    pub async fn seal(
        &self,
        context: &TenantContext,
        days: impl IntoIterator<Item = NaiveDate>,
    ) -> Result<u64, SealError> {
        let mut made = 0;
        for day in days {
            // Another replica was faster if it was not added: what that one sealed may not be all.
            while let Some(standing) = self.standing(context, day).await? {
                if self.add(context, &standing).await? {
                    made += 1;
                    break;
                }
            }
        }
        if let Some(archive) = &self.shared.archive {
            self.archive_tenant(archive, context).await?;
        }
        Ok(made)
    }

    /// Totals since the start, and how far behind it is.
    pub fn counts(&self) -> CheckpointCounts {
        self.shared.figures.counts(self.shared.vault.clock().now())
    }

    /// The time of the chain's oldest record that is not sealed after that.
    async fn seal_if_due(&self, tenant: TenantId, day: NaiveDate) -> Option<DateTime<Utc>> {
        let mut oldest = None;
        let outcome: Result<(), StoreError> = async {
            let Some(context) = self.context(tenant).await? else { return Ok(()) };
            let Some(standing) = self.standing(&context, day).await? else { return Ok(()) };
            oldest = standing.oldest;
            if self.is_due(&standing) {
                self.add(&context, &standing).await?;
                oldest = None;
            }
            Ok(())
        }
        .await;
        if let Err(error) = outcome {
            self.shared.figures.failures.fetch_add(1, Ordering::Relaxed);
            let error = Causes(&error);
            tracing::warn!(%error, %tenant, %day, "a chain of the audit trail was not sealed; it is tried again");
        }
        oldest
    }

    /// A chain without a checkpoint, or whose last one is nearly an interval old, by whatever clock that was signed.
    fn is_due(&self, standing: &Standing) -> bool {
        let interval = TimeDelta::from_std(self.shared.interval).unwrap_or(TimeDelta::MAX);
        standing.last_signed.is_none_or(|signed| {
            let age = self.shared.vault.clock().now() - signed;
            age >= interval * 3 / 4 || age < -interval
        })
    }

    /// How the chain stands; `None` if all of it is sealed.
    async fn standing(
        &self,
        context: &TenantContext,
        day: NaiveDate,
    ) -> Result<Option<Standing>, StoreError> {
        let read = async |tx: &mut _| {
            let head = audit::head(tx, day).await?.filter(|head| head.sealed_seq < head.seq);
            let Some(head) = head else { return Ok(None) };
            let line = audit::checkpoint_head(tx).await?;
            let last = audit::checkpoints_of_day(tx, day, head.sealed_seq - 1, 1).await?;
            let oldest = audit::records(tx, day, head.sealed_seq, 1).await?;
            Ok(Some(Standing {
                head,
                line,
                last_signed: last.first().map(|last| last.signed_at),
                oldest: oldest.first().map(|record| record.occurred_at),
            }))
        };
        self.shared.vault.store().with_tenant(context, read).await
    }

    async fn add(&self, context: &TenantContext, standing: &Standing) -> Result<bool, StoreError> {
        let (vault, tenant) = (&self.shared.vault, context.tenant_id());
        let key = signing_keys::active(vault, context).await?;
        let (number, previous_digest) = match &standing.line {
            Some(line) => (line.number, line.digest.as_slice().try_into().unwrap_or([0; 32])),
            None => (0, Checkpoint::genesis(tenant)),
        };
        let checkpoint = Checkpoint {
            tenant,
            day: standing.head.day,
            seq: standing.head.seq,
            hash: standing.head.hash.as_slice().try_into().unwrap_or([0; 32]),
            number: number + 1,
            previous_digest,
            signed_at: vault.clock().now().trunc_subsecs(6).timestamp_micros(),
            key_id: key.id(),
            signature: [0; 64],
        };
        let stored = checkpoint.signed(&key).stored();
        let added =
            vault.store().with_tenant(context, async |tx| audit::add_checkpoint(tx, &stored).await).await?;
        self.shared.figures.written.fetch_add(added.into(), Ordering::Relaxed);
        Ok(added)
    }

    async fn bring_to(&self, archive: &CheckpointArchive) -> Result<(), StoreError> {
        let (mut after, mut lag, mut trouble) = (TenantId(Uuid::nil()), 0, None);
        loop {
            let tenants = self.shared.vault.store().unarchived_checkpoints(after, PAGE).await?;
            let Some((last, _)) = tenants.last().copied() else { break };
            for (tenant, lacking) in tenants {
                let lacking = lacking.unsigned_abs();
                // An object store that does not answer does not for the next tenant either.
                if matches!(trouble, Some(ArchiveError::Store(_) | ArchiveError::TimedOut)) {
                    lag += lacking;
                    continue;
                }
                let Some(context) = self.context(tenant).await? else { continue };
                match self.archive_tenant(archive, &context).await {
                    Ok(()) => {}
                    Err(SealError::Store(error)) => return Err(error),
                    Err(SealError::Archive(error)) => {
                        lag += lacking;
                        trouble = Some(error);
                    }
                }
            }
            after = last;
        }
        self.shared.figures.archive_lag.store(lag, Ordering::Relaxed);
        self.shared.figures.note_archive(trouble.as_ref());
        Ok(())
    }

    async fn archive_tenant(
        &self,
        archive: &CheckpointArchive,
        context: &TenantContext,
    ) -> Result<(), SealError> {
        let store = self.shared.vault.store();
        loop {
            let read = async |tx: &mut _| {
                let archived = audit::checkpoint_head(tx).await?.map_or(0, |line| line.archived);
                audit::checkpoints_after(tx, archived, ARCHIVED_AT_ONCE).await
            };
            let lacking = store.with_tenant::<_, StoreError>(context, read).await?;
            if lacking.is_empty() {
                return Ok(());
            }
            let (mut up_to, mut outcome) = (None, Ok(()));
            for stored in &lacking {
                outcome = archive.put(&Checkpoint::of(context.tenant_id(), stored)).await;
                if outcome.is_err() {
                    break;
                }
                up_to = Some(stored.number);
                self.shared.figures.archived.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(number) = up_to {
                let note = async |tx: &mut _| audit::checkpoints_archived(tx, number).await;
                store.with_tenant::<_, StoreError>(context, note).await?;
            }
            if let Err(error) = outcome {
                self.shared.figures.archive_failures.fetch_add(1, Ordering::Relaxed);
                return Err(error.into());
            }
        }
    }

    /// None for a tenant that was deleted: its signing key is no more.
    #[expect(clippy::disallowed_methods, reason = "sealing chains is a job of ours in every tenant")]
    async fn context(&self, tenant: TenantId) -> Result<Option<TenantContext>, StoreError> {
        let vault = &self.shared.vault;
        let tenant = vault.store().tenant_by_id(tenant).await?;
        let call = CallId::generate(vault.clock(), vault.entropy());
        let living = tenant.filter(|tenant| tenant.status != TenantStatus::Deleted);
        Ok(living.map(|tenant| TenantContext::for_job(Arc::new(tenant), "audit-checkpoint", call)))
    }
}

/// Why a tenant's chains were not sealed and archived.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The store.
    #[error("the chain could not be sealed")]
    Store(#[from] StoreError),
    /// The archive; the checkpoint is in the database.
    #[error("the checkpoint could not be archived")]
    Archive(#[from] ArchiveError),
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer").field("archive", &self.shared.archive).finish_non_exhaustive()
    }
}
