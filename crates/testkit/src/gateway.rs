//! The real gateway inside the test's process, on free ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_audit::AuditError;
use stagedoor_bootstrap::config::Config;
use stagedoor_bootstrap::{ShutdownTokens, tasks};
use stagedoor_crypto::SystemEntropy;
use stagedoor_gateway::assembly;
use stagedoor_gateway::state::AppState;
use tokio::task::JoinHandle;
use url::Url;

use crate::admin::Admin;
use crate::client::Client;
use crate::metrics::Metrics;
use crate::stage::Stage;

/// A gateway in this process. Dropping it ends it in the background.
#[derive(Debug)]
pub struct TestGateway {
    address: SocketAddr,
    ops: SocketAddr,
    admin: Option<SocketAddr>,
    state: Arc<AppState>,
    tokens: ShutdownTokens,
    running: Option<JoinHandle<Option<()>>>,
}

impl TestGateway {
    /// A gateway with the stage's configuration.
    pub async fn start(stage: &Stage) -> Self {
        Self::start_with(stage, |_| {}).await
    }

    /// The same after `change` had its way with the configuration.
    ///
    /// # Panics
    /// If the gateway refuses to start.
    pub async fn start_with(stage: &Stage, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = stage.config();
        change(&mut config);
        match Box::pin(Self::try_start(stage, &config)).await {
            Ok(gateway) => gateway,
            Err(error) => panic!("the gateway did not start: {error:#}"),
        }
    }

    /// A gateway, or why there is none.
    pub async fn try_start(stage: &Stage, config: &Config) -> anyhow::Result<Self> {
        let listeners = assembly::bind(config).await?;
        let (address, ops) = (listeners.public.local_addr()?, listeners.ops.local_addr()?);
        let admin = listeners.admin.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?;
        let mut config = config.clone();
        if config.server.public_url == Config::default().server.public_url {
            // Links and callbacks lead to the port that was free.
            config.server.public_url = Url::parse(&format!("http://{address}"))?;
        }
        let config = &config;
        config.validate()?;
        let gateway =
            Box::pin(assembly::assemble(config, Arc::clone(stage.clock()), Arc::new(SystemEntropy))).await?;
        let state = Arc::clone(gateway.state());
        let shutdown = gateway.shutdown(assembly::shutdown_options(config));
        let tokens = shutdown.tokens();
        let running = tasks::spawn("gateway", gateway.run(listeners, shutdown));
        Ok(Self { address, ops, admin, state, tokens, running: Some(running) })
    }

    /// Where agents and people reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A caller of its admin API, for which it must have been started (`Stage::with_admin`).
    ///
    /// # Panics
    /// If it serves none.
    pub fn admin(&self, key: Option<&str>) -> Admin {
        Admin::new(self.admin.expect("this gateway serves the admin API"), key)
    }

    /// Where its admin API is.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where probes and collectors reach it.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops
    }

    /// What its handlers share.
    pub fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    /// A client of the tenant `slug` with this key.
    pub fn client(&self, slug: &str, key: &str) -> Client {
        Client::new(self.address, slug, Some(key))
    }

    /// Waits until every audit record that was closed is in the database.
    ///
    /// # Panics
    /// If the trail has stopped.
    pub async fn flush_audit(&self) {
        loop {
            match self.state.audit.flush().await {
                Ok(()) => return,
                // The database was away a moment ago; the records are kept and tried again.
                Err(AuditError::StillWaiting) => {}
                Err(error) => panic!("the audit trail runs as long as its gateway: {error}"),
            }
        }
    }

    /// Waits until nothing is under way beside the calls: refetches, prefetches, writes whose callers have left.
    ///
    /// # Panics
    /// If something never ends.
    pub async fn settle(&self) {
        assert!(self.state.background.finish(Duration::from_mins(1)).await, "work beside the calls goes on");
    }

    /// The value of a counter or gauge at `/metrics` by its name without the prefix, such as `cache_hits_l1`; the
    /// sum of its series.
    pub async fn metric(&self, name: &str) -> u64 {
        self.metrics().await.sum(name, &[])
    }

    /// The values at `/metrics`.
    pub async fn metrics(&self) -> Metrics {
        Metrics::of(self.ops).await
    }

    /// Ends it as SIGTERM would, and waits for its end.
    pub async fn stop(mut self) {
        self.tokens.begun.cancel();
        if let Some(running) = self.running.take() {
            // A gateway that panicked has been logged; its test fails by what it did not answer.
            let _ = tokio::time::timeout(Duration::from_secs(30), running).await;
        }
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.tokens.begun.cancel();
    }
}
