//! What the commands of operators share: the rooms that they work in, the tenant that they name, and an audit trail in which
//! each of them is on record before it does or shows anything.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use stagedoor_assembly::{keys, open_store};
use stagedoor_audit::{AuditLog, AuditOpening, AuditOptions};
use stagedoor_bootstrap::config::Config;
use stagedoor_bootstrap::tasks;
use stagedoor_crypto::{KekProvider, SystemEntropy};
use stagedoor_domain::{Clock, Entropy, SystemClock, Tenant, TenantContext, TenantId, TenantSlug};
use stagedoor_storage::{KeyVault, Purpose, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::tenancy;

/// A gateway refuses a call rather than letting it wait; a command has time.
const ACQUIRE_TIMEOUT_MS: u64 = 5_000;

/// The rooms of a command.
#[derive(Debug)]
pub struct Operator {
    /// The database, as the gateway's role.
    pub store: Store,
    /// The keys.
    pub vault: Arc<KeyVault>,
    /// The audit trail.
    pub audit: AuditLog,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    finished: CancellationToken,
    writer: JoinHandle<Option<()>>,
}

impl Operator {
    /// Opens what `config` names.
    pub async fn open(mut config: Config) -> anyhow::Result<Self> {
        config.storage.acquire_timeout_ms = config.storage.acquire_timeout_ms.max(ACQUIRE_TIMEOUT_MS);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let store = Box::pin(open_store(&config, Purpose::Serve)).await?;
        let (keys, _) = keys::open(&config.encryption, &clock, &*entropy).await?;
        let keys: Arc<dyn KekProvider> = keys;
        let vault = KeyVault::new(store.clone(), keys, Arc::clone(&clock), Arc::clone(&entropy))
            .with_memory(config.encryption.opened_key());
        let vault = Arc::new(vault);
        let options = AuditOptions { enabled: config.audit.enabled, ..AuditOptions::default() };
        let (audit, writer) = AuditLog::new(Arc::clone(&vault), options);
        let finished = CancellationToken::new();
        let writer = tasks::spawn("audit", writer.run(finished.clone()));
        Ok(Self { store, vault, audit, clock, entropy, finished, writer })
    }

    /// The tenant of that name or id, whatever its status.
    pub async fn tenant(&self, named: &str) -> anyhow::Result<Arc<Tenant>> {
        if let Ok(slug) = named.parse::<TenantSlug>()
            && let Some(tenant) = self.store.find_tenant(&slug).await?
        {
            return Ok(Arc::new(tenant));
        }
        let by_id = match named.parse::<Uuid>() {
            Ok(id) => self.store.tenant_by_id(TenantId(id)).await?,
            Err(_) => None,
        };
        Ok(Arc::new(by_id.with_context(|| format!("--tenant: there is no tenant {named}"))?))
    }

    /// A context of the command `job` in a tenant.
    pub fn context(&self, tenant: Arc<Tenant>, job: &'static str) -> TenantContext {
        tenancy::establish_job(tenant, job, &*self.clock, &*self.entropy)
    }

    /// Does `work` between an opening and a closing record; not at all if it cannot be recorded.
    pub async fn audited<T>(
        &self,
        context: &TenantContext,
        opening: AuditOpening,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let entry = self.audit.open(context, opening).await;
        let entry = entry.context("the command cannot be recorded in the audit trail, so it was not done")?;
        entry.during(&*self.clock, work).await
    }

    /// Waits until everything is on record.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.audit.flush().await.context("the last audit records were not written")?;
        self.finished.cancel();
        // It has nothing left to write; if it hangs all the same, the command ends without it.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.writer).await;
        self.store.close().await;
        Ok(())
    }
}
