//! The operator as a whole: it competes for the lease, works while it has it, and gives it back at the end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use stagedoor_bootstrap::config::OperatorConfig;
use stagedoor_bootstrap::health::{Health, Importance};
use stagedoor_domain::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use crate::admin::{AdminApi, ConnectionError};
use crate::context::{Context, Pauses};
use crate::controllers;
use crate::events::Events;
use crate::lease::Election;
use crate::metrics::OperatorMetrics;

/// How long work that is under way may take at the end.
const FINISH: Duration = Duration::from_secs(15);

/// What an operator is made of.
pub struct Operator {
    /// Kubernetes.
    pub client: Client,
    /// The configuration.
    pub config: OperatorConfig,
    /// What is counted.
    pub metrics: Arc<OperatorMetrics>,
    /// How the process is.
    pub health: Health,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for pauses and for the name of this replica.
    pub entropy: Arc<dyn Entropy>,
    /// What this replica is called, such as the pod.
    pub host: String,
}

impl Operator {
    /// Runs until `stop`; then what is under way is finished and the lease given back.
    ///
    /// # Errors
    /// The address of the admin API is none.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ConnectionError> {
        // Away, it makes objects wait, and no replica better than this one.
        let check = self.health.register("admin_api", Importance::Informative);
        let (metrics, clock) = (Arc::clone(&self.metrics), Arc::clone(&self.clock));
        let admin = Arc::new(AdminApi::new(&self.config, metrics, clock, check)?);
        let mut election = self.election();
        self.health.started();
        while election.win(&stop).await {
            self.metrics.leading(true);
            let kept = self.lead(&admin, &mut election, &stop).await;
            self.metrics.leading(false);
            if kept {
                election.give_back().await;
                return Ok(());
            }
            self.metrics.lease_lost();
        }
        Ok(())
    }

    /// Works while this replica has the lease; false if it lost it.
    async fn lead(&self, admin: &Arc<AdminApi>, election: &mut Election, stop: &CancellationToken) -> bool {
        let (stores, writers) = controllers::stores();
        let context = Arc::new(Context {
            client: self.client.clone(),
            admin: Arc::clone(admin),
            events: Events::new(self.client.clone(), self.host.clone(), Arc::clone(&self.metrics)),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            config: self.config.clone(),
            stores,
            pauses: Pauses::default(),
        });
        let work = async {
            let work = controllers::run(context, writers, stop.clone());
            tokio::pin!(work);
            tokio::select! {
                () = &mut work => {}
                () = stop.cancelled() => {
                    if tokio::time::timeout(FINISH, &mut work).await.is_err() {
                        tracing::warn!(after = ?FINISH, "work that did not finish in time is cut off");
                    }
                }
            }
        };
        // Without the lease nothing may go on: dropping the work cuts it off where it waits.
        tokio::select! {
            () = work => true,
            () = election.keep() => false,
        }
    }

    fn election(&self) -> Election {
        let own = self.client.default_namespace().to_owned();
        let namespace = self.config.lease_namespace.clone().unwrap_or(own);
        let mut tail = [0; 4];
        self.entropy.fill(&mut tail);
        let me = format!("{}_{:08x}", self.host, u32::from_be_bytes(tail));
        Election::new(
            self.client.clone(),
            (&namespace, &self.config.lease_name),
            me,
            self.config.lease(),
            Arc::clone(&self.clock),
            self.health.register("kubernetes", Importance::Required),
        )
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("host", &self.host).finish_non_exhaustive()
    }
}
