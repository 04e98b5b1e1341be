//! A gateway from its sockets to its end: what runs beside the requests, and in which order all of it stops.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use stagedoor_bootstrap::config::Config;
use stagedoor_bootstrap::health::Importance;
use stagedoor_bootstrap::{Shutdown, ShutdownOptions, tasks, telemetry};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Gateway, Listeners};
use crate::state::AppState;
use crate::vital_signs::VitalChecks;
use crate::{keys, router, server};

/// How long what replicas share may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(2);

/// Binds the ports, so that a taken one is said before anything else starts.
pub async fn bind(config: &Config) -> anyhow::Result<Listeners> {
    let listen = async |address: std::net::SocketAddr, key: &str| {
        TcpListener::bind(address).await.with_context(|| format!("{key}: {address} cannot be listened on"))
    };
    Ok(Listeners {
        public: listen(config.server.listen, "server.listen").await?,
        ops: listen(config.ops.listen, "ops.listen").await?,
        admin: match config.admin.listen {
            Some(address) => Some(listen(address, "admin.listen").await?),
            None => None,
        },
    })
}

/// How the configuration wants a gateway to end.
pub fn shutdown_options(config: &Config) -> ShutdownOptions {
    ShutdownOptions { grace: config.server.drain_grace(), finish: config.server.drain_finish() }
}

impl Gateway {
    /// The shared state, for tests that look inside.
    pub fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    /// The plan of this gateway's end.
    pub fn shutdown(&self, options: ShutdownOptions) -> Shutdown {
        Shutdown::new(options, self.state.health.clone())
    }

