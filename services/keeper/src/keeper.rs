//! The keeper: the rooms that jobs work in, and the frame around each run — its lock, its record, its end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use stagedoor_assembly::{keys, open_store};
use stagedoor_audit::{AuditLog, AuditOpening, AuditOptions};
use stagedoor_bootstrap::config::Config;
use stagedoor_bootstrap::tasks;
use stagedoor_crypto::{KekProvider, Peppers, SystemEntropy};
use stagedoor_domain::error::Chain;
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{Clock, Entropy, SystemClock, Tenant, TenantContext, TenantId, TenantStatus, UserId};
use stagedoor_key_encryption::KeyRing;
use stagedoor_storage::keeper_runs::{JobLock, NewRun};
use stagedoor_storage::{KeyVault, Purpose, Store, StoreError};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::figures;
use crate::jobs::{Job, JobError};
use crate::run::{Ended, Run, RunOptions};
use crate::tenancy;

/// Between two notes that a run is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long the note of a run's end may take: whoever waits for the run is told how it went without it.
const NOTED_WITHIN: Duration = Duration::from_secs(30);
/// Tenants of one query.
const PAGE: i64 = 500;

/// The rooms of the jobs.
#[derive(Debug)]
pub struct Keeper {
    /// What is configured.
    pub config: Config,
    /// The database, as the keeper's role.
    pub store: Store,
    /// The keys of tenants and people.
    pub vault: Arc<KeyVault>,
    /// The key-encryption keys.
    pub keys: Arc<KeyRing>,
    /// The peppers of API keys.
    pub peppers: Arc<Peppers>,
    /// The audit trail.
    pub audit: AuditLog,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Tells every run to stop after its present batch.
    pub stop: CancellationToken,
    finished: CancellationToken,
    writer: JoinHandle<Option<()>>,
}

