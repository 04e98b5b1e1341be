//! What an import works with: the database, the keys and the audit trail that the configuration names.

use std::sync::Arc;

use anyhow::Context;
use stagedoor_assembly::{keys, open_store};
use stagedoor_audit::{AuditLog, AuditOptions};
use stagedoor_bootstrap::config::Config;
use stagedoor_bootstrap::tasks;
use stagedoor_crypto::{KekProvider, SystemEntropy};
use stagedoor_domain::{
    Clock, Entropy, SystemClock, Tenant, TenantContext, TenantSlug, TenantStatus, UserId,
};
use stagedoor_storage::{KeyVault, Purpose, Store, users};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// An installation, opened.
pub(super) struct Installation {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) vault: Arc<KeyVault>,
    pub(super) audit: AuditLog,
    store: Store,
    finished: CancellationToken,
    writer: JoinHandle<Option<()>>,
}

impl Installation {
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let store = open_store(config, Purpose::Serve).await?;
        let (keys, _) = keys::open(&config.encryption, &clock, &*entropy).await?;
        let keys: Arc<dyn KekProvider> = keys;
        let vault = KeyVault::new(store.clone(), keys, Arc::clone(&clock), Arc::clone(&entropy));
        let vault = Arc::new(vault.with_memory(config.encryption.opened_key()));
        let options = AuditOptions { enabled: config.audit.enabled, ..AuditOptions::default() };
        let (audit, writer) = AuditLog::new(Arc::clone(&vault), options);
        let finished = CancellationToken::new();
        let writer = tasks::spawn("audit", writer.run(finished.clone()));
        Ok(Self { clock, entropy, vault, audit, store, finished, writer })
    }

    /// Waits until everything is on record, and closes.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.audit.flush().await.context("the last audit records were not written")?;
        self.finished.cancel();
        self.writer.await?;
        self.store.close().await;
        Ok(())
    }

    /// The tenant of `--tenant`, which must be served.
    pub(super) async fn tenant(&self, slug: &str) -> anyhow::Result<Arc<Tenant>> {
        let slug: TenantSlug = slug.parse().context("--tenant")?;
        let tenant = self.store.find_tenant(&slug).await?;
        let tenant = tenant.with_context(|| format!("--tenant: there is no tenant {slug}"))?;
        anyhow::ensure!(tenant.status == TenantStatus::Active, "--tenant: {slug} is suspended");
        Ok(Arc::new(tenant))
    }

    /// The person of `--user`: of that id, or of that subject; never one of two.
    pub(super) async fn person(&self, context: &TenantContext, text: &str) -> anyhow::Result<UserId> {
        let id: Option<Uuid> = text.parse().ok();
        let (by_id, by_subject) = self
            .store
            .with_tenant(context, async |tx| {
                let by_id = match id {
                    Some(id) => users::find(tx, id.into()).await?,
                    None => None,
                };
                Ok::<_, stagedoor_storage::StoreError>((by_id, users::find_by_subject(tx, text).await?))
            })
            .await?;
        match (by_id, by_subject) {
            (Some(one), Some(other)) if one.id != other.id => {
                anyhow::bail!("--user: {text} is the id of one person and the subject of another")
            }
            (Some(user), _) | (None, Some(user)) => Ok(user.id),
            (None, None) => {
                anyhow::bail!("--user: the tenant has no person of the id or external subject {text:?}")
            }
        }
    }
}
