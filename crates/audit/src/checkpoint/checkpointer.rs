//! Signs a checkpoint of each chain that grew. Every replica may do so: who comes second adds nothing. How checkpoints
//! reach the archive is in `archiver`.

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
const LOOKS_BETWEEN_ALL: u64 = 20;
/// Rows of one query.
pub(super) const PAGE: i32 = 500;

/// Makes checkpoints. Clones share it.
#[derive(Clone)]
pub struct Checkpointer {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) vault: Arc<KeyVault>,
    pub(super) archive: Option<CheckpointArchive>,
    interval: Duration,
    pub(super) figures: Figures,
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
        Self { shared: Arc::new(Shared { vault, archive, interval, figures: Figures::new() }) }
    }

    /// Makes checkpoints until `shutdown`. An archive that is slow keeps no chain from being sealed.
    pub async fn run(self, shutdown: CancellationToken) {
        let ticks = || {
            let mut ticks = interval((self.shared.interval / LOOKS).max(Duration::from_millis(10)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut seals, mut archives) = (ticks(), ticks());
        let seal = async {
            loop {
                seals.tick().await;
                let outcome = Box::pin(self.look_at_chains()).await;
                self.shared.figures.note_store(outcome.as_ref().err());
            }
        };
        let archive = async {
            loop {
                archives.tick().await;
                // The store's outage shows in the other loop.
                let _ = Box::pin(self.look_at_archive()).await;
            }
        };
        let both = async {
            tokio::join!(seal, archive);
        };
        shutdown.run_until_cancelled(both).await;
    }

    /// Looks at every tenant's recent chains, seals those whose time has come, and brings the archive up to date. An
    /// error is the store's; what goes wrong with one tenant or with the archive is counted and logged.
    pub async fn look(&self) -> Result<(), StoreError> {
        Box::pin(self.look_at_chains()).await?;
        Box::pin(self.look_at_archive()).await
    }

    async fn look_at_chains(&self) -> Result<(), StoreError> {
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
        Ok(())
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
            while self.archive_some(archive, context).await? {}
        }
        Ok(made)
    }

    /// The same of every day that has records which are not sealed: whoever calls it is about to give the key up.
    pub async fn seal_all(&self, context: &TenantContext) -> Result<u64, SealError> {
        let today = self.shared.vault.clock().now().date_naive();
        let first = today.checked_sub_days(Days::new(ALL_DAYS)).unwrap_or(today);
        // Another replica's clock may be ahead.
        let last = today.succ_opt().unwrap_or(today);
        let read = async |tx: &mut _| {
            let mut days = Vec::new();
            for head in audit::heads(tx, first, last).await? {
                // What retention has dropped cannot be signed any more.
                if head.sealed_seq < head.seq
                    && !audit::records(tx, head.day, head.seq - 1, 1).await?.is_empty()
                {
                    days.push(head.day);
                }
            }
            Ok(days)
        };
        let days = self.shared.vault.store().with_tenant::<_, StoreError>(context, read).await?;
        self.seal(context, days).await
    }

    /// Totals since the start, and how far behind it is.
    pub fn counts(&self) -> CheckpointCounts {
        self.shared.figures.counts(self.shared.vault.clock().now())
    }

    /// The time of the chain's oldest record that is not sealed after that.
    async fn seal_if_due(&self, tenant: TenantId, day: NaiveDate) -> Option<DateTime<Utc>> {
        let mut oldest = None;
        let outcome: Result<(), StoreError> = async {
            // The signing key of a deleted tenant is no more.
            let context = self.context(tenant).await?;
            let living = context.filter(|context| context.tenant().status != TenantStatus::Deleted);
            let Some(context) = living else { return Ok(()) };
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

    /// The context of our job in that tenant.
    #[expect(clippy::disallowed_methods, reason = "sealing chains is a job of ours in every tenant")]
    pub(super) async fn context(&self, tenant: TenantId) -> Result<Option<TenantContext>, StoreError> {
        let vault = &self.shared.vault;
        let tenant = vault.store().tenant_by_id(tenant).await?;
        let call = CallId::generate(vault.clock(), vault.entropy());
        Ok(tenant.map(|tenant| TenantContext::for_job(Arc::new(tenant), "audit-checkpoint", call)))
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