impl Keeper {
    /// Opens what `config` names, by the machine's clock.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        Box::pin(Self::open_with(config, Arc::new(SystemClock::new()), Arc::new(SystemEntropy))).await
    }

    /// The same by a clock and randomness that are handed in.
    pub async fn open_with(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let store = Box::pin(open_store(&config, Purpose::Keep)).await?;
        let (keys, peppers) = Box::pin(keys::open(&config.encryption, &clock, &*entropy)).await?;
        let provider: Arc<dyn KekProvider> = Arc::<KeyRing>::clone(&keys);
        let vault = KeyVault::new(store.clone(), provider, Arc::clone(&clock), Arc::clone(&entropy));
        let vault = Arc::new(vault.with_memory(config.encryption.opened_key()));
        let options = AuditOptions { enabled: config.audit.enabled, ..AuditOptions::default() };
        let (audit, writer) = AuditLog::new(Arc::clone(&vault), options);
        let finished = CancellationToken::new();
        let writer = tasks::spawn("audit", writer.run(finished.clone()));
        Ok(Self {
            config,
            store,
            vault,
            keys,
            peppers: Arc::new(peppers),
            audit,
            clock,
            entropy,
            stop: CancellationToken::new(),
            finished,
            writer,
        })
    }

    /// Runs `job` if nobody else does, and puts the run on record.
    ///
    /// # Errors
    /// Only before the job begins: the lock or the record could not be had. What goes wrong later is in what it ended
    /// with.
    pub async fn execute(&self, job: &dyn Job, options: RunOptions) -> anyhow::Result<Ended> {
        let name = job.recorded_as();
        let Some(lock) = self.store.try_lock_job(job.lock()).await.context("the job's lock")? else {
            let ended = Ended::elsewhere(job, options.dry_run);
            tracing::info!(target: "keeper", job = name, "another keeper is doing this job");
            return Ok(ended);
        };
        let id = uuid_v7(&*self.clock, &*self.entropy);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let new = NewRun { id, job: name, dry_run: options.dry_run, host: &host, at: self.clock.now() };
        let abandoned = self.store.begin_run(&new).await.context("the run's record")?;
        if abandoned > 0 {
            tracing::warn!(target: "keeper", job = name, abandoned, "an earlier run was killed");
        }
        let run = Run::new(job.name(), options, Arc::clone(&self.clock), self.stop.child_token());
        let (outcome, lock) = self.beside_heartbeat(id, &run, lock, job.run(self, &run)).await;
        let outcome = match self.audit.flush().await {
            Err(error) if outcome.is_ok() => Err(JobError::Audit(error)),
            _ => outcome,
        };
        let mut ended = run.end(name, outcome);
        if let Err(error) = Box::pin(self.note_end(id, &ended)).await {
            ended.not_recorded(&error);
        }
        // The connection ends with the process at the latest.
        let _ = lock.release().await;
        tell(&ended);
        figures::tell(&self.config.telemetry, &ended, self.clock.now()).await;
        Ok(ended)
    }

    /// Calls `work` for every tenant that is not deleted, one after the other, or for the one that is named by its slug
    /// or id. What fails for one tenant is said, and the others go on. Stops between two tenants.
    pub async fn each_tenant(
        &self,
        job: &'static str,
        run: &Run,
        only: Option<&str>,
        work: impl AsyncFn(&TenantContext) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let tenants = match only {
            Some(named) => vec![self.tenant(named).await?],
            None => self.tenants().await?,
        };
        let total = tenants.len() as u64;
        for (done, tenant) in (0..).zip(tenants) {
            run.go_on()?;
            run.progress(done, Some(total), "tenants");
            let slug = tenant.slug.clone();
            match Box::pin(work(&self.context(tenant, job))).await {
                Ok(()) => {}
                Err(JobError::Interrupted) => return Err(JobError::Interrupted),
                Err(error) => run.failed(format_args!("tenant {slug}"), Chain(&error)),
            }
        }
        run.progress(total, Some(total), "tenants");
        Ok(())
    }

    /// Every tenant that is not deleted, in the order of their ids.
    pub async fn tenants(&self) -> Result<Vec<Arc<Tenant>>, StoreError> {
        let mut tenants = Vec::new();
        let mut after = TenantId(Uuid::nil());
        loop {
            let page = self.store.tenants_after(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(tenants) };
            after = last.id;
            let living = page.into_iter().filter(|tenant| tenant.status != TenantStatus::Deleted);
            tenants.extend(living.map(Arc::new));
        }
    }

    /// The tenant of that slug or id, whatever its status.
    pub async fn tenant(&self, named: &str) -> Result<Arc<Tenant>, JobError> {
        if let Ok(slug) = named.parse()
            && let Some(tenant) = self.store.find_tenant(&slug).await?
        {
            return Ok(Arc::new(tenant));
        }
        let by_id = match named.parse::<Uuid>() {
            Ok(id) => self.store.tenant_by_id(TenantId(id)).await?,
            Err(_) => None,
        };
        by_id.map(Arc::new).ok_or_else(|| JobError::Refused(format!("--tenant: there is no tenant {named}")))
    }

    /// The context of `job` in a tenant; each has a call id of its own.
    pub fn context(&self, tenant: Arc<Tenant>, job: &'static str) -> TenantContext {
        tenancy::establish(tenant, job, &*self.clock, &*self.entropy)
    }

    /// The context of the same job, in the same tenant, for what is on record under a person.
    pub fn context_of(&self, context: &TenantContext, person: UserId) -> TenantContext {
        tenancy::establish_for(context, person, &*self.clock, &*self.entropy)
    }

    /// Does `work` between an opening and a closing record; not at all if it cannot be recorded. Boxed: what is done on
    /// record is large.
    pub fn audited<T>(
        &self,
        context: &TenantContext,
        opening: AuditOpening,
        work: impl Future<Output = Result<T, JobError>>,
    ) -> Pin<Box<impl Future<Output = Result<T, JobError>>>> {
        Box::pin(async move {
            let entry = self.audit.open(context, opening).await?;
            entry.during(&*self.clock, work).await
        })
    }

    /// Waits until everything is on record, and closes.
    pub async fn finish(self) -> anyhow::Result<()> {
        let flushed = self.audit.flush().await;
        self.finished.cancel();
        // It has nothing left to write; if it hangs all the same, the keeper ends without it.
        let _ = tokio::time::timeout(HEARTBEAT, self.writer).await;
        self.store.close().await;
        flushed.context("the last audit records were not written")
    }

    /// Puts on record how a run ended.
    async fn note_end(&self, id: Uuid, ended: &Ended) -> Result<(), StoreError> {
        let detail = ended.remarks.join("\n");
        let told = (&ended.counts, detail.as_str());
        let noted = self.store.end_run(id, self.clock.now(), ended.ending.recorded(), told);
        tokio::time::timeout(NOTED_WITHIN, noted).await.unwrap_or(Err(StoreError::TimedOut))
    }

    /// Runs `work` and notes beside it that it is alive; tells it to stop if the lock is no longer held.
    async fn beside_heartbeat(
        &self,
        id: Uuid,
        run: &Run,
        mut lock: JobLock,
        work: impl Future<Output = Result<(), JobError>>,
    ) -> (Result<(), JobError>, JobLock) {
        let heartbeat = async {
            let mut ticks = interval(HEARTBEAT);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.vault.forget_expired();
                if !matches!(lock.is_held().await, Ok(true)) {
                    run.failed(
                        "the job's lock",
                        "it is no longer held; is storage.keeper_database_url a pooler's?",
                    );
                    run.stopping().cancel();
                }
                if let Err(error) = self.store.note_run(id, self.clock.now(), &run.counts()).await {
                    tracing::warn!(target: "keeper", error = %Chain(&error), "the run's heartbeat was not noted");
                }
            }
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = heartbeat => Err(JobError::Interrupted),
        };
        (outcome, lock)
    }
}

/// The one line that sums a run up.
fn tell(ended: &Ended) {
    let counts = serde_json::to_string(&ended.counts).unwrap_or_default();
    let duration_ms = u64::try_from(ended.duration.as_millis()).unwrap_or(u64::MAX);
    let (job, outcome, dry_run) = (ended.job, ended.ending.as_str(), ended.dry_run);
    let remarks = ended.remarks.len();
    tracing::info!(target: "keeper", job, outcome, dry_run, duration_ms, counts, remarks, "a run ended");
}