    /// Serves until the plan ends it.
    pub async fn run(mut self, listeners: Listeners, mut shutdown: Shutdown) {
        let tokens = shutdown.tokens();
        let audit = self.state.audit.clone();
        let (background, patience) = (self.state.background.clone(), self.bounds.drain);
        shutdown.on_flush("background", async move {
            if !background.finish(patience).await {
                tracing::error!("a write or a token refresh was cut off");
            }
        });
        shutdown.on_flush("audit", async move {
            if let Err(error) = audit.flush().await {
                tracing::error!(
                    error = %stagedoor_domain::error::Chain(&error),
                    "the last audit records were not written"
                );
            }
        });
        let violations = Arc::clone(&self.state.violations);
        shutdown.on_flush("violations", async move {
            if let Err(error) = violations.flush().await {
                tracing::error!(
                    error = %stagedoor_domain::error::Chain(&error),
                    "the last refused calls were not recorded"
                );
            }
        });
        let key_uses = Arc::clone(&self.key_uses);
        shutdown.on_flush("key uses", async move {
            if let Err(error) = key_uses.flush().await {
                tracing::warn!(
                    error = %stagedoor_domain::error::Chain(&error),
                    "when keys were last used was not written"
                );
            }
        });
        let usage = Arc::clone(self.state.dispatcher.desk().usage());
        shutdown.on_flush("usage", async move {
            if let Err(error) = usage.flush(true).await {
                tracing::error!(
                    error = %stagedoor_domain::error::Chain(&error),
                    "the last figures of usage were not written"
                );
            }
        });
        self.start_helpers(&tokens.finished);
        let farewells = self.start_sharing(&tokens.finished);
        let metrics = Arc::clone(&self.state.metrics);
        let metrics_export = telemetry::export_metrics(metrics, tokens.finished.clone());
        let metrics_export = tasks::spawn("metrics export", metrics_export);
        tasks::spawn("audit", self.audit_writer.run(tokens.finished.clone()));
        tasks::spawn("checkpoints", self.checkpointer.clone().run(tokens.begun.clone()));
        tasks::spawn("jobs", Arc::clone(&self.jobs).run(tokens.begun.clone()));
        tasks::spawn("deletions", Arc::clone(&self.deletions).run(tokens.begun.clone()));
        tasks::spawn("open requests", Arc::clone(&self.deletions).count(tokens.finished.clone()));
        let stop_streams = self.stop_streams.clone();
        let begun = tokens.begun.clone();
        tasks::spawn("end of streams", async move {
            begun.cancelled().await;
            stop_streams.cancel();
        });
        let public = server::serve(
            listeners.public,
            router::public(&self.state),
            self.bounds.clone(),
            self.state.proxies.clone(),
            (tokens.begun.clone(), tokens.stop_accepting.clone()),
        );
        let ops = server::serve(
            listeners.ops,
            router::ops(&self.state),
            self.bounds,
            self.state.proxies.clone(),
            (tokens.begun.clone(), tokens.finished.clone()),
        );
        tasks::spawn("ops", ops);
        if let (Some(admin), Some(listener)) = (self.admin.take(), listeners.admin) {
            let ends = (tokens.begun.clone(), tokens.stop_accepting.clone());
            tasks::spawn("admin", admin.serve(listener, ends));
        }
        self.state.health.started();
        tracing::info!("serving");
        shutdown.run(public).await;
        for farewell in farewells {
            if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
                tracing::warn!("the other replicas were not told of this one's end");
            }
        }
        if tokio::time::timeout(FAREWELL, metrics_export).await.is_err() {
            tracing::warn!("the last metrics could not be sent");
        }
        self.store.close().await;
    }

    /// What replicas share: the cache's generations and counts, how many they are. Each says good-bye at its end.
    fn start_sharing(&mut self, until: &CancellationToken) -> Vec<JoinHandle<Option<()>>> {
        let mut farewells = vec![tasks::spawn("cache", Arc::clone(&self.cache).run(until.clone()))];
        if let Some(replicas) = self.replicas.take() {
            farewells.push(tasks::spawn("replicas", replicas.run(until.clone())));
        }
        if let Some(heartbeat) = self.heartbeat.take() {
            farewells.push(tasks::spawn("heartbeat", heartbeat.run(until.clone())));
        }
        if let Some(warm_up) = self.warm_up.take() {
            tasks::spawn("warm-up", until.clone().run_until_cancelled_owned(warm_up.run()));
        }
        farewells
    }

    /// What runs beside the requests: database check, changes of tenants, records of refused calls, tidying.
    fn start_helpers(&self, until: &CancellationToken) {
        keys::watch(&self.keys, self.state.health.register("keys", Importance::Informative), until);
        let (signs, requests) = (Arc::clone(&self.signs), Arc::clone(&self.requests));
        let checks = VitalChecks::register(&self.state.health, signs, self.checkpointer.clone(), requests);
        tasks::spawn("vital signs", checks.run(until.clone()));
        let check = self.state.health.register("postgres", Importance::Required);
        let store = self.store.clone();
        tasks::spawn(
            "database check",
            until.clone().run_until_cancelled_owned(async move {
                loop {
                    match store.ping().await {
                        Ok(()) => check.pass(),
                        Err(error) => check.fail(error.to_string()),
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }),
        );
        tasks::spawn("tenant watch", Arc::clone(&self.tenants).run(until.clone()));
        tasks::spawn("queue watch", Arc::clone(&self.queues).run(until.clone()));
        tasks::spawn("key uses", Arc::clone(&self.key_uses).run(until.clone()));
        tasks::spawn("violations", Arc::clone(&self.state.violations).run(until.clone()));
        tasks::spawn("usage", Arc::clone(self.state.dispatcher.desk().usage()).run(until.clone()));
        // Apart from the check: what is opened is wiped on time whatever the database does.
        let (vault, sessions) = (Arc::clone(&self.vault), Arc::clone(&self.sessions));
        tasks::spawn(
            "forgetting",
            until.clone().run_until_cancelled_owned(async move {
                loop {
                    vault.forget_expired();
                    sessions.forget_expired();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }),
        );
        if let Some(shield) = &self.state.shield {
            let tidy = until.clone().run_until_cancelled_owned(shield.clone().forget_the_quiet());
            tasks::spawn("shield", tidy);
        }
    }
}
